// SPDX-License-Identifier: Apache-2.0
// Stands in for libbpf's header where kernel programs are compiled for user space (../../protocol.c): the helpers they
// call are functions of the fuzzer, which plays the kernel.
#ifndef PICKET_FUZZ_BPF_HELPERS_H
#define PICKET_FUZZ_BPF_HELPERS_H

#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define barrier() asm volatile("" ::: "memory")
#define __noinline __attribute__((noinline))

static void *bpf_map_lookup_elem(void *map, const void *key);
static long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags);
static __u64 bpf_ktime_get_ns(void);
#define bpf_ktime_get_coarse_ns bpf_ktime_get_ns
static __u64 bpf_jiffies64(void);
static __u32 bpf_get_smp_processor_id(void);
static __u64 bpf_get_current_pid_tgid(void);
static __u64 bpf_get_current_ancestor_cgroup_id(int level);
static void *bpf_ringbuf_reserve(void *map, __u64 bytes, __u64 flags);
static void bpf_ringbuf_submit(void *record, __u64 flags);
static void bpf_ringbuf_discard(void *record, __u64 flags);
static long bpf_probe_read_kernel(void *to, __u32 bytes, const void *from);
static long bpf_probe_read_kernel_str(void *to, __u32 bytes, const void *from);
static void *bpf_sk_storage_get(void *map, void *sk, void *value, __u64 flags);
static struct tcp_sock *bpf_skc_to_tcp_sock(void *sk);
static struct bpf_sock *bpf_sk_fullsock(struct bpf_sock *sk);
static long bpf_skb_load_bytes(const void *skb, __u32 at, void *to, __u32 bytes);
static long bpf_msg_apply_bytes(struct sk_msg_md *msg, __u32 bytes);
static long bpf_msg_pull_data(struct sk_msg_md *msg, __u32 from, __u32 to, __u64 flags);
static long bpf_msg_push_data(struct sk_msg_md *msg, __u32 at, __u32 bytes, __u64 flags);
static long bpf_msg_pop_data(struct sk_msg_md *msg, __u32 at, __u32 bytes, __u64 flags);
static long bpf_msg_redirect_hash(struct sk_msg_md *msg, void *map, void *key, __u64 flags);

#define bpf_loop(count, callback, context, flags)                                                            \
	({                                                                                                   \
		__u32 most_ = (count), turn_ = 0;                                                            \
		while (turn_ < most_ && !callback(turn_++, context))                                         \
			;                                                                                    \
		(long)turn_;                                                                                 \
	})

#endif
