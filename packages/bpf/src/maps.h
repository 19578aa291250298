/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps that the dispatcher owns and every slot shares, and what is kept of
 * one connection. User space creates them with the dispatcher and hands the same
 * descriptors to each slot it loads (bpf_map__reuse_fd), so both objects must
 * declare them alike: this is the only declaration.
 */
#ifndef PICKET_MAPS_H
#define PICKET_MAPS_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "event.h"
#include "sql_lexer.h"

#define AF_INET 2
#define AF_INET6 10
#define SLOTS_MAX 16

/* Where the client's byte stream stands between two messages of the protocol. */
enum phase {
	PHASE_START = 0,   /* the connection's first bytes: which protocol? */
	PHASE_RESYNC = 1,  /* bytes went by unseen: wait for a whole statement frame */
	PHASE_HEADER = 2,  /* a message begins, or its header came in part */
	PHASE_PRELUDE = 3, /* between header and SQL: statement name, query attributes */
	PHASE_TEXT = 4,    /* SQL */
	PHASE_SKIP = 5,    /* the rest of a message that holds no SQL */
};

#define FIRST_BYTES_MAX 36 /* a MySQL SSLRequest; the longest that recognition reads */

struct frame {
	__u32 expected;        /* TCP sequence of the first byte of the next run */
	__u32 remaining;       /* bytes of the current message that are to come */
	__u32 statement_bytes; /* SQL seen of the current statement */
	__u32 reported_bytes;  /* of it, sent to user space */
	__u32 fragment;
	__u32 capabilities; /* of the MySQL handshake */
	__u8 protocol;      /* enum picket_protocol */
	__u8 phase;         /* enum phase */
	__u8 message;       /* enum picket_message */
	__u8 command;       /* MySQL: the last one of sequence 0 */
	__u8 pad;           /* header is read and written as a word */
	__u8 continued : 1; /* MySQL: packet of 0xffffff bytes, the next one belongs to it */
	__u8 infile : 1;    /* MySQL: LOAD DATA LOCAL content until the empty packet */
	__u8 torn : 1;      /* bytes of this statement went by unseen */
	__u8 latched : 1;   /* a message is under way: stay in this slot */
	__u8 departed : 1;  /* earlier bytes of this message have left */
	__u8 resynced : 1;  /* not seen from its first byte: adopted, or a slot was empty */
	__u8 cut : 1;       /* more text than is told of one statement: counted once */
	__u8 spare : 1;
	__u8 sequence; /* MySQL: of the packet last seen */
	__u8 header_bytes;
	__u8 header[FIRST_BYTES_MAX];
};

/* What the header says of bytes that end a statement; flags are 0 where they only follow. */
struct holding {
	__u64 fingerprint;
	__u64 scope;
	__u64 incident;
	__u32 frame_bytes;
	__u32 sql_at;
	__u32 sql_bytes;
	__u32 version;
	__u8 message;
	__u8 slot;
	__u8 flags; /* enum picket_held_flag */
};

enum server {
	SERVER_UNHEARD = 0,
	SERVER_MYSQL = 1,   /* or what speaks like it: its status says nothing of ANSI_QUOTES */
	SERVER_MARIADB = 2, /* 10.3 or newer */
};

/*
 * Which of the client's commands the server has answered, and what the answers
 * say of the session. Two programs share it without a lock, so each field has one
 * writer: the slot counts what is asked, the ingress program what is answered.
 * TCP sequence numbers are of the server's stream.
 */
struct watch {
	__u32 asked;    /* slot: commands that the server answers, the login included */
	__u32 changing; /* slot: the last of them that may have changed the session */
	__u32 answered; /* ingress: how many of them */
	__u32 settled;  /* ingress: up to which one it is known what became of the session */
	__u32 ended;    /* ingress: behind the last answer */
	__u32 heard;    /* ingress, PostgreSQL: up to here messages were walked without a gap */
	__u32 next;     /* ingress, PostgreSQL: where the next message begins */
	__u32 timed;    /* slot: the last one whose time was taken */
	__u32 clocked;  /* ingress: the last one whose answer was */
	__u32 denied;   /* slot: the last one that was replaced by a denial */
	__u64 sent_ns;  /* slot: when the timed one was sent */
	__u8 claim;     /* slot: enum sql_set_says, of the last change */
	__u8 unit;      /* slot, PostgreSQL: messages were sent that a Sync is to follow */
	__u8 prepared;  /* slot: enum prepared */
	__u8 unnamed;   /* slot, PostgreSQL: the Parse under way has no name */
	__u8 session;   /* ingress: enum sql_session bits that the server told */
	__u8 mode;      /* ingress, MySQL: of them those that the status tells, as last believed */
	__u8 server;    /* ingress: enum server */
	__u8 in_doubt;  /* ingress, PostgreSQL: changed in a transaction, which may end either way */
	__u8 failed;    /* ingress, PostgreSQL: the answer under way holds an error */
	__u8 muddled;   /* ingress: answers can no longer be told apart; sticky */
	__u32 timed_tick; /* slot: when that was, in ticks */
};

/* A statement that changes the session was prepared: who knows when it runs. */
enum prepared {
	PREPARED_NONE = 0,
	PREPARED_UNNAMED = 1, /* PostgreSQL: until the next one */
	PREPARED_NAMED = 2,
};

struct connection {
	__u64 cookie;
	struct picket_process process;
	struct picket_endpoints endpoints;
	__u64 begun_ns;
	__u64 established_ns;
	__u64 retransmit_told_ns;
	__u64 workload_key; /* cgroup id or tgid: where the mode is looked up */
	__u64 statements;
	__u64 never_known_ns; /* token bucket of reports: last refill */
	__u64 hold_ns;        /* token bucket of held statements: last refill */
	__u64 who;            /* hash of the names that the login gave; 0: none was read */
	__u64 redirected;     /* bytes that went to the keeper, ever */
	__u64 given_back;     /* of them, as last seen: when equal, nothing is held */
	__u32 never_known_tokens;
	__u32 hold_tokens;
	__u32 workload;
	__u32 retransmits;
	__u32 slot;
	__u8 by_pid; /* workload_key is a tgid */
	__u8 mode;   /* enum picket_workload_mode, as last seen */
	__u8 adopted;
	__u8 enrolled;
	__u8 notice; /* enum picket_notice */
	__u8 sockets; /* enum picket_sockets */
	__u8 pad[2];
	__u32 read; /* of the SQL in hand, by the lexer (lexing.h) */
	__u32 to_divert; /* bytes of the kernel's message at hand that have to go to the keeper, too (hold.h) */
	struct frame frame;
	struct watch watch;
	struct holding hold; /* of this run; here, since it would not fit the stack */
	struct sql_lexer lexer;
};

/* The sockets whose sends the dispatcher sees, by cookie. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64);
} sockets SEC(".maps");

/* Likewise, of workloads whose programs never ask FIONREAD; keep_fionread is not attached here. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64);
} sockets_plain SEC(".maps");

/* What is known of a connection; goes with its socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

/* Everything user space is told; its size is set before load. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} events SEC(".maps");

/* The loaded rule versions: one slot program each. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SLOTS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} slots SEC(".maps");

/* Which slot judges whom. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct picket_dispatch);
} dispatch SEC(".maps");

/* Workloads chosen by cgroup2 id; a process belongs to its nearest listed ancestor. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct picket_workload);
} workloads SEC(".maps");

/* Workloads chosen by process, for hosts whose containers share one cgroup2; wins over the cgroup. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct picket_workload);
} workload_pids SEC(".maps");

/* The keeper's ends of its own connections, by number: what is held goes to one of them. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, PICKET_JUDGES_MAX);
	__type(key, __u32);
	__type(value, __u64);
} judges SEC(".maps");

/* How much of each connection the keeper has given back; an entry lives from its first hold to its close. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct picket_hold);
} holds SEC(".maps");

/* Whether a keeper is there. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct picket_keeper);
} keeper SEC(".maps");

/* What could not be seen or told, by enum picket_loss. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_KINDS);
	__type(key, __u32);
	__type(value, __u64);
} losses SEC(".maps");

/* The number of the last event made on each CPU, lost ones included. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} event_seq SEC(".maps");

/* What databases answered, by slot. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS_MAX);
	__type(key, __u32);
	__type(value, struct picket_responses);
} responses SEC(".maps");

static __always_inline void count_loss(__u32 kind)
{
	__u64 *counter = bpf_map_lookup_elem(&losses, &kind);

	if (counter)
		__sync_fetch_and_add(counter, 1);
}

/* Fills a header; the number is taken here, so an event that is lost leaves a gap. */
static __always_inline void begin_event(struct picket_event_header *h, __u8 kind, __u32 size)
{
	__u32 zero = 0;
	__u64 *seq = bpf_map_lookup_elem(&event_seq, &zero);

	/* Atomic: a softirq on this CPU may make an event between load and store. */
	h->seq = seq ? __sync_fetch_and_add(seq, 1) + 1 : 0;
	h->time_ns = bpf_ktime_get_ns();
	h->size = size;
	h->cpu = bpf_get_smp_processor_id();
	h->kind = kind;
	h->abi = PICKET_ABI;
}

#endif
