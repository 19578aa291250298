/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tells user space of a statement, or of a piece of one. The text is copied from
 * the message straight into the ring: records come in four sizes, since a
 * reservation's size must be a constant, and a per-CPU buffer could be
 * overwritten by a task that preempts this one between two of its sends.
 */
#ifndef PICKET_REPORT_H
#define PICKET_REPORT_H

#include "frame.h"

struct conclusion {
	__u64 fingerprint;
	__u64 incident;
	__u32 rule;
	__u8 verdict;
	__u8 action;
	__u8 guarantee;
	__u8 substituted : 1;
	__u8 sampled : 1;
};

struct telling {
	struct conclusion is;
	__u32 at;    /* of the text in the message */
	__u32 bytes; /* of text in hand, at most WINDOW */
	__u32 version;
	__u32 slot;
	__u32 last;
};

static __always_inline bool fill(struct picket_statement_event *e, struct sk_msg_md *msg,
				 struct connection *c, const struct telling *t, __u32 bytes, __u32 room)
{
	struct frame *f = &c->frame;

	begin_event(&e->header, EVENT_STATEMENT, sizeof(*e) + bytes);
	e->cookie = c->cookie;
	e->statement = c->statements;
	e->fingerprint = t->is.fingerprint;
	e->scope = t->is.fingerprint ? c->hold.scope : 0;
	e->incident = t->is.incident;
	e->process = c->process;
	e->endpoints = c->endpoints;
	e->workload = c->workload;
	e->version = t->version;
	e->danger = c->lexer.danger;
	e->text_offset = f->reported_bytes;
	e->text_bytes = bytes;
	e->statement_bytes = t->last ? f->statement_bytes : 0;
	e->fragment = f->fragment;
	e->rule = t->is.rule;
	e->protocol = f->protocol;
	e->message = f->message;
	e->verdict = t->is.verdict;
	e->action = t->is.action;
	e->guarantee = t->is.guarantee;
	e->slot = t->slot;
	e->session = c->lexer.session; /* as the text was lexed */
	e->first = f->fragment == 0;
	e->last = t->last;
	e->substituted = t->is.substituted;
	e->adopted = c->adopted;
	e->sampled = t->is.sampled;
	e->reserved = 0;
	if (!bytes)
		return true;
	/* 6.1's verifier needs the bound in this form to see that 1 <= bytes <= room. */
	bytes = ((bytes - 1) & (room - 1)) + 1;
	return !bpf_probe_read_kernel(e->text, bytes, first_byte(msg) + t->at);
}

#define TELL_IN(room)                                                                                        \
	do {                                                                                                 \
		e = bpf_ringbuf_reserve(&events, sizeof(*e) + (room), 0);                                    \
		if (e) {                                                                                     \
			if (fill(e, msg, c, t, bytes, room)) {                                               \
				bpf_ringbuf_submit(e, 0);                                                    \
				return 0;                                                                    \
			}                                                                                    \
			bpf_ringbuf_discard(e, 0);                                                           \
			count_loss(LOSS_PULL_FAILED);                                                        \
			return 0;                                                                            \
		}                                                                                            \
	} while (0)

/* One record of the ring: [t->at, t->at + bytes) must be readable at msg->data. */
static __always_inline int tell_piece(struct sk_msg_md *msg, struct connection *c, const struct telling *t,
				      __u32 bytes)
{
	struct picket_statement_event *e;

	if (bytes <= 256)
		TELL_IN(256);
	else if (bytes <= 1024)
		TELL_IN(1024);
	else if (bytes <= 4096)
		TELL_IN(4096);
	else
		TELL_IN(WINDOW);
	struct picket_event_header lost;

	begin_event(&lost, EVENT_STATEMENT, 0);
	count_loss(LOSS_RING_FULL);
	return 0;
}

/* Tells of [t->at, t->at + t->bytes), as far as the statement's share of text reaches. */
__noinline int tell(struct sk_msg_md *msg, struct connection *c, struct telling *t, __u32 text_bytes_max)
{
	if (!c || !t)
		return 0;
	struct frame *f = &c->frame;
	__u32 bytes = t->bytes;
	__u32 left = f->reported_bytes < text_bytes_max ? text_bytes_max - f->reported_bytes : 0;

	if (bytes > left) {
		if (!f->cut)
			count_loss(LOSS_TEXT_CUT);
		f->cut = 1;
		bytes = left;
	}
	if (bytes > WINDOW)
		bytes = WINDOW;
	if (!bytes && !t->last)
		return 0;
	if (bytes && (void *)(first_byte(msg) + t->at + bytes) > bytes_end(msg)) {
		if (bpf_msg_pull_data(msg, t->at, t->at + bytes, 0)) {
			count_loss(LOSS_PULL_FAILED);
			bytes = 0;
		}
		t->at = 0;
	}
	tell_piece(msg, c, t, bytes);
	f->reported_bytes += bytes;
	f->fragment++;
	return 0;
}

#endif
