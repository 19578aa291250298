/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs the lexer over SQL in hand, in place: no copy is made of a statement that is known. */
#ifndef PICKET_TEXT_H
#define PICKET_TEXT_H

#include "frame.h"

#define STRIDE 8

struct lexing {
	struct sql_lexer lexer;
	__u8 *data;
	void *end;
	__u32 read;
	__u32 to_nul; /* PostgreSQL Parse: the SQL ends at a zero byte */
	__u32 nul;    /* it was found, at `read` */
};

/* The classic test for a zero byte within a word (Mycroft 1987). */
static __always_inline bool has_zero(__u64 word)
{
	return (word - 0x0101010101010101ull) & ~word & 0x8080808080808080ull;
}

static long lex_stride(__u32 i, struct lexing *x)
{
	__u32 from = i * STRIDE;

	if (from > WINDOW - STRIDE)
		return 1;
	__u8 *p = x->data + from;

	settle(p);
	if ((void *)(p + STRIDE) > x->end)
		return 1;
	if (x->to_nul && has_zero(*(__u64 *)p))
		return 1;
#pragma unroll
	for (int k = 0; k < STRIDE; k++)
		sql_lexer_step(&x->lexer, p[k]);
	x->read = from + STRIDE;
	return 0;
}

static long lex_byte(__u32 i, struct lexing *x)
{
	__u32 from = x->read;

	if (from >= WINDOW)
		return 1;
	__u8 *p = x->data + from;

	settle(p);
	if ((void *)(p + 1) > x->end)
		return 1;
	if (x->to_nul && !*p) {
		x->nul = 1;
		return 1;
	}
	sql_lexer_step(&x->lexer, *p);
	x->read = from + 1;
	return 0;
}

#define LEX_NUL (1u << 31) /* set in lex's result where the closing zero byte was met */

/*
 * Lexes bytes [at, at + n) of the message, n at most WINDOW. Returns how many it
 * read, fewer only at a closing zero byte; 0 with n > 0 also where the kernel
 * would not make them readable.
 */
__noinline __u32 lex(struct sk_msg_md *msg, struct connection *c, __u32 at, __u32 n, __u32 to_nul)
{
	if (!c || !n || n > WINDOW || at > IN_HAND_MAX)
		return 0;
	if ((void *)(first_byte(msg) + at + n) > bytes_end(msg) || at > 0x7fff) {
		if (bpf_msg_pull_data(msg, at, at + n, 0)) {
			count_loss(LOSS_PULL_FAILED);
			return 0;
		}
		at = 0;
	}
	struct lexing x = {
		.lexer = c->lexer,
		.data = first_byte(msg) + at,
		.end = bytes_end(msg),
		.to_nul = to_nul,
	};

	bpf_loop(n / STRIDE, lex_stride, &x, 0);
	/* What is left of the last stride; all of it where a zero byte ended the strides early. */
	__u32 tail = n - x.read;

	if (tail)
		bpf_loop(tail < STRIDE ? tail : STRIDE, lex_byte, &x, 0);
	c->lexer = x.lexer;
	return (x.read & 0xffff) | (x.nul ? LEX_NUL : 0);
}

#endif
