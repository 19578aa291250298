/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Holding: bytes that must not leave yet go to a socket of the keeper, behind a
 * header, and come back by way of `release` (dispatcher.bpf.c). What a connection
 * sends while the keeper has bytes of it goes the same way, so order is kept. Two
 * counters tell: `redirected`, written here, and `released`, written by the keeper
 * once the bytes lie in the application's socket. Where they are equal nothing is
 * held, and the next bytes leave directly.
 */
#ifndef PICKET_HOLD_H
#define PICKET_HOLD_H

#include "frame.h"

#define HEARTBEAT_MAX_NS 100000000ll

enum held {
	HELD_NOTHING,
	HELD_BYTES,  /* what is sent now has to follow them */
	HELD_DENIED, /* and the keeper killed the connection */
};

/* Whether the keeper has bytes of this connection. Looks into the map only while it had at the last look. */
static __always_inline enum held held_of(struct connection *c)
{
	if (c->redirected == c->given_back)
		return HELD_NOTHING;
	__u64 cookie = c->cookie;
	struct picket_hold *h = bpf_map_lookup_elem(&holds, &cookie);

	if (!h)
		return HELD_BYTES;
	if (h->flags & HOLD_KILLED)
		return HELD_DENIED;
	c->given_back = *(volatile __u64 *)&h->released;
	return c->redirected == c->given_back ? HELD_NOTHING : HELD_BYTES;
}

/* The keeper's loop turns, and it has sockets. Signed: a heartbeat may be newer than this look at the clock. */
static __always_inline bool keeper_ready(__u64 now)
{
	__u32 zero = 0;
	struct picket_keeper *k = bpf_map_lookup_elem(&keeper, &zero);

	return k && k->heartbeat_ns && k->judges && (__s64)(now - k->heartbeat_ns) < HEARTBEAT_MAX_NS;
}

static __always_inline void fill_held(struct picket_held *h, struct connection *c, __u32 magic, __u32 bytes)
{
	const struct holding *is = &c->hold;
	const struct frame *f = &c->frame;

	__builtin_memset(h, 0, sizeof(*h));
	h->magic = magic;
	h->bytes = bytes;
	h->cookie = c->cookie;
	h->offset = c->redirected;
	h->flags = is->flags;
	h->sockets = c->sockets;
	h->protocol = f->protocol;
	if (!(is->flags & HELD_JUDGE))
		return;
	h->time_ns = bpf_ktime_get_ns();
	h->statement = c->statements;
	h->fingerprint = is->fingerprint;
	h->incident = is->incident;
	h->process = c->process;
	h->endpoints = c->endpoints;
	h->frame_bytes = is->frame_bytes;
	h->sql_at = is->sql_at;
	h->sql_bytes = is->sql_bytes;
	h->text_offset = f->statement_bytes - is->sql_bytes;
	h->statement_bytes = f->statement_bytes;
	h->fragment = f->fragment;
	h->danger = c->lexer.danger;
	h->workload = c->workload;
	h->version = is->version;
	h->message = is->message;
	h->session = c->lexer.session;
	h->slot = is->slot;
	h->adopted = c->adopted;
}

/*
 * At the hard limit of TCP's memory a redirected message is cut wherever memory
 * ends (bpf_tcp_ingress), and the program is then asked about the rest as if it
 * were new. Below it one is never refused.
 */
static __always_inline bool memory_short(struct sk_msg_md *msg, __u32 bytes)
{
	struct bpf_sock *sk = msg->sk;
	struct tcp_sock *tp = sk ? bpf_skc_to_tcp_sock(sk) : 0;

	if (!tp)
		return true;
	struct proto *prot = BPF_CORE_READ((struct sock *)tp, __sk_common.skc_prot);
	long used = BPF_CORE_READ(prot, memory_allocated, counter), limit = 0;

	bpf_probe_read_kernel(&limit, sizeof(limit), BPF_CORE_READ(prot, sysctl_mem) + 2);
	/* In pages. A sixteenth stays for what other processors take meanwhile. */
	return used + (bytes >> 12) + 16 > limit - (limit >> 4);
}

/*
 * Sends the first `bytes` of the message to the keeper. Returns 0, or an error
 * with the message as it was; 1 where it is not, and the connection must die.
 */
__noinline int divert(struct sk_msg_md *msg, struct connection *c, __u32 bytes)
{
	__u32 zero = 0;
	struct picket_keeper *k = bpf_map_lookup_elem(&keeper, &zero);

	if (!c || !k || !k->judges || memory_short(msg, bytes))
		return -1;
	__u32 judge = (__u32)c->cookie % k->judges, magic = k->magic;

	if (!c->redirected) {
		__u64 cookie = c->cookie;
		struct picket_hold none = {};

		if (bpf_map_update_elem(&holds, &cookie, &none, BPF_ANY))
			return -1;
	}
	if (bpf_msg_push_data(msg, 0, sizeof(struct picket_held), 0))
		return -1;
	struct picket_held *h = (void *)first_byte(msg);

	if ((void *)(h + 1) > bytes_end(msg)) {
		if (bpf_msg_pull_data(msg, 0, sizeof(*h), 0))
			return 1;
		h = (void *)first_byte(msg);
		if ((void *)(h + 1) > bytes_end(msg))
			return 1;
	}
	fill_held(h, c, magic, bytes);
	if (bpf_msg_redirect_hash(msg, &judges, &judge, BPF_F_INGRESS) != SK_PASS)
		return bpf_msg_pop_data(msg, 0, sizeof(*h), 0) ? 1 : -1;
	c->redirected += bytes;
	bpf_msg_apply_bytes(msg, sizeof(*h) + bytes);
	return 0;
}

#endif
