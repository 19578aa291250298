/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The slot's half of following a session: it counts what the client asks, and says
 * which of it may change the session. The server's answers, which answer.h reads,
 * say what became of it. Between the two nothing is known.
 */
#ifndef PICKET_WATCH_H
#define PICKET_WATCH_H

#include "maps.h"
#include "mysql_commands.h"
#include "sql_set.h"

/*
 * Two reads of the clock cost as much as a verdict, so a busy connection has one statement in so many clocked. Where
 * the last one was clocked some ticks ago there is nothing to save: a quiet connection has each of its statements
 * clocked. What a busy one does after a pause is thereby clocked more often than the rest; on every node alike.
 * The tick is a load from memory (kernel 5.6); the coarse clock would be a call (ADR 9).
 */
#define CLOCKED_EACH 16
#define CLOCKED_TICKS 3 /* 12 ms at 250 a second, 3 ms at 1,000, 30 ms at 100 */

/* enum sql_session bits by which the next statement is read. */
static __always_inline __u8 session_now(const struct connection *c)
{
	return c->watch.settled == c->watch.changing ? c->watch.session : 0;
}

/* What was asked last may change the session; says is of the character set, enum sql_set_says. */
static __always_inline void may_change(struct watch *w, __u8 says)
{
	w->claim = says;
	w->changing = w->asked;
}

/* One more that the server answers. */
static __always_inline void count_asked(struct watch *w)
{
	__u32 asked = w->asked + 1, tick = bpf_jiffies64();

	w->asked = asked;
	if (asked - w->timed < CLOCKED_EACH && tick - w->timed_tick < CLOCKED_TICKS)
		return;
	w->timed_tick = tick;
	w->sent_ns = bpf_ktime_get_ns();
	barrier(); /* who sees the number finds its time */
	w->timed = asked;
}

/* One more command of PostgreSQL's that the server answers. */
static __always_inline void ask(struct watch *w)
{
	count_asked(w);
	if (w->in_doubt || w->prepared)
		may_change(w, SQL_SET_UNCLEAR);
}

/*
 * Both are functions of their own: what a command is must not double what the
 * verifier has to walk behind it.
 */
__noinline int mysql_ask(struct watch *w, __u32 command)
{
	if (!w)
		return 0;
	switch (command) {
	case MYSQL_COM_QUIT:
	case MYSQL_COM_STMT_SEND_LONG_DATA:
	case MYSQL_COM_STMT_CLOSE:
		return 0;
	}
	count_asked(w);
	if (command == MYSQL_COM_CHANGE_USER || command == MYSQL_COM_RESET_CONNECTION)
		may_change(w, SQL_SET_OTHER | SQL_SET_MODE);
	else if (command == MYSQL_COM_STMT_EXECUTE && w->prepared)
		may_change(w, SQL_SET_UNCLEAR);
	return 0;
}

/* The server answers a Query, a function call, and what leads up to a Sync, each once. */
__noinline int postgresql_ask(struct watch *w, __u32 type)
{
	if (!w)
		return 0;
	switch (type) {
	case 'Q':
	case 'F':
	case 'S':
		if (!w->unit)
			ask(w);
		w->unit = 0;
		break;
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
		if (!w->unit)
			ask(w);
		w->unit = 1;
		break;
	}
	return 0;
}

/* PostgreSQL's unnamed statement lives until the next one. */
static __always_inline void name_parse(struct watch *w, bool unnamed)
{
	w->unnamed = unnamed;
	if (unnamed && w->prepared == PREPARED_UNNAMED)
		w->prepared = PREPARED_NONE;
}

/* What a client has just opened a session with. */
static __always_inline void begin_session(struct watch *w, __u8 protocol)
{
	if (protocol == PROTOCOL_POSTGRESQL)
		w->session = SQL_SESSION_QUOTES_KNOWN | SQL_SESSION_ANSI_QUOTES; /* "..." is a name, always */
	w->asked = w->answered + 1;
	may_change(w, SQL_SET_KEEPS | SQL_SET_MODE);
}

/* Bytes went by unread: what follows is the first that is asked, as far as anybody knows. */
static __always_inline void forget_session(struct watch *w)
{
	w->prepared = PREPARED_NONE;
	w->unit = 0;
	w->claim = SQL_SET_FORGET;
	w->changing = w->asked + 1;
}

#endif
