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

/* Something may be held, or has to go where the rest of its message went. */
static __always_inline bool may_follow(const struct connection *c)
{
	return c->redirected != c->given_back || c->to_divert;
}

/* The keeper, if its loop turns and it has sockets. Signed: a heartbeat may be newer than this look at the clock. */
static __always_inline struct picket_keeper *keeper_ready(__u64 now)
{
	__u32 zero = 0;
	struct picket_keeper *k = bpf_map_lookup_elem(&keeper, &zero);

	return k && k->heartbeat_ns && k->judges && (__s64)(now - k->heartbeat_ns) < HEARTBEAT_MAX_NS ? k : 0;
}

/*
 * All that the keeper has, of whichever connection, is bounded. Signed: a keeper that starts sets its count to what
 * another processor may be adding to. Two sends at once may both find room: the bound is passed by as many messages
 * as there are processors.
 */
static __always_inline bool keeper_has_room(const struct picket_keeper *k, __u64 bytes, __u64 max)
{
	__s64 has = *(volatile __u64 *)&k->diverted - *(volatile __u64 *)&k->settled;

	return has <= 0 || has + bytes + HOLD_COST <= max;
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
	h->scope = is->scope;
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
 * Where TCP's memory is short a redirected message may be cut wherever memory ends (bpf_tcp_ingress), and the program
 * is then asked about the rest as if it were new. Up to the pressure mark, and while nothing has set the flag that
 * stays until much less is in use, one is never refused: beyond, sockets with more than their share are
 * (__sk_mem_raise_allocated).
 */
static __always_inline bool memory_short(struct sk_msg_md *msg, __u32 bytes)
{
	struct bpf_sock *sk = msg->sk;
	struct tcp_sock *tp = sk ? bpf_skc_to_tcp_sock(sk) : 0;

	if (!tp)
		return true;
	struct proto *prot = BPF_CORE_READ((struct sock *)tp, __sk_common.skc_prot);
	long used = BPF_CORE_READ(prot, memory_allocated, counter), limit = 0;
	unsigned long pressure = 0;

	bpf_probe_read_kernel(&limit, sizeof(limit), BPF_CORE_READ(prot, sysctl_mem) + 1);
	bpf_probe_read_kernel(&pressure, sizeof(pressure), BPF_CORE_READ(prot, memory_pressure));
	/* In pages. A sixteenth stays for what other processors take meanwhile. */
	return pressure || used + (bytes >> 12) + 16 > limit - (limit >> 4);
}

#define DIVERT_FULL (-2)

/*
 * A message of the kernel that was redirected once stays so: the socket that bpf_msg_redirect_hash found is not
 * forgotten between two runs over the same message, and SK_PASS without a header would send what is left of it to
 * the keeper all the same. So once a piece of a message was diverted all of it is, held bytes or not.
 */
static __always_inline bool must_follow(const struct connection *c, enum held held)
{
	return held == HELD_BYTES || (held == HELD_NOTHING && c->to_divert);
}

/*
 * Sends the first `bytes` of the message to the keeper. Returns 0, or an error
 * with the message as it was (DIVERT_FULL: the keeper has all it may have); 1
 * where it is not, and the connection must die.
 */
__noinline int divert(struct sk_msg_md *msg, struct connection *c, __u32 bytes)
{
	__u32 zero = 0;
	struct picket_keeper *k = bpf_map_lookup_elem(&keeper, &zero);

	if (!c || !k || !k->judges)
		return -1;
	if (!keeper_has_room(k, bytes, k->bytes_max))
		return DIVERT_FULL;
	if (memory_short(msg, bytes))
		return -1;
	__u32 judge = (__u32)c->cookie % k->judges, magic = k->magic, left = msg->size - bytes;

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
	c->to_divert = left;
	__sync_fetch_and_add(&k->diverted, bytes + HOLD_COST);
	bpf_msg_apply_bytes(msg, sizeof(*h) + bytes);
	return 0;
}

#endif
