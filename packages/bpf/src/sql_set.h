/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a MySQL SET statement makes of the character set in which the server reads
 * statements, from the statement's bytes, and whether it sets sql_mode. It holds
 * once the server has answered OK; a SET that fails does nothing. Anything that is
 * not read to its end is unclear: an expression that calls what is not known here,
 * a comment, a second statement, a byte that is not ASCII.
 *
 * MySQL manual, "SET Syntax for Variable Assignment", "SET NAMES", "SET CHARACTER SET".
 */
#ifndef SQL_SET_H
#define SQL_SET_H

#define SQL_SET_BYTES_MAX 512 /* longer ones are not read */

enum sql_set_says {
	SQL_SET_KEEPS = 1, /* it leaves the character set as it is */
	SQL_SET_SAFE,
	SQL_SET_UNSAFE, /* a trail byte may be 0x5c or 0x60 */
	SQL_SET_OTHER,  /* one that is not known here */
	SQL_SET_UNCLEAR,
	SQL_SET_FORGET, /* bytes went by unread: nothing that was known holds */
	SQL_SET_SAYS = 7,
	SQL_SET_MODE = 8, /* sql_mode is set, besides */
};

enum sql_set_state {
	SQL_SET_FIRST,     /* the word SET is due */
	SQL_SET_NAME,      /* what is set, or SESSION, NAMES, CHARACTER */
	SQL_SET_CHARACTER, /* the word SET of CHARACTER SET is due */
	SQL_SET_EQUALS,
	SQL_SET_CHARSET, /* a character set is due */
	SQL_SET_COLLATE, /* nothing, or COLLATE */
	SQL_SET_COLLATION,
	SQL_SET_VALUE,
	SQL_SET_REST, /* of SET TRANSACTION: harmless words */
	SQL_SET_ENDED,
};

struct sql_set {
	__u64 word; /* last eight bytes of the word under way, folded */
	__u8 bytes; /* of it */
	__u8 quote; /* within a quoted value */
	__u8 state; /* enum sql_set_state */
	__u8 says;  /* enum sql_set_says */
	__u8 charset; /* the assignment under way is one of a character set */
	__u8 depth; /* of parentheses */
	__u8 previous;
	__u8 mode;     /* sql_mode is set */
	__u8 callable; /* a function that is known to be harmless, and no parenthesis yet */
};

/* Up to eight letters as sql_set.word holds them. */
#define SQL_SET_LETTER(s, i)                                                                                 \
	((i) < sizeof(s) - 1 ? (__u64)(s "\0\0\0\0\0\0\0")[i] << ((i) < sizeof(s) - 1 ? 8 * (sizeof(s) - 2 - (i)) : 0) : 0)
#define SQL_SET_WORD(s)                                                                                      \
	(SQL_SET_LETTER(s, 0) | SQL_SET_LETTER(s, 1) | SQL_SET_LETTER(s, 2) | SQL_SET_LETTER(s, 3) |         \
	 SQL_SET_LETTER(s, 4) | SQL_SET_LETTER(s, 5) | SQL_SET_LETTER(s, 6) | SQL_SET_LETTER(s, 7))
/* The word under way is s (at most eight letters). */
#define SQL_SET_IS(p, s) ((p)->bytes == sizeof(s) - 1 && (p)->word == SQL_SET_WORD(s))
/* The word under way has n letters, and s are the last eight of them. */
#define SQL_SET_ENDS(p, s, n) ((p)->bytes == (n) && (p)->word == SQL_SET_WORD(s))

SQL_INLINE __u32 sql_set_charset(const struct sql_set *p)
{
	if (SQL_SET_IS(p, "utf8mb4") || SQL_SET_IS(p, "utf8") || SQL_SET_IS(p, "utf8mb3") ||
	    SQL_SET_IS(p, "latin1") || SQL_SET_IS(p, "binary") || SQL_SET_IS(p, "ascii") ||
	    SQL_SET_IS(p, "latin2") || SQL_SET_IS(p, "latin5") || SQL_SET_IS(p, "latin7") ||
	    SQL_SET_IS(p, "cp1250") || SQL_SET_IS(p, "cp1251") || SQL_SET_IS(p, "cp1256") ||
	    SQL_SET_IS(p, "cp1257") || SQL_SET_IS(p, "koi8r") || SQL_SET_IS(p, "koi8u") ||
	    SQL_SET_IS(p, "ujis") || SQL_SET_IS(p, "eucjpms") || SQL_SET_IS(p, "euckr") ||
	    SQL_SET_IS(p, "gb2312") || SQL_SET_IS(p, "greek") || SQL_SET_IS(p, "hebrew"))
		return SQL_SET_SAFE;
	if (SQL_SET_IS(p, "gbk") || SQL_SET_IS(p, "gb18030") || SQL_SET_IS(p, "big5") || SQL_SET_IS(p, "sjis") ||
	    SQL_SET_IS(p, "cp932"))
		return SQL_SET_UNSAFE;
	return SQL_SET_OTHER;
}

/* character_set_client, with @@, @@session. or @@local. before it or without. */
SQL_INLINE __u32 sql_set_is_client(const struct sql_set *p)
{
	return p->word == SQL_SET_WORD("t_client");
}

/* Functions that cannot change the session; drivers build sql_mode with them. */
SQL_INLINE __u32 sql_set_is_harmless(const struct sql_set *p)
{
	return SQL_SET_IS(p, "concat") || SQL_SET_IS(p, "replace") || SQL_SET_IS(p, "ifnull") ||
	       SQL_SET_IS(p, "coalesce") || SQL_SET_IS(p, "version");
}

/* A word or a quoted value has ended. A function of its own, as the next one, which the verifier walks once. */
SQL_APART int sql_set_word(struct sql_set *p, __u32 quoted)
{
	if (!p || (!p->bytes && !quoted))
		return 0;
	__u32 plain = !quoted;

	p->callable = 0;
	switch (p->state) {
	case SQL_SET_FIRST:
		p->state = plain && SQL_SET_IS(p, "set") ? SQL_SET_NAME : SQL_SET_ENDED;
		if (p->state == SQL_SET_ENDED)
			p->says = SQL_SET_UNCLEAR;
		break;
	case SQL_SET_NAME:
		p->charset = 0;
		if (quoted || SQL_SET_ENDS(p, "tatement", 9) || SQL_SET_IS(p, "password") || SQL_SET_IS(p, "role") ||
		    SQL_SET_IS(p, "default") || SQL_SET_IS(p, "resource")) {
			p->says = SQL_SET_UNCLEAR;
		} else if (SQL_SET_IS(p, "names") || SQL_SET_IS(p, "charset")) {
			p->state = SQL_SET_CHARSET;
		} else if (SQL_SET_ENDS(p, "haracter", 9)) {
			p->state = SQL_SET_CHARACTER;
		} else if (SQL_SET_ENDS(p, "nsaction", 11)) {
			p->state = SQL_SET_REST;
		} else if (!SQL_SET_IS(p, "session") && !SQL_SET_IS(p, "local")) {
			if (sql_set_is_client(p)) {
				p->charset = 1;
				if (p->bytes != 20 && p->bytes != 22 && p->bytes != 28 && p->bytes != 30)
					p->says = SQL_SET_UNCLEAR;
			}
			/* @@sql_mode and @@session.sql_mode end like this; @@global.sql_mode does, too, and is met as unclear. */
			p->mode |= p->word == SQL_SET_WORD("sql_mode");
			if (p->word == SQL_SET_WORD("sql_mode") && p->bytes != 8 && p->bytes != 10 && p->bytes != 18 &&
			    p->bytes != 16)
				p->says = SQL_SET_UNCLEAR;
			/* Of the server, not of this session: not told apart from what follows a GLOBAL. */
			if (SQL_SET_IS(p, "global") || SQL_SET_IS(p, "persist"))
				p->says = SQL_SET_UNCLEAR;
			p->state = SQL_SET_EQUALS;
		}
		break;
	case SQL_SET_CHARACTER:
		if (plain && SQL_SET_IS(p, "set"))
			p->state = SQL_SET_CHARSET;
		else
			p->says = SQL_SET_UNCLEAR;
		break;
	case SQL_SET_CHARSET: {
		__u32 is = sql_set_charset(p);

		if (p->says != SQL_SET_UNCLEAR)
			p->says = is; /* the last one of several wins, as in the server */
		p->state = SQL_SET_COLLATE;
		break;
	}
	case SQL_SET_COLLATE:
		if (plain && SQL_SET_IS(p, "collate") && !p->charset)
			p->state = SQL_SET_COLLATION;
		else
			p->says = SQL_SET_UNCLEAR;
		break;
	case SQL_SET_COLLATION:
		p->state = SQL_SET_COLLATE;
		p->charset = 1; /* no second COLLATE */
		break;
	case SQL_SET_VALUE:
		p->callable = plain && sql_set_is_harmless(p);
		break;
	case SQL_SET_EQUALS:
	case SQL_SET_ENDED:
		p->says = SQL_SET_UNCLEAR;
		break;
	}
	p->bytes = 0;
	p->word = 0;
	return 0;
}

/* One byte; once says is SQL_SET_UNCLEAR the rest need not be read. */
SQL_APART int sql_set_step(struct sql_set *p, __u32 c)
{
	__u32 before;

	if (!p)
		return 0;
	before = p->previous;
	p->previous = c;
	if (c >= 128 || c == '\\' || !c)
		goto unclear;
	if (p->quote) {
		if (c == p->quote) {
			p->quote = 0;
			sql_set_word(p, 1);
			return 0;
		}
		goto letter;
	}
	if ((c | 32) - 'a' < 26u || c - '0' < 10u || c == '_' || c == '@' || c == '.' || c == '$')
		goto letter;
	sql_set_word(p, 0);
	if (c == ' ' || (c >= '\t' && c <= '\r'))
		return 0;
	switch (c) {
	case '\'':
	case '"':
		p->quote = c;
		p->bytes = 0;
		p->word = 0;
		return 0;
	case ':':
		if (p->state == SQL_SET_EQUALS || p->state == SQL_SET_VALUE)
			return 0;
		goto unclear;
	case '=':
		if (p->state == SQL_SET_EQUALS)
			p->state = p->charset ? SQL_SET_CHARSET : SQL_SET_VALUE;
		else if (p->state != SQL_SET_VALUE)
			goto unclear;
		return 0;
	case ',':
		if (p->depth || p->state == SQL_SET_REST)
			return 0;
		if (p->state != SQL_SET_VALUE && p->state != SQL_SET_COLLATE)
			goto unclear;
		p->state = SQL_SET_NAME;
		return 0;
	case ';':
		if (p->depth || (p->state != SQL_SET_VALUE && p->state != SQL_SET_COLLATE && p->state != SQL_SET_REST))
			goto unclear;
		p->state = SQL_SET_ENDED;
		return 0;
	case '(':
		if (p->state != SQL_SET_VALUE || !p->callable || p->depth == 255)
			goto unclear;
		p->callable = 0;
		p->depth++;
		return 0;
	case ')':
		if (!p->depth)
			goto unclear;
		p->depth--;
		return 0;
	case '-':
		/* Two of them may begin a comment. */
		if (p->state == SQL_SET_VALUE && before != '-')
			return 0;
		goto unclear;
	case '+':
	case '|':
	case '&':
	case '~':
		if (p->state == SQL_SET_VALUE)
			return 0;
		goto unclear;
	}
unclear:
	p->says = SQL_SET_UNCLEAR;
	return 0;
letter:
	if (c - 'A' < 26u)
		c |= 32;
	p->word = p->word << 8 | c;
	if (p->bytes != 255)
		p->bytes++;
	return 0;
}

/* What the whole statement says: enum sql_set_says. */
SQL_INLINE __u32 sql_set_finish(struct sql_set *p)
{
	if (p->quote)
		return SQL_SET_UNCLEAR;
	sql_set_word(p, 0);
	if (p->depth || (p->state != SQL_SET_VALUE && p->state != SQL_SET_COLLATE && p->state != SQL_SET_REST &&
			 p->state != SQL_SET_ENDED))
		return SQL_SET_UNCLEAR;
	if (p->says == SQL_SET_UNCLEAR)
		return SQL_SET_UNCLEAR;
	return (p->says ? p->says : SQL_SET_KEEPS) | (p->mode ? SQL_SET_MODE : 0);
}

#endif
