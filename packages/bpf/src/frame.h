/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One run of a slot reads at most one message of the protocol from the front of
 * what the application sends, and tells the kernel how many bytes that covered
 * (bpf_msg_apply_bytes); the kernel sends those and asks again about the rest.
 * Here is what MySQL and PostgreSQL share: getting at the bytes, gathering a
 * header that arrives in parts, and staying in step with what really left.
 */
#ifndef PICKET_FRAME_H
#define PICKET_FRAME_H

#include "maps.h"

/*
 * Keeps the compiler from computing a checked pointer a second time, or from
 * dropping a check that follows from another one: the verifier sees neither.
 */
#define settle(value) asm volatile("" : "+r"(value))

/*
 * The directly readable bytes. The context's layout is fixed by the kernel's user
 * API, so no CO-RE relocation, behind which the compiler forms pointers into the
 * context that the verifier refuses.
 */
struct readable {
	__u8 *data;
	void *end;
};

static __always_inline __u8 *first_byte(struct sk_msg_md *msg)
{
	return ((volatile struct readable *)msg)->data;
}

static __always_inline void *bytes_end(struct sk_msg_md *msg)
{
	return ((volatile struct readable *)msg)->end;
}

/* SQL read between two looks at the buffer; also the longest text of one event. */
#define WINDOW PICKET_TEXT_MAX
/* A statement up to this long is read before any of it is let go. */
#define IN_HAND_MAX (4 * WINDOW)
/* Longest message that a server of either kind accepts. */
#define MESSAGE_MAX (1u << 30)

/*
 * Bytes that a push cannot fail on half-way. When a non-blocking send fills the
 * send buffer, the kernel keeps the last verdict and applies it once more to as
 * many bytes as it was given for, whatever part of them had already left: those
 * go by unseen. Half of the free buffer covers the bookkeeping of each segment.
 */
static __always_inline __u32 send_room(const struct tcp_sock *tp)
{
	const struct sock *sk = (const struct sock *)tp;
	int room = sk->sk_sndbuf - sk->sk_wmem_queued;

	return room > 0 ? (__u32)room / 2 : 0;
}

/*
 * How much of a piece to let go at once. Where the buffer may not take all of
 * it, at most half of what the message still holds: then bytes that go by unseen
 * are bytes of the same message, and the framing holds.
 */
static __always_inline __u32 piece(__u32 at, __u32 bytes, __u32 remaining, __u32 room)
{
	__u32 half = remaining / 2;

	if (at + bytes <= room || bytes <= half || bytes < 16)
		return bytes;
	return half;
}

/* Makes bytes [0, n) directly readable; false if the kernel has no memory for it. */
static __always_inline bool in_reach(struct sk_msg_md *msg, __u32 n)
{
	if (n <= 0xffff && (void *)(first_byte(msg) + n) <= bytes_end(msg))
		return true;
	if (!bpf_msg_pull_data(msg, 0, n, 0))
		return true;
	count_loss(LOSS_PULL_FAILED);
	return false;
}

/* The connection is observed no more; its bytes pass without a look. */
static __always_inline void give_up(struct connection *c, __u8 protocol, __u8 notice)
{
	c->frame.protocol = protocol;
	c->frame.latched = 0;
	c->notice = notice;
	if (notice == NOTICE_FRAMING_LOST)
		count_loss(LOSS_FRAME_UNKNOWN);
}

/*
 * Gathers header bytes from the front of what is in hand into frame.header until
 * there are `want`, byte by byte, since an application may send them so. Returns
 * how many it took; fewer than were missing: all that is in hand was taken. A
 * function of its own, so that the verifier walks the loop once.
 */
__noinline __u32 gather(struct sk_msg_md *msg, struct connection *c, __u32 at, __u32 want)
{
	__u32 taken = 0;

	if (!c || at > FIRST_BYTES_MAX || want > FIRST_BYTES_MAX)
		return 0;
	for (; taken < FIRST_BYTES_MAX; taken++) {
		__u8 *p = first_byte(msg) + at + taken;
		__u32 n = c->frame.header_bytes;

		settle(p);
		if (n >= want || (void *)(p + 1) > bytes_end(msg))
			break;
		settle(n); /* want is bounded, but the verifier does not carry that over to n */
		if (n >= FIRST_BYTES_MAX)
			break;
		c->frame.header[n] = *p;
		c->frame.header_bytes = n + 1;
	}
	return taken;
}

static __always_inline __u32 big_endian(const __u8 *p)
{
	return (__u32)p[0] << 24 | (__u32)p[1] << 16 | (__u32)p[2] << 8 | p[3];
}

static __always_inline __u32 little_endian(const __u8 *p)
{
	return (__u32)p[3] << 24 | (__u32)p[2] << 16 | (__u32)p[1] << 8 | p[0];
}

#endif
