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
	case 'B':
	case 'C':
	case 'D':
	case 'E':
	case 'H':
	case 'S':
	case 'X':
	case 'c':
	case 'd':
	case 'f':
	case 'p':
		return PHASE_SKIP;
	default:
		return PHASE_START;
	}
}

#endif
