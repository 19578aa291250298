/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs the lexer over bytes in hand. Everything that changes from step to step lies in a map and not on the stack: of
 * what it reads from there the verifier knows nothing, so one way through a step is like another to it and the walk
 * stays short. A callback takes several steps because a return is what costs most where returns are guarded
 * (Zen: 7 ns, as much as a token).
 */
#ifndef PICKET_LEXING_H
#define PICKET_LEXING_H

#include <bpf/bpf_helpers.h>

#include "sql_lexer.h"

/*
 * Keeps the compiler from computing a checked pointer a second time, or from
 * dropping a check that follows from another one: the verifier sees neither.
 */
#define settle(value) asm volatile("" : "+r"(value))

#define LEXING_MAX 16384
#define STRIDE 8
#define STRIDES_A_CALL 8

struct lexing {
	struct sql_lexer *lexer;
	volatile __u32 *read; /* how many bytes; in a map, like the lexer */
	__u8 *data;
	void *end;
	__u32 bytes; /* to lex, up to LEXING_MAX; what follows is not SQL */
	__u32 to_nul; /* PostgreSQL Parse: the SQL ends at a zero byte */
	__u32 nul;    /* it was found, at `read` */
};

static long lex_strides(__u32 i, struct lexing *x)
{
#pragma clang loop unroll(disable)
	for (int step = 0; step < STRIDES_A_CALL; step++) {
		__u32 from = *x->read;

		if (from > LEXING_MAX - STRIDE || from + STRIDE > x->bytes)
			return 1;
		__u8 *p = x->data + from;

		settle(p);
		if ((void *)(p + STRIDE) > x->end)
			return 1;
		__u64 w = *(__u64 *)p;

		if (x->to_nul && sql_bytes_zero(w))
			return 1;
		*x->read = from + sql_lexer_stride(x->lexer, w);
	}
	return 0;
}

static long lex_byte(__u32 i, struct lexing *x)
{
	__u32 from = *x->read;

	if (from >= LEXING_MAX)
		return 1;
	__u8 *p = x->data + from;

	settle(p);
	if ((void *)(p + 1) > x->end)
		return 1;
	if (x->to_nul && !*p) {
		x->nul = 1;
		return 1;
	}
	sql_lexer_step(x->lexer, *p);
	*x->read = from + 1;
	return 0;
}

/* Lexes all that is in hand, less only where a zero byte closes it. */
static __always_inline void lex_in_hand(struct lexing *x)
{
	*x->read = 0;
	bpf_loop(x->bytes, lex_strides, x, 0);
	/* What is left of the last stride; all of it where a zero byte ended the strides early. */
	__u32 tail = x->bytes - *x->read;

	if (tail)
		bpf_loop(tail < STRIDE ? tail : STRIDE, lex_byte, x, 0);
}

#endif
