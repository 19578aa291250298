/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who logs in where. Names only: what else a login holds (a scrambled password,
 * under some plugins a plain one) is never copied. A login that arrives in parts,
 * or whose names lie beyond what is in hand, is not told of; nothing is guessed.
 */
#ifndef PICKET_LOGIN_H
#define PICKET_LOGIN_H

#include "frame.h"

#define LOGIN_REACH 1024 /* bytes of a login that are read */

/*
 * Copies a name that ends in a zero byte. Returns the bytes it takes with it; 0:
 * it does not end in hand, or was too long to say where it ends.
 */
static __always_inline __u32 take_name(struct sk_msg_md *msg, __u32 at, struct picket_name *out)
{
	if (!at || at > LOGIN_REACH)
		return 0;
	__u8 *p = first_byte(msg) + at;
	long n = bpf_probe_read_kernel_str(out->text, sizeof(out->text), p);
	__u64 in_hand = bytes_end(msg) - (void *)p;

	if (n <= 1 || n > (long)in_hand)
		return n == 1 && in_hand;
	out->bytes = n - 1;
	return n < (long)sizeof(out->text) ? n : 0;
}

struct login_names {
	struct picket_name user;
	struct picket_name database;
} __attribute__((aligned(8)));


/* Names are at hand for a moment only: what is kept is a number for them (slot.bpf.c, scope_of). */
static __always_inline __u64 hash_of_names(const struct login_names *names)
{
	const __u64 *words = (const void *)names;
	__u64 h = sizeof(*names);

	for (__u32 i = 0; i < sizeof(*names) / 8; i++) {
		h = (h ^ words[i]) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32;
	}
	return h;
}

static __always_inline void tell_login(struct connection *c, const struct login_names *names)
{
	struct picket_login_event *e;

	if (!names->user.bytes)
		return;
	c->who = hash_of_names(names);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		struct picket_event_header lost;

		begin_event(&lost, EVENT_LOGIN, 0);
		count_loss(LOSS_RING_FULL);
		return;
	}
	begin_event(&e->header, EVENT_LOGIN, sizeof(*e));
	e->cookie = c->cookie;
	e->user = names->user;
	e->database = names->database;
	bpf_ringbuf_submit(e, 0);
}

#endif
