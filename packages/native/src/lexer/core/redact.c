// SPDX-License-Identifier: Apache-2.0
// The statement without its literals and without what its comments say. Text between tokens is white space
// and is copied as one space, so only tokens that are known to be no literal ever reach the result. From the
// token where the lexing begins to depend on what is not known of the session, nothing is copied at all.
#include <linux/types.h>
#include <string.h>
#include "lexer.h"
#include "sql_lexer.h"

struct redactor {
	const uint8_t *sql;
	size_t bytes;
	size_t end; // of the last token
	uint32_t dialect;
	uint32_t session;
	uint8_t malformed; // the last token was half a number
	struct picket_text *out;
};

static int is_plain(const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (strchr("'\"`\\#-$/*", at[i]) || at[i] >= 128 || at[i] < 32)
			return 0;
	return 1;
}

static void add(struct redactor *r, const char *text)
{
	picket_text_add(r->out, text, strlen(text));
}

static int redact_token(void *context, const struct picket_token *token)
{
	static const char *const comments[] = {"/**/", "-- ", "#", "/**/", "/*+*/", "/*!*/"};
	struct redactor *r = context;
	const uint8_t *at = r->sql + token->start;
	size_t bytes = token->end - token->start;
	int quoted = bytes && (*at == '"' || *at == '`');
	int version = token->kind == SQL_TOKEN_COMMENT && token->mark == SQL_COMMENT_VERSION;
	int glued = token->start == r->end;

	r->end = token->end;
	// The rest of `1abc` or `1.2.3` may be part of a literal elsewhere. It may also be where lexing stops to be sure.
	if (r->malformed && glued && bytes && *at != '(' && *at != ')' && *at != ',' && *at != ';')
		return (token->danger & SQL_DANGER_AMBIGUOUS) != 0;
	r->malformed = 0;
	if (!glued && r->out->bytes)
		add(r, " ");
	if (token->danger & SQL_DANGER_AMBIGUOUS && !(version && bytes > 5 && is_plain(at + 3, bytes - 5)) &&
	    !(r->dialect == SQL_MYSQL && quoted && *at == '"' && is_plain(at + 1, bytes - 2))) {
		add(r, "?");
		return 1;
	}
	switch (token->kind) {
	case SQL_TOKEN_LITERAL:
		r->malformed = (token->danger & SQL_DANGER_MALFORMED_NUMBER) != 0;
		add(r, "?");
		break;
	case SQL_TOKEN_COMMENT:
		add(r, comments[token->mark % 6]);
		if (token->mark == SQL_COMMENT_DASHES || token->mark == SQL_COMMENT_HASH)
			add(r, "\n");
		break;
	case SQL_TOKEN_QUOTED:
		if (token->danger & SQL_DANGER_UNTERMINATED)
			add(r, "?");
		else
			picket_text_add(r->out, at, bytes);
		break;
	default:
		picket_text_add(r->out, at, bytes);
		break;
	}
	return 0;
}

void picket_redact(const struct picket_lexing *how, const uint8_t *sql, size_t bytes, struct picket_text *out)
{
	struct redactor r = {
		.sql = sql, .bytes = bytes, .dialect = how->dialect, .session = how->session, .out = out,
	};

	picket_tokens(how, 0, sql, bytes, redact_token, &r);
}
