// SPDX-License-Identifier: Apache-2.0
// The statement's tokens with their places. A token is told when the first byte after it is seen, and starts
// at the byte where the lexer last began one.
#include <linux/types.h>
#include <string.h>
#include "lexer.h"

struct sql_lexer;
static void token_begins(struct sql_lexer *l);
static void token_ends(struct sql_lexer *l, uint32_t kind, uint32_t first);
#define SQL_LEXER_ON_BEGIN(l) token_begins(l)
#define SQL_LEXER_ON_LEXED(l, kind, first) token_ends(l, kind, first)
#include "sql_lexer.h"

struct walker {
	struct sql_lexer lexer; // first: the hooks get its address
	size_t at;
	size_t start;
	uint8_t number;
	picket_on_token on;
	void *context;
	const uint8_t *sql;
	int stop;
	uint32_t danger; // of the tokens so far
};

static void token_begins(struct sql_lexer *l)
{
	struct walker *w = (struct walker *)l;

	w->start = w->at;
}

static void token_ends(struct sql_lexer *l, uint32_t kind, uint32_t first)
{
	struct walker *w = (struct walker *)l;
	struct picket_token token = {
		.kind = kind, .mark = l->mark, .start = w->start, .end = w->at, .hash = l->token,
		.danger = l->danger, .first = first,
	};

	if (w->stop)
		return;
	// What this token raised; the lexer never reads its own mask.
	w->danger |= l->danger;
	l->danger = 0;
	// Two minus signs that were no comment: one is told, and the other may yet begin one.
	if (kind == SQL_TOKEN_PUNCTUATION && token.end - token.start > 1) {
		token.end = token.start + 1;
		w->start++;
	}
	if (kind == SQL_TOKEN_LITERAL && w->start < w->at) {
		uint8_t c = w->sql[w->start];

		token.number = (c - '0' < 10u) || c == '.';
	}
	w->stop = w->on(w->context, &token);
}

uint32_t picket_tokens(const struct picket_lexing *how, const uint8_t *sql, size_t bytes, picket_on_token on,
		       void *context)
{
	struct walker w = {.on = on, .context = context, .sql = sql};

	sql_lexer_start(&w.lexer, how->dialect, how->session, how->key, how->start);
	for (w.at = 0; w.at < bytes && !w.stop; w.at++)
		sql_lexer_step(&w.lexer, sql[w.at]);
	if (w.stop)
		return w.danger | w.lexer.danger;
	sql_lexer_finish(&w.lexer);
	// What never ended was never given.
	if (w.lexer.danger & SQL_DANGER_UNTERMINATED && w.lexer.state != SQL_START && w.start < bytes) {
		w.lexer.mark = w.lexer.state >= SQL_BLOCK_OPEN && w.lexer.state < SQL_BLOCK_END ? w.lexer.mark : 0;
		token_ends(&w.lexer, w.lexer.mark ? SQL_TOKEN_COMMENT : SQL_TOKEN_LITERAL, w.lexer.first);
	}
	return w.danger | w.lexer.danger;
}
