/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Denying a statement: its frame is rewritten, in the message that has not left
 * yet, to one that makes the server itself answer with an error. The driver reads
 * an ordinary SQL error, order and transaction state stay true, and the
 * connection lives. The texts differ by message, because a text that prepares
 * successfully would fail later and oddly (the server must refuse it at Parse).
 */
#ifndef PICKET_REPLACE_H
#define PICKET_REPLACE_H

#include "frame.h"

#define TEXT_BYTES 128   /* every replacement is padded with spaces to this */
#define RULE_BYTES_MAX 31 /* a mask, too */
#define INCIDENT_DIGITS 12
#define SQL_AT_MAX 1024  /* longest header, statement name and attributes that are kept */
#define TAIL_BYTES 3     /* PostgreSQL Parse: closing zero byte, no parameter types */

#define BLOCKED "Picket blocked: "

/* What stands before the rule's name and after the incident. The prepare text is an identifier: 64 characters. */
#define MYSQL_QUERY_HEAD "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO=1644, MESSAGE_TEXT='" BLOCKED
#define MYSQL_QUERY_FOOT "'"
#define MYSQL_PREPARE_HEAD "SELECT `" BLOCKED
#define MYSQL_PREPARE_FOOT "`"
#define POSTGRESQL_QUERY_HEAD "DO $$BEGIN RAISE EXCEPTION '" BLOCKED
#define POSTGRESQL_QUERY_FOOT "' USING ERRCODE='42501'; END$$"
#define POSTGRESQL_PREPARE_HEAD "SELECT '" BLOCKED
#define POSTGRESQL_PREPARE_FOOT "'::int"

_Static_assert(sizeof(BLOCKED) - 1 + RULE_BYTES_MAX + 1 + INCIDENT_DIGITS <= 64, "MySQL identifiers");
_Static_assert(sizeof(MYSQL_QUERY_HEAD) - 1 + RULE_BYTES_MAX + 1 + INCIDENT_DIGITS + 1 <= TEXT_BYTES, "text");
_Static_assert(sizeof(POSTGRESQL_QUERY_HEAD) - 1 + RULE_BYTES_MAX + 1 + INCIDENT_DIGITS +
			       sizeof(POSTGRESQL_QUERY_FOOT) - 1 <= TEXT_BYTES, "text");

struct replacement {
	__u8 text[TEXT_BYTES];
	__u8 spill[64]; /* what is written at a variable place never reaches past this */
};

/* Only what can stand between any kind of quotes. */
static __always_inline __u8 harmless(__u8 c)
{
	bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
		     c == '_' || c == ':' || c == '-';

	return plain ? c : '-';
}

#define COMPOSE(head, foot)                                                                                  \
	do {                                                                                                 \
		__builtin_memcpy(out->text, head, sizeof(head) - 1);                                         \
		place = sizeof(head) - 1;                                                                    \
		_Pragma("unroll") for (__u32 i = 0; i < RULE_BYTES_MAX; i++)                                   \
			out->text[place + i] = i < bytes ? harmless(rule->text[i]) : ' ';                    \
		place += bytes;                                                                              \
		out->text[place++] = ' ';                                                                    \
		_Pragma("unroll") for (int i = 0; i < INCIDENT_DIGITS; i++)                                  \
		{                                                                                            \
			__u8 digit = incident >> (4 * (INCIDENT_DIGITS - 1 - i)) & 15;                       \
			out->text[place + i] = digit < 10 ? '0' + digit : 'a' + digit - 10;                  \
		}                                                                                            \
		place += INCIDENT_DIGITS;                                                                    \
		__builtin_memcpy(out->text + place, foot, sizeof(foot) - 1);                                 \
	} while (0)

static __always_inline void compose(struct replacement *out, const struct frame *f,
				    const struct picket_rule_text *rule, __u64 incident)
{
	__u32 place;
	__u32 bytes = rule->bytes <= RULE_BYTES_MAX ? rule->bytes : RULE_BYTES_MAX;

	settle(bytes);
	bytes &= RULE_BYTES_MAX; /* the bound once more, on the copy that 6.1's verifier looks at */
	__builtin_memset(out, ' ', sizeof(*out));
	if (f->protocol == PROTOCOL_MYSQL && f->message == MESSAGE_QUERY)
		COMPOSE(MYSQL_QUERY_HEAD, MYSQL_QUERY_FOOT);
	else if (f->protocol == PROTOCOL_MYSQL)
		COMPOSE(MYSQL_PREPARE_HEAD, MYSQL_PREPARE_FOOT);
	else if (f->message == MESSAGE_QUERY)
		COMPOSE(POSTGRESQL_QUERY_HEAD, POSTGRESQL_QUERY_FOOT);
	else
		COMPOSE(POSTGRESQL_PREPARE_HEAD, POSTGRESQL_PREPARE_FOOT);
}

struct denial {
	__u64 incident;
	__u32 frame_bytes; /* in: the frame's length; out: the length of what replaced it */
	__u32 sql_at;
};

/*
 * Replaces the frame [0, frame_bytes) of the message, whose SQL begins at sql_at;
 * what stands before it (statement name, query attributes) is kept. Returns 0,
 * or an error where the frame may be half changed: the caller kills the connection.
 */
static __always_inline int replace(struct sk_msg_md *msg, struct connection *c, struct denial *d,
		       const struct picket_rule_text *rule)
{
	__u32 frame_bytes = d->frame_bytes, sql_at = d->sql_at;

	if (sql_at > SQL_AT_MAX || frame_bytes > IN_HAND_MAX || sql_at > frame_bytes)
		return -1;
	struct frame *f = &c->frame;
	struct replacement with;
	__u32 tail = f->protocol == PROTOCOL_MYSQL ? 0 : f->message == MESSAGE_QUERY ? 1 : TAIL_BYTES;
	__u32 bytes = sql_at + TEXT_BYTES + tail;
	long error = 0;

	if (frame_bytes < bytes)
		error = bpf_msg_push_data(msg, frame_bytes, bytes - frame_bytes, 0);
	else if (frame_bytes > bytes)
		error = bpf_msg_pop_data(msg, bytes, frame_bytes - bytes, 0);
	if (error || bpf_msg_pull_data(msg, 0, bytes, 0))
		return -1;
	d->frame_bytes = bytes;
	compose(&with, f, rule, d->incident);

	__u8 *frame = first_byte(msg), *sql = frame + sql_at;

	if ((void *)(sql + TEXT_BYTES) > bytes_end(msg))
		return -1;
	__builtin_memcpy(sql, with.text, TEXT_BYTES);
	for (__u32 i = 0; i < TAIL_BYTES; i++) {
		if (i >= tail)
			break;
		if ((void *)(sql + TEXT_BYTES + i + 1) > bytes_end(msg))
			return -1;
		sql[TEXT_BYTES + i] = 0;
	}
	if ((void *)(frame + 5) > bytes_end(msg))
		return -1;
	if (f->protocol == PROTOCOL_MYSQL) {
		__u32 length = bytes - 4;

		frame[0] = length;
		frame[1] = length >> 8;
		frame[2] = length >> 16;
		return 0;
	}
	__u32 length = bytes - 1;

	frame[1] = length >> 24;
	frame[2] = length >> 16;
	frame[3] = length >> 8;
	frame[4] = length;
	return 0;
}

#endif
