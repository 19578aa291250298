/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The server's side of the PostgreSQL protocol, as far as ReadyForQuery and
 * ParameterStatus go (PostgreSQL manual, "Message Formats", "Asynchronous
 * Operations").
 */
#ifndef PICKET_ANSWER_POSTGRESQL_H
#define PICKET_ANSWER_POSTGRESQL_H

#include "maps.h"

#define POSTGRESQL_TYPE_AND_LENGTH 5
#define POSTGRESQL_READY_BYTES 6
#define POSTGRESQL_WALKED_MAX 256 /* messages of one segment; more: not read */
#define POSTGRESQL_SHORT 512 /* bytes of an answer that is walked unless it ends as most do */
#define POSTGRESQL_PARAMETER_MAX 48

/* PostgreSQL reads "..." as a name, always. */
#define POSTGRESQL_QUOTES (SQL_SESSION_QUOTES_KNOWN | SQL_SESSION_ANSI_QUOTES)

struct postgresql_answer {
	struct heard h;
	__u32 at;
	__u32 answers; /* ReadyForQuery messages that were met */
	__u32 idle;    /* the last one's session is in no transaction */
	__u32 session;
	__u32 other;   /* a message that the server sends only when asked */
	__u32 error;
	__u32 lost;
};

static __always_inline bool postgresql_same(const __u8 *p, const char *s, __u32 bytes)
{
	__u8 different = 0;

#pragma unroll
	for (__u32 i = 0; i < bytes; i++)
		different |= p[i] ^ (__u8)s[i];
	return !different;
}

/* Whether the bytes at p are s, closing zero byte included; whether they begin with s. */
#define POSTGRESQL_IS(p, s) postgresql_same(p, s, sizeof(s))
#define POSTGRESQL_BEGINS(p, s) postgresql_same(p, s, sizeof(s) - 1)

/* A character set by its canonical name (PostgreSQL manual, "Character Set Support"). */
static __always_inline __u32 postgresql_charset(const __u8 *v)
{
	if (POSTGRESQL_IS(v, "GBK") || POSTGRESQL_IS(v, "BIG5") || POSTGRESQL_IS(v, "SJIS") || POSTGRESQL_IS(v, "UHC") ||
	    POSTGRESQL_IS(v, "GB18030") || POSTGRESQL_IS(v, "JOHAB") || POSTGRESQL_IS(v, "SHIFT_JIS_2004"))
		return SQL_SESSION_CHARSET_KNOWN | SQL_SESSION_CHARSET_UNSAFE;
	if (POSTGRESQL_IS(v, "UTF8") || POSTGRESQL_IS(v, "SQL_ASCII") || POSTGRESQL_BEGINS(v, "LATIN") ||
	    POSTGRESQL_BEGINS(v, "WIN1") || POSTGRESQL_BEGINS(v, "WIN8") || POSTGRESQL_BEGINS(v, "ISO_8859_") ||
	    POSTGRESQL_BEGINS(v, "KOI8") || POSTGRESQL_BEGINS(v, "EUC_"))
		return SQL_SESSION_CHARSET_KNOWN;
	return 0;
}

#define CONFORMING "standard_conforming_strings"
#define ENCODING "client_encoding"

/* ParameterStatus: name and value, each closed by a zero byte. */
static __always_inline void postgresql_parameter_status(struct postgresql_answer *a, __u32 at, __u32 bytes)
{
	__u8 text[POSTGRESQL_PARAMETER_MAX] = {};

	if (bytes < 6)
		return; /* shorter than either name */
	if (bytes > sizeof(text))
		bytes = sizeof(text); /* neither of the two is that long */
	asm volatile("" : "+r"(bytes));
	bytes = ((bytes - 1) & 63) + 1;
	if (bytes > sizeof(text) || !load(&a->h, at, text, bytes)) {
		a->lost = 1;
		return;
	}
	if (POSTGRESQL_IS(text, CONFORMING)) {
		const __u8 *value = text + sizeof(CONFORMING);

		a->session &= ~(SQL_SESSION_ESCAPES_KNOWN | SQL_SESSION_NO_BACKSLASH);
		if (POSTGRESQL_IS(value, "on"))
			a->session |= SQL_SESSION_ESCAPES_KNOWN | SQL_SESSION_NO_BACKSLASH;
		else if (POSTGRESQL_IS(value, "off"))
			a->session |= SQL_SESSION_ESCAPES_KNOWN;
	} else if (POSTGRESQL_IS(text, ENCODING)) {
		a->session &= ~(SQL_SESSION_CHARSET_KNOWN | SQL_SESSION_CHARSET_UNSAFE);
		a->session |= postgresql_charset(text + sizeof(ENCODING));
	}
}

static long postgresql_message(__u32 i, struct postgresql_answer *a)
{
	__u8 head[POSTGRESQL_TYPE_AND_LENGTH], status;
	__u32 at = a->at;

	if (at >= a->h.bytes)
		return 1;
	if (at + sizeof(head) > a->h.bytes || !load(&a->h, at, head, sizeof(head)))
		goto lost;
	__u32 length = (__u32)head[1] << 24 | (__u32)head[2] << 16 | (__u32)head[3] << 8 | head[4];

	if (length < 4 || length > 1u << 30)
		goto lost;
	switch (head[0]) {
	case 'S':
		if (at + 1 + length > a->h.bytes)
			goto lost;
		postgresql_parameter_status(a, at + sizeof(head), length - 4);
		break;
	case 'Z':
		if (length != 5 || at + POSTGRESQL_READY_BYTES > a->h.bytes || !load(&a->h, at + 5, &status, 1))
			goto lost;
		a->idle = status == 'I';
		a->answers++;
		break;
	case 'A': /* NotificationResponse */
	case 'N': /* NoticeResponse */
		break;
	case 'E':
		a->error = 1;
		/* fall through */
	default:
		a->other = 1;
	}
	a->at = at + 1 + length;
	return a->lost ? 1 : 0;
lost:
	a->lost = 1;
	return 1;
}

/* Walks this segment, message by message, from where the last one ended. */
__noinline int postgresql_walk_answer(struct __sk_buff *skb, struct connection *c, __u32 at, __u32 bytes, __u32 seq)
{
	if (!c)
		return 0;
	struct watch *w = &c->watch;
	__u32 asked = w->asked, changing = w->changing;
	struct postgresql_answer a = {
		.h = { skb, at, bytes, seq },
		.at = w->next - seq,
		.session = w->session,
		.lost = w->heard != seq,
	};

	if (!a.lost)
		bpf_loop(POSTGRESQL_WALKED_MAX, postgresql_message, &a, 0);
	/* More messages than are walked, or more answers than there were questions, or one that nobody asked for. */
	if (a.lost || a.at < bytes || a.answers > asked - w->answered || (asked == w->answered && a.other)) {
		w->muddled = 1;
		return 0;
	}
	w->heard = seq + bytes;
	w->next = seq + a.at;
	if (w->settled != changing && w->claim == SQL_SET_FORGET)
		a.session = 0;
	w->session = a.session;
	if (a.error)
		w->failed = 1;
	if (!a.answers)
		return 0;
	if (w->answered) /* the first was the login's */
		count_answers(c, w->answered + 1, 1, w->failed);
	if (a.answers > 1)
		count_answers(c, w->answered + 2, a.answers - 1, false);
	w->failed = 0;
	w->answered += a.answers;
	w->ended = w->heard;
	if (w->settled == changing || after(changing, w->answered))
		return 0;
	w->in_doubt = !a.idle;
	w->settled = changing;
	return 0;
}

#define POSTGRESQL_TAIL 32
#define POSTGRESQL_TAIL_READY (POSTGRESQL_TAIL - POSTGRESQL_READY_BYTES)
#define POSTGRESQL_COMMAND_MIN 9 /* "SET" */

/*
 * Whether what stands right before ReadyForQuery is a CommandComplete, so that no
 * ParameterStatus does, which the server sends there (since 14; before, wherever
 * the change is made). Neither holds a zero byte but at its end, and lengths do.
 */
static __always_inline bool postgresql_completed(const __u8 *t)
{
	bool completed = false;

#pragma unroll
	for (int n = POSTGRESQL_COMMAND_MIN; n <= POSTGRESQL_TAIL_READY; n++) {
		const __u8 *head = t + POSTGRESQL_TAIL_READY - n;

		completed |= head[0] == 'C' && !head[1] && !head[2] && !head[3] && head[4] == n - 1;
	}
	return completed;
}

static __always_inline bool postgresql_ready(const __u8 *z)
{
	return z[0] == 'Z' && !z[1] && !z[2] && !z[3] && z[4] == 5 && (z[5] == 'I' || z[5] == 'T' || z[5] == 'E');
}

static __always_inline void postgresql_hear(struct connection *c, const struct heard *h)
{
	struct watch *w = &c->watch;
	__u32 asked = w->asked;

	if (w->muddled)
		return;
	if (asked - w->answered == 1 && w->settled == w->changing && w->heard == w->ended) {
		__u8 t[POSTGRESQL_TAIL];

		if (h->bytes >= sizeof(t)) {
			if (!load(h, h->bytes - sizeof(t), t, sizeof(t)))
				return;
			bool ready = postgresql_ready(t + POSTGRESQL_TAIL_READY);

			/* A short answer that ends otherwise: something changed although nothing said that it would. */
			if (h->bytes > POSTGRESQL_SHORT || h->seq != w->ended || (ready && postgresql_completed(t))) {
				if (!ready)
					return;
				w->answered = asked;
				note_end(w, h);
				count_answers(c, asked, 1, false);
				return;
			}
		} else if (h->seq != w->ended) {
			return;
		}
	}
	postgresql_walk_answer(h->skb, c, h->at, h->bytes, h->seq);
}

#endif
