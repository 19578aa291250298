/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A statement that may change the session, in hand: what it says of the character set. */
#ifndef PICKET_SETTING_H
#define PICKET_SETTING_H

#include "postgresql.h"
#include "watch.h"

struct setting {
	struct sql_set set;
	__u8 *data;
	void *end;
};

static long setting_byte(__u32 i, struct setting *s)
{
	__u8 *p = s->data + (i & (SQL_SET_BYTES_MAX - 1));

	settle(p);
	if ((void *)(p + 1) > s->end) {
		s->set.says = SQL_SET_UNCLEAR;
		return 1;
	}
	sql_set_step(&s->set, *p);
	return s->set.says == SQL_SET_UNCLEAR;
}

/* What a statement in hand says of MySQL's character set: enum sql_set_says. */
__noinline __u32 read_setting(struct sk_msg_md *msg, __u32 at, __u32 bytes)
{
	if (!bytes || bytes > SQL_SET_BYTES_MAX || at > MYSQL_ATTRIBUTES_BYTES_MAX + FIRST_BYTES_MAX)
		return SQL_SET_UNCLEAR;
	if ((void *)(first_byte(msg) + at + bytes) > bytes_end(msg) && bpf_msg_pull_data(msg, 0, at + bytes, 0))
		return SQL_SET_UNCLEAR;
	struct setting s = { .data = first_byte(msg) + at, .end = bytes_end(msg) };

	bpf_loop(bytes, setting_byte, &s, 0);
	return sql_set_finish(&s.set);
}

/* A statement has ended of which it must be assumed that it changes the session. */
__noinline int changes_session(struct sk_msg_md *msg, struct connection *c, __u32 sql_at, __u32 sql_bytes)
{
	if (!c)
		return 0;
	struct watch *w = &c->watch;
	bool mysql = c->frame.protocol == PROTOCOL_MYSQL;

	if (c->frame.message == MESSAGE_PREPARE)
		w->prepared = !mysql && w->unnamed ? PREPARED_UNNAMED : PREPARED_NAMED;
	if (c->frame.message == MESSAGE_PREPARE && mysql)
		return 0; /* it changes nothing before it is executed */
	may_change(w, mysql && !c->frame.torn && !c->frame.fragment ? read_setting(msg, sql_at, sql_bytes) :
								      SQL_SET_UNCLEAR);
	return 0;
}

#endif
