// SPDX-License-Identifier: Apache-2.0
#include "token_rules.h"
#include <linux/types.h>
#include <string.h>
#include "sql_lexer.h"

enum { HISTORY = 8 };
_Static_assert((int)HISTORY > (int)PICKET_RULES_DISTANCE_MAX, "the history holds what may be compared");

struct active {
	uint32_t position;
	uint32_t pad;
	size_t start;
};

struct picket_rules_scratch {
	uint64_t generation; // a position is in the set of this token when its mark equals it
	size_t *latches;     // where the match that opened it starts, + 1; 0: closed
	uint64_t *marks;
	struct active *sets[2];
	struct picket_rules_span *spans;
};

struct run {
	const struct picket_rules *rules;
	struct picket_rules_scratch *scratch;
	const uint8_t *sql;
	uint32_t dialect;
	uint64_t steps_left;
	uint32_t active; // positions in sets[turn]
	uint32_t turn;
	uint32_t met;
	uint32_t exhausted;
	uint32_t began; // a token of this statement was seen
	uint32_t any;   // a token was seen
	uint64_t history[HISTORY];
	uint32_t tokens;
};

static const struct picket_rules_position *position_of(const struct picket_rules *rules, uint32_t index)
{
	return (const void *)(rules->table + rules->header->positions_at + (size_t)index * 7);
}

static int takes(const struct picket_rules *rules, uint32_t position, uint32_t symbol)
{
	const uint32_t *accepts = rules->table + rules->header->accepts_at + (size_t)position * rules->accept_words;

	return accepts[symbol >> 5] >> (symbol & 31) & 1;
}

// Whether a range of `count` items of `words` words each lies in the table.
static int within(const struct picket_rules_header *h, uint64_t at, uint64_t count, uint64_t words)
{
	return at <= h->words && count <= h->words && count * words <= h->words - at;
}

static int all_below(const uint32_t *values, size_t count, size_t step, uint32_t limit)
{
	for (size_t i = 0; i < count; i++)
		if (values[i * step] >= limit)
			return 0;
	return 1;
}

int picket_rules_open(struct picket_rules *rules, const void *table, size_t bytes)
{
	const struct picket_rules_header *h = table;
	const uint32_t *t = table;

	if (bytes < sizeof(*h) || (uintptr_t)table % 4 || h->magic != PICKET_RULES_MAGIC || h->words != bytes / 4)
		return -1;
	if (h->rules > PICKET_RULES_MAX || h->positions > PICKET_RULES_POSITIONS_MAX ||
	    h->latches > PICKET_RULES_LATCHES_MAX || !h->latches || h->symbols < PICKET_SYMBOL_NAMED ||
	    h->symbols > 65536 || !h->word_slots || h->word_slots & (h->word_slots - 1))
		return -1;
	rules->header = h;
	rules->table = t;
	rules->accept_words = (h->symbols + 31) / 32;
	if (!within(h, h->punctuation_at, 256, 1) || !within(h, h->words_at, h->word_slots, 6) ||
	    !within(h, h->texts_at, (h->texts_bytes + 3ull) / 4, 1) || !within(h, h->entries_at, h->symbols + 1ull, 1) ||
	    !within(h, h->entry_list_at, h->entry_count, 2) || !within(h, h->positions_at, h->positions, 7) ||
	    !within(h, h->accepts_at, h->positions, rules->accept_words) ||
	    !within(h, h->follows_at, h->follow_count, 1) || !within(h, h->opens_at, h->open_count, 1))
		return -1;
	if (!all_below(t + h->punctuation_at, 256, 1, h->symbols) ||
	    !all_below(t + h->entry_list_at, h->entry_count, 2, h->positions) ||
	    !all_below(t + h->entry_list_at + 1, h->entry_count, 2, h->latches) ||
	    !all_below(t + h->follows_at, h->follow_count, 1, h->positions) ||
	    !all_below(t + h->opens_at, h->open_count, 1, h->latches) ||
	    !all_below(t + h->entries_at, h->symbols + 1, 1, h->entry_count + 1))
		return -1;
	uint32_t free_slots = 0;

	for (uint32_t i = 0; i < h->word_slots; i++) {
		const struct picket_rules_word *word = (const void *)(t + h->words_at + (size_t)i * 6);

		free_slots += !word->bytes;
		if (word->symbol >= h->symbols || word->text > h->texts_bytes || word->bytes > h->texts_bytes - word->text)
			return -1;
	}
	if (!free_slots) // a search ends at one
		return -1;
	for (uint32_t i = 0; i < h->positions; i++) {
		const struct picket_rules_position *p = position_of(rules, i);

		if ((p->rule != UINT32_MAX && p->rule >= h->rules) || p->compare >> 2 > PICKET_RULES_DISTANCE_MAX ||
		    p->follow > h->follow_count || p->follow_count > h->follow_count - p->follow ||
		    p->open > h->open_count || p->open_count > h->open_count - p->open)
			return -1;
	}
	return 0;
}

static size_t scratch_layout(const struct picket_rules_header *h, struct picket_rules_scratch *s)
{
	size_t at = sizeof(*s);
	uint8_t *base = (uint8_t *)s;

#define PART(field, count)                                                                                   \
	do {                                                                                                 \
		if (s)                                                                                       \
			field = (void *)(base + at);                                                         \
		at += (count) * sizeof(*field);                                                              \
	} while (0)
	PART(s->latches, h->latches);
	PART(s->marks, h->positions);
	PART(s->sets[0], h->positions);
	PART(s->sets[1], h->positions);
	PART(s->spans, h->rules);
#undef PART
	return at;
}

size_t picket_rules_scratch_bytes(const struct picket_rules *rules)
{
	return scratch_layout(rules->header, NULL);
}

static void met(struct run *run, uint32_t rule, size_t start, size_t end)
{
	struct picket_rules_span *span = &run->scratch->spans[rule];

	if (span->end)
		return;
	span->start = start;
	span->end = end ? end : 1; // 0 means not met
	run->met++;
}

static uint64_t category(uint64_t hash, uint32_t symbol)
{
	return hash * 2 + (symbol == PICKET_SYMBOL_NUMBER || symbol == PICKET_SYMBOL_STRING);
}

// The position takes this token.
static void take(struct run *run, uint32_t index, uint64_t value, size_t start, size_t end, uint32_t *taken)
{
	const struct picket_rules_position *p = position_of(run->rules, index);
	struct picket_rules_scratch *s = run->scratch;

	if (s->marks[index] == s->generation || !(p->dialects & run->dialect))
		return;
	if (p->compare) {
		uint32_t distance = p->compare >> 2;
		uint64_t other = distance <= run->tokens ? run->history[(run->tokens - distance) % HISTORY] : ~value;

		if ((other == value) != ((p->compare & 3) == 1))
			return;
	}
	s->marks[index] = s->generation;
	s->sets[!run->turn][*taken] = (struct active){index, 0, start};
	++*taken;
	if (p->rule != UINT32_MAX)
		met(run, p->rule, start, end);
}

static void open_latches(struct run *run, uint32_t taken)
{
	const uint32_t *opens = run->rules->table + run->rules->header->opens_at;

	for (uint32_t i = 0; i < taken; i++) {
		struct active *a = &run->scratch->sets[!run->turn][i];
		const struct picket_rules_position *p = position_of(run->rules, a->position);

		for (uint32_t j = 0; j < p->open_count; j++) {
			size_t *latch = &run->scratch->latches[opens[p->open + j]];

			if (!*latch)
				*latch = a->start + 1;
		}
	}
}

// One symbol. What stands between tokens (`stay`) moves on who waits for it and leaves the others where they are.
static void step(struct run *run, uint32_t symbol, uint64_t value, size_t start, size_t end, int stay)
{
	const struct picket_rules_header *h = run->rules->header;
	const uint32_t *table = run->rules->table;
	const uint32_t *entries = table + h->entries_at + symbol;
	struct picket_rules_scratch *s = run->scratch;
	struct active *active = s->sets[run->turn];
	uint32_t taken = 0;
	uint64_t steps = run->active;

	s->generation++;
	if (stay) {
		for (uint32_t i = 0; i < run->active; i++) {
			s->marks[active[i].position] = s->generation;
			s->sets[!run->turn][taken++] = active[i];
		}
	}
	for (uint32_t i = 0; i < run->active; i++) {
		const struct picket_rules_position *p = position_of(run->rules, active[i].position);
		const uint32_t *follow = table + h->follows_at + p->follow;

		steps += p->follow_count;
		for (uint32_t j = 0; j < p->follow_count; j++)
			if (takes(run->rules, follow[j], symbol))
				take(run, follow[j], value, active[i].start, end, &taken);
	}
	for (uint32_t i = entries[0]; i < entries[1]; i++) {
		const uint32_t *entry = table + h->entry_list_at + (size_t)i * 2;
		size_t since = s->latches[entry[1]];

		if (since)
			take(run, entry[0], value, entry[1] ? since - 1 : start, end, &taken);
	}
	if (entries[1] > entries[0])
		steps += entries[1] - entries[0];
	// Gaps end with the statement: a semicolon may be what follows one, nothing after it may.
	if (symbol == PICKET_SYMBOL_SEMICOLON)
		memset(s->latches + 1, 0, (h->latches - 1) * sizeof(size_t));
	if (taken)
		open_latches(run, taken);
	run->turn ^= 1;
	run->active = taken;
	run->steps_left = run->steps_left > steps ? run->steps_left - steps - 1 : 0;
}

static uint32_t lower(uint32_t c)
{
	return c - 'A' < 26u ? c | 32 : c;
}

static uint32_t word_symbol(const struct run *run, const uint8_t *at, size_t bytes, uint64_t tail, uint32_t fallback)
{
	const struct picket_rules_header *h = run->rules->header;
	const uint8_t *texts = (const uint8_t *)(run->rules->table + h->texts_at);
	uint64_t slot = (tail ^ bytes) * 0x9e3779b97f4a7c15ull >> 32;

	for (;; slot++) {
		const struct picket_rules_word *word =
			(const void *)(run->rules->table + h->words_at + (slot & (h->word_slots - 1)) * 6);

		if (!word->bytes)
			return fallback;
		if (word->bytes != bytes || word->tail[0] != (uint32_t)tail || word->tail[1] != tail >> 32)
			continue;
		if (fallback == PICKET_SYMBOL_QUOTED && !word->name)
			continue;
		size_t same = 0;

		while (same < bytes && lower(at[same]) == texts[word->text + same])
			same++;
		if (same == bytes)
			return word->symbol;
	}
}

static uint32_t symbol_of(const struct run *run, const struct picket_token *token)
{
	const uint8_t *at = run->sql + token->start;
	size_t bytes = token->end - token->start;
	uint64_t tail = 0;

	switch (token->kind) {
	case SQL_TOKEN_WORD:
		return word_symbol(run, at, bytes, token->tail, PICKET_SYMBOL_WORD);
	case SQL_TOKEN_QUOTED:
		if (bytes < 3)
			return PICKET_SYMBOL_QUOTED;
		for (size_t i = bytes > 10 ? bytes - 9 : 1; i < bytes - 1; i++)
			tail = tail << 8 | lower(at[i]);
		return word_symbol(run, at + 1, bytes - 2, tail, PICKET_SYMBOL_QUOTED);
	case SQL_TOKEN_LITERAL:
		return token->number ? PICKET_SYMBOL_NUMBER : PICKET_SYMBOL_STRING;
	case SQL_TOKEN_PLACEHOLDER:
		return PICKET_SYMBOL_PLACEHOLDER;
	default:
		return run->rules->table[run->rules->header->punctuation_at + (token->mark & 255)];
	}
}

static void statement_ends(struct run *run, size_t at)
{
	if (run->began)
		step(run, PICKET_SYMBOL_END, 0, at, at, 1);
	run->began = 0;
}

static int on_token(void *context, const struct picket_token *token)
{
	struct run *run = context;
	uint32_t symbol;
	uint64_t value;

	if (!run->steps_left) {
		run->exhausted = 1;
		return 1;
	}
	if (token->kind == SQL_TOKEN_COMMENT) {
		symbol = token->mark == SQL_COMMENT_DASHES || token->mark == SQL_COMMENT_HASH ?
				 PICKET_SYMBOL_LINE_COMMENT :
			 token->mark == SQL_COMMENT_VERSION ? PICKET_SYMBOL_VERSION_COMMENT :
							      PICKET_SYMBOL_COMMENT;
		step(run, symbol, 0, token->start, token->end, 1);
		return 0;
	}
	symbol = symbol_of(run, token);
	if (symbol == PICKET_SYMBOL_SEMICOLON) {
		statement_ends(run, token->start);
	} else if (!run->began) {
		run->began = 1;
		step(run, PICKET_SYMBOL_START, 0, token->start, token->start, 1);
	}
	value = category(token->hash, symbol);
	step(run, symbol, value, token->start, token->end, 0);
	run->history[run->tokens % HISTORY] = value;
	run->tokens++;
	return 0;
}

// The facts of the session that the lexing of this statement turned on, each read both ways.
static uint32_t readings_of(const struct picket_lexing *how, uint32_t danger, uint32_t sessions[16], uint32_t ways[16])
{
	uint32_t count = 1;

	sessions[0] = SQL_SESSION_SAID(how->session);
	ways[0] = (sessions[0] & SQL_SESSION_CHARSET_UNSAFE) ? PICKET_READ_MULTIBYTE : 0;
	if (!(danger & SQL_DANGER_AMBIGUOUS))
		return 1;
#define BOTH(session, way)                                                                                   \
	do {                                                                                                 \
		for (uint32_t i = 0, n = count; i < n; i++, count++) {                                       \
			sessions[count] = sessions[i] | (session);                                           \
			ways[count] = ways[i] ^ (way);                                                       \
		}                                                                                            \
	} while (0)
	if (!(how->session & SQL_SESSION_ESCAPES_KNOWN))
		BOTH(SQL_SESSION_ESCAPES_KNOWN | SQL_SESSION_NO_BACKSLASH, 0);
	if (how->dialect == SQL_MYSQL && !(how->session & SQL_SESSION_QUOTES_KNOWN))
		BOTH(SQL_SESSION_QUOTES_KNOWN | SQL_SESSION_ANSI_QUOTES, 0);
	if (!(how->session & SQL_SESSION_CHARSET_KNOWN))
		BOTH(0, PICKET_READ_MULTIBYTE);
	if (how->dialect == SQL_MYSQL)
		BOTH(0, PICKET_READ_VERSIONS);
#undef BOTH
	return count;
}

struct picket_rules_result picket_rules_run(const struct picket_rules *rules, struct picket_rules_scratch *scratch,
					    const struct picket_lexing *how, const uint8_t *sql, size_t bytes,
					    uint64_t steps_max, struct picket_rules_span *spans)
{
	const struct picket_rules_header *h = rules->header;
	struct picket_rules_result result = {.first = -1};
	uint32_t sessions[16], ways[16], readings = 1;
	struct run run = {.rules = rules, .scratch = scratch, .sql = sql, .dialect = how->dialect, .steps_left = steps_max};

	scratch_layout(h, scratch);
	memset(scratch->spans, 0, h->rules * sizeof(*scratch->spans));
	sessions[0] = SQL_SESSION_SAID(how->session);
	ways[0] = (sessions[0] & SQL_SESSION_CHARSET_UNSAFE) ? PICKET_READ_MULTIBYTE : 0;
	for (uint32_t i = 0; i < readings; i++) {
		struct picket_lexing lexing = *how;

		lexing.session = sessions[i];
		run.active = run.tokens = run.began = 0;
		scratch->latches[0] = 1; // always open
		memset(scratch->latches + 1, 0, (h->latches - 1) * sizeof(size_t));
		result.danger |= picket_tokens(&lexing, ways[i], sql, bytes, on_token, &run);
		if (run.exhausted) // where it stopped is no end
			break;
		statement_ends(&run, bytes);
		if (i == 0)
			readings = readings_of(how, result.danger, sessions, ways);
	}
	result.met = run.met;
	result.exhausted = run.exhausted;
	for (uint32_t i = 0; run.met && i < h->rules; i++)
		if (scratch->spans[i].end) {
			result.first = i;
			break;
		}
	if (spans)
		memcpy(spans, scratch->spans, h->rules * sizeof(*spans));
	return result;
}
