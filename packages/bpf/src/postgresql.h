/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The client's side of the PostgreSQL protocol, version 3 (PostgreSQL manual,
 * "Frontend/Backend Protocol"). The opening message is a length and a code; every
 * later one is a type, a length that counts itself, and a body.
 */
#ifndef PICKET_POSTGRESQL_H
#define PICKET_POSTGRESQL_H

#include "mysql.h"

#define POSTGRESQL_HEADER 5
#define POSTGRESQL_OPENING 8
#define POSTGRESQL_OPENING_MAX 10000 /* MAX_STARTUP_PACKET_LENGTH */

#define POSTGRESQL_VERSION_MAJOR 3
#define POSTGRESQL_CANCEL 80877102
#define POSTGRESQL_SSL 80877103
#define POSTGRESQL_GSSENC 80877104

static __always_inline enum opening postgresql_opening(const struct frame *f)
{
	const __u8 *h = f->header;
	__u32 n = f->header_bytes;

	/* TLS without a request before it (sslnegotiation=direct), or after one that was granted. */
	if (n >= 2 && h[0] == 0x16 && h[1] == 0x03)
		return OPENING_ENCRYPTED;
	if (n >= 1 && h[0] == 0x16)
		return n >= 2 ? OPENING_NO : OPENING_UNDECIDED;
	if (n >= 4 && (big_endian(h) < POSTGRESQL_OPENING || big_endian(h) > POSTGRESQL_OPENING_MAX))
		return OPENING_NO;
	if (n < POSTGRESQL_OPENING)
		return OPENING_UNDECIDED;
	__u32 code = big_endian(h + 4);

	if (code >> 16 == POSTGRESQL_VERSION_MAJOR)
		return OPENING_YES;
	if ((code == POSTGRESQL_SSL || code == POSTGRESQL_GSSENC) && big_endian(h) == POSTGRESQL_OPENING)
		return OPENING_AGAIN;
	return code == POSTGRESQL_CANCEL ? OPENING_CANCEL : OPENING_NO;
}

/* Types of messages that hold no SQL, as bits from '@' on and from '`' on. */
#define POSTGRESQL_TYPE(t) (1u << ((t) & 31))
#define POSTGRESQL_PASSING_UPPER                                                                             \
	(POSTGRESQL_TYPE('B') | POSTGRESQL_TYPE('C') | POSTGRESQL_TYPE('D') | POSTGRESQL_TYPE('E') |         \
	 POSTGRESQL_TYPE('H') | POSTGRESQL_TYPE('S') | POSTGRESQL_TYPE('X'))
#define POSTGRESQL_PASSING_LOWER                                                                             \
	(POSTGRESQL_TYPE('c') | POSTGRESQL_TYPE('d') | POSTGRESQL_TYPE('f') | POSTGRESQL_TYPE('p'))

static __always_inline bool postgresql_passing(__u8 type)
{
	if (type >> 5 == 2)
		return POSTGRESQL_PASSING_UPPER >> (type & 31) & 1;
	return type >> 5 == 3 && POSTGRESQL_PASSING_LOWER >> (type & 31) & 1;
}

/* With the header gathered: what follows it, as a phase; PHASE_START means that it is no message. */
static __always_inline enum phase postgresql_begin(struct frame *f)
{
	__u32 length = big_endian(f->header + 1);

	f->message = 0;
	if (length < 4 || length > MESSAGE_MAX)
		return PHASE_START;
	f->remaining = length - 4;
	switch (f->header[0]) {
	case 'Q':
		f->message = MESSAGE_QUERY;
		return f->remaining ? PHASE_TEXT : PHASE_START;
	case 'P':
		f->message = MESSAGE_PREPARE;
		return PHASE_PRELUDE;
	case 'F':
		f->message = MESSAGE_FUNCTION_CALL;
		return PHASE_TEXT;
	default:
		return postgresql_passing(f->header[0]) ? PHASE_SKIP : PHASE_START;
	}
}

#define POSTGRESQL_NAME_MAX 256

/*
 * Bytes of the statement name at `at`, closing zero byte included; 0 where it is
 * not closed within what is in hand.
 */
__noinline __u32 postgresql_name(struct sk_msg_md *msg, __u32 at)
{
	if (at > FIRST_BYTES_MAX)
		return 0;
	for (__u32 i = 0; i < POSTGRESQL_NAME_MAX; i++) {
		__u8 *p = first_byte(msg) + at + i;

		settle(p);
		if ((void *)(p + 1) > bytes_end(msg))
			return 0;
		if (!*p)
			return i + 1;
	}
	return 0;
}

struct postgresql_walk {
	__u8 *data;
	void *end;
	__u32 at;
	__u32 until;  /* messages must end here at the latest */
	__u32 passing; /* stop at one that holds SQL */
	struct watch *watch; /* counts them; none where it is not known that they are messages */
	__u8 type;     /* of the last one */
	__u8 sql;      /* one that holds SQL was met */
	__u8 lost;
};

static long postgresql_walk(__u32 i, struct postgresql_walk *w)
{
	__u32 at = w->at;

	if (at > 0xfff0)
		return 1;
	__u8 *p = w->data + at;

	settle(p);
	if ((void *)(p + POSTGRESQL_HEADER) > w->end)
		return 1;
	__u8 type = *p;
	bool sql = type == 'Q' || type == 'P' || type == 'F';
	__u32 length = big_endian(p + 1);

	if (length < 4 || length > w->until || at + 1 + length > w->until || (!sql && !postgresql_passing(type))) {
		w->lost = 1;
		return 1;
	}
	if (sql && w->passing)
		return 1;
	if (w->watch)
		postgresql_ask(w->watch, type);
	w->sql |= sql;
	w->type = type;
	w->at = at + 1 + length;
	return w->at == w->until;
}

#define POSTGRESQL_WALK_MAX 64

/* From `at`, past the messages that hold no SQL and are whole within [0, until). */
__noinline __u32 postgresql_pass_by(struct sk_msg_md *msg, struct connection *c, __u32 at, __u32 until)
{
	if (!c)
		return at;
	struct postgresql_walk w = {
		.data = first_byte(msg),
		.end = bytes_end(msg),
		.at = at,
		.until = until,
		.passing = 1,
		.watch = &c->watch,
	};

	bpf_loop(POSTGRESQL_WALK_MAX, postgresql_walk, &w, 0);
	return w.at;
}

/*
 * Bytes went by unseen, and these may begin a message: believed only where all
 * that was sent is whole messages, with SQL among them, up to one that ends a turn.
 */
__noinline __u32 postgresql_stands_here(struct sk_msg_md *msg)
{
	struct postgresql_walk w = { .data = first_byte(msg), .end = bytes_end(msg), .until = msg->size };

	bpf_loop(POSTGRESQL_WALK_MAX, postgresql_walk, &w, 0);
	return !w.lost && w.at == w.until && w.sql && (w.type == 'Q' || w.type == 'S' || w.type == 'H');
}

struct postgresql_parameters {
	__u8 *data;
	void *end;
	__u32 replication;
	__u32 user; /* where its value begins; 0: not given */
	__u32 database;
};

/* Names of parameters as the numbers that their bytes make, the closing zero byte of what is before included. */
#define POSTGRESQL_REPLICA bpf_cpu_to_be64(0x007265706c696361ull) /* "\0replica" */
#define POSTGRESQL_USER bpf_cpu_to_be64(0x0075736572000000ull)     /* "\0user\0" and two more */
#define POSTGRESQL_USER_MASK bpf_cpu_to_be64(0xffffffffffff0000ull)
#define POSTGRESQL_DATABASE bpf_cpu_to_be64(0x0064617461626173ull) /* "\0databas" */

static long postgresql_parameter(__u32 i, struct postgresql_parameters *s)
{
	if (i > POSTGRESQL_OPENING_MAX)
		return 1;
	__u8 *p = s->data + i;

	settle(p);
	if ((void *)(p + 8) > s->end)
		return 1;
	__u64 name = *(__u64 *)p;

	if (name == POSTGRESQL_REPLICA)
		s->replication = 1;
	/* The value of one may read like the name of the other. */
	if ((name & POSTGRESQL_USER_MASK) == POSTGRESQL_USER && !s->user && i + 1 != s->database)
		s->user = i + 6;
	if (name == POSTGRESQL_DATABASE && !s->database && i + 1 != s->user && (void *)(p + 10) <= s->end &&
	    p[8] == 'e' && !p[9])
		s->database = i + 10;
	return 0;
}

/* Whether a StartupMessage in hand asks to be a walsender, whose stream is no SQL. Tells who asks. */
__noinline __u32 postgresql_replication(struct sk_msg_md *msg, struct connection *c, __u32 bytes)
{
	struct postgresql_parameters s = { .data = first_byte(msg), .end = bytes_end(msg) };

	struct login_names names = {};

	if (!c)
		return 0;
	bpf_loop(bytes < LOGIN_REACH ? bytes : LOGIN_REACH, postgresql_parameter, &s, 0);
	if (!s.replication) {
		take_name(msg, s.user, &names.user);
		take_name(msg, s.database, &names.database);
		tell_login(c, &names);
	}
	return s.replication;
}

#endif
