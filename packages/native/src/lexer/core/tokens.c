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
	size_t bytes;
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
		.kind = kind, .mark = l->mark, .start = w->start, .end = w->at, .hash = sql_value(l), .tail = sql_folded(l->tail),
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

// What the reading makes of a byte: brackets of a version comment become white space.
struct reader {
	uint32_t reading;
	uint8_t lead;    // the byte before was the first of two
	uint8_t version; // inside a version comment
	uint8_t blank;   // bytes of its head to come
};

static uint32_t read_byte(struct reader *r, struct walker *w)
{
	struct sql_lexer *l = &w->lexer;
	uint32_t c = w->sql[w->at];

	if (r->reading & PICKET_READ_MULTIBYTE) {
		if (r->lead) {
			r->lead = 0;
			return c >= 0x40 ? 0x80 : c;
		}
		r->lead = c >= 0x81 && c != 0xff;
	}
	if (!(r->reading & PICKET_READ_VERSIONS))
		return c;
	if (r->blank) {
		r->blank--;
		return ' ';
	}
	if (l->state == SQL_BLOCK_OPEN && (c == '!' || (c == 'M' && w->at + 1 < w->bytes && w->sql[w->at + 1] == '!'))) {
		uint32_t bang = c == 'M', digits = 0;

		// A version has five or six digits; fewer are code.
		while (digits < 6 && w->at + bang + digits + 1 < w->bytes &&
		       w->sql[w->at + bang + digits + 1] - '0' < 10u)
			digits++;
		r->blank = bang + (digits < 5 ? 0 : digits);
		r->version = 1;
		l->state = SQL_START;
		return ' ';
	}
	if (r->version && l->state == SQL_PUNCTUATION && l->mark == '*' && c == '/') {
		// The star was held back, and is no token.
		l->state = SQL_START;
		r->version = 0;
		return ' ';
	}
	return c;
}

uint32_t picket_tokens(const struct picket_lexing *how, uint32_t reading, const uint8_t *sql, size_t bytes,
		       picket_on_token on, void *context)
{
	struct walker w = {.on = on, .context = context, .sql = sql, .bytes = bytes};
	struct reader r = {.reading = reading};

	sql_lexer_start(&w.lexer, how->dialect, how->session, how->key, how->start);
	if (reading)
		for (w.at = 0; w.at < bytes && !w.stop; w.at++)
			sql_lexer_step(&w.lexer, read_byte(&r, &w));
	else
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
