// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One rule version: its settings, its verdicts, its counters, and the program
 * that judges what a client sends. The dispatcher tail-calls into it for each
 * message of the protocol: frame, lex, fingerprint, verdict, and then the bytes
 * pass, are replaced, or end the connection.
 */
#include "maps.h"

#include "connection.h"
#include "frame.h"
#include "hold.h"
#include "mysql.h"
#include "postgresql.h"
#include "replace.h"
#include "report.h"
#include "setting.h"
#include "text.h"
#include "workload.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A section of its own: the lexer's tables are constants too. */
const volatile struct picket_slot_settings settings SEC(".rodata.settings");

/* What is known of each shape, by fingerprint. No LRU: only user space forgets. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct picket_verdict_entry);
} verdicts SEC(".maps");

/* What this slot did. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct picket_slot_counters);
} slot_counters SEC(".maps");

/* When an unknown shape's text was last sent to user space. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} reported SEC(".maps");

/* The rules' names, for the error that a client reads. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct picket_rule_text);
} rule_texts SEC(".maps");

#define COUNT(counters, field, n)                                                                            \
	do {                                                                                                 \
		if (counters)                                                                                \
			__sync_fetch_and_add(&(counters)->field, n);                                         \
	} while (0)

/* Where a statement lies in the message at hand. */
struct place {
	__u32 sql_at;
	__u32 sql_bytes;
	__u32 frame_bytes; /* whole frame, if all of it is in hand and may be replaced; else 0 */
	__u32 rule;        /* by which it is denied */
	__u64 incident;
	__u8 following; /* bytes before it are held: so will these be */
	__u8 kill;
};

enum ending {
	ENDING_PASS,
	ENDING_REPLACED,
	ENDING_KILL,
	ENDING_HOLD,
};

static __always_inline void begin_statement(struct connection *c)
{
	struct frame *f = &c->frame;

	c->statements++;
	f->statement_bytes = 0;
	f->reported_bytes = 0;
	f->fragment = 0;
	f->torn = 0;
	f->cut = 0;
	sql_lexer_start(&c->lexer, f->protocol == PROTOCOL_MYSQL ? SQL_MYSQL : SQL_POSTGRESQL, session_now(c),
			settings.hash_key, settings.hash_start);
}

static __always_inline __u64 incident_of(const struct connection *c)
{
	__u64 x = (c->cookie << 24) ^ c->statements ^ settings.hash_start;

	x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9ull;
	return (x ^ (x >> 32)) & 0xffffffffffffull ?: 1;
}

/*
 * For whom what a profile says holds: this workload, user and database. Keyed, so that nobody who may choose names
 * can choose it.
 */
static __always_inline __u64 scope_of(const struct connection *c)
{
	__u64 x = (c->who ^ settings.hash_start) + c->workload;

	x = (x ^ (x >> 29)) * settings.hash_key;
	x = (x ^ (x >> 32)) * settings.hash_key;
	return x ^ (x >> 29);
}

/* What is known of a shape on this connection. */
static __always_inline struct picket_verdict_entry *verdict_of(const struct connection *c, __u64 fingerprint)
{
	struct picket_verdict_entry *entry = bpf_map_lookup_elem(&verdicts, &fingerprint);

	if (entry || !fingerprint)
		return entry;
	__u64 scoped = fingerprint ^ scope_of(c);

	return bpf_map_lookup_elem(&verdicts, &scoped);
}

/* Whether user space is told of a statement that nobody has judged yet. */
static __always_inline bool worth_telling(struct connection *c, __u64 fingerprint, __u64 now)
{
	if (c->frame.fragment)
		return true; /* its beginning was told: so is its end */
	if (fingerprint) {
		__u64 *last = bpf_map_lookup_elem(&reported, &fingerprint);

		if (last && now - *last < settings.report_interval_ns)
			return false;
		bpf_map_update_elem(&reported, &fingerprint, &now, BPF_ANY);
		return true;
	}
	if (now - c->never_known_ns >= 1000000000ull) {
		c->never_known_ns = now;
		c->never_known_tokens = settings.never_known_burst;
	}
	if (!c->never_known_tokens)
		return false;
	c->never_known_tokens--;
	return true;
}

/* Tells of a statement that ended in this message, its text in as many records as it needs. */
static __always_inline void tell_end(struct sk_msg_md *msg, struct connection *c, struct telling *t,
				     const struct place *p)
{
	__u32 done = 0;

	for (int i = 0; i < IN_HAND_MAX / WINDOW; i++) {
		__u32 left = p->sql_bytes - done;

		t->at = p->sql_at + done;
		t->bytes = left < WINDOW ? left : WINDOW;
		t->last = left <= WINDOW;
		tell(msg, c, t, settings.text_bytes_max);
		if (t->last)
			break;
		done += WINDOW;
	}
}

#define EXACT_USES 64

/* Reading the clock costs as much as the rest of the verdict: a shape in steady use is stamped now and then. */
static __always_inline __u64 use(struct picket_verdict_entry *entry)
{
	__u64 before = __sync_fetch_and_add(&entry->count, 1);

	if (before < EXACT_USES || !(before & 15))
		entry->last_ns = bpf_ktime_get_coarse_ns();
	return before;
}

/*
 * One known use in so many is shown to user space, which lexes it again and compares (docs/fingerprint.md): two
 * statements with one fingerprint, or two lexers that differ, must not go unseen. By the key, so that nobody can tell
 * which use it will be.
 */
static __always_inline bool to_be_compared(__u64 fingerprint, __u64 uses)
{
	return !(((fingerprint + uses) * settings.hash_key >> 32) & settings.compare_mask);
}

__noinline int show(struct sk_msg_md *msg, struct connection *c, struct place *p, __u64 fingerprint)
{
	if (!c || !p)
		return 0;
	struct telling t = {
		.is = { .fingerprint = fingerprint, .rule = PICKET_NO_RULE, .verdict = VERDICT_BENIGN, .sampled = 1 },
		.version = settings.version,
		.slot = settings.slot,
	};

	c->hold.scope = scope_of(c);
	tell_end(msg, c, &t, p);
	return 0;
}

#define HOLD_REFILL_NS 1000000000ull

/* Whether one more statement of this connection may be held now. */
static __always_inline bool may_hold(struct connection *c, const struct place *p)
{
	__u64 now = bpf_ktime_get_ns();
	struct picket_keeper *k = keeper_ready(now);

	if (!k) {
		count_loss(LOSS_HOLD_ABSENT);
		return false;
	}
	/* What is left is for connections that have bytes there already: without room they would be killed. */
	if (!keeper_has_room(k, p->sql_at + p->sql_bytes, k->bytes_max - (k->bytes_max >> 2))) {
		count_loss(LOSS_HOLD_FULL);
		return false;
	}
	if (now - c->hold_ns >= HOLD_REFILL_NS) {
		c->hold_ns = now;
		c->hold_tokens = settings.hold_burst;
	}
	if (!c->hold_tokens) {
		count_loss(LOSS_HOLD_BOUND);
		return false;
	}
	c->hold_tokens--;
	return true;
}

/* Nobody has judged this statement: to the keeper with it, or else what the rule version declares. */
static __always_inline enum ending unjudged(struct connection *c, const struct place *p)
{
	if (!settings.hold_bytes_max || refresh_mode(c) != WORKLOAD_ENFORCE)
		return ENDING_PASS;
	if (p->following || may_hold(c, p))
		return ENDING_HOLD;
	if (settings.on_failure == FAIL_OPEN && !(c->lexer.danger & settings.fail_mask))
		return ENDING_PASS;
	return p->frame_bytes ? ENDING_REPLACED : ENDING_KILL;
}

/* All that is not plainly known to be good: judges it, counts it, tells of it. Says what is to be done. */
__noinline int judge(struct sk_msg_md *msg, struct connection *c, struct place *p, __u64 fingerprint)
{
	if (!c || !p)
		return ENDING_PASS;
	struct frame *f = &c->frame;
	__u32 zero = 0;
	struct picket_slot_counters *counters = bpf_map_lookup_elem(&slot_counters, &zero);
	struct telling t = {
		.is = { .rule = PICKET_NO_RULE },
		.version = settings.version,
		.slot = settings.slot,
	};
	struct picket_verdict_entry *entry = fingerprint ? verdict_of(c, fingerprint) : 0;

	t.is.fingerprint = fingerprint;
	c->hold.scope = fingerprint ? scope_of(c) : 0; /* for what is told, too */
	if (f->torn || c->lexer.danger & (SQL_DANGER_CODE | SQL_DANGER_SESSION))
		changes_session(msg, c, p->sql_at, p->sql_bytes);
	COUNT(counters, statements, 1);
	COUNT(counters, bytes, f->statement_bytes);
	if (!entry || entry->verdict == VERDICT_UNKNOWN) {
		if (fingerprint)
			COUNT(counters, unknown, 1);
		else
			COUNT(counters, never_known, 1);
		int ending = unjudged(c, p);

		p->incident = t.is.incident = ending == ENDING_PASS ? 0 : incident_of(c);
		if (ending == ENDING_HOLD) {
			COUNT(counters, held, 1);
			c->hold.flags = HELD_JUDGE | (f->torn ? HELD_TORN : 0);
			c->hold.fingerprint = fingerprint;
			c->hold.incident = p->incident;
			c->hold.sql_at = p->sql_at;
			c->hold.sql_bytes = p->sql_bytes;
			c->hold.frame_bytes = 0;
			c->hold.message = f->message;
			c->hold.version = settings.version;
			c->hold.slot = settings.slot;
			return ENDING_HOLD;
		}
		if (ending != ENDING_PASS) {
			COUNT(counters, unjudged, 1);
			p->rule = PICKET_NO_RULE;
			t.is.action = ACTION_BLOCK;
			t.is.substituted = ending == ENDING_REPLACED;
			t.is.guarantee = ending == ENDING_REPLACED ? GUARANTEE_PREVENTED : GUARANTEE_SEVERED;
			tell_end(msg, c, &t, p);
			return ending;
		}
		if (worth_telling(c, fingerprint, bpf_ktime_get_ns()))
			tell_end(msg, c, &t, p);
		else
			count_loss(LOSS_REPORT_LIMITED);
		return ENDING_PASS;
	}
	COUNT(counters, known, 1);
	use(entry);
	t.is.verdict = entry->verdict;
	t.is.action = entry->action;
	t.is.rule = entry->rule;
	if (t.is.verdict == VERDICT_BENIGN && t.is.action == ACTION_OBSERVE) {
		/* Its beginning was told before it was known: tell that it ended well. */
		if (f->fragment) {
			t.last = 1;
			tell(msg, c, &t, settings.text_bytes_max);
		}
		return ENDING_PASS;
	}
	if (t.is.verdict == VERDICT_BENIGN || t.is.action != ACTION_BLOCK) {
		tell_end(msg, c, &t, p);
		return ENDING_PASS;
	}
	if (refresh_mode(c) < WORKLOAD_ENFORCE) {
		COUNT(counters, would_block, 1);
		tell_end(msg, c, &t, p);
		return ENDING_PASS;
	}
	/* Told first, since its text is gone after; a replacement that fails then ends in a kill, told too. */
	p->rule = t.is.rule;
	p->incident = t.is.incident = incident_of(c);
	t.is.substituted = p->frame_bytes != 0;
	t.is.guarantee = p->frame_bytes ? GUARANTEE_PREVENTED : GUARANTEE_SEVERED;
	tell_end(msg, c, &t, p);
	return p->frame_bytes ? ENDING_REPLACED : ENDING_KILL;
}

/* The statement's last byte is in hand. Nearly all are known to be good, and this is all they cost. */
static __always_inline int conclude(struct sk_msg_md *msg, struct connection *c, struct place *p)
{
	__u32 zero = 0;
	__u64 fingerprint = c->frame.torn ? 0 : sql_lexer_finish(&c->lexer);
	struct picket_verdict_entry *entry = verdict_of(c, fingerprint);

	if (!entry || entry->verdict != VERDICT_BENIGN || entry->action != ACTION_OBSERVE || c->frame.fragment ||
	    c->lexer.danger & SQL_DANGER_SESSION)
		return judge(msg, c, p, fingerprint);
	struct picket_slot_counters *counters = bpf_map_lookup_elem(&slot_counters, &zero);

	COUNT(counters, statements, 1);
	COUNT(counters, bytes, c->frame.statement_bytes);
	COUNT(counters, known, 1);
	if (to_be_compared(fingerprint, use(entry)))
		show(msg, c, p, fingerprint);
	return ENDING_PASS;
}

static const struct picket_rule_text not_judged = { .bytes = sizeof(UNJUDGED) - 1, .text = UNJUDGED };

/* Carries a denial out. ENDING_KILL where the frame could not be replaced after all. */
__noinline int deny(struct sk_msg_md *msg, struct connection *c, struct place *p)
{
	if (!c || !p)
		return ENDING_KILL;
	__u32 zero = 0, index = p->rule;
	struct picket_slot_counters *counters = bpf_map_lookup_elem(&slot_counters, &zero);
	const struct picket_rule_text *rule = index == PICKET_NO_RULE ? &not_judged : bpf_map_lookup_elem(&rule_texts, &index);
	struct denial d = { .incident = p->incident, .frame_bytes = p->frame_bytes, .sql_at = p->sql_at };

	if (p->frame_bytes && rule && !replace(msg, c, &d, rule)) {
		COUNT(counters, blocked, 1);
		p->frame_bytes = d.frame_bytes;
		return ENDING_REPLACED;
	}
	if (p->frame_bytes)
		count_loss(LOSS_SUBSTITUTE_FAILED);
	COUNT(counters, severed, 1);
	return ENDING_KILL;
}

/* The connection dies with this send: SK_DROP sticks to the socket, user space destroys it. */
static __always_inline int kill(struct sk_msg_md *msg, struct connection *c, struct tcp_sock *tp)
{
	c->frame.protocol = PROTOCOL_OTHER;
	report_connection(c, tp, CONNECTION_KILLED, TCP_ESTABLISHED, TCP_ESTABLISHED);
	/* A limit left by an earlier run would make the kernel leak the rest of the message. */
	bpf_msg_apply_bytes(msg, 0);
	return SK_DROP;
}

/* What follows belongs to the message under way, or does not. */
static __always_inline void stand(struct frame *f)
{
	f->latched = f->phase >= PHASE_PRELUDE || f->header_bytes || f->continued;
	f->departed = f->latched;
}

/* Lets `bytes` leave, and remembers where the stream then stands. */
static __always_inline int pass(struct sk_msg_md *msg, struct connection *c, struct tcp_sock *tp, __u32 bytes)
{
	struct frame *f = &c->frame;

	f->expected = tp->write_seq + bytes;
	stand(f);
	bpf_msg_apply_bytes(msg, bytes);
	return SK_PASS;
}

/* Bytes went by unseen (frame.h). Within a message the framing holds, its text does not. */
static __always_inline void catch_up(struct connection *c, struct tcp_sock *tp)
{
	struct frame *f = &c->frame;
	__u32 unseen = tp->write_seq - f->expected;

	if (!unseen || f->phase == PHASE_RESYNC)
		return;
	count_loss(LOSS_BYTES_UNSEEN);
	if (f->phase >= PHASE_PRELUDE && unseen <= f->remaining) {
		f->remaining -= unseen;
		f->torn = 1;
		return;
	}
	f->phase = PHASE_RESYNC;
	f->resynced = 1;
}

static __always_inline __u32 least(__u32 a, __u32 b)
{
	return a < b ? a : b;
}

/* The connection's first bytes say which protocol it is; a port never does. Returns how many bytes pass. */
static __always_inline __u32 open_connection(struct sk_msg_md *msg, struct connection *c, struct tcp_sock *tp)
{
	struct frame *f = &c->frame;
	__u32 before = f->header_bytes, size = msg->size;

	if (!in_reach(msg, least(size, FIRST_BYTES_MAX)))
		return size;
	gather(msg, c, 0, FIRST_BYTES_MAX);
	enum opening opening = postgresql_opening(f);
	__u8 protocol = PROTOCOL_POSTGRESQL;
	__u32 bytes = big_endian(f->header);

	if (opening == OPENING_NO) {
		opening = mysql_opening(f);
		protocol = PROTOCOL_MYSQL;
		bytes = MYSQL_HEADER + mysql_length(f->header);
	}
	f->header_bytes = opening == OPENING_UNDECIDED ? f->header_bytes : 0;
	switch (opening) {
	case OPENING_UNDECIDED:
		return size;
	case OPENING_AGAIN:
		return POSTGRESQL_OPENING - before;
	case OPENING_YES:
		if (protocol == PROTOCOL_POSTGRESQL && in_reach(msg, least(size, LOGIN_REACH))) {
			if (postgresql_replication(msg, c, bytes)) {
				give_up(c, PROTOCOL_OTHER, NOTICE_REPLICATION);
				break;
			}
		}
		f->protocol = protocol;
		f->phase = PHASE_SKIP;
		f->remaining = bytes - before;
		if (protocol == PROTOCOL_MYSQL) {
			mysql_login(f, &c->watch);
			if (!before && in_reach(msg, least(size, LOGIN_REACH)))
				mysql_names(msg, c);
		}
		begin_session(&c->watch, protocol);
		break;
	case OPENING_ENCRYPTED:
		give_up(c, PROTOCOL_TLS, NOTICE_ENCRYPTED);
		break;
	case OPENING_COMPRESSED:
		give_up(c, PROTOCOL_OTHER, NOTICE_COMPRESSED);
		break;
	case OPENING_CANCEL:
		give_up(c, PROTOCOL_OTHER, NOTICE_CANCEL);
		break;
	case OPENING_NO:
		give_up(c, PROTOCOL_OTHER, NOTICE_NOT_A_DATABASE);
		break;
	}
	report_connection(c, tp, CONNECTION_RECOGNISED, TCP_ESTABLISHED, TCP_ESTABLISHED);
	return f->protocol >= PROTOCOL_TLS ? size : 0;
}

/*
 * Reads the header of the next message: its bytes, or what came of them. False: this is no message. What the kernel
 * did not copy (sendfile and splice before 6.5) is not readable at first, and a header may lie across two pages.
 */
static __always_inline bool read_header(struct sk_msg_md *msg, struct connection *c, __u32 *at)
{
	struct frame *f = &c->frame;
	bool mysql = f->protocol == PROTOCOL_MYSQL;
	__u32 want = POSTGRESQL_HEADER;

	if ((void *)(first_byte(msg) + 8) > bytes_end(msg))
		in_reach(msg, least(msg->size, 8));
	__u8 *data = first_byte(msg); /* no earlier: what was read before a pull is not valid any more */

	if (!f->header_bytes && (void *)(data + 8) <= bytes_end(msg)) {
		*(__u64 *)f->header = *(__u64 *)data;
		f->header_bytes = 8;
		if (mysql)
			want = mysql_header_want(f);
		*at = want;
	} else {
		if (mysql)
			want = MYSQL_HEADER;
		*at = gather(msg, c, 0, want);
		if (mysql && f->header_bytes >= MYSQL_HEADER) {
			want = mysql_header_want(f);
			*at += gather(msg, c, *at, want);
		}
		if (f->header_bytes < want)
			return true;
	}
	f->header_bytes = 0;
	bool goes_on = mysql && f->continued && f->message;
	enum phase phase = mysql ? mysql_begin(f, &c->watch) : postgresql_begin(f);

	if (phase == PHASE_START)
		return false;
	f->phase = phase;
	if (f->message && !goes_on) {
		begin_statement(c);
		f->torn = f->message == MESSAGE_FUNCTION_CALL; /* binary: nothing to lex */
	}
	if (!mysql)
		postgresql_ask(&c->watch, f->header[0]);
	return true;
}

/* What stands between header and SQL. Returns its bytes; where it is not whole in hand the statement is never known. */
static __always_inline __u32 read_prelude(struct sk_msg_md *msg, struct connection *c, __u32 at)
{
	struct frame *f = &c->frame;
	__u32 bytes = 0;

	if (in_reach(msg, least(msg->size, at + MYSQL_ATTRIBUTES_BYTES_MAX))) {
		if (f->protocol == PROTOCOL_MYSQL && mysql_begins_with_sql(msg, at)) {
			f->capabilities &= ~MYSQL_QUERY_ATTRIBUTES;
			f->phase = PHASE_TEXT;
			return 0;
		}
		bytes = f->protocol == PROTOCOL_MYSQL ? mysql_attributes(msg, at) : postgresql_name(msg, at);
	}
	f->phase = PHASE_TEXT;
	if (f->protocol == PROTOCOL_POSTGRESQL)
		name_parse(&c->watch, bytes == 1);
	if (bytes && bytes <= f->remaining && bytes <= msg->size - at)
		return bytes;
	f->torn = 1;
	return 0;
}

/* After bytes that nobody framed: whether a message surely begins here. */
static __always_inline bool find_feet(struct sk_msg_md *msg, struct connection *c, struct tcp_sock *tp)
{
	struct frame *f = &c->frame;
	__u8 before = f->protocol;

	if (!in_reach(msg, least(msg->size, WINDOW)))
		return false;
	if (before != PROTOCOL_POSTGRESQL && mysql_stands_here(msg, f))
		f->protocol = PROTOCOL_MYSQL;
	else if (before != PROTOCOL_MYSQL && postgresql_stands_here(msg))
		f->protocol = PROTOCOL_POSTGRESQL;
	else
		return false;
	f->phase = PHASE_HEADER;
	f->header_bytes = 0;
	f->remaining = 0;
	f->command = 0;
	f->sequence = 0;
	f->message = 0;
	f->continued = 0;
	f->infile = 0;
	f->departed = 0;
	forget_session(&c->watch);
	f->expected = tp->write_seq;
	if (!before)
		report_connection(c, tp, CONNECTION_RECOGNISED, TCP_ESTABLISHED, TCP_ESTABLISHED);
	return true;
}

/* Lexes up to n bytes of SQL from `at`. Returns how many there were, with LEX_NUL as lex does. */
static __always_inline __u32 read_text(struct sk_msg_md *msg, struct connection *c, __u32 at, __u32 n)
{
	struct frame *f = &c->frame;
	__u32 to_nul = f->protocol == PROTOCOL_POSTGRESQL && f->message == MESSAGE_PREPARE;
	__u32 done = 0;

	for (int i = 0; i < IN_HAND_MAX / WINDOW; i++) {
		__u32 want = least(n - done, WINDOW);

		if (!want || done >= IN_HAND_MAX)
			break;
		__u32 got = lex(msg, c, at + done, want, to_nul);

		done += got & ~LEX_NUL;
		if (got & LEX_NUL)
			return done | LEX_NUL;
		if (got < want) {
			f->torn = 1;
			break;
		}
	}
	return done;
}

/* SQL from `at` on: lexes what is in hand, and judges where it ends. Moves `at` past what may leave. */
static __always_inline void read_statement(struct sk_msg_md *msg, struct connection *c, struct tcp_sock *tp,
					   struct place *p, __u32 *at, __u32 room)
{
	struct frame *f = &c->frame;
	__u32 size = msg->size, text = f->remaining;

	if (f->protocol == PROTOCOL_POSTGRESQL && f->message == MESSAGE_QUERY && text)
		text--; /* the closing zero byte */
	bool whole = !f->departed && !f->continued && f->remaining <= size - *at && *at + f->remaining <= IN_HAND_MAX;
	__u32 n = least(text, size - *at);

	if (!whole) {
		n = least(n, WINDOW);
		if (!p->following)
			n = piece(tp, msg, room, *at, n);
	}
	__u32 got = f->torn ? 0 : read_text(msg, c, *at, n);

	p->sql_at = *at;
	p->sql_bytes = got & ~LEX_NUL;
	f->statement_bytes += p->sql_bytes;
	if (!(got & LEX_NUL) && f->protocol == PROTOCOL_POSTGRESQL && f->message == MESSAGE_PREPARE &&
	    p->sql_bytes == text)
		f->torn = 1; /* not closed: the server refuses it */
	if (!(got & LEX_NUL) && !f->torn && (p->sql_bytes < text || f->continued)) {
		struct telling t = {
			.is = { .rule = PICKET_NO_RULE },
			.at = p->sql_at,
			.bytes = p->sql_bytes,
			.version = settings.version,
			.slot = settings.slot,
		};

		tell(msg, c, &t, settings.text_bytes_max);
		f->remaining -= p->sql_bytes;
		*at += p->sql_bytes;
		if (!f->remaining)
			f->phase = PHASE_HEADER;
		return;
	}
	bool sql = f->message != MESSAGE_FUNCTION_CALL; /* nothing can stand in for a call */

	if (whole && sql && (p->following || *at + TEXT_BYTES + TAIL_BYTES <= room))
		p->frame_bytes = *at + f->remaining;
	int ending = conclude(msg, c, p);

	if (ending == ENDING_REPLACED || ending == ENDING_KILL)
		ending = deny(msg, c, p);
	f->message = 0;
	f->phase = PHASE_SKIP;
	p->kill = ending == ENDING_KILL;
	if (ending == ENDING_REPLACED) {
		c->hold.flags = HELD_REPLACED; /* told where it follows; else nobody reads it */
		c->watch.denied = c->watch.asked;
		f->phase = PHASE_HEADER;
		f->remaining = 0;
		*at = p->frame_bytes;
	} else if (whole) {
		/* None of it has left: it goes as what it is, a message already read. */
		f->remaining += *at;
		*at = 0;
		c->hold.frame_bytes = sql ? f->remaining : 0;
	} else {
		f->remaining -= p->sql_bytes;
		*at += p->sql_bytes;
		c->hold.flags |= HELD_TAIL;
	}
}

/* Reads at most one message from the front of what is in hand. Returns how many bytes may go. */
static __always_inline __u32 read_message(struct sk_msg_md *msg, struct connection *c, struct tcp_sock *tp,
					  struct place *p)
{
	struct frame *f = &c->frame;
	__u32 size = msg->size, room = send_room(tp), at = 0;

	if (f->phase == PHASE_START) {
		__u32 bytes = open_connection(msg, c, tp);

		if (bytes)
			return bytes;
	}
	if (f->phase == PHASE_RESYNC && !find_feet(msg, c, tp))
		return p->following ? size : piece(tp, msg, room, 0, size);
	if (f->phase == PHASE_SKIP && !f->remaining)
		f->phase = PHASE_HEADER; /* the last of it went by unseen */
	if (f->phase == PHASE_HEADER) {
		if (!read_header(msg, c, &at)) {
			give_up(c, PROTOCOL_OTHER, NOTICE_FRAMING_LOST);
			report_connection(c, tp, CONNECTION_RECOGNISED, TCP_ESTABLISHED, TCP_ESTABLISHED);
			return size;
		}
		if (f->phase == PHASE_HEADER && at)
			return at;
		if (f->phase == PHASE_HEADER) {
			/* The kernel has no memory to make it readable. */
			count_loss(LOSS_BYTES_UNSEEN);
			f->phase = PHASE_RESYNC;
			f->resynced = 1;
			return size;
		}
	}
	if (f->phase == PHASE_PRELUDE) {
		__u32 bytes = read_prelude(msg, c, at);

		at += bytes;
		f->remaining -= bytes;
	}
	if (f->phase == PHASE_TEXT) {
		read_statement(msg, c, tp, p, &at, room);
		if (p->kill)
			return 0;
	}
	bool held = p->following || c->hold.flags & HELD_JUDGE;

	if (f->phase == PHASE_SKIP) {
		__u32 bytes = least(f->remaining, size - at);

		if (!held)
			bytes = piece(tp, msg, room, at, bytes);
		f->remaining -= bytes;
		at += bytes;
		if (!f->remaining)
			f->phase = PHASE_HEADER;
	}
	/* A pipelined turn (Bind, Describe, Execute, Sync) goes with what it follows. */
	if (f->phase == PHASE_HEADER && f->protocol == PROTOCOL_POSTGRESQL && at < size)
		at = postgresql_pass_by(msg, c, at, held ? size : least(size, room));
	return at;
}

/* To the keeper, or what is declared where that fails. Order is kept at any price. */
static __noinline int hold(struct sk_msg_md *msg, struct connection *c, struct tcp_sock *tp, struct place *p,
			   __u32 bytes)
{
	struct frame *f = &c->frame;
	int failed = -1;

	if (c->redirected - c->given_back + bytes > settings.hold_bytes_max) {
		count_loss(p->following ? LOSS_HOLD_OVERRUN : LOSS_HOLD_BOUND);
	} else {
		failed = divert(msg, c, bytes);
		if (failed == DIVERT_FULL)
			count_loss(p->following ? LOSS_HOLD_OVERRUN : LOSS_HOLD_FULL);
		else if (failed)
			count_loss(LOSS_HOLD_FAILED);
	}
	if (!failed) {
		stand(f);
		return SK_PASS;
	}
	if (p->following || failed > 0 || settings.on_failure != FAIL_OPEN || c->lexer.danger & settings.fail_mask)
		return kill(msg, c, tp);
	return pass(msg, c, tp, bytes);
}

SEC("sk_msg")
int slot(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct connection *c = sk ? bpf_sk_storage_get(&connections, sk, 0, 0) : 0;
	struct tcp_sock *tp = sk ? bpf_skc_to_tcp_sock(sk) : 0;

	if (!c || !tp) {
		count_loss(LOSS_STORAGE_FULL);
		return SK_PASS;
	}
	struct place p = {};

	c->hold.flags = 0;
	if (!may_follow(c)) {
		catch_up(c, tp);
	} else {
		enum held held = held_of(c);

		if (held == HELD_DENIED)
			return kill(msg, c, tp);
		p.following = must_follow(c, held);
		c->frame.expected = tp->write_seq; /* the keeper moved it, and a denial changes lengths */
	}
	__u32 bytes = read_message(msg, c, tp, &p);

	if (p.kill)
		return kill(msg, c, tp);
	if (p.following || c->hold.flags & HELD_JUDGE)
		return hold(msg, c, tp, &p, bytes);
	return pass(msg, c, tp, bytes);
}
