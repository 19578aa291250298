/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SQL lexer: bytes in, a keyed fingerprint of the statement's shape out. One
 * source for the kernel and for user space, so that both hash alike. It keeps no
 * pointer and no buffer: the state is resumed wherever a send ends. What enters
 * a shape, and why, is docs/fingerprint.md.
 *
 * A token is held back until the first byte that no longer belongs to it, so each
 * step gives away at most one token and there is one place that does (sql_token).
 */
#ifndef SQL_LEXER_H
#define SQL_LEXER_H

#include "sql_words.h"

#define SQL_LEXER_LAYOUT 2

enum sql_dialect { SQL_MYSQL = 1, SQL_POSTGRESQL = 2 };

/* What is known of the session, in pairs: whether it is known, and what it is. */
enum sql_session {
	SQL_SESSION_ESCAPES_KNOWN = 1,
	SQL_SESSION_NO_BACKSLASH = 2, /* NO_BACKSLASH_ESCAPES; standard_conforming_strings=on */
	SQL_SESSION_QUOTES_KNOWN = 4,
	SQL_SESSION_ANSI_QUOTES = 8,
	SQL_SESSION_CHARSET_KNOWN = 16,
	SQL_SESSION_CHARSET_UNSAFE = 32, /* a trail byte may be 0x5c or 0x60: GBK, Big5, SJIS */
};

/* What is said of a fact that is not known says nothing. */
#define SQL_SESSION_SAID(session) ((session) & (21 | ((session) & 21) << 1))

/* What a statement holds that an attacker would want; never proof by itself. */
enum sql_danger {
	SQL_DANGER_UNION = 1 << 0,
	SQL_DANGER_SECOND_STATEMENT = 1 << 1,
	SQL_DANGER_COMMENT = 1 << 2,
	SQL_DANGER_DELAY = 1 << 3,
	SQL_DANGER_FILE = 1 << 4,
	SQL_DANGER_CATALOGUE = 1 << 5,
	SQL_DANGER_LITERAL_COMPARISON = 1 << 6,
	SQL_DANGER_CODE = 1 << 7, /* a literal is code or session state */
	SQL_DANGER_AMBIGUOUS = 1 << 8, /* the lexing depends on what is not known of the session */
	SQL_DANGER_UNTERMINATED = 1 << 9,
	SQL_DANGER_MALFORMED_NUMBER = 1 << 10,
	SQL_DANGER_ERROR_FUNCTION = 1 << 11,
	SQL_DANGER_SESSION = 1 << 12, /* it sets session state back; its shape says all of it */
};

#define SQL_NEVER_KNOWN                                                                                      \
	(SQL_DANGER_CODE | SQL_DANGER_AMBIGUOUS | SQL_DANGER_UNTERMINATED | SQL_DANGER_MALFORMED_NUMBER)

enum sql_token {
	SQL_TOKEN_NONE,
	SQL_TOKEN_WORD,        /* value: keyed hash of its folded text */
	SQL_TOKEN_QUOTED,      /* identifier in quotes; value: keyed hash of its text */
	SQL_TOKEN_LITERAL,     /* value: enum sql_comparison */
	SQL_TOKEN_PLACEHOLDER, /* ?, $1 */
	SQL_TOKEN_PUNCTUATION, /* value: its byte */
	SQL_TOKEN_COMMENT,     /* value: enum sql_comment */
	SQL_TOKEN_HELD,        /* part of a list that was not folded after all; value: which part */
};

enum sql_comment { SQL_COMMENT_DASHES = 1, SQL_COMMENT_HASH, SQL_COMMENT_BLOCK, SQL_COMMENT_HINT, SQL_COMMENT_VERSION };

/* Literal equality is part of the shape only in `literal operator literal`. */
enum sql_comparison { SQL_COMPARED_NOT, SQL_COMPARED_EQUAL, SQL_COMPARED_DIFFERENT };

enum sql_state {
	SQL_START,
	SQL_WORD,
	SQL_ZERO,     /* a number that began with 0: x or b may follow */
	SQL_NUMBER,
	SQL_FRACTION,
	SQL_EXPONENT, /* e: a sign or a digit must follow */
	SQL_EXPONENT_DIGITS,
	SQL_HEX,
	SQL_DOT,
	SQL_QUOTE,
	SQL_QUOTE_BACKSLASH,
	SQL_QUOTE_END, /* the closing quote, unless another one follows */
	SQL_MINUS,
	SQL_DASHES, /* MySQL: a comment only if white space follows */
	SQL_LINE,
	SQL_SLASH,
	SQL_BLOCK_OPEN,
	SQL_BLOCK_M, /* MariaDB reads the comment as code if an exclamation mark follows */
	SQL_BLOCK,
	SQL_BLOCK_STAR,
	SQL_BLOCK_SLASH,
	SQL_BLOCK_END,
	SQL_PUNCTUATION,
	SQL_DOLLAR,
	SQL_DOLLAR_DIGITS,
	SQL_TAG,
	SQL_BODY,
	SQL_BODY_TAG,
	SQL_BODY_END,
	SQL_QUESTION,
};

enum sql_class {
	SQL_C_SPACE, SQL_C_LETTER, SQL_C_DIGIT, SQL_C_QUOTE, SQL_C_MINUS, SQL_C_SLASH, SQL_C_HASH, SQL_C_DOLLAR,
	SQL_C_DOT, SQL_C_QUESTION, SQL_C_OPERATOR, SQL_C_OTHER, SQL_C_STRANGE,
};

/* Where in a list that may fold. IN (…) folds its literals, VALUES its rows of literals. */
enum sql_fold {
	SQL_FOLD_NONE,
	SQL_FOLD_IN,
	SQL_FOLD_IN_OPEN,
	SQL_FOLD_IN_ITEM,
	SQL_FOLD_IN_COMMA,
	SQL_FOLD_VALUES,
	SQL_FOLD_ROW_OPEN,  /* first row: it enters the shape */
	SQL_FOLD_ROW_ITEM,
	SQL_FOLD_ROWS,      /* between rows */
	SQL_FOLD_ROWS_COMMA,
	SQL_FOLD_NEXT_OPEN, /* later row: held back as long as it equals the first */
	SQL_FOLD_NEXT_ITEM,
};

struct sql_lexer {
	__u64 key;
	__u64 hash;
	__u64 token;   /* keyed hash of the token under way, but for what follows its last whole block of eight bytes */
	__u64 tail;    /* its last eight bytes */
	__u64 literal; /* keyed hash of the last literal */
	__u64 tag;     /* keyed hash of a dollar quote's tag */
	__u32 danger;  /* enum sql_danger */
	__u32 bytes;   /* of the token under way */
	__u16 nesting; /* of PostgreSQL's block comments */
	__u8 state;
	__u8 dialect;
	__u8 session;
	__u8 previous; /* the byte before */
	__u8 quote;    /* ' " or ` */
	__u8 escapes;  /* in the quote under way: 0 none, 1 backslash, 2 unknown */
	__u8 mark;     /* the byte of punctuation; the kind of comment */
	__u8 compare;  /* 0, 1 after a literal, 2 after a literal and an operator */
	__u8 fold;     /* enum sql_fold */
	__u8 items;    /* in the row under way, or whether IN holds more than one */
	__u8 columns;  /* of the first row */
	__u8 sign;     /* held back before a literal */
	__u8 first;    /* no token of this statement yet */
	__u8 ended;    /* 1: a semicolon was seen, 2: and something after it */
	__u8 verb;     /* enum sql_word of CREATE or ROLLBACK, while it matters */
	__u8 name;     /* 1: a generated name follows, its digits fold; 2: after TEMPORARY */
};

#ifndef SQL_LEXER_ON_BYTE
#define SQL_LEXER_ON_BYTE(l, c) ((void)0) /* user space: a byte of a word or quoted name, as hashed */
#endif
#ifndef SQL_LEXER_ON_TOKEN
#define SQL_LEXER_ON_TOKEN(l, kind, value) ((void)0) /* user space: a token enters the shape */
#endif
#ifndef SQL_LEXER_ON_BEGIN
#define SQL_LEXER_ON_BEGIN(l) ((void)0) /* user space: this byte begins a token, or is white space */
#endif
#ifndef SQL_LEXER_ON_LEXED
#define SQL_LEXER_ON_LEXED(l, kind, first) ((void)0) /* user space: a token is whole, also one that a list folds */
#endif

#define SQL_INLINE static inline __attribute__((always_inline, unused))

#ifdef __bpf__
#define SQL_APART __attribute__((noinline))
#else
#define SQL_APART static __attribute__((unused))
#endif

static const __u8 sql_classes[256] = {
	[0 ... 8] = SQL_C_STRANGE,
	[9 ... 13] = SQL_C_SPACE,
	[14 ... 31] = SQL_C_STRANGE,
	[32] = SQL_C_SPACE,
	['!'] = SQL_C_OPERATOR,
	['"'] = SQL_C_QUOTE,
	['#'] = SQL_C_HASH,
	['$'] = SQL_C_DOLLAR,
	['%' ... '&'] = SQL_C_OPERATOR,
	['\''] = SQL_C_QUOTE,
	['(' ... ')'] = SQL_C_OTHER,
	['*' ... '+'] = SQL_C_OPERATOR,
	[','] = SQL_C_OTHER,
	['-'] = SQL_C_MINUS,
	['.'] = SQL_C_DOT,
	['/'] = SQL_C_SLASH,
	['0' ... '9'] = SQL_C_DIGIT,
	[':' ... ';'] = SQL_C_OTHER,
	['<' ... '>'] = SQL_C_OPERATOR,
	['?'] = SQL_C_QUESTION,
	['@'] = SQL_C_OTHER,
	['A' ... 'Z'] = SQL_C_LETTER,
	['[' ... ']'] = SQL_C_OTHER,
	['^'] = SQL_C_OPERATOR,
	['_'] = SQL_C_LETTER,
	['`'] = SQL_C_QUOTE,
	['a' ... 'z'] = SQL_C_LETTER,
	['{'] = SQL_C_OTHER,
	['|'] = SQL_C_OPERATOR,
	['}'] = SQL_C_OTHER,
	['~'] = SQL_C_OPERATOR,
	[127] = SQL_C_STRANGE,
	[128 ... 255] = SQL_C_LETTER,
};

/* Keyed: without the key nobody can look for two statements that hash alike. */
SQL_INLINE __u64 sql_mix(const struct sql_lexer *l, __u64 h, __u64 x)
{
	__u64 t = (h ^ x) * l->key;

	return t ^ (t >> 29);
}

/*
 * Eight bytes at a time, from both ends: whatever bits two texts differ in, what that does to their hashes depends on
 * the key. One product alone lets a difference of the highest bit through as it is.
 */
SQL_INLINE __u64 sql_block(const struct sql_lexer *l, __u64 h, __u64 x)
{
	return __builtin_bswap64((h ^ x) * l->key) * l->key;
}

/* Keyed hash of the text of the token under way. */
SQL_INLINE __u64 sql_value(const struct sql_lexer *l)
{
	return sql_mix(l, sql_block(l, l->token, l->tail), l->bytes);
}

#define SQL_BYTES(c) ((c) * 0x0101010101010101ull)
#define SQL_HIGH SQL_BYTES(0x80)

/* The high bit of each byte that is between two ASCII characters; `w` has no high bits. */
SQL_INLINE __u64 sql_bytes_between(__u64 w, __u64 from, __u64 to)
{
	return (w + SQL_BYTES(0x80 - from)) & ~(w + SQL_BYTES(0x7f - to));
}

/* The high bit of the first byte that is zero; bytes after it may be marked wrongly (Mycroft 1987). */
SQL_INLINE __u64 sql_bytes_zero(__u64 w)
{
	return (w - SQL_BYTES(1)) & ~w & SQL_HIGH;
}

/* Eight bytes with A-Z folded to a-z. */
SQL_INLINE __u64 sql_folded(__u64 w)
{
	return w | (sql_bytes_between(w & ~SQL_HIGH, 'A', 'Z') & ~w & SQL_HIGH) >> 2;
}

SQL_INLINE void sql_emit(struct sql_lexer *l, __u32 kind, __u64 value)
{
	SQL_LEXER_ON_TOKEN(l, kind, value);
	l->hash = sql_mix(l, l->hash, (value << 8 | value >> 56) ^ kind);
}

SQL_INLINE __u32 sql_word_of(__u64 tail, __u32 bytes)
{
	__u32 slot = ((tail ^ bytes) * SQL_WORDS_MULTIPLIER) >> SQL_WORDS_SHIFT;
	__u64 is = sql_words[slot & 255].is;

	if (is >> 8 != bytes || sql_words[slot & 255].tail != tail)
		return SQL_WORD_OTHER;
	return is & 255;
}

/* What a word says of the statement, beyond its own text. */
SQL_INLINE void sql_word_means(struct sql_lexer *l, __u32 word, __u32 first)
{
	__u32 name = 0;

	switch (word) {
	case SQL_WORD_UNION:
		l->danger |= SQL_DANGER_UNION;
		break;
	case SQL_WORD_DELAY:
		l->danger |= SQL_DANGER_DELAY;
		break;
	case SQL_WORD_FILE:
		l->danger |= SQL_DANGER_FILE;
		break;
	case SQL_WORD_CATALOGUE:
		l->danger |= SQL_DANGER_CATALOGUE;
		break;
	case SQL_WORD_ERROR:
		l->danger |= SQL_DANGER_ERROR_FUNCTION;
		break;
	case SQL_WORD_CODE:
		l->danger |= SQL_DANGER_CODE;
		break;
	case SQL_WORD_CODE_FIRST:
		if (first)
			l->danger |= SQL_DANGER_CODE;
		break;
	case SQL_WORD_SESSION_FIRST:
		if (first)
			l->danger |= SQL_DANGER_SESSION;
		break;
	case SQL_WORD_CREATE:
	case SQL_WORD_ROLLBACK:
		if (first)
			l->verb = word;
		break;
	case SQL_WORD_CODE_CREATED:
		if (l->verb == SQL_WORD_CREATE)
			l->danger |= SQL_DANGER_CODE;
		break;
	case SQL_WORD_TO:
		name = l->verb == SQL_WORD_ROLLBACK;
		break;
	case SQL_WORD_NAME:
		name = 1;
		break;
	case SQL_WORD_NAME_FIRST:
		name = first;
		break;
	case SQL_WORD_TEMPORARY:
		name = 2;
		break;
	case SQL_WORD_TABLE:
		name = l->name == 2;
		break;
	}
	l->name = name;
}

/* Functions and catalogues keep their meaning in quotes; words of the grammar do not. */
SQL_INLINE void sql_name_means(struct sql_lexer *l)
{
	switch (sql_word_of(sql_folded(l->tail), l->bytes)) {
	case SQL_WORD_DELAY:
		l->danger |= SQL_DANGER_DELAY;
		break;
	case SQL_WORD_FILE:
		l->danger |= SQL_DANGER_FILE;
		break;
	case SQL_WORD_CATALOGUE:
		l->danger |= SQL_DANGER_CATALOGUE;
		break;
	case SQL_WORD_CODE:
		l->danger |= SQL_DANGER_CODE;
		break;
	}
}

/*
 * Folds lists. Returns whether the token is swallowed; *held gets what must be
 * told instead of tokens swallowed before, when the list turns out not to fold.
 */
SQL_INLINE __u32 sql_fold(struct sql_lexer *l, __u32 kind, __u32 mark, __u32 word, __u32 *held)
{
	__u32 fold = l->fold, next = SQL_FOLD_NONE, literal = kind == SQL_TOKEN_LITERAL;
	__u32 sign = l->sign;

	if (fold == SQL_FOLD_NONE) {
		if (word == SQL_WORD_IN)
			l->fold = SQL_FOLD_IN;
		else if (word == SQL_WORD_VALUES)
			l->fold = SQL_FOLD_VALUES;
		return 0;
	}
	l->sign = 0;
	if ((mark == '-' || mark == '+') && !sign &&
	    (fold == SQL_FOLD_IN_OPEN || fold == SQL_FOLD_IN_COMMA || fold == SQL_FOLD_ROW_OPEN ||
	     fold == SQL_FOLD_NEXT_OPEN)) {
		l->sign = mark;
		return 1;
	}
	switch (fold) {
	case SQL_FOLD_IN:
		next = mark == '(' ? SQL_FOLD_IN_OPEN : SQL_FOLD_NONE;
		l->items = 0;
		break;
	case SQL_FOLD_IN_OPEN:
		next = literal ? SQL_FOLD_IN_ITEM : SQL_FOLD_NONE;
		break;
	case SQL_FOLD_IN_ITEM:
		if (mark == ',') {
			l->fold = SQL_FOLD_IN_COMMA;
			return 1;
		}
		if (mark != ')' && l->items)
			*held = fold;
		break;
	case SQL_FOLD_IN_COMMA:
		if (literal) {
			l->fold = SQL_FOLD_IN_ITEM;
			l->items = 1;
			return 1;
		}
		*held = fold | (__u32)l->items << 8;
		break;
	case SQL_FOLD_VALUES:
		next = mark == '(' ? SQL_FOLD_ROW_OPEN : SQL_FOLD_NONE;
		l->columns = 0;
		break;
	case SQL_FOLD_ROW_OPEN:
		if (literal && l->columns < 255) {
			l->columns++;
			next = SQL_FOLD_ROW_ITEM;
		}
		break;
	case SQL_FOLD_ROW_ITEM:
		next = mark == ',' ? SQL_FOLD_ROW_OPEN : mark == ')' ? SQL_FOLD_ROWS : SQL_FOLD_NONE;
		break;
	case SQL_FOLD_ROWS:
		if (mark == ',') {
			l->fold = SQL_FOLD_ROWS_COMMA;
			return 1;
		}
		break;
	case SQL_FOLD_ROWS_COMMA:
		if (mark == '(') {
			l->fold = SQL_FOLD_NEXT_OPEN;
			l->items = 0;
			return 1;
		}
		*held = fold;
		break;
	case SQL_FOLD_NEXT_OPEN:
		if (literal && l->items < l->columns) {
			l->items++;
			l->fold = SQL_FOLD_NEXT_ITEM;
			return 1;
		}
		*held = fold | (__u32)l->items << 8;
		break;
	case SQL_FOLD_NEXT_ITEM:
		if ((mark == ',' && l->items < l->columns) || (mark == ')' && l->items == l->columns)) {
			l->fold = mark == ',' ? SQL_FOLD_NEXT_OPEN : SQL_FOLD_ROWS;
			return 1;
		}
		*held = fold | (__u32)l->items << 8;
		break;
	}
	if (sign && !literal)
		*held = fold | (__u32)l->items << 8 | sign << 16;
	l->fold = next;
	return 0;
}

/* A token is whole: it enters the shape. */
SQL_INLINE void sql_token(struct sql_lexer *l, __u32 kind)
{
	__u32 word = SQL_WORD_OTHER, held = 0, mark = 0;
	__u64 value = 0;

	SQL_LEXER_ON_LEXED(l, kind, l->first);
	/* A semicolon counts once something follows it: clients differ in whether they send the last one. */
	if (l->ended == 1) {
		l->ended = 2;
		sql_emit(l, SQL_TOKEN_PUNCTUATION, ';');
	}
	if (kind == SQL_TOKEN_COMMENT) {
		l->danger |= SQL_DANGER_COMMENT;
		value = l->mark;
	} else {
		__u32 first = l->first;

		l->first = 0;
		if (l->ended)
			l->danger |= SQL_DANGER_SECOND_STATEMENT;
		if (kind == SQL_TOKEN_WORD) {
			value = sql_value(l);
			word = sql_word_of(l->tail, l->bytes);
			sql_word_means(l, word, first);
		} else {
			l->name = 0;
			if (kind == SQL_TOKEN_QUOTED) {
				value = sql_value(l);
				sql_name_means(l);
			}
		}
		if (kind == SQL_TOKEN_LITERAL) {
			__u64 text = sql_value(l);

			value = SQL_COMPARED_NOT;
			if (l->compare == 2) {
				value = text == l->literal ? SQL_COMPARED_EQUAL : SQL_COMPARED_DIFFERENT;
				l->danger |= SQL_DANGER_LITERAL_COMPARISON;
			}
			l->literal = text;
			l->compare = 1;
		} else if (kind == SQL_TOKEN_PUNCTUATION) {
			value = mark = l->mark;
			if (sql_classes[mark] != SQL_C_OPERATOR && mark != '-' && mark != '/')
				l->compare = 0;
			else if (l->compare)
				l->compare = 2;
			if (mark == ';') {
				l->first = 1;
				l->ended = 1;
				l->verb = 0;
			}
		} else if (word != SQL_WORD_OPERATOR) {
			l->compare = 0;
		} else if (l->compare) {
			l->compare = 2;
		}
	}
	if (sql_fold(l, kind, mark, word, &held))
		return;
	if (held)
		sql_emit(l, SQL_TOKEN_HELD, held);
	if (mark != ';')
		sql_emit(l, kind, value);
}

/* A byte of the token under way enters its hash. */
SQL_INLINE void sql_add(struct sql_lexer *l, __u32 c)
{
	l->tail = l->tail << 8 | c;
	l->bytes++;
	if (!(l->bytes & 7))
		l->token = sql_block(l, l->token, l->tail);
}

/* Likewise the first n bytes of eight, n from 1 to 8. */
SQL_INLINE void sql_add_bytes(struct sql_lexer *l, __u64 w, __u32 n)
{
	__u32 pending = l->bytes & 7;
	__u64 text = __builtin_bswap64(w) >> (64 - 8 * n);

	if (pending + n >= 8)
		l->token = sql_block(l, l->token,
				     l->tail << 8 * (7 - pending) << 8 | text >> 8 * (pending + n - 8));
	l->tail = l->tail << 8 * (n - 1) << 8 | text;
	l->bytes += n;
}

SQL_INLINE void sql_begin(struct sql_lexer *l, __u32 state)
{
	l->state = state;
	l->token = l->key;
	l->tail = 0;
	l->bytes = 0;
}

/* A byte of a name; digits of generated names fold to one 0. */
SQL_INLINE void sql_add_name(struct sql_lexer *l, __u32 c)
{
	if (l->name == 1 && c - '0' < 10u) {
		c = '0';
		if ((l->tail & 255) == '0' && l->bytes)
			return;
	}
	SQL_LEXER_ON_BYTE(l, c);
	sql_add(l, c);
}

SQL_INLINE void sql_begin_quote(struct sql_lexer *l, __u32 quote)
{
	__u32 known = l->session & SQL_SESSION_ESCAPES_KNOWN;

	sql_begin(l, SQL_QUOTE);
	l->quote = quote;
	/* PostgreSQL: 'b' after E'a' and a line end is the same literal, with the escapes of its first part. */
	if (quote == '\'' && l->dialect == SQL_POSTGRESQL && l->compare == 1)
		return;
	l->escapes = !known ? 2 : l->session & SQL_SESSION_NO_BACKSLASH ? 0 : 1;
	if (quote == '`' || (quote == '"' && (l->dialect != SQL_MYSQL || l->session & SQL_SESSION_ANSI_QUOTES)))
		l->escapes = 0; /* a name has no escapes */
	else if (quote == '"' && l->escapes && !(l->session & SQL_SESSION_QUOTES_KNOWN))
		l->escapes = 2;
}

/* Whether what stands in this quote is a literal; else it is an identifier. */
SQL_INLINE __u32 sql_quote_is_literal(const struct sql_lexer *l)
{
	if (l->quote == '"')
		return l->dialect == SQL_MYSQL && !(l->session & SQL_SESSION_ANSI_QUOTES);
	return l->quote == '\'';
}

/* E'', N'', X'', B'' are one literal each. */
SQL_INLINE __u32 sql_is_prefix(const struct sql_lexer *l)
{
	__u32 c = l->tail;

	return l->bytes == 1 &&
	       (c == 'n' || c == 'x' || c == 'b' || (c == 'e' && l->dialect == SQL_POSTGRESQL));
}

/*
 * A byte that is not plainly one more of the word or quote under way. In the
 * kernel a function of its own, which the verifier walks once and not for each
 * place that calls it; hence the result that says nothing.
 */
SQL_APART int sql_lexer_turn(struct sql_lexer *l, __u32 c)
{
	__u32 previous, class, token = SQL_TOKEN_NONE;

	if (!l)
		return 0;
	previous = l->previous;
	c &= 255;
	class = sql_classes[c];
	l->previous = c;
	/* White space in latin1, where MariaDB also lets a comment begin with it; no UTF-8 begins like that. */
	if (c == 0xa0 && previous < 128 && l->dialect == SQL_MYSQL && l->state != SQL_QUOTE &&
	    l->state != SQL_QUOTE_BACKSLASH) {
		l->danger |= SQL_DANGER_AMBIGUOUS;
		class = SQL_C_SPACE;
	}
	/* A multi-byte character of some character sets may swallow this byte. */
	if ((c == '\\' || c == '`') && previous >= 128 &&
	    (l->session & (SQL_SESSION_CHARSET_KNOWN | SQL_SESSION_CHARSET_UNSAFE)) != SQL_SESSION_CHARSET_KNOWN)
		l->danger |= SQL_DANGER_AMBIGUOUS;

	switch (l->state) {
	case SQL_WORD:
		if (class == SQL_C_LETTER || class == SQL_C_DIGIT || class == SQL_C_DOLLAR) {
			if (c - 'A' < 26u)
				c |= 32;
			sql_add_name(l, c);
			return 0;
		}
		if (c == '\'' && sql_is_prefix(l)) {
			__u32 prefix = l->tail;

			sql_begin_quote(l, c);
			if (prefix != 'n')
				l->escapes = prefix == 'e'; /* none in x'' and b'' */
			return 0;
		}
		token = SQL_TOKEN_WORD;
		break;
	case SQL_ZERO:
		/* In capitals MariaDB reads a name; PostgreSQL 14 reads 0 and a name, 15 refuses, 16 has the notation. */
		if (c == 'x' || c == 'b') {
			if (l->dialect != SQL_MYSQL)
				l->danger |= SQL_DANGER_MALFORMED_NUMBER;
			sql_add(l, c);
			l->quote = c;
			l->state = SQL_HEX;
			return 0;
		}
		l->state = SQL_NUMBER;
		/* fall through */
	case SQL_NUMBER:
	case SQL_FRACTION:
	case SQL_EXPONENT_DIGITS:

		if (class == SQL_C_DIGIT) {
			sql_add(l, c);
			return 0;
		}
		if (c == '.' && l->state == SQL_NUMBER) {
			sql_add(l, c);
			l->state = SQL_FRACTION;
			return 0;
		}
		if ((c | 32) == 'e' && l->state != SQL_EXPONENT_DIGITS) {
			sql_add(l, 'e');
			l->state = SQL_EXPONENT;
			return 0;
		}
		if (class == SQL_C_LETTER || class == SQL_C_DOLLAR || c == '.')
			goto malformed;
		token = SQL_TOKEN_LITERAL;
		break;
	case SQL_EXPONENT:
		if (class == SQL_C_DIGIT || ((c == '+' || c == '-') && previous != '+' && previous != '-')) {
			sql_add(l, c);
			if (class == SQL_C_DIGIT)
				l->state = SQL_EXPONENT_DIGITS;
			return 0;
		}
		goto malformed;
	case SQL_HEX:
		if (l->quote == 'b' ? c - '0' < 2u : class == SQL_C_DIGIT || (c | 32) - 'a' < 6u) {
			sql_add(l, c | 32);
			return 0;
		}
		if (class == SQL_C_DIGIT)
			goto malformed;
		if (class == SQL_C_LETTER || class == SQL_C_DOLLAR || c == '.' || l->bytes < 3)
			goto malformed;
		token = SQL_TOKEN_LITERAL;
		break;
	case SQL_DOT:
		if (class == SQL_C_DIGIT && l->quote != 1) {
			sql_add(l, '.');
			sql_add(l, c);
			l->state = SQL_FRACTION;
			return 0;
		}
		/* MariaDB: a name that begins with digits. */
		if (class == SQL_C_DIGIT)
			l->danger |= SQL_DANGER_MALFORMED_NUMBER;
		token = SQL_TOKEN_PUNCTUATION;
		break;
	case SQL_QUOTE:
		if (c == l->quote) {
			l->state = SQL_QUOTE_END;
			return 0;
		}
		if (c == '\\' && l->escapes)
			l->state = SQL_QUOTE_BACKSLASH;
		if (l->quote == '\'')
			sql_add(l, c);
		else
			sql_add_name(l, c);
		return 0;
	case SQL_QUOTE_BACKSLASH:
		/* It matters whether it escapes only if a quote follows. */
		if (c == l->quote && l->escapes == 2)
			l->danger |= SQL_DANGER_AMBIGUOUS;
		SQL_LEXER_ON_BYTE(l, c);
		sql_add(l, c);
		l->state = SQL_QUOTE;
		return 0;
	case SQL_QUOTE_END:
		if (c == l->quote) {
			SQL_LEXER_ON_BYTE(l, c);
			sql_add(l, c);
			l->state = SQL_QUOTE;
			return 0;
		}
		if (l->quote == '"' && l->dialect == SQL_MYSQL && !(l->session & SQL_SESSION_QUOTES_KNOWN))
			l->danger |= SQL_DANGER_AMBIGUOUS;
		token = sql_quote_is_literal(l) ? SQL_TOKEN_LITERAL : SQL_TOKEN_QUOTED;
		break;
	case SQL_MINUS:
		if (c == '-') {
			l->mark = SQL_COMMENT_DASHES;
			l->state = l->dialect == SQL_MYSQL ? SQL_DASHES : SQL_LINE;
			return 0;
		}
		token = SQL_TOKEN_PUNCTUATION;
		break;
	case SQL_DASHES:
		if (class == SQL_C_SPACE || class == SQL_C_STRANGE) {
			l->state = SQL_LINE;
			if (c == '\n')
				goto comment;
			return 0;
		}
		/* Two minus signs; the second one may yet begin a comment. */
		l->mark = '-';
		l->state = SQL_MINUS;
		sql_token(l, SQL_TOKEN_PUNCTUATION);
		if (c == '-') {
			l->mark = SQL_COMMENT_DASHES;
			l->state = SQL_DASHES;
			return 0;
		}
		token = SQL_TOKEN_PUNCTUATION;
		break;
	case SQL_LINE:
		/* MariaDB's comment ends at a zero byte; what follows is code to it, and a syntax error so far. */
		if (!c)
			l->danger |= SQL_DANGER_AMBIGUOUS;
		if (c != '\n' && !(c == '\r' && l->dialect == SQL_POSTGRESQL))
			return 0;
	comment:
		token = SQL_TOKEN_COMMENT;
		break;
	case SQL_SLASH:
		if (c == '*') {
			sql_begin(l, SQL_BLOCK_OPEN);
			l->mark = SQL_COMMENT_BLOCK;
			l->nesting = 1;
			return 0;
		}
		token = SQL_TOKEN_PUNCTUATION;
		break;
	case SQL_BLOCK_OPEN:
	case SQL_BLOCK_M:
		if (l->dialect == SQL_MYSQL && c == 'M' && l->state == SQL_BLOCK_OPEN) {
			l->state = SQL_BLOCK_M;
			return 0;
		}
		if (l->dialect == SQL_MYSQL && c == '!') {
			/* Code or comment: the server's version decides. */
			l->mark = SQL_COMMENT_VERSION;
			l->danger |= SQL_DANGER_AMBIGUOUS;
		} else if (c == '+' && l->state == SQL_BLOCK_OPEN) {
			l->mark = SQL_COMMENT_HINT;
		}
		/* fall through */
	case SQL_BLOCK:
	block:
		if (c == '*')
			l->state = SQL_BLOCK_STAR;
		else if (c == '/' && l->dialect == SQL_POSTGRESQL)
			l->state = SQL_BLOCK_SLASH;
		else
			l->state = SQL_BLOCK;
		return 0;
	case SQL_BLOCK_STAR:
		if (c == '/') {
			l->nesting--;
			l->state = l->nesting ? SQL_BLOCK : SQL_BLOCK_END;
			return 0;
		}
		goto block;
	case SQL_BLOCK_SLASH:
		if (c == '*') {
			if (l->nesting == 0xffff)
				l->danger |= SQL_DANGER_AMBIGUOUS;
			else
				l->nesting++;
			l->state = SQL_BLOCK;
			return 0;
		}
		goto block;
	case SQL_BLOCK_END:
		token = SQL_TOKEN_COMMENT;
		break;
	case SQL_PUNCTUATION:
		token = SQL_TOKEN_PUNCTUATION;
		break;
	case SQL_DOLLAR:
		if (class == SQL_C_DIGIT) {
			l->state = SQL_DOLLAR_DIGITS;
			return 0;
		}
		if (c == '$' || class == SQL_C_LETTER) {
			/* What stands in dollar quotes is code more often than not. */
			l->danger |= SQL_DANGER_CODE;
			sql_begin(l, c == '$' ? SQL_BODY : SQL_TAG);
			if (c != '$')
				sql_add(l, c);
			l->tag = sql_value(l);
			return 0;
		}
		token = SQL_TOKEN_PUNCTUATION;
		break;
	case SQL_DOLLAR_DIGITS:
		if (class == SQL_C_DIGIT)
			return 0;
		if (class == SQL_C_LETTER || class == SQL_C_DOLLAR)
			l->danger |= SQL_DANGER_MALFORMED_NUMBER;
		token = SQL_TOKEN_PLACEHOLDER;
		break;
	case SQL_TAG:
		if (c == '$') {
			l->tag = sql_value(l);
			l->state = SQL_BODY;
			return 0;
		}
		if (class == SQL_C_LETTER || class == SQL_C_DIGIT) {
			sql_add(l, c);
			return 0;
		}
		token = SQL_TOKEN_WORD;
		break;
	case SQL_BODY:
		if (c == '$')
			sql_begin(l, SQL_BODY_TAG);
		return 0;
	case SQL_BODY_TAG:
		if (c == '$' && sql_value(l) == l->tag) {
			l->state = SQL_BODY_END;
			return 0;
		}
		if (c == '$') {
			sql_begin(l, SQL_BODY_TAG);
			return 0;
		}
		if (class == SQL_C_LETTER || class == SQL_C_DIGIT)
			sql_add(l, c);
		else
			l->state = SQL_BODY;
		return 0;
	case SQL_BODY_END:
		token = SQL_TOKEN_LITERAL;
		break;
	case SQL_QUESTION:
		token = SQL_TOKEN_PLACEHOLDER;
		break;
	default:
		break;
	}
	goto give;
malformed:
	l->danger |= SQL_DANGER_MALFORMED_NUMBER;
	token = SQL_TOKEN_LITERAL;
give:
	if (token == SQL_TOKEN_COMMENT && l->state == SQL_LINE) {
		sql_token(l, token);
		l->state = SQL_START;
		return 0;
	}
	if (token)
		sql_token(l, token);

	/* The byte begins a token of its own. */
	SQL_LEXER_ON_BEGIN(l);
	switch (class) {
	case SQL_C_SPACE:
		l->state = SQL_START;
		return 0;
	case SQL_C_LETTER:
	letter:
		if (c - 'A' < 26u)
			c |= 32;
		sql_begin(l, SQL_WORD);
		sql_add_name(l, c);
		return 0;
	case SQL_C_DIGIT:
		sql_begin(l, c == '0' ? SQL_ZERO : SQL_NUMBER);
		sql_add(l, c);
		return 0;
	case SQL_C_QUOTE:
		if (c == '`' && l->dialect == SQL_POSTGRESQL)
			break;
		sql_begin_quote(l, c);
		return 0;
	case SQL_C_HASH:
		if (l->dialect == SQL_MYSQL) {
			l->mark = SQL_COMMENT_HASH;
			l->state = SQL_LINE;
			return 0;
		}
		break;
	case SQL_C_DOLLAR:
		if (l->dialect == SQL_MYSQL)
			goto letter;
		l->mark = c;
		l->state = SQL_DOLLAR;
		return 0;
	case SQL_C_DOT:
		/* After a name it is a separator, whatever follows. */
		sql_begin(l, SQL_DOT);
		l->mark = c;
		l->quote = token == SQL_TOKEN_WORD || token == SQL_TOKEN_QUOTED;
		return 0;
	case SQL_C_MINUS:
		l->mark = c;
		l->state = SQL_MINUS;
		return 0;
	case SQL_C_SLASH:
		l->mark = c;
		l->state = SQL_SLASH;
		return 0;
	case SQL_C_QUESTION:
		l->state = SQL_QUESTION;
		return 0;
	case SQL_C_STRANGE:
		l->danger |= SQL_DANGER_AMBIGUOUS;
		break;
	default:
		break;
	}
	l->mark = c;
	l->state = SQL_PUNCTUATION;
	return 0;
}

/* How many bytes stand before the first that has its high bit set. */
SQL_INLINE __u32 sql_bytes_before(__u64 high)
{
	return high ? ((high & -high) >> 7) * 0x0001020304050607ull >> 56 : 8;
}

/* A mark that is one token wherever a token may begin, and means nothing but itself whatever stands before it. */
SQL_INLINE __u32 sql_is_plain_mark(__u32 class, __u32 c)
{
	return class == SQL_C_OPERATOR || class == SQL_C_QUESTION || (class == SQL_C_OTHER && c != ';' && c != '\\');
}

/* sql_token where no list folds, no semicolon was seen and the word has no meaning: a mark, a literal, a word. */
SQL_INLINE void sql_plain_mark(struct sql_lexer *l, __u32 class, __u32 c)
{
	__u32 placeholder = class == SQL_C_QUESTION;

	l->compare = class == SQL_C_OPERATOR && l->compare ? 2 : 0;
	sql_emit(l, placeholder ? SQL_TOKEN_PLACEHOLDER : SQL_TOKEN_PUNCTUATION, placeholder ? 0 : c);
}

SQL_INLINE void sql_plain_literal(struct sql_lexer *l)
{
	l->literal = sql_value(l);
	l->compare = 1;
	sql_emit(l, SQL_TOKEN_LITERAL, SQL_COMPARED_NOT);
}

SQL_INLINE void sql_plain_word(struct sql_lexer *l)
{
	l->compare = 0;
	sql_emit(l, SQL_TOKEN_WORD, sql_value(l));
}

/*
 * Reads some of the next eight bytes, the first in the lowest place, and says how many: a word, a number or a part
 * of a literal, and what stands between it and the next one. What is not plain it leaves to sql_lexer_turn. The
 * fingerprint is the same, read so or a byte at a time. It is one function without a call on its way, since a
 * return may cost the kernel as much as everything else that a token does.
 */
SQL_INLINE __u32 sql_lexer_stride(struct sql_lexer *l, __u64 w)
{
	__u64 ascii = w & ~SQL_HIGH, letters = 0, digits, other, text = w;
	__u32 state = l->state, c = w & 255, class, n = 0;

	if (state == SQL_START) {
		class = sql_classes[c];
		if (class == SQL_C_LETTER && c < 128) {
			state = SQL_WORD;
			sql_begin(l, state);
		} else if (class == SQL_C_DIGIT) {
			state = SQL_NUMBER;
			sql_begin(l, state);
		} else if (class == SQL_C_SPACE) {
			goto begun;
		} else if (c == '\'') {
			sql_begin_quote(l, c);
			l->previous = c;
			return 1;
		} else if (sql_is_plain_mark(class, c) && !(l->fold | l->ended)) {
			goto mark;
		} else {
			goto turn;
		}
	}
	if (state == SQL_QUOTE) {
		if (l->quote != '\'')
			goto turn;
		other = sql_bytes_zero(w ^ SQL_BYTES('\'' + 0ull)) | sql_bytes_zero(w ^ SQL_BYTES('\\' + 0ull));
	} else {
		digits = sql_bytes_between(ascii, '0', '9');
		if (state == SQL_WORD) {
			letters = sql_bytes_between(ascii | SQL_BYTES(0x20ull), 'a', 'z') & ~w & SQL_HIGH;
			text |= letters >> 2;
			/* _ is where nothing is carried; the digits of a generated name fold */
			other = ~(letters | (l->name == 1 ? 0 : digits)) & ((ascii ^ SQL_BYTES('_' + 0ull)) + ~SQL_HIGH);
		} else if (state == SQL_NUMBER || state == SQL_FRACTION) {
			other = ~digits;
		} else {
			goto turn;
		}
		other = (other | w) & SQL_HIGH;
	}
	n = sql_bytes_before(other);
	if (n) {
		sql_add_bytes(l, text, n);
		l->previous = w >> (8 * n - 8);
		if (n == 8)
			return 8;
		c = w >> 8 * n & 255;
	}
	class = sql_classes[c];
	if (l->fold | l->ended)
		goto turn;
	__u32 next = n == 7 ? 0 : w >> (8 * n + 8) & 255;

	if (state == SQL_QUOTE) {
		/* At the end of what is in hand nothing says whether the quote is doubled. */
		if (c != '\'' || next == '\'' || n == 7 || l->compare == 2)
			goto turn;
		sql_plain_literal(l);
	} else if (class != SQL_C_SPACE && !sql_is_plain_mark(class, c) &&
		   (class != SQL_C_DOT || state != SQL_WORD || (next | 32) - 'a' >= 26u)) {
		goto turn;
	} else if (state == SQL_WORD) {
		if (sql_word_of(l->tail, l->bytes))
			goto turn;
		sql_plain_word(l);
	} else {
		if (l->compare == 2)
			goto turn;
		sql_plain_literal(l);
	}
	if (state == SQL_QUOTE || class == SQL_C_SPACE)
		goto ended;
mark:
	sql_plain_mark(l, class, c);
ended:
	l->first = 0;
	l->name = 0;
begun:
	l->state = SQL_START;
	if (n < 7 && (w >> (8 * n + 8) & 255) == ' ') {
		n++;
		c = ' ';
	}
	l->previous = c;
	return n + 1;
turn:
	/* A zero may yet begin something else than a number. */
	if (state == SQL_NUMBER && l->bytes == 1 && (l->tail & 255) == '0')
		l->state = SQL_ZERO;
	sql_lexer_turn(l, c);
	return n + 1;
}

/* One byte. */
SQL_INLINE void sql_lexer_step(struct sql_lexer *l, __u32 c)
{
	__u32 letter = (c | 32) - 'a' < 26u;

	if (letter && (l->state == SQL_WORD || l->state == SQL_START)) {
		c |= 32;
		if (l->state == SQL_START) {
			SQL_LEXER_ON_BEGIN(l);
			sql_begin(l, SQL_WORD); /* nothing is held back after white space */
		}
		SQL_LEXER_ON_BYTE(l, c);
		sql_add(l, c);
		l->previous = c;
		return;
	}
	if (l->state == SQL_QUOTE && c != l->quote && c != '\\' && l->quote == '\'') {
		sql_add(l, c);
		l->previous = c;
		return;
	}
	sql_lexer_turn(l, c);
}

#ifndef __bpf__
/* Any number of bytes, in user space; the kernel's loop is lexing.h. */
SQL_INLINE void sql_lexer_read(struct sql_lexer *l, const __u8 *sql, __u64 bytes)
{
	__u64 read = 0, w;

	while (bytes - read >= sizeof(w)) {
		__builtin_memcpy(&w, sql + read, sizeof(w));
		read += sql_lexer_stride(l, w);
	}
	while (read < bytes)
		sql_lexer_step(l, sql[read++]);
}
#endif

SQL_INLINE void sql_lexer_start(struct sql_lexer *l, __u32 dialect, __u32 session, __u64 key, __u64 start)
{
	__builtin_memset(l, 0, sizeof(*l));
	l->key = key;
	l->hash = start ^ dialect;
	l->dialect = dialect;
	l->session = SQL_SESSION_SAID(session);
	l->first = 1;
}

/* The statement has ended. The fingerprint; 0 means never known. */
SQL_INLINE __u64 sql_lexer_finish(struct sql_lexer *l)
{
	__u32 s = l->state;

	if (s == SQL_QUOTE || s == SQL_QUOTE_BACKSLASH || (s >= SQL_BLOCK_OPEN && s < SQL_BLOCK_END) ||
	    (s >= SQL_TAG && s < SQL_BODY_END))
		l->danger |= SQL_DANGER_UNTERMINATED;
	sql_lexer_step(l, '\n');
	if (l->fold == SQL_FOLD_IN_COMMA || l->fold >= SQL_FOLD_ROWS_COMMA || l->sign)
		sql_emit(l, SQL_TOKEN_HELD, l->fold | (__u32)l->items << 8 | (__u32)l->sign << 16);
	__u64 h = l->hash ^ l->hash >> 32;

	h *= 0xd6e8feb86659fd93ull;
	h ^= h >> 32;
	if (l->danger & SQL_NEVER_KNOWN)
		return 0;
	return h ? h : 1;
}

#endif
