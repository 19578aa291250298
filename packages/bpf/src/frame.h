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

#include "lexing.h"

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
 * A push that fails half-way. When a non-blocking send fills the send buffer, the
 * kernel keeps the last verdict and applies it again to as many bytes as it was
 * given for, whatever part of them had left already: as many go by unseen. So no
 * more is let go at once than surely leaves, or surely fails as a whole.
 */

/* Bytes that surely leave. A quarter of the free buffer also covers the bookkeeping of small segments. */
static __always_inline __u32 send_room(const struct tcp_sock *tp)
{
	const struct sock *sk = (const struct sock *)tp;
	int room = sk->sk_sndbuf - sk->sk_wmem_queued;

	if (tp->notsent_lowat) {
		int more = tp->notsent_lowat - (tp->write_seq - tp->snd_nxt);

		room = more < room ? more : room;
	}
	return room > 0 ? (__u32)room / 4 : 0;
}

#define ROOM_ENOUGH 1024
#define SEGMENT_MIN 512 /* below every segment size in use */

/*
 * Bytes that leave or stay as one where the buffer is all but full: what still
 * fits the last segment, which is never refused, or a part of a new segment,
 * which is refused as a whole. They lie in one buffer of the message.
 */
static __noinline __u32 atom(struct tcp_sock *tp, struct sk_msg_md *msg)
{
	struct sock *sk = (struct sock *)tp;
	struct sk_buff *last = sk->sk_write_queue.prev;
	__u32 goal = tp->gso_segs > 1 ? tp->gso_segs * tp->mss_cache : tp->mss_cache;
	__u32 bytes = SEGMENT_MIN, contiguous = bytes_end(msg) - (void *)first_byte(msg);

	if ((void *)last != (void *)&sk->sk_write_queue && last->len < goal)
		bytes = goal - last->len;
	return contiguous && contiguous < bytes ? contiguous : bytes;
}

/* How many of `bytes` from `at` on to let go in this run, with the `at` before them. */
static __always_inline __u32 piece(struct tcp_sock *tp, struct sk_msg_md *msg, __u32 room, __u32 at,
				   __u32 bytes)
{
	if (at + bytes <= room)
		return bytes;
	__u32 most = room >= ROOM_ENOUGH ? room : atom(tp, msg);

	if (most <= at)
		most = at + 1;
	return bytes <= most - at ? bytes : most - at;
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
