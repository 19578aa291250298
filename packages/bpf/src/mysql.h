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

#define MYSQL_HEADER 4
#define MYSQL_PAYLOAD_MAX 0xffffff
#define MYSQL_SSL_REQUEST 32 /* payload of the handshake that only asks for TLS */

#define MYSQL_COMPRESS (1u << 5)
#define MYSQL_PROTOCOL_41 (1u << 9)
#define MYSQL_SSL (1u << 11)
#define MYSQL_MULTI_STATEMENTS (1u << 16)
#define MYSQL_ZSTD (1u << 26)
#define MYSQL_QUERY_ATTRIBUTES (1u << 27)

#define MYSQL_COM_QUERY 0x03
#define MYSQL_COM_CHANGE_USER 0x11
#define MYSQL_COM_STMT_PREPARE 0x16
#define MYSQL_COM_SET_OPTION 0x1b
#define MYSQL_COM_RESET_CONNECTION 0x1f
#define MYSQL_LOGIN 0xff /* not a command: until the first one, packets belong to the login */

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

static __always_inline void mysql_login(struct frame *f)
{
	f->capabilities = little_endian(f->header + 4);
	f->command = MYSQL_LOGIN;
	f->session = 0;
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
static __always_inline enum phase mysql_begin(struct frame *f)
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
	switch (f->command) {
	case MYSQL_COM_QUERY:
		f->message = MESSAGE_QUERY;
		return f->capabilities & MYSQL_QUERY_ATTRIBUTES ? PHASE_PRELUDE : PHASE_TEXT;
	case MYSQL_COM_STMT_PREPARE:
		f->message = MESSAGE_PREPARE;
		return PHASE_TEXT;
	case MYSQL_COM_CHANGE_USER:
	case MYSQL_COM_RESET_CONNECTION:
	case MYSQL_COM_SET_OPTION:
		f->session = 0;
		return PHASE_SKIP;
	default:
		return PHASE_SKIP;
	}
}

#endif
