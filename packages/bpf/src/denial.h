/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The texts of a denial, one for each message in which SQL can come, because a
 * text that prepares successfully would fail later and oddly (the server must
 * refuse it at Parse). Compiled into the slot and into the keeper.
 */
#ifndef PICKET_DENIAL_H
#define PICKET_DENIAL_H

#include "event.h"

#ifndef settle
#define settle(value) ((void)0) /* frame.h: for the verifier */
#endif
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define TEXT_BYTES 128   /* every replacement is padded with spaces to this */
#define RULE_BYTES_MAX 31 /* a mask, too */
#define INCIDENT_DIGITS 12
#define TAIL_BYTES 3     /* PostgreSQL Parse: closing zero byte, no parameter types */

#define UNJUDGED "picket:unjudged" /* in place of a rule's name where on_failure denies */

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
	int plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
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

/* Writes the text that stands in for the SQL of such a message: TEXT_BYTES of it. */
static __always_inline void compose(struct replacement *out, __u8 protocol, __u8 message,
				    const struct picket_rule_text *rule, __u64 incident)
{
	__u32 place;
	__u32 bytes = rule->bytes <= RULE_BYTES_MAX ? rule->bytes : RULE_BYTES_MAX;

	settle(bytes);
	bytes &= RULE_BYTES_MAX; /* the bound once more, on the copy that 6.1's verifier looks at */
	__builtin_memset(out, ' ', sizeof(*out));
	if (protocol == PROTOCOL_MYSQL && message == MESSAGE_QUERY)
		COMPOSE(MYSQL_QUERY_HEAD, MYSQL_QUERY_FOOT);
	else if (protocol == PROTOCOL_MYSQL)
		COMPOSE(MYSQL_PREPARE_HEAD, MYSQL_PREPARE_FOOT);
	else if (message == MESSAGE_QUERY)
		COMPOSE(POSTGRESQL_QUERY_HEAD, POSTGRESQL_QUERY_FOOT);
	else
		COMPOSE(POSTGRESQL_PREPARE_HEAD, POSTGRESQL_PREPARE_FOOT);
}

/* What stands behind the text in its message: PostgreSQL's closing zero byte; at Parse also "no parameter types". */
static __always_inline __u32 denial_tail(__u8 protocol, __u8 message)
{
	return protocol == PROTOCOL_MYSQL ? 0 : message == MESSAGE_QUERY ? 1 : TAIL_BYTES;
}

#endif
