/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every struct that crosses between the kernel programs and user space: ring
 * buffer events, map values and settings. User space never repeats a layout by
 * hand: `npm run generate` reads these structs from the object's BTF and writes
 * their TypeScript decoders. Fields are ordered so that no padding is hidden.
 */
#ifndef PICKET_EVENT_H
#define PICKET_EVENT_H

/* Layout number of everything below and of the lexer state in socket storage. */
#define PICKET_ABI 5

enum picket_event_kind {
	EVENT_STATEMENT = 1,
	EVENT_CONNECTION = 2,
	EVENT_LOGIN = 3,
};

enum picket_protocol {
	PROTOCOL_UNKNOWN = 0, /* first bytes not seen yet */
	PROTOCOL_MYSQL = 1,
	PROTOCOL_POSTGRESQL = 2,
	PROTOCOL_TLS = 3,   /* encrypted after the upgrade: unseen here */
	PROTOCOL_OTHER = 4, /* not a database connection: left alone */
};

enum picket_message {
	MESSAGE_QUERY = 1,         /* MySQL COM_QUERY, PostgreSQL Query */
	MESSAGE_PREPARE = 2,       /* MySQL COM_STMT_PREPARE, PostgreSQL Parse */
	MESSAGE_FUNCTION_CALL = 3, /* PostgreSQL FunctionCall */
};

enum picket_action {
	ACTION_OBSERVE = 0,
	ACTION_ALERT = 1,
	ACTION_BLOCK = 2,
};

/* What the verdict map says of a shape. */
enum picket_verdict {
	VERDICT_UNKNOWN = 0,
	VERDICT_BENIGN = 1,
	VERDICT_ATTACK = 2,
	VERDICT_PROBE = 3,
};

enum picket_guarantee {
	GUARANTEE_OBSERVED = 0,
	GUARANTEE_PREVENTED = 1, /* substituted before the wire */
	GUARANTEE_SEVERED = 2,   /* connection killed: earlier bytes had left */
	GUARANTEE_UNSEEN = 3,
};

enum picket_workload_mode {
	WORKLOAD_OFF = 0,     /* its sockets are not enrolled */
	WORKLOAD_OBSERVE = 1, /* enrolled, never blocked */
	WORKLOAD_ENFORCE = 2,
	WORKLOAD_ENFORCE_KNOWN = 3, /* what is known is blocked; nothing is held */
};

/* The socket map that a connection is in; adopted ones are always in the first. */
enum picket_sockets {
	SOCKETS_KEPT = 0,  /* sockets: FIONREAD is kept right, by keep_fionread where the kernel needs it */
	SOCKETS_PLAIN = 1, /* sockets_plain: its programs never ask, and nothing is done at receipt */
};

/* Every way to lose or not to see something; index of the per-CPU loss counters. */
enum picket_loss {
	LOSS_RING_FULL = 0,
	LOSS_STORAGE_FULL = 1,     /* no socket storage */
	LOSS_SOCKHASH_FULL = 2,    /* map full */
	LOSS_SOCKHASH_BUSY = 3,    /* owned by another sockmap */
	LOSS_SOCKHASH_REFUSED = 4, /* any other refusal */
	LOSS_EMPTY_SLOT = 5,       /* failed open: no program in the slot */
	LOSS_PULL_FAILED = 6,
	LOSS_SUBSTITUTE_FAILED = 7,
	LOSS_FRAME_UNKNOWN = 8, /* framing lost: connection observed no more */
	LOSS_TEXT_CUT = 9,      /* statement text longer than what is captured */
	LOSS_BYTES_UNSEEN = 10, /* bytes that the kernel sent without asking: statement never known */
	LOSS_REPORT_LIMITED = 11, /* statement counted, its event held back by a rate limit */
	LOSS_REFUSED_MPTCP = 12,  /* not enrolled */
	LOSS_REFUSED_ULP = 13,    /* not enrolled: kTLS or another upper-layer protocol */
	LOSS_HOLD_ABSENT = 14,  /* not held: no keeper, or its heartbeat is old */
	LOSS_HOLD_BOUND = 15,   /* not held: too many bytes or statements of this connection are held */
	LOSS_HOLD_FAILED = 16,  /* not held: the kernel had no memory or room for it */
	LOSS_HOLD_OVERRUN = 17, /* connection killed: it sent more behind a held statement than may be held, or there was no room */
	LOSS_RELEASE_FAILED = 18, /* bytes that the keeper sent were not what their header said */
	LOSS_HOLD_FULL = 19, /* not held: the keeper has as much of all connections together as it may have */
	LOSS_HOLD_CLOSED = 20, /* a connection was closed, or its writing half, before what was held of it had left */
	LOSS_KINDS = 21,
};

/* Why a connection event was sent. */
enum picket_connection_reason {
	CONNECTION_ESTABLISHED = 1,
	CONNECTION_CLOSED = 2, /* also a connect that failed: old_state is SYN_SENT */
	CONNECTION_RETRANSMIT = 3, /* at most one a second per connection */
	CONNECTION_RECOGNISED = 4, /* protocol is final, or was given up: see notice */
	CONNECTION_ADOPTED = 5,
	CONNECTION_REFUSED = 6, /* not enrolled; the loss counters say why */
	CONNECTION_KILLED = 7,  /* SK_DROP: user space destroys the socket */
};

/* Why the statements of an enrolled connection are not judged. */
enum picket_notice {
	NOTICE_NONE = 0,
	NOTICE_NOT_A_DATABASE = 1, /* first bytes are of neither protocol: let go of it */
	NOTICE_ENCRYPTED = 2,
	NOTICE_COMPRESSED = 3,
	NOTICE_REPLICATION = 4, /* PostgreSQL walsender, never touched */
	NOTICE_CANCEL = 5,      /* PostgreSQL CancelRequest, never touched */
	NOTICE_FRAMING_LOST = 6,
};

struct picket_event_header {
	__u64 seq;     /* per CPU, counts lost events too: a gap is a loss */
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 size;    /* bytes, header included */
	__u16 cpu;
	__u8 kind; /* enum picket_event_kind */
	__u8 abi;
};

struct picket_process {
	__u64 cgroup_id; /* cgroup2 id */
	__u64 start_ns;  /* of the thread group leader, since boot */
	__u32 tgid;
	__u32 tid;
	char comm[16];
};

struct picket_endpoints {
	__u8 local_addr[16]; /* IPv4 is v4-mapped (RFC 4291 2.5.5.2) */
	__u8 remote_addr[16];
	__u16 local_port;  /* host order */
	__u16 remote_port; /* host order */
	__u8 family;       /* AF_INET or AF_INET6 */
	__u8 pad[3];
};

struct picket_connection_event {
	struct picket_event_header header;
	__u64 cookie;
	struct picket_process process;
	struct picket_endpoints endpoints;
	__u64 connect_ns;  /* SYN_SENT to ESTABLISHED, 0 if unknown */
	__u64 lifetime_ns; /* since SYN_SENT or adoption */
	__u64 bytes_sent;
	__u64 bytes_received;
	__u32 srtt_us;
	__u32 retransmits;
	__u8 old_state; /* include/net/tcp_states.h */
	__u8 new_state;
	__u8 protocol;    /* enum picket_protocol */
	__u8 adopted : 1; /* existed before the agent */
	__u8 enrolled : 1;
	__u8 workload_mode : 2;
	__u8 reserved : 4;
	__u32 workload; /* id given by user space, 0: none */
	__u64 statements;
	__u8 reason; /* enum picket_connection_reason */
	__u8 notice; /* enum picket_notice */
	__u8 pad[6];
};

/* A name that the client gave: PostgreSQL's are at most 63 bytes, MySQL users at most 80 characters. */
struct picket_name {
	__u8 bytes; /* of text; 0: not given, or not readable in one piece */
	char text[95];
};

/* Who logs in where, once per connection that was seen from its first byte. */
struct picket_login_event {
	struct picket_event_header header;
	__u64 cookie;
	struct picket_name user;
	struct picket_name database;
};

#define PICKET_TEXT_MAX 16384

/* One fragment of a statement; a statement over several sends gives several. */
struct picket_statement_event {
	struct picket_event_header header;
	__u64 cookie;
	__u64 statement; /* per connection, from 1 */
	__u64 fingerprint; /* 0: never known, or not the last fragment */
	__u64 scope;       /* of the connection: see struct picket_verdict_entry; 0 where fingerprint is */
	__u64 incident;    /* 48 bits, as hex in the replacement text; 0: not blocked */
	struct picket_process process;
	struct picket_endpoints endpoints;
	__u32 workload;
	__u32 version;      /* the rule version's ordinal in this node: settings.version */
	__u32 danger;       /* enum sql_danger bits of sql_lexer.h */
	__u32 text_offset;  /* of text[0] in the statement */
	__u32 text_bytes;   /* captured here */
	__u32 statement_bytes; /* whole statement; 0 until known */
	__u32 fragment;     /* from 0 */
	__u32 rule;         /* index into the version's rules; PICKET_NO_RULE */
	__u8 protocol;
	__u8 message; /* enum picket_message */
	__u8 verdict; /* enum picket_verdict */
	__u8 action;  /* enum picket_action: what was asked */
	__u8 guarantee; /* enum picket_guarantee: what was true */
	__u8 slot;
	__u8 session; /* enum sql_session bits of sql_lexer.h */
	__u8 first : 1;
	__u8 last : 1;
	__u8 substituted : 1;
	__u8 adopted : 1;
	__u8 sampled : 1; /* a known use, told to be compared with what is known of its shape */
	__u8 reserved : 3;
	__u8 text[]; /* text_bytes */
};

#define PICKET_NO_RULE 0xffffffffu

/*
 * Value of a slot's verdict map. Key: the fingerprint, where the verdict holds for
 * every connection; fingerprint ^ scope, where it holds for those of one workload,
 * database user and database: what was judged by their profile. The first is
 * looked up first. Counters are atomic.
 */
struct picket_verdict_entry {
	__u64 count;
	__u64 last_ns; /* of the last use; from the 64th on, of one use in 16: compare counts to see use */
	__u32 rule;
	__u8 verdict; /* enum picket_verdict */
	__u8 action;  /* enum picket_action */
	__u8 source;  /* 0 bundle, 1 learned, 2 judged here, 3 control socket, 4 fleet */
	__u8 pad;
};

/* Settings of one slot, written before load (.rodata) and never changed. */
struct picket_slot_settings {
	__u64 hash_key;   /* odd, secret, drawn at boot */
	__u64 hash_start; /* secret, drawn at boot */
	__u64 report_interval_ns; /* an unknown shape's text is sent at most this often */
	__u32 version;
	__u32 slot;
	__u32 text_bytes_max;   /* of one statement that is sent to user space */
	__u32 never_known_burst; /* token bucket per connection, refilled within a second */
	__u32 hold_bytes_max;    /* of one connection; 0: statements are not held */
	__u32 hold_burst;        /* statements of one connection that are held within a second */
	__u32 fail_mask;         /* enum sql_danger bits with which a statement that could not be judged does not pass */
	__u32 compare_mask;      /* one known use in compare_mask + 1, a power of two, is told with its text */
	__u8 on_failure;         /* enum picket_on_failure */
	__u8 pad[7];
};

/*
 * Value of a slot's rule_texts map; key: the rule's index. The text stands in
 * the SQL error that the client reads: [A-Za-z0-9._:-] only, anything else is
 * written as '-'.
 */
struct picket_rule_text {
	__u8 bytes; /* at most sizeof(text) */
	char text[31];
};

/* Value of the owners map; key: __u64 socket cookie. Filled before `adopt` runs. */
struct picket_owner {
	struct picket_process process;
	__u32 workload; /* 0: look the socket's cgroup up */
	__u8 mode;      /* enum picket_workload_mode */
	__u8 pad[3];
};

/* The one entry of the dispatcher's settings map. */
struct picket_dispatch {
	__u64 salt;
	__u64 scope_since_ns; /* scope "new processes": candidate only for those started after */
	__u32 stable;    /* slot index */
	__u32 candidate; /* slot index; equal to stable when there is none */
	__u32 share;     /* of 10,000 */
	__u8 new_processes_only;
	__u8 pad[3];
};

/* Value of the workloads map; key: __u64 cgroup2 id. Value of the pids map; key: __u32 tgid. */
struct picket_workload {
	__u32 id;
	__u8 mode; /* enum picket_workload_mode */
	__u8 sockets; /* enum picket_sockets: which map its new connections go into */
	__u8 pad[2];
};

/* Per slot and CPU. */
struct picket_slot_counters {
	__u64 statements;
	__u64 known;
	__u64 unknown;
	__u64 never_known; /* fingerprint 0 */
	__u64 blocked;
	__u64 severed;
	__u64 would_block; /* asked to block, workload only observed */
	__u64 bytes;
	__u64 held;     /* of the unknown and never known: went to the keeper */
	__u64 unjudged; /* of them: should have been held, and were decided by on_failure */
};

#define PICKET_LATENCY_BUCKETS 24

/*
 * What databases answered to the statements that a slot judged. Value of the
 * responses map, per CPU; key: the slot's index, so what an earlier version left
 * is to be subtracted.
 */
struct picket_responses {
	__u64 ok;
	__u64 errors; /* of the server's own; a denial is not one */
	/* Time to the first byte, of statements that were clocked (watch.h): [2^i, 2^(i+1)) us. */
	__u64 latency[PICKET_LATENCY_BUCKETS];
};

/* What becomes of a statement that could not be judged: nobody was there, or it took too long. */
enum picket_on_failure {
	FAIL_OPEN = 0,   /* it passes, unless its danger mask meets fail_mask */
	FAIL_CLOSED = 1, /* it is replaced: rule text "picket:unjudged" */
};

/*
 * Holding. A statement that nobody has judged, and whatever its connection sends
 * behind it, goes to a socket of the keeper, each run of the slot with this header
 * before its bytes. The keeper sends them on, in order, by a header of its own.
 */
#define PICKET_JUDGES_MAX 16

enum picket_held_flag {
	HELD_JUDGE = 1,    /* these bytes end a statement that is to be judged */
	HELD_REPLACED = 2, /* the slot replaced a known-bad statement in them */
	HELD_TAIL = 4,     /* earlier bytes of the statement have left: it cannot be replaced */
	HELD_TORN = 8,     /* text of the statement went by unseen */
};

struct picket_held {
	__u32 magic; /* of the keeper: an application cannot write such a header */
	__u32 bytes; /* of the connection's stream, after this header */
	__u64 cookie;
	__u64 offset; /* bytes of this connection that were redirected before */
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 statement; /* per connection, from 1; 0 where HELD_JUDGE is not set, as all below */
	__u64 fingerprint;
	__u64 scope; /* as in struct picket_statement_event */
	__u64 incident;
	struct picket_process process;
	struct picket_endpoints endpoints;
	__u32 frame_bytes; /* of these bytes: the message that a denial replaces; 0: it cannot be */
	__u32 sql_at;      /* of the text in these bytes */
	__u32 sql_bytes;
	__u32 text_offset; /* of that text in the statement */
	__u32 statement_bytes;
	__u32 fragment; /* from 0: fragments before this one are on the ring */
	__u32 danger;   /* enum sql_danger bits */
	__u32 workload;
	__u32 version;
	__u8 flags;    /* enum picket_held_flag bits */
	__u8 protocol; /* enum picket_protocol */
	__u8 message;  /* enum picket_message */
	__u8 session;  /* enum sql_session bits, as the text was lexed */
	__u8 slot;
	__u8 sockets; /* enum picket_sockets: which map its socket is in */
	__u8 adopted;
	__u8 pad[5];
};

/* Before bytes that the keeper gives back: one such header in each send. */
struct picket_release {
	__u32 magic; /* of the keeper, with all bits turned */
	__u32 bytes; /* that follow, in the same send */
	__u64 cookie;
	__u32 judge;  /* index of the judge socket it is sent on: bytes whose connection is gone come back there */
	__u8 sockets; /* as in struct picket_held */
	__u8 pad[3];
};

enum picket_hold_flag {
	HOLD_KILLED = 1, /* by the keeper: nothing of this connection leaves any more */
};

/* Value of the holds map; key: __u64 socket cookie. The slot makes it, the keeper alone writes it. */
struct picket_hold {
	__u64 released; /* bytes, in the count of struct picket_held's offset */
	__u32 flags;    /* enum picket_hold_flag bits */
	__u32 pad;
};

/* What a record costs beside its bytes: its header, and what kernel and keeper need to have it in a queue. */
#define HOLD_COST 1024

/* The one entry of the keeper map, written by the keeper's own loop, but for `diverted`. */
struct picket_keeper {
	__u64 heartbeat_ns; /* CLOCK_MONOTONIC; 0: no keeper */
	__u64 bytes_max; /* of all connections together; a quarter of it is kept for what has to follow held bytes */
	__u64 diverted;  /* bytes that ever went to a keeper, each record with its cost; the slots count */
	__u64 settled;   /* of them, those that no keeper has any more */
	__u32 judges;       /* sockets in the judges map: keys 0 to judges - 1 */
	__u32 sweep;        /* sever_held ends every connection with bytes that were not given back */
	__u32 magic;        /* drawn at its start, told to nobody */
	__u32 pad;
};

/* What sever_held says of each connection it was to end. */
struct picket_severed {
	__u64 cookie;
	struct picket_endpoints endpoints;
	__u32 destroyed; /* 0: the kernel cannot (before 6.5) */
	__u32 pad;
};

/*
 * Between keeper and agent, over a unix stream socket: frames of a header and a
 * payload, each beginning with the struct that its kind names.
 */
enum picket_keeper_kind {
	/* agent to keeper */
	KEEPER_RULES = 1,      /* struct picket_keeper_rules, the table, then each rule */
	KEEPER_DROP_RULES = 2, /* struct picket_keeper_rules, of which only the version counts */
	KEEPER_POLICY = 3,     /* struct picket_keeper_policy, then each workload */
	KEEPER_ANSWER = 4,
	KEEPER_RETIRE = 5, /* no payload */
	/* keeper to agent */
	KEEPER_HELLO = 16,
	KEEPER_HELD = 17, /* struct picket_keeper_held, then the text */
	KEEPER_RESULT = 18,
	KEEPER_STATS = 19,
};

struct picket_keeper_frame {
	__u32 bytes; /* of the payload that follows */
	__u32 kind;  /* enum picket_keeper_kind */
};

/* Token rules of one version, as compiled by the lexer addon; replaces what the keeper had of that version. */
struct picket_keeper_rules {
	__u32 version; /* settings.version of the slot */
	__u32 table_bytes;
	__u32 rules;
	__u32 pad;
};

struct picket_keeper_rule {
	__u8 action; /* enum picket_action */
	__u8 pad[3];
	struct picket_rule_text text;
};

enum picket_consult {
	CONSULT_NEVER = 0,
	CONSULT_GREY = 1, /* where the danger mask is not empty, or a rule is met that does not block */
	CONSULT_ALWAYS = 2,
};

/* Before one has come the keeper consults nobody and fails open with its built-in mask. */
struct picket_keeper_policy {
	__u64 deadline_ns; /* of one statement, from its last byte */
	__u64 steps_max;   /* of the token rules over one statement: more is a probe */
	__u32 fail_mask;   /* enum sql_danger bits: see picket_slot_settings */
	__u32 workloads;   /* how many follow; they need differ from this */
	__u64 bytes_max;   /* see struct picket_keeper */
	__u8 consult;      /* enum picket_consult */
	__u8 on_failure;   /* enum picket_on_failure */
	__u8 pad[6];
};

struct picket_keeper_workload {
	__u32 id;
	__u8 consult;    /* enum picket_consult */
	__u8 on_failure; /* enum picket_on_failure */
	__u8 pad[2];
};

enum picket_answer {
	ANSWER_RELEASE = 1,
	ANSWER_DENY = 2,
};

struct picket_keeper_answer {
	__u64 hold;
	__u8 answer; /* enum picket_answer */
	__u8 pad[7];
	struct picket_rule_text text; /* of a denial */
};

struct picket_keeper_hello {
	__u32 abi;
	__u32 pid;
	__u32 judges;
	__u32 severed; /* connections that an earlier keeper left with bytes in hand, and this one ended */
	__u32 not_severed; /* and those it could not */
	__u32 pad;
};

/* What was done with a held statement. */
enum picket_outcome {
	OUTCOME_WAITING = 0, /* the agent is asked; a KEEPER_RESULT follows */
	OUTCOME_RELEASED = 1,
	OUTCOME_SUBSTITUTED = 2,
	OUTCOME_KILLED = 3, /* denied, but earlier bytes of it had left */
	OUTCOME_GONE = 4,   /* its connection was closed first */
};

/* Why. */
enum picket_because {
	BECAUSE_NO_SIGNAL = 1,
	BECAUSE_RULE = 2,      /* a rule that blocks was met */
	BECAUSE_ANSWERED = 3,  /* by the agent */
	BECAUSE_DEADLINE = 4,  /* the agent did not answer in time: on_failure and the mask decided */
	BECAUSE_NO_AGENT = 5,  /* or there was none */
	BECAUSE_NO_RULES = 6,  /* the version's rules were not there: the same */
	BECAUSE_EXHAUSTED = 7, /* its steps were used up */
};

struct picket_keeper_held {
	__u64 hold; /* number of this hold */
	__u64 held_ns; /* from the kernel's header to the decision */
	struct picket_held held;
	__u32 rule; /* the one that decided, or the first that was met; PICKET_NO_RULE */
	__u32 met;  /* how many were */
	__u32 text_bytes;
	__u8 outcome;   /* enum picket_outcome */
	__u8 because;   /* enum picket_because; 0 while waiting */
	__u8 guarantee; /* enum picket_guarantee */
	__u8 pad;
	__u8 text[]; /* text_bytes: held.sql_bytes of them */
};

struct picket_keeper_result {
	__u64 hold;
	__u64 held_ns;
	__u64 cookie;
	__u64 statement;
	__u8 outcome;   /* enum picket_outcome */
	__u8 because;   /* enum picket_because */
	__u8 guarantee; /* enum picket_guarantee */
	__u8 pad[5];
};

/* Once a second while an agent is connected; all but the last three count since the keeper's start. */
struct picket_keeper_stats {
	__u64 held; /* statements */
	__u64 released;
	__u64 substituted;
	__u64 killed;
	__u64 timed_out;
	__u64 unjudged; /* no rules, no agent: decided by on_failure */
	__u64 bytes;    /* received from the kernel */
	__u64 strays;   /* bytes whose connection was gone */
	__u64 untold;   /* records that the agent was too slow to take */
	__u64 broken;   /* headers that made no sense */
	__u64 waiting;  /* statements, now */
	__u64 queued_bytes; /* now */
	__u64 connections;  /* with something queued, now */
};

#endif
