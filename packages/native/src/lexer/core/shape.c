// SPDX-License-Identifier: Apache-2.0
// The shape as text. Tokens are told where the lexer hashes them, from the bytes that it hashes, so the text
// cannot say anything that the fingerprint does not: words as they are, names in double quotes, literals as ?,
// ?= or ?! (compared with an equal or another literal), placeholders as :?, comments as an empty comment of
// their kind, unfolded rests of lists as {fold.items.sign}. Bytes that are not UTF-8 are told as \xHH.
#include <linux/types.h>
#include <stdio.h>
#include <string.h>
#include "lexer.h"

struct sql_lexer;
static void shape_byte(struct sql_lexer *l, uint32_t c);
static void shape_token(struct sql_lexer *l, uint32_t kind, uint64_t value);
#define SQL_LEXER_ON_BYTE(l, c) shape_byte(l, c)
#define SQL_LEXER_ON_TOKEN(l, kind, value) shape_token(l, kind, value)
#include "sql_lexer.h"

struct shaper {
	struct sql_lexer lexer; // first: the hooks get its address
	struct picket_text name;
	struct picket_text *shape;
};

static void shape_byte(struct sql_lexer *l, uint32_t c)
{
	struct shaper *s = (struct shaper *)l;
	uint8_t byte = c;

	if (!l->bytes)
		s->name.bytes = 0;
	picket_text_add(&s->name, &byte, 1);
}

// Length of the UTF-8 character at `at`, or 0 if there is none (RFC 3629, table 3-7 of Unicode).
static size_t utf8_length(const uint8_t *at, size_t left)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t length;

	if (at[0] < 0x80)
		return 1;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	if (left < length)
		return 0;
	if (at[0] == 0xe0)
		low = 0xa0;
	if (at[0] == 0xed)
		high = 0x9f;
	if (at[0] == 0xf0)
		low = 0x90;
	if (at[0] == 0xf4)
		high = 0x8f;
	if (at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (at[i] < 0x80 || at[i] > 0xbf)
			return 0;
	return length;
}

static void add_escaped(struct picket_text *shape, const uint8_t *at, size_t bytes)
{
	char escape[8];

	for (size_t i = 0; i < bytes;) {
		size_t length = utf8_length(at + i, bytes - i);

		if (!length || at[i] < 32 || at[i] == 127) {
			snprintf(escape, sizeof(escape), "\\x%02x", at[i++]);
			picket_text_add(shape, escape, 4);
		} else if (at[i] == '"' || at[i] == '\\') {
			escape[0] = escape[1] = at[i++];
			picket_text_add(shape, escape, 2);
		} else {
			picket_text_add(shape, at + i, length);
			i += length;
		}
	}
}

static void shape_token(struct sql_lexer *l, uint32_t kind, uint64_t value)
{
	static const char *const comments[] = {"/*?*/", "/*--*/", "/*#*/", "/**/", "/*+*/", "/*!*/"};
	static const char *const literals[] = {"?", "?=", "?!"};
	struct shaper *s = (struct shaper *)l;
	struct picket_text *shape = s->shape;
	uint8_t byte = value;
	char held[40];

	if (shape->bytes)
		picket_text_add(shape, " ", 1);
	switch (kind) {
	case SQL_TOKEN_WORD:
		add_escaped(shape, s->name.at, l->bytes ? s->name.bytes : 0);
		break;
	case SQL_TOKEN_QUOTED:
		picket_text_add(shape, "\"", 1);
		add_escaped(shape, s->name.at, l->bytes ? s->name.bytes : 0);
		picket_text_add(shape, "\"", 1);
		break;
	case SQL_TOKEN_LITERAL:
		picket_text_add(shape, literals[value % 3], strlen(literals[value % 3]));
		break;
	case SQL_TOKEN_PLACEHOLDER:
		picket_text_add(shape, ":?", 2);
		break;
	case SQL_TOKEN_PUNCTUATION:
		if (byte == '\\')
			picket_text_add(shape, &byte, 1);
		else
			add_escaped(shape, &byte, 1);
		break;
	case SQL_TOKEN_COMMENT:
		picket_text_add(shape, comments[value % 6], strlen(comments[value % 6]));
		break;
	case SQL_TOKEN_HELD:
		snprintf(held, sizeof(held), "{%u.%u.%u}", byte, (unsigned)(value >> 8 & 255), (unsigned)(value >> 16));
		picket_text_add(shape, held, strlen(held));
		break;
	}
}

struct picket_fingerprint picket_shape(const struct picket_lexing *how, const uint8_t *sql, size_t bytes,
				       struct picket_text *shape)
{
	struct shaper s = {.shape = shape};

	sql_lexer_start(&s.lexer, how->dialect, how->session, how->key, how->start);
	for (size_t i = 0; i < bytes; i++)
		sql_lexer_step(&s.lexer, sql[i]);
	uint64_t value = sql_lexer_finish(&s.lexer);

	shape->failed |= s.name.failed;
	picket_text_free(&s.name);
	return (struct picket_fingerprint){value, s.lexer.danger};
}
