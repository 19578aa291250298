// SPDX-License-Identifier: Apache-2.0
// What user space asks of the lexer of packages/bpf/src/sql_lexer.h. Each function runs the same header that
// the kernel runs; the files beside this one differ only in what they hook into it.
#ifndef PICKET_LEXER_H
#define PICKET_LEXER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct picket_lexing {
	uint32_t dialect; // enum sql_dialect
	uint32_t session; // enum sql_session
	uint64_t key;
	uint64_t start;
};

struct picket_fingerprint {
	uint64_t value; // 0: never known
	uint32_t danger;
};

struct picket_fingerprint picket_fingerprint(const struct picket_lexing *how, const uint8_t *sql, size_t bytes);

// A growing text. `failed` is set when memory ran out; then the text is worthless.
struct picket_text {
	uint8_t *at;
	size_t bytes;
	size_t room;
	int failed;
};

void picket_text_add(struct picket_text *text, const void *bytes, size_t count);
void picket_text_free(struct picket_text *text);

// The shape as UTF-8: what was hashed, one token after another, told so that unlike shapes have unlike texts.
struct picket_fingerprint picket_shape(const struct picket_lexing *how, const uint8_t *sql, size_t bytes,
				       struct picket_text *shape);

// Every token, those that a list folds too. Called in the order of the statement; a result other than 0 ends it.
struct picket_token {
	uint32_t kind; // enum sql_token, never SQL_TOKEN_HELD
	uint32_t mark; // the byte of punctuation, enum sql_comment
	size_t start;
	size_t end;
	uint64_t hash;   // keyed, of the text of a word, quoted name or literal
	uint64_t tail;   // the last eight bytes of a word, folded
	uint32_t danger; // what this token raised
	uint8_t first;   // of its statement
	uint8_t number;  // a literal that is a number
};
// How to read what the session leaves open.
enum picket_reading {
	PICKET_READ_VERSIONS = 1,  // what stands in /*! */ is code
	PICKET_READ_MULTIBYTE = 2, // a byte from 0x81 swallows the next one, as in GBK and Big5
};

typedef int (*picket_on_token)(void *context, const struct picket_token *token);
uint32_t picket_tokens(const struct picket_lexing *how, uint32_t reading, const uint8_t *sql, size_t bytes,
		       picket_on_token on, void *context);

// The statement without a byte of any literal or comment, however its session reads it.
void picket_redact(const struct picket_lexing *how, const uint8_t *sql, size_t bytes, struct picket_text *out);

#ifdef __cplusplus
}
#endif
#endif
