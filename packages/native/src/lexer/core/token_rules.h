// SPDX-License-Identifier: Apache-2.0
// Token rules: many patterns over the statement's tokens, run in one pass. The language is docs/token-rules.md,
// the compiler is ../rules/compile.ts; what it writes is this flat table, in the machine's byte order.
//
// A pattern is a Glushkov automaton: a position for each element that takes one token, and for each position the
// positions that may follow. All patterns run at once over a set of active positions; a position enters the set
// at most once a token, so a token costs at most as many steps as the table has edges, whatever came before: no
// backtracking, no recursion, no memory that grows with the statement. A gap (`...`) is no position but a latch:
// once open it stays open until the statement ends, and costs nothing until a token comes that may follow it.
// Steps are counted; a statement that uses them up is `exhausted` and has to be treated as an attack's probe.
#ifndef PICKET_TOKEN_RULES_H
#define PICKET_TOKEN_RULES_H

#include "lexer.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	PICKET_RULES_MAGIC = 0x54525031, // "TRP1"
	PICKET_RULES_POSITIONS_MAX = 8192,
	PICKET_RULES_LATCHES_MAX = 4096,
	PICKET_RULES_MAX = 4096,
	PICKET_RULES_DISTANCE_MAX = 7, // of two tokens that are compared
};

// The symbols a token can be; named punctuation and words follow from PICKET_SYMBOL_NAMED.
enum picket_symbol {
	PICKET_SYMBOL_START, // of a statement: stands between tokens, like the next four
	PICKET_SYMBOL_END,
	PICKET_SYMBOL_COMMENT,      // in brackets
	PICKET_SYMBOL_LINE_COMMENT, // to the end of the line
	PICKET_SYMBOL_VERSION_COMMENT,
	PICKET_SYMBOL_PLACEHOLDER,
	PICKET_SYMBOL_NUMBER,
	PICKET_SYMBOL_STRING,
	PICKET_SYMBOL_QUOTED,      // a name in quotes
	PICKET_SYMBOL_WORD,        // that no pattern names
	PICKET_SYMBOL_OPERATOR,    // that no pattern names
	PICKET_SYMBOL_PUNCTUATION, // other, that no pattern names
	PICKET_SYMBOL_SEMICOLON,
	PICKET_SYMBOL_NAMED,
};

// All fields are 32-bit words; *_at are offsets in words from the table's start.
struct picket_rules_header {
	uint32_t magic;
	uint32_t words; // of the whole table
	uint32_t rules;
	uint32_t positions;
	uint32_t latches;
	uint32_t symbols;
	uint32_t punctuation_at; // 256 symbols
	uint32_t word_slots;     // a power of two
	uint32_t words_at;       // word_slots × struct picket_rules_word
	uint32_t texts_at;       // bytes of the words
	uint32_t texts_bytes;
	uint32_t entries_at;   // symbols + 1 offsets into entry_list
	uint32_t entry_list_at; // position, latch (0: always open)
	uint32_t entry_count;
	uint32_t positions_at; // positions × struct picket_rules_position
	uint32_t accepts_at;   // positions × ceil(symbols / 32) words
	uint32_t follows_at;
	uint32_t follow_count;
	uint32_t opens_at;
	uint32_t open_count;
};

struct picket_rules_word {
	uint32_t tail[2]; // low, high: the last eight bytes
	uint32_t bytes;   // 0: free slot
	uint32_t symbol;
	uint32_t text;
	uint32_t name; // also stands for the quoted name of this text
};

struct picket_rules_position {
	uint32_t rule; // that is met when this position takes a token; UINT32_MAX: none
	uint32_t dialects;
	uint32_t compare; // 0, or distance << 2 | 1 same, 2 different
	uint32_t follow, follow_count;
	uint32_t open, open_count; // latches that this position opens
};

struct picket_rules {
	const struct picket_rules_header *header;
	const uint32_t *table;
	uint32_t accept_words;
};

// 0 when the table is whole; then nothing in it leads outside of it.
int picket_rules_open(struct picket_rules *rules, const void *table, size_t bytes);

struct picket_rules_span {
	size_t start;
	size_t end;
};

// One run's memory, given by the caller once for all runs: picket_rules_scratch_bytes(rules), zeroed.
struct picket_rules_scratch;
size_t picket_rules_scratch_bytes(const struct picket_rules *rules);

struct picket_rules_result {
	uint32_t met;       // how many rules
	int32_t first;      // the lowest index of a rule that is met, or -1
	uint32_t danger;    // enum sql_danger, of all readings
	uint32_t exhausted; // steps were used up: never a good sign
};

// Runs the rules over each way in which the statement may be read when something that matters to its lexing is
// not known of the session. spans (may be NULL) gets a span for each rule that is met: `end` is 0 for others.
struct picket_rules_result picket_rules_run(const struct picket_rules *rules, struct picket_rules_scratch *scratch,
					    const struct picket_lexing *how, const uint8_t *sql, size_t bytes,
					    uint64_t steps_max, struct picket_rules_span *spans);

#ifdef __cplusplus
}
#endif
#endif
