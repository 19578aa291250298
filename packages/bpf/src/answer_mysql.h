/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The server's side of the MySQL protocol, as far as the end of an answer and its
 * status go (MySQL internals manual, "Generic Response Packets", "Initial
 * Handshake"; MariaDB knowledge base, "OK_Packet", "EOF_Packet").
 */
#ifndef PICKET_ANSWER_MYSQL_H
#define PICKET_ANSWER_MYSQL_H

#include "maps.h"
#include "mysql_commands.h"

#define MYSQL_STATUS_MORE_RESULTS 0x0008
#define MYSQL_STATUS_NO_BACKSLASH 0x0200
#define MYSQL_STATUS_ANSI_QUOTES 0x8000 /* MariaDB only */

/* What ended an answer. */
enum mysql_end {
	MYSQL_GOES_ON = 0,
	MYSQL_DONE, /* without a status */
	MYSQL_STATUS,
	MYSQL_ERROR,
};

#define GREETING_BYTES 40

/*
 * The version in the server's greeting, "5.5.5-10.11.6-MariaDB" or "11.4.2-MariaDB".
 * Only a MariaDB of 10.3 or newer is taken for one: what an older one's status
 * leaves out would read as "no ANSI_QUOTES".
 */
static __always_inline void mysql_greeting(struct watch *w, const struct heard *h)
{
	__u8 text[GREETING_BYTES];
	bool maria = false;

	if (h->seq != w->ended || h->bytes < 5 + GREETING_BYTES || !load(h, 4, text, sizeof(text)) || text[0] != 10)
		return;
	__u8 *version = text + 1;

	w->server = SERVER_MYSQL;
	if (version[0] == '5' && version[1] == '.' && version[2] == '5' && version[3] == '.' && version[4] == '5' &&
	    version[5] == '-')
		version += 6;
	for (int i = 4; i < GREETING_BYTES - 7; i++) {
		if (!text[i])
			break;
		if (text[i] == 'M' && text[i + 1] == 'a' && text[i + 2] == 'r' && text[i + 3] == 'i' &&
		    text[i + 4] == 'a' && text[i + 5] == 'D' && text[i + 6] == 'B')
			maria = true;
	}
	if (!maria || version[0] != '1' || version[2] != '.')
		return;
	if (version[1] == '0' && version[4] == '.' && version[3] < '3')
		return;
	if (version[1] >= '0' && version[1] <= '9')
		w->server = SERVER_MARIADB;
}

static __always_inline __u32 mysql_two_bytes(const __u8 *p)
{
	return (__u32)p[1] << 8 | p[0];
}

struct mysql_walk {
	struct heard h;
	__u32 at;
	__u32 first;   /* of the packet last met: its first byte */
	__u32 bytes;   /* its payload */
	__u32 packet;  /* where its payload begins */
	__u32 fresh;   /* it begins a result */
	__u32 status;
	__u32 end;     /* enum mysql_end, of that packet */
	__u8 login;
	__u8 prepare;
	__u8 lost;
};

/* Bytes of a length-encoded number; its value does not matter here. */
static __always_inline __u32 mysql_number_bytes(__u8 first)
{
	return first < 0xfb ? 1 : first == 0xfc ? 3 : first == 0xfd ? 4 : first == 0xfe ? 9 : 0;
}

/* The status in an OK packet: after its first byte and two length-encoded numbers. */
static __always_inline bool mysql_ok_status(struct mysql_walk *w, __u32 payload, __u32 bytes, __u32 *status)
{
	__u8 first, word[2];
	__u32 at = 1, n;

	if (at >= bytes || !load(&w->h, payload + at, &first, 1))
		return false;
	n = mysql_number_bytes(first);
	at += n;
	if (!n || at >= bytes || !load(&w->h, payload + at, &first, 1))
		return false;
	n = mysql_number_bytes(first);
	at += n;
	if (!n || at + 4 > bytes || !load(&w->h, payload + at, word, 2))
		return false;
	*status = mysql_two_bytes(word);
	return true;
}

#define MYSQL_WALK_MAX 64

/* One packet of an answer that begins in this segment. Only what begins a result is told by its first byte. */
static long mysql_walk(__u32 i, struct mysql_walk *w)
{
	__u8 head[5];
	__u32 at = w->at, bytes, status = 0;

	w->end = MYSQL_GOES_ON;
	if (at + 5 > w->h.bytes || !load(&w->h, at, head, sizeof(head))) {
		w->lost = 1;
		return 1;
	}
	bytes = (__u32)head[2] << 16 | (__u32)head[1] << 8 | head[0];
	if (!bytes || at + 4 + bytes > w->h.bytes) {
		w->lost = 1;
		return 1;
	}
	__u8 first = head[4];

	if (first == 0xff && (w->fresh || bytes > 9)) {
		__u8 code[2] = { 0xff, 0xff };

		/* MariaDB's progress reports are errors with this number. */
		if (bytes >= 3 && load(&w->h, at + 5, code, 2) && mysql_two_bytes(code) != 0xffff)
			w->end = MYSQL_ERROR;
	} else if (w->login) {
		/* 0xfe and 0x01 ask for more. */
		if (!first && mysql_ok_status(w, at + 4, bytes, &status))
			w->end = MYSQL_STATUS;
	} else if (w->prepare) {
		w->end = MYSQL_DONE;
	} else if (w->fresh && !first && mysql_ok_status(w, at + 4, bytes, &status)) {
		w->end = MYSQL_STATUS;
	} else if (first == 0xfe && bytes >= 5 && bytes < 0xffffff) {
		/* EOF has warnings and then the status; an OK in its place has two numbers before. */
		__u8 word[2];

		if (bytes == 5 ? load(&w->h, at + 7, word, 2) : mysql_ok_status(w, at + 4, bytes, &status)) {
			if (bytes == 5)
				status = mysql_two_bytes(word);
			w->end = MYSQL_STATUS;
		}
	} else if (w->fresh && first == 0xfb) {
		w->fresh = 0; /* LOAD DATA LOCAL: the file is due */
	}
	w->status = status;
	if (w->end == MYSQL_STATUS && status & MYSQL_STATUS_MORE_RESULTS) {
		w->end = MYSQL_GOES_ON;
		w->fresh = 1;
	} else if (!w->prepare) {
		w->fresh = 0;
	}
	w->at = at + 4 + bytes;
	return w->at == w->h.bytes;
}

#define MYSQL_TAIL 11

/* Whether this segment ends an answer, from its last bytes; most answers end in one of these two ways. */
static __always_inline __u32 mysql_tail(const struct heard *h, __u32 *status)
{
	__u8 t[MYSQL_TAIL];

	if (h->bytes < MYSQL_TAIL || !load(h, h->bytes - MYSQL_TAIL, t, sizeof(t)))
		return MYSQL_GOES_ON;
	/* EOF: 5 bytes. */
	if (t[2] == 5 && !t[3] && !t[4] && t[6] == 0xfe)
		*status = mysql_two_bytes(t + 9);
	/* OK: 7 bytes, where both numbers are small. 0x00 begins rows, too: only where it is all there is. */
	else if (t[0] == 7 && !t[1] && !t[2] && (t[4] == 0xfe || (!t[4] && h->bytes == MYSQL_TAIL)) && t[5] < 0xfb &&
		 t[6] < 0xfb)
		*status = mysql_two_bytes(t + 7);
	else
		return MYSQL_GOES_ON;
	return *status & MYSQL_STATUS_MORE_RESULTS ? MYSQL_GOES_ON : MYSQL_STATUS;
}

/* An answer that does not end in a common way. */
__noinline __u32 mysql_odd_end(struct __sk_buff *skb, struct connection *c, __u32 at, __u32 bytes)
{
	if (!c)
		return MYSQL_GOES_ON;
	__u8 command = c->frame.command;
	struct mysql_walk w = {
		.h = { skb, at, bytes, 0 },
		.fresh = 1,
		.login = command == MYSQL_LOGIN || command == MYSQL_COM_CHANGE_USER,
		.prepare = command == MYSQL_COM_STMT_PREPARE,
	};

	bpf_loop(MYSQL_WALK_MAX, mysql_walk, &w, 0);
	if (w.lost || w.at != bytes)
		return MYSQL_GOES_ON;
	if (w.end == MYSQL_GOES_ON && command == MYSQL_COM_STATISTICS)
		return MYSQL_DONE;
	return w.end | (w.end == MYSQL_STATUS ? w.status << 8 : 0);
}

/* What a status says, as enum sql_session bits. */
static __always_inline __u8 mysql_mode(const struct watch *w, __u32 status)
{
	__u8 mode = SQL_SESSION_ESCAPES_KNOWN;

	if (status & MYSQL_STATUS_NO_BACKSLASH)
		mode |= SQL_SESSION_NO_BACKSLASH;
	if (w->server == SERVER_MARIADB)
		mode |= SQL_SESSION_QUOTES_KNOWN | (status & MYSQL_STATUS_ANSI_QUOTES ? SQL_SESSION_ANSI_QUOTES : 0);
	return mode;
}

#define MYSQL_CHARSET (SQL_SESSION_CHARSET_KNOWN | SQL_SESSION_CHARSET_UNSAFE)

/*
 * The answer to the only command under way has ended: what the session is now.
 * The status is what the last SET sql_mode made of it, also one within a stored
 * routine, at whose end the server restores sql_mode and not the status. So it is
 * believed where sql_mode was set in so many words; where it differs otherwise,
 * nobody knows.
 */
static __always_inline void mysql_settle(struct watch *w, __u32 end, __u32 status)
{
	__u32 changing = w->changing, says = SQL_SET_KEEPS, set = 0;
	__u8 charset = w->session & MYSQL_CHARSET, told = mysql_mode(w, status);

	if (w->settled != changing) {
		says = w->claim & SQL_SET_SAYS;
		set = w->claim & SQL_SET_MODE;
	}
	/* What is understood and fails has done nothing; of anything else a part may have been done. */
	bool done = end == MYSQL_STATUS, nothing = end == MYSQL_ERROR && says < SQL_SET_UNCLEAR;

	if (says >= SQL_SET_UNCLEAR || (says != SQL_SET_KEEPS && !done && !nothing))
		charset = 0;
	else if (says != SQL_SET_KEEPS && done)
		charset = says == SQL_SET_SAFE ? SQL_SESSION_CHARSET_KNOWN : says == SQL_SET_UNSAFE ? MYSQL_CHARSET : 0;
	if (done && set)
		w->mode = told;
	else if ((done && told != w->mode) || says == SQL_SET_FORGET)
		w->mode = 0;
	w->session = charset | (done || nothing || says == SQL_SET_KEEPS ? w->mode : 0);
	w->settled = changing;
}

static __always_inline void mysql_hear(struct connection *c, const struct heard *h)
{
	struct watch *w = &c->watch;
	__u32 asked = w->asked, status = 0;

	if (asked == w->answered) {
		w->muddled = 1; /* nothing was asked */
		return;
	}
	__u8 command = c->frame.command;
	bool login = command == MYSQL_LOGIN || command == MYSQL_COM_CHANGE_USER;
	__u32 end = login ? MYSQL_GOES_ON : mysql_tail(h, &status);

	if (end == MYSQL_GOES_ON && (h->seq == w->ended || login)) {
		end = mysql_odd_end(h->skb, c, h->at, h->bytes);
		status = end >> 8;
		end &= 0xff;
	}
	if (end == MYSQL_GOES_ON)
		return;
	if (asked - w->answered != 1)
		w->muddled = 1;
	w->answered = asked;
	note_end(w, h);
	if (command == MYSQL_COM_QUERY || command == MYSQL_COM_STMT_EXECUTE || command == MYSQL_COM_STMT_PREPARE)
		count_answers(c, asked, 1, end == MYSQL_ERROR);
	if (!w->muddled)
		mysql_settle(w, end, status);
}

#endif
