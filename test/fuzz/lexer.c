// SPDX-License-Identifier: Apache-2.0
// Fuzzes what reads statements, with address and undefined-behaviour sanitizers. Each input is a head of eight
// bytes, then a statement. Beside not crashing it holds these to their word:
//   - the fingerprint does not depend on where a statement is split (the kernel gets it in pieces), nor on whether
//     it is read a byte at a time or in strides;
//   - the shape's text, the tokens and the plain run agree, and equal shapes have equal fingerprints;
//   - tokens lie in order and inside the statement;
//   - redaction does not depend on what stands in a literal, however the session reads it: other letters and
//     digits in there give the same redacted text;
//   - token rules give the same answer twice, with spans inside the statement, and stop when their steps end;
//   - a broken table of rules is refused or harmless.
// PICKET_FUZZ_RULES names a compiled table; run.mjs makes one of the core rules.
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../packages/native/src/lexer/core/lexer.h"
#include "../../packages/native/src/lexer/core/token_rules.h"
#include "sql_lexer.h"

#define HOLDS(claim)                                                                                         \
	do {                                                                                                 \
		if (!(claim)) {                                                                              \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim);           \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

enum { HEAD = 8, STATEMENT_MAX = 1 << 16 };

static uint32_t *table;
static size_t table_bytes;
static struct picket_rules rules;
static struct picket_rules_scratch *scratch;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *path = getenv("PICKET_FUZZ_RULES");
	FILE *file = path ? fopen(path, "rb") : NULL;

	if (!file) {
		fprintf(stderr, "PICKET_FUZZ_RULES names no table of token rules\n");
		exit(2);
	}
	fseek(file, 0, SEEK_END);
	table_bytes = ftell(file);
	rewind(file);
	table = malloc(table_bytes);
	HOLDS(fread(table, 1, table_bytes, file) == table_bytes);
	fclose(file);
	HOLDS(picket_rules_open(&rules, table, table_bytes) == 0);
	scratch = calloc(1, picket_rules_scratch_bytes(&rules));
	return 0;
}

// Pieces of `cut` + 1 bytes, each read a byte at a time or in strides.
static uint64_t in_pieces(const struct picket_lexing *how, const uint8_t *sql, size_t bytes, uint32_t cut, int strides,
			  uint32_t *danger)
{
	struct sql_lexer *l = malloc(sizeof(*l));
	uint64_t fingerprint;

	sql_lexer_start(l, how->dialect, how->session, how->key, how->start);
	for (size_t at = 0; at < bytes; at += cut + 1) {
		size_t piece = bytes - at <= cut ? bytes - at : cut + 1;
		// The state moves, as it does between a socket's storage and the next program.
		struct sql_lexer *moved = malloc(sizeof(*moved));

		memcpy(moved, l, sizeof(*l));
		memset(l, 0xa5, sizeof(*l));
		free(l);
		l = moved;
		if (strides)
			sql_lexer_read(l, sql + at, piece);
		else
			for (size_t i = 0; i < piece; i++)
				sql_lexer_step(l, sql[at + i]);
	}
	fingerprint = sql_lexer_finish(l);
	*danger = l->danger;
	free(l);
	return fingerprint;
}

struct walk {
	size_t end;
	size_t bytes;
	uint8_t *altered; // the statement with other letters in its literals
};

static uint8_t other(uint8_t c)
{
	// Neither prefixes of literals (b e n u x) nor digits of numbers that lex apart (0 1).
	static const char letters[] = "ghijkopqrstvwyz", digits[] = "23456789";
	const char *at = c ? strchr(letters, c) : NULL;

	if (at)
		return letters[(at - letters + 1) % (sizeof(letters) - 1)];
	at = c ? strchr(digits, c) : NULL;
	return at ? digits[(at - digits + 1) % (sizeof(digits) - 1)] : c;
}

static int walk_token(void *context, const struct picket_token *token)
{
	struct walk *w = context;

	HOLDS(token->start >= w->end);
	HOLDS(token->end > token->start && token->end <= w->bytes);
	HOLDS(token->kind >= SQL_TOKEN_WORD && token->kind <= SQL_TOKEN_COMMENT);
	w->end = token->end;
	if (token->kind == SQL_TOKEN_LITERAL && w->altered && w->altered[token->start] != '$')
		for (size_t i = token->start; i < token->end; i++)
			w->altered[i] = other(w->altered[i]);
	return 0;
}

static void check_redaction(const struct picket_lexing *how, const uint8_t *sql, size_t bytes, uint32_t session)
{
	struct picket_lexing read = *how;
	struct walk w = {.bytes = bytes, .altered = malloc(bytes + 1)};
	struct picket_text one = {0}, two = {0};

	// A reading that agrees with what is known.
	if (!(how->session & SQL_SESSION_ESCAPES_KNOWN))
		read.session = (read.session & ~SQL_SESSION_NO_BACKSLASH) | SQL_SESSION_ESCAPES_KNOWN |
			       (session & SQL_SESSION_NO_BACKSLASH);
	if (!(how->session & SQL_SESSION_QUOTES_KNOWN))
		read.session = (read.session & ~SQL_SESSION_ANSI_QUOTES) | SQL_SESSION_QUOTES_KNOWN |
			       (session & SQL_SESSION_ANSI_QUOTES);
	memcpy(w.altered, sql, bytes);
	picket_tokens(&read, 0, sql, bytes, walk_token, &w);
	picket_redact(how, sql, bytes, &one);
	picket_redact(how, w.altered, bytes, &two);
	int same = one.bytes == two.bytes && (!one.bytes || !memcmp(one.at, two.at, one.bytes));

	if (!same)
		fprintf(stderr, "session %u read as %u\n%.*s\n--\n%.*s\n--\n%.*s\n--\n%.*s\n", how->session, read.session,
			(int)bytes, sql, (int)bytes, w.altered, (int)one.bytes, one.at, (int)two.bytes, two.at);
	HOLDS(same);
	picket_text_free(&one);
	picket_text_free(&two);
	free(w.altered);
}

static void check_rules(const struct picket_lexing *how, const uint8_t *sql, size_t bytes, uint32_t steps)
{
	size_t count = rules.header->rules;
	struct picket_rules_span *one = calloc(count, sizeof(*one)), *two = calloc(count, sizeof(*two));
	struct picket_rules_result a = picket_rules_run(&rules, scratch, how, sql, bytes, UINT64_MAX, one);
	struct picket_rules_result b = picket_rules_run(&rules, scratch, how, sql, bytes, UINT64_MAX, two);
	struct picket_rules_result c = picket_rules_run(&rules, scratch, how, sql, bytes, steps, NULL);
	uint32_t met = 0;

	HOLDS(!memcmp(&a, &b, sizeof(a)) && !memcmp(one, two, count * sizeof(*one)));
	HOLDS(!a.exhausted);
	HOLDS(c.exhausted || (c.first == a.first && c.met == a.met));
	HOLDS(c.met <= a.met);
	for (size_t i = 0; i < count; i++) {
		if (!one[i].end)
			continue;
		met++;
		HOLDS(one[i].start <= one[i].end && one[i].end <= (bytes ? bytes : 1));
	}
	HOLDS(met == a.met && (a.first >= 0) == (met > 0));
	free(one);
	free(two);
}

// The head says which words of the table are altered, and how.
static void check_broken_table(const struct picket_lexing *how, const uint8_t *head, const uint8_t *sql, size_t bytes)
{
	uint32_t *broken = malloc(table_bytes);
	struct picket_rules opened;
	uint32_t at, value;

	memcpy(broken, table, table_bytes);
	memcpy(&at, head, 4);
	memcpy(&value, head + 4, 4);
	broken[at % 3 ? (at / 3) % (table_bytes / 4) : (at / 3) % 20] ^= head[3] & 1 ? value : 1u << (value & 31);
	if (picket_rules_open(&opened, broken, table_bytes) == 0) {
		struct picket_rules_scratch *own = calloc(1, picket_rules_scratch_bytes(&opened));

		picket_rules_run(&opened, own, how, sql, bytes, 1 << 20, NULL);
		free(own);
	}
	free(broken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct picket_lexing how;
	struct picket_fingerprint plain, shaped;
	struct picket_text shape = {0};
	struct walk walk = {0};
	uint32_t danger;
	uint64_t pieces;

	if (size < HEAD || size > STATEMENT_MAX)
		return -1;
	const uint8_t *sql = data + HEAD;
	size_t bytes = size - HEAD;

	how.dialect = data[0] & 1 ? SQL_MYSQL : SQL_POSTGRESQL;
	how.session = data[1] & 63;
	how.key = (uint64_t)data[2] << 32 | 0x9e3779b97f4a7c15ull;
	how.start = data[3];

	plain = picket_fingerprint(&how, sql, bytes);
	for (int strides = 0; strides < 2; strides++) {
		pieces = in_pieces(&how, sql, bytes, data[4], strides, &danger);
		HOLDS(plain.value == pieces && plain.danger == danger);
	}

	shaped = picket_shape(&how, sql, bytes, &shape);
	HOLDS(shaped.value == plain.value && shaped.danger == plain.danger && !shape.failed);
	picket_text_free(&shape);

	walk.bytes = bytes;
	HOLDS(picket_tokens(&how, 0, sql, bytes, walk_token, &walk) == plain.danger);
	for (uint32_t reading = 1; reading < 4; reading++)
		picket_tokens(&how, reading, sql, bytes, walk_token, &(struct walk){.bytes = bytes});

	check_redaction(&how, sql, bytes, 0);
	check_redaction(&how, sql, bytes, SQL_SESSION_NO_BACKSLASH);
	check_redaction(&how, sql, bytes, SQL_SESSION_ANSI_QUOTES);
	check_rules(&how, sql, bytes, data[5] * 8);
	if (data[6] & 1)
		check_broken_table(&how, data, sql, bytes);
	return 0;
}
