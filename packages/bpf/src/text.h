/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs the lexer over SQL in hand, in place: no copy is made of a statement that is known. */
#ifndef PICKET_TEXT_H
#define PICKET_TEXT_H

#include "frame.h"
#include "lexing.h"

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
		.lexer = &c->lexer,
		.read = &c->read,
		.data = first_byte(msg) + at,
		.end = bytes_end(msg),
		.bytes = n,
		.to_nul = to_nul,
	};
	_Static_assert(WINDOW <= LEXING_MAX, "a window is lexed at once");

	lex_in_hand(&x);
	return (c->read & 0xffff) | (x.nul ? LEX_NUL : 0);
}

#endif
