/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The client's side of the MySQL protocol (MySQL internals manual, "Client/Server
 * Protocol"; MariaDB knowledge base, "0 - Packet"). A packet is a length of three
 * bytes, a sequence number and a payload; a payload of 0xffffff bytes goes on in
 * the next packet. A command has sequence number 0, and its first byte says which.
 */
#ifndef PICKET_MYSQL_H
#define PICKET_MYSQL_H

#include "frame.h"
#include "login.h"
#include "mysql_commands.h"
#include "watch.h"

#define MYSQL_HEADER 4
#define MYSQL_PAYLOAD_MAX 0xffffff
#define MYSQL_SSL_REQUEST 32 /* payload of the handshake that only asks for TLS */

#define MYSQL_COMPRESS (1u << 5)
#define MYSQL_CONNECT_WITH_DB (1u << 3)
#define MYSQL_PROTOCOL_41 (1u << 9)
#define MYSQL_SSL (1u << 11)
#define MYSQL_SECURE_CONNECTION (1u << 15)
#define MYSQL_MULTI_STATEMENTS (1u << 16)
#define MYSQL_AUTH_LENENC (1u << 21)
#define MYSQL_ZSTD (1u << 26)
#define MYSQL_QUERY_ATTRIBUTES (1u << 27)

enum opening {
	OPENING_UNDECIDED,
	OPENING_NO,
	OPENING_YES,
	OPENING_ENCRYPTED,
	OPENING_COMPRESSED,
	OPENING_AGAIN, /* PostgreSQL: a request was sent, the real opening may follow */
	OPENING_CANCEL,
};

static __always_inline __u32 mysql_length(const __u8 *header)
{
	return (__u32)header[2] << 16 | (__u32)header[1] << 8 | header[0];
}

/*
 * HandshakeResponse41: the client speaks second, so its sequence number is 1.
 * After the capabilities, packet size and character set come 23 bytes of filler;
 * MariaDB uses the last four for capabilities of its own.
 */
static __always_inline enum opening mysql_opening(const struct frame *f)
{
	const __u8 *h = f->header;
	__u32 n = f->header_bytes;

	if (n >= MYSQL_HEADER && (h[3] != 1 || mysql_length(h) < MYSQL_SSL_REQUEST))
		return OPENING_NO;
	if (n < FIRST_BYTES_MAX)
		return OPENING_UNDECIDED;
	__u32 capabilities = little_endian(h + 4);

	for (int i = 13; i < 32; i++)
		if (h[i])
			return OPENING_NO;
	if (!(capabilities & MYSQL_PROTOCOL_41))
		return OPENING_NO;
	if (capabilities & MYSQL_SSL)
		return mysql_length(h) == MYSQL_SSL_REQUEST ? OPENING_ENCRYPTED : OPENING_NO;
	if (capabilities & (MYSQL_COMPRESS | MYSQL_ZSTD))
		return OPENING_COMPRESSED;
	return OPENING_YES;
}

/*
 * Character sets, by collation number, in which the second byte of a character may
 * be a backslash or a backquote (SHOW COLLATION: big5, sjis, gbk, cp932, gb18030).
 */
static __always_inline bool mysql_charset_unsafe(__u8 collation)
{
	switch (collation) {
	case 1:
	case 84:
	case 13:
	case 88:
	case 28:
	case 87:
	case 95:
	case 96:
	case 248:
	case 249:
	case 250:
		return true;
	default:
		return false;
	}
}

/* The character set is as asked for; whether a backslash escapes only the server tells. */
static __always_inline void mysql_login(struct frame *f, struct watch *w)
{
	f->capabilities = little_endian(f->header + 4);
	f->command = MYSQL_LOGIN;
	w->session = SQL_SESSION_CHARSET_KNOWN;
	if (mysql_charset_unsafe(f->header[12]))
		w->session |= SQL_SESSION_CHARSET_UNSAFE;
}

/* HandshakeResponse41: 36 bytes of header and settings, user name, counted password, database. */
__noinline int mysql_names(struct sk_msg_md *msg, struct connection *c)
{
	struct login_names names = {};

	if (!c)
		return 0;
	__u32 at = MYSQL_HEADER + MYSQL_SSL_REQUEST, capabilities = c->frame.capabilities;

	at += take_name(msg, at, &names.user);
	if (capabilities & MYSQL_CONNECT_WITH_DB && capabilities & (MYSQL_SECURE_CONNECTION | MYSQL_AUTH_LENENC)) {
		settle(at);
		__u8 *counted = first_byte(msg) + (at & (LOGIN_REACH - 1));

		settle(counted);
		/* A password of 251 bytes and more is counted in more than one byte: such a login keeps its database. */
		if ((void *)(counted + 1) <= bytes_end(msg) && *counted < 251)
			take_name(msg, at + 1 + *counted, &names.database);
	}
	tell_login(c, &names);
	return 0;
}

#define MYSQL_ATTRIBUTES_MAX 16
#define MYSQL_ATTRIBUTES_BYTES_MAX 2048

/* The parameters between COM_QUERY and its SQL, walked where they lie. */
struct mysql_attributes {
	__u8 *data;
	void *end;
	__u32 at; /* past MYSQL_ATTRIBUTES_BYTES_MAX: malformed, or longer than what is in hand */
	__u32 count;
	__u32 nulls;
	/* A stack slot of its own: after a write at a variable place 6.1 cannot read what shares the slot. */
	__u8 types[MYSQL_ATTRIBUTES_MAX] __attribute__((aligned(8)));
};

#define MYSQL_MALFORMED (MYSQL_ATTRIBUTES_BYTES_MAX + 1)

/* Bytes of a length-encoded integer and what it counts, below 64 KB: nothing longer would be in hand. */
static __always_inline __u32 mysql_counted(__u32 word)
{
	__u32 first = word & 0xff;

	if (first < 0xfb)
		return 1 + first;
	return first == 0xfc ? 3 + (word >> 8 & 0xffff) : MYSQL_MALFORMED;
}

/* The four bytes at `at` + skip; some SQL follows, so they are there even at the last parameter. */
static __always_inline bool mysql_word(const struct mysql_attributes *a, __u32 skip, __u32 *word)
{
	__u32 at = a->at;

	if (at > MYSQL_ATTRIBUTES_BYTES_MAX)
		return false;
	__u8 *p = a->data + at;

	settle(p);
	if ((void *)(p + 6) > a->end)
		return false;
	*word = little_endian(p + skip);
	return true;
}

static long mysql_attribute_type(__u32 i, struct mysql_attributes *a)
{
	__u32 word, type;

	if (i >= a->count || i >= MYSQL_ATTRIBUTES_MAX)
		return 1;
	if (!mysql_word(a, 0, &type) || !mysql_word(a, 2, &word)) {
		a->at = MYSQL_MALFORMED;
		return 1;
	}
	a->types[i] = type; /* and a byte of flags, then the name */
	a->at += 2 + mysql_counted(word);
	return 0;
}

/* Binary protocol values (MySQL internals manual, "Binary Protocol Value"). */
static long mysql_attribute_value(__u32 i, struct mysql_attributes *a)
{
	__u32 word, bytes;

	if (i >= a->count || i >= MYSQL_ATTRIBUTES_MAX)
		return 1;
	if (a->nulls >> i & 1)
		return 0;
	if (!mysql_word(a, 0, &word)) {
		a->at = MYSQL_MALFORMED;
		return 1;
	}
	switch (a->types[i]) {
	case 6: /* NULL */
		bytes = 0;
		break;
	case 1: /* TINY */
		bytes = 1;
		break;
	case 2: /* SHORT */
	case 13: /* YEAR */
		bytes = 2;
		break;
	case 3: /* LONG */
	case 4: /* FLOAT */
	case 9: /* INT24 */
		bytes = 4;
		break;
	case 5: /* DOUBLE */
	case 8: /* LONGLONG */
		bytes = 8;
		break;
	default: /* strings, and times, which count their bytes too */
		bytes = mysql_counted(word);
	}
	a->at += bytes;
	return 0;
}

/*
 * A driver may offer query attributes to a server that does not take them (mysql2
 * to MariaDB): then the SQL begins at once. Where they were agreed, the second
 * byte is the number of sets, which is always 1.
 */
static __always_inline bool mysql_begins_with_sql(struct sk_msg_md *msg, __u32 at)
{
	if (at > FIRST_BYTES_MAX)
		return false;
	__u8 *data = first_byte(msg) + at;

	settle(data);
	return (void *)(data + 2) <= bytes_end(msg) && data[1] != 1;
}

/* Bytes of the query attributes at `at`, or 0 where they are not whole in hand or make no sense. */
__noinline __u32 mysql_attributes(struct sk_msg_md *msg, __u32 at)
{
	if (at > FIRST_BYTES_MAX)
		return 0;
	struct mysql_attributes a = { .data = first_byte(msg) + at, .end = bytes_end(msg) };

	if ((void *)(a.data + 2) > a.end || a.data[1] != 1)
		return 0; /* one set of parameters is all that is defined */
	a.count = a.data[0];
	a.at = 2;
	if (!a.count)
		return 2;
	__u32 bitmap = (a.count + 7) / 8;
	__u32 word;

	if (a.count > MYSQL_ATTRIBUTES_MAX || !mysql_word(&a, 0, &word))
		return 0;
	a.nulls = bitmap == 1 ? word & 0xff : word & 0xffff;
	if ((bitmap == 1 ? word >> 8 & 0xff : word >> 16 & 0xff) != 1)
		return 0; /* types are always bound anew */
	a.at += bitmap + 1;
	bpf_loop(MYSQL_ATTRIBUTES_MAX, mysql_attribute_type, &a, 0);
	bpf_loop(MYSQL_ATTRIBUTES_MAX, mysql_attribute_value, &a, 0);
	return a.at > MYSQL_ATTRIBUTES_BYTES_MAX ? 0 : a.at;
}

/*
 * Bytes went by unseen, and these may begin a command: believed only where the
 * message is exactly one packet of sequence 0 that holds a statement.
 */
static __always_inline bool mysql_stands_here(struct sk_msg_md *msg, struct frame *f)
{
	__u8 *data = first_byte(msg);

	if ((void *)(data + 7) > bytes_end(msg) || data[3] || mysql_length(data) + MYSQL_HEADER != msg->size)
		return false;
	if (data[4] != MYSQL_COM_QUERY && data[4] != MYSQL_COM_STMT_PREPARE)
		return false;
	if (data[4] == MYSQL_COM_QUERY && !data[5]) {
		/* No SQL begins with a zero byte: query attributes were agreed. */
		f->capabilities |= MYSQL_QUERY_ATTRIBUTES;
		return data[6] == 1;
	}
	return (data[5] >= ' ' && data[5] < 0x7f) || data[5] == '\t' || data[5] == '\n' || data[5] == '\r';
}

/*
 * Header bytes that the next packet needs before it can be told apart: the
 * command byte is wanted only where a command is due.
 */
static __always_inline __u32 mysql_header_want(const struct frame *f)
{
	const __u8 *h = f->header;

	if (f->header_bytes < MYSQL_HEADER || f->continued || h[3] || !mysql_length(h))
		return MYSQL_HEADER;
	/* LOAD DATA LOCAL content numbers its packets on; one in 256 has number 0 too. */
	if (f->infile && (__u8)(f->sequence + 1) == 0)
		return MYSQL_HEADER;
	return MYSQL_HEADER + 1;
}

/* With the header gathered: what follows it, as a phase. Sets remaining and message. */
static __always_inline enum phase mysql_begin(struct frame *f, struct watch *w)
{
	const __u8 *h = f->header;
	__u32 length = mysql_length(h);
	__u8 before = f->sequence;

	f->sequence = h[3];
	f->remaining = length;
	if (f->continued) {
		f->continued = length == MYSQL_PAYLOAD_MAX;
		return f->message ? PHASE_TEXT : PHASE_SKIP;
	}
	f->message = 0;
	if (h[3] || !length || (f->infile && (__u8)(before + 1) == 0)) {
		/* A reply within a login, or the content of a file until its empty packet. */
		if (f->command != MYSQL_LOGIN && f->command != MYSQL_COM_CHANGE_USER)
			f->infile = length != 0;
		return PHASE_SKIP;
	}
	f->infile = 0;
	f->continued = length == MYSQL_PAYLOAD_MAX;
	f->remaining = length - 1;
	f->command = h[4];
	mysql_ask(w, f->command);
	switch (f->command) {
	case MYSQL_COM_QUERY:
		f->message = MESSAGE_QUERY;
		return f->capabilities & MYSQL_QUERY_ATTRIBUTES ? PHASE_PRELUDE : PHASE_TEXT;
	case MYSQL_COM_STMT_PREPARE:
		f->message = MESSAGE_PREPARE;
		return PHASE_TEXT;
	default:
		return PHASE_SKIP;
	}
}

#endif
