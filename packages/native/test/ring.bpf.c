/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writes numbered events into a ring buffer, as many and as long as the context says, and counts its losses. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024);
} events SEC(".maps");

struct order {
	__u32 count;
	__u32 bytes;   /* of each event, at least 16 */
	__u32 discard; /* every n-th is discarded after it was reserved */
};

struct event {
	__u64 seq;
	__u64 check;
};

#define BYTES_MAX 16384

__u64 seq;
__u64 lost;
__u64 discarded;

static long emit(__u32 index, void *data)
{
	struct order *order = data;
	struct bpf_dynptr reserved;
	struct event *event;
	__u32 bytes = order->bytes;
	__u64 mine = __sync_fetch_and_add(&seq, 1);
	int err;

	if (bytes < sizeof(struct event) || bytes > BYTES_MAX)
		return 1;
	err = bpf_ringbuf_reserve_dynptr(&events, bytes, 0, &reserved);
	event = err ? 0 : bpf_dynptr_data(&reserved, 0, sizeof(struct event));
	if (!event) {
		__sync_fetch_and_add(&lost, 1);
		bpf_ringbuf_discard_dynptr(&reserved, 0);
		return 0;
	}
	event->seq = mine;
	event->check = mine * 0x9e3779b97f4a7c15ull;
	if (order->discard && mine % order->discard == 0) {
		__sync_fetch_and_add(&discarded, 1);
		bpf_ringbuf_discard_dynptr(&reserved, 0);
	} else {
		bpf_ringbuf_submit_dynptr(&reserved, 0);
	}
	return 0;
}

SEC("syscall")
int produce(struct order *order)
{
	struct order mine = *order;
	/*
	 * Read by itself: else clang may pass the count with the next field in the upper half of the register,
	 * as it may for a __u32 argument, and the inlined bpf_loop (seen on 6.18) compares all 64 bits: -E2BIG.
	 */
	__u32 count = *(volatile __u32 *)&order->count;

	return bpf_loop(count, emit, &mine, 0);
}

char LICENSE[] SEC("license") = "GPL";
