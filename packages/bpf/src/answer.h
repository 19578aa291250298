/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ingress half of following a session: it looks at the packets that a database
 * server sends to a watched socket, and learns from them where an answer ends and
 * what the session is then. It never guesses. It sees packets before TCP has put
 * them in order, so whatever it cannot read in one piece, in order, leaves the
 * session unknown; and whatever does not fit to one answer for each command means
 * that answers can no longer be told apart (watch.muddled).
 *
 * An answer's end is recognised from its last bytes: MySQL's OK, EOF or ERR packet,
 * which carry the status that says whether a backslash escapes; PostgreSQL's
 * ReadyForQuery. PostgreSQL tells what has changed in ParameterStatus messages
 * before that, so there the answer to a statement that may have changed something
 * is walked message by message.
 */
#ifndef PICKET_ANSWER_H
#define PICKET_ANSWER_H

#include "maps.h"
#include "sql_set.h"

/* The server's bytes in one packet. */
struct heard {
	struct __sk_buff *skb;
	__u32 at;    /* offset of the first in the packet */
	__u32 bytes;
	__u32 seq; /* TCP sequence of the first */
};

/* The server's stream begins here, or it is from here on that it is seen. */
static __always_inline void begin_watch(struct connection *c, const struct tcp_sock *tp)
{
	c->watch.ended = c->watch.heard = c->watch.next = tp->rcv_nxt;
}

static __always_inline bool after(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

static __always_inline bool load(const struct heard *h, __u32 from, void *to, __u32 bytes)
{
	return !bpf_skb_load_bytes(h->skb, h->at + from, to, bytes);
}

/* An answer has ended here, or all that the server had to say. */
static __always_inline void note_end(struct watch *w, const struct heard *h)
{
	w->ended = h->seq + h->bytes;
	w->heard = w->ended;
	w->next = w->ended;
}

/* How the answer to a statement began: the time of its first byte, where the statement's was taken. */
__noinline int clock_answer(struct connection *c)
{
	if (!c)
		return 0;
	struct watch *w = &c->watch;
	__u32 slot = c->slot, bucket = 0;
	struct picket_responses *r = bpf_map_lookup_elem(&responses, &slot);
	__u64 us = (bpf_ktime_get_ns() - w->sent_ns) / 1000;

	w->clocked = w->timed;
	for (int i = 1; i < PICKET_LATENCY_BUCKETS; i++)
		bucket += us >> i != 0;
	if (r && bucket < PICKET_LATENCY_BUCKETS)
		__sync_fetch_and_add(&r->latency[bucket], 1);
	return 0;
}

/* n answers have ended, the first of them to what was asked as number `which`. */
static __always_inline void count_answers(struct connection *c, __u32 which, __u32 n, bool error)
{
	__u32 slot = c->slot;
	struct picket_responses *r = bpf_map_lookup_elem(&responses, &slot);

	if (!r || which == c->watch.denied)
		return;
	__sync_fetch_and_add(error ? &r->errors : &r->ok, n);
}

#include "answer_mysql.h"
#include "answer_postgresql.h"

static __always_inline bool find_payload(struct __sk_buff *skb, struct heard *h)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data;
	struct tcphdr *tcp;
	__u32 at;

	if ((void *)(ip + 1) > end)
		return false;
	if (ip->version == 4) {
		at = ip->ihl * 4;
		if (at < sizeof(*ip) || ip->protocol != IPPROTO_TCP)
			return false;
	} else {
		struct ipv6hdr *ip6 = data;

		/* Extension headers are rare: such a packet counts as not seen, and what follows as out of order. */
		if ((void *)(ip6 + 1) > end || ip6->nexthdr != IPPROTO_TCP)
			return false;
		at = sizeof(*ip6);
	}
	tcp = data + at;
	if ((void *)(tcp + 1) > end)
		return false;
	at += tcp->doff * 4;
	if (skb->len <= at)
		return false;
	*h = (struct heard){ skb, at, skb->len - at, bpf_ntohl(tcp->seq) };
	return true;
}

/* Runs for each packet that reaches a socket below the cgroup: nearly all end at the first lines. */
static __always_inline void hear(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct heard h;

	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return;
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);

	if (!c || c->frame.protocol >= PROTOCOL_TLS || !find_payload(skb, &h))
		return;
	struct watch *w = &c->watch;

	if (!after(h.seq + h.bytes, w->ended))
		return; /* once more */
	if (c->frame.protocol == PROTOCOL_UNKNOWN || c->frame.phase == PHASE_RESYNC) {
		if (w->server == SERVER_UNHEARD && c->frame.phase == PHASE_START)
			mysql_greeting(w, &h);
		note_end(w, &h);
		return;
	}
	if (w->timed != w->clocked && w->timed == w->asked && w->asked - w->answered == 1)
		clock_answer(c);
	if (c->frame.protocol == PROTOCOL_MYSQL)
		mysql_hear(c, &h);
	else
		postgresql_hear(c, &h);
}

#endif
