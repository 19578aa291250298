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
#define PICKET_ABI 1

enum picket_event_kind {
	EVENT_STATEMENT = 1,
	EVENT_CONNECTION = 2,
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
	LOSS_KINDS = 14,
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

#define PICKET_TEXT_MAX 16384

/* One fragment of a statement; a statement over several sends gives several. */
struct picket_statement_event {
	struct picket_event_header header;
	__u64 cookie;
	__u64 statement; /* per connection, from 1 */
	__u64 fingerprint; /* 0: never known, or not the last fragment */
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
	__u8 reserved : 4;
	__u8 text[]; /* text_bytes */
};

#define PICKET_NO_RULE 0xffffffffu

/* Value of a slot's verdict map; key: __u64 fingerprint. Counters are atomic. */
struct picket_verdict_entry {
	__u64 count;
	__u64 last_ns; /* of the last use; from the 64th on, of one use in 16: compare counts to see use */
	__u32 rule;
	__u8 verdict; /* enum picket_verdict */
	__u8 action;  /* enum picket_action */
	__u8 source;  /* 0 bundle, 1 learned, 2 judged here, 3 control socket */
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
	__u8 pad[3];
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
};

#endif
