/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Denying a statement: its frame is rewritten, in the message that has not left
 * yet, to one that makes the server itself answer with an error. The driver reads
 * an ordinary SQL error, order and transaction state stay true, and the
 * connection lives. The texts are in denial.h.
 */
#ifndef PICKET_REPLACE_H
#define PICKET_REPLACE_H

#include "frame.h"

#include "denial.h"

#define SQL_AT_MAX 1024 /* longest header, statement name and attributes that are kept */

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
	__u32 tail = denial_tail(f->protocol, f->message);
	__u32 bytes = sql_at + TEXT_BYTES + tail;
	long error = 0;

	if (frame_bytes < bytes)
		error = bpf_msg_push_data(msg, frame_bytes, bytes - frame_bytes, 0);
	else if (frame_bytes > bytes)
		error = bpf_msg_pop_data(msg, bytes, frame_bytes - bytes, 0);
	if (error || bpf_msg_pull_data(msg, 0, bytes, 0))
		return -1;
	d->frame_bytes = bytes;
	compose(&with, f->protocol, f->message, rule, d->incident);

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
