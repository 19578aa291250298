// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The part that never changes while the agent runs. It learns of connections,
 * enrols the sockets of chosen workloads, and hands every send of an enrolled
 * socket to the slot that judges it. Rules live in the slots (slot.bpf.c): a
 * sockmap keeps calling the program that was attached when a socket joined, so
 * what is attached must be a switch and nothing else.
 */
#include "maps.h"

#include "answer.h"
#include "connection.h"
#include "hold.h"
#include "workload.h"

#define EBUSY 16
#define E2BIG 7
#define SHARE_WHOLE 10000
/* Bytes that an unwatched connection may send before the program is asked again. */
#define PASS_LONG (1u << 30)

char LICENSE[] SEC("license") = "Dual BSD/GPL";

extern int bpf_sock_destroy(struct sock_common *sock) __weak __ksym; /* 6.5 */

/* Processes of sockets that existed before the agent; user space fills it before `adopt`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct picket_owner);
} owners SEC(".maps");

/* Local ports that something listens on (network namespace << 16 | port), found while `adopt` walks. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u8);
} listening SEC(".maps");

/* Cookies of the sockets that `sever` destroys; it sets the value to 1 where it did. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u8);
} condemned SEC(".maps");

static __always_inline void read_process(struct picket_process *p)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 id = bpf_get_current_pid_tgid();

	p->cgroup_id = bpf_get_current_cgroup_id();
	p->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	p->tgid = id >> 32;
	p->tid = id;
	bpf_get_current_comm(p->comm, sizeof(p->comm));
}

static __always_inline void join(struct connection *c, const struct membership *m)
{
	c->workload_key = m->key;
	c->workload = m->workload;
	c->by_pid = m->by_pid;
	c->mode = m->mode;
}

/* Runs in the process that connects: the only moment its identity is at hand. */
static __always_inline void begin_connection(struct sock *sk)
{
	struct membership m;

	if (!membership_of_current(&m) || m.mode < WORKLOAD_OBSERVE)
		return;
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!c)
		return count_loss(LOSS_STORAGE_FULL);
	/* A socket may connect again after a failure: start from nothing. */
	__builtin_memset(c, 0, sizeof(*c));
	c->cookie = bpf_get_socket_cookie(sk);
	c->begun_ns = bpf_ktime_get_ns();
	read_process(&c->process);
	read_endpoints(&c->endpoints, sk);
	join(c, &m);
	c->sockets = m.sockets;
}

/* What was held of a connection whose writing half closes now can leave no more: the FIN goes first. */
static __always_inline void count_cut(const struct connection *c)
{
	__u64 cookie = c->cookie;
	struct picket_hold *h = c->redirected == c->given_back ? 0 : bpf_map_lookup_elem(&holds, &cookie);

	if (h && !(h->flags & HOLD_KILLED) && h->released != c->redirected)
		count_loss(LOSS_HOLD_CLOSED);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, struct sock *sk, int old_state, int new_state)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (new_state == TCP_SYN_SENT) {
		begin_connection(sk);
		return 0;
	}
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);

	if (!c)
		return 0;
	if (new_state == TCP_ESTABLISHED) {
		c->established_ns = bpf_ktime_get_ns();
		read_endpoints(&c->endpoints, sk); /* the local port is chosen after SYN_SENT */
		return 0; /* told by enrol, which knows whether the socket could be enrolled */
	}
	if (old_state == TCP_ESTABLISHED ? new_state != TCP_CLOSE_WAIT : old_state == TCP_CLOSE_WAIT)
		count_cut(c);
	if (new_state == TCP_CLOSE) {
		__u64 cookie = c->cookie;

		if (c->redirected)
			bpf_map_delete_elem(&holds, &cookie);
		report_connection(c, bpf_skc_to_tcp_sock(sk), CONNECTION_CLOSED, old_state, new_state);
	}
	return 0;
}

#define LINGER_NS 20000000ull
#define LINGER_TURNS (1u << 22)

struct lingering {
	__u64 cookie;
	__u64 redirected;
	__u64 until;
};

static long linger(__u32 turn, struct lingering *l)
{
	__u64 cookie = l->cookie;
	struct picket_hold *h = bpf_map_lookup_elem(&holds, &cookie);

	return !h || h->flags & HOLD_KILLED || *(volatile __u64 *)&h->released == l->redirected ||
	       bpf_ktime_get_ns() > l->until;
}

/*
 * A program that sends a statement and closes at once would lose it to the FIN. The kernel asks here before it
 * begins to close, so the close takes as long as the keeper does: some tens of microseconds, or what the agent needs.
 * Nothing here can sleep, so it turns; at the end of its patience the statement is lost, and counted.
 */
SEC("cgroup/sock_release")
int closing(struct bpf_sock *sk)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);

	if (!c || c->redirected == c->given_back)
		return 1;
	struct lingering l = {
		.cookie = c->cookie,
		.redirected = c->redirected,
		.until = bpf_ktime_get_ns() + LINGER_NS,
	};

	bpf_loop(LINGER_TURNS, linger, &l, 0);
	return 1;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmitted, struct sock *sk)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);

	if (!c)
		return 0;
	__u64 now = bpf_ktime_get_ns();

	c->retransmits++;
	if (now - c->retransmit_told_ns < 1000000000ull)
		return 0;
	c->retransmit_told_ns = now;
	__u8 state = sk->__sk_common.skc_state;

	report_connection(c, bpf_skc_to_tcp_sock(sk), CONNECTION_RETRANSMIT, state, state);
	return 0;
}

static __always_inline void count_refusal(long error)
{
	if (error == -E2BIG)
		count_loss(LOSS_SOCKHASH_FULL);
	else if (error == -EBUSY)
		count_loss(LOSS_SOCKHASH_BUSY);
	else
		count_loss(LOSS_SOCKHASH_REFUSED);
}

/* A socket that something else has put a layer on is left alone. */
static __always_inline bool layered(struct tcp_sock *tp)
{
	if (bpf_core_field_exists(tp->is_mptcp) && tp->is_mptcp) {
		count_loss(LOSS_REFUSED_MPTCP);
		return true;
	}
	if (tp->inet_conn.icsk_ulp_ops) {
		count_loss(LOSS_REFUSED_ULP);
		return true;
	}
	return false;
}

SEC("sockops")
int enrol(struct bpf_sock_ops *ops)
{
	if (ops->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		return 1;
	struct bpf_sock *sk = ops->sk;

	if (!sk)
		return 1;
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!c || !tp || c->mode < WORKLOAD_OBSERVE)
		return 1;
	c->frame.expected = tp->write_seq;
	begin_watch(c, tp);
	if (!layered(tp)) {
		long error = c->sockets == SOCKETS_PLAIN ?
				     bpf_sock_hash_update(ops, &sockets_plain, &c->cookie, BPF_NOEXIST) :
				     bpf_sock_hash_update(ops, &sockets, &c->cookie, BPF_NOEXIST);

		if (error)
			count_refusal(error);
		c->enrolled = !error;
	}
	report_connection(c, tp, c->enrolled ? CONNECTION_ESTABLISHED : CONNECTION_REFUSED, TCP_SYN_SENT,
			  TCP_ESTABLISHED);
	return 1;
}

/* splitmix64's finaliser (Steele, Lea, Flood 2014): neighbouring pids land far apart. */
static __always_inline __u64 mix(__u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static __always_inline __u32 choose_slot(const struct connection *c, const struct picket_dispatch *d)
{
	if (d->candidate == d->stable)
		return d->stable;
	if (d->new_processes_only && c->process.start_ns < d->scope_since_ns)
		return d->stable;
	__u64 bucket = mix(mix(d->salt ^ c->process.start_ns) ^ c->process.tgid) % SHARE_WHOLE;

	return bucket < d->share ? d->candidate : d->stable;
}

/* No slot will look at these bytes, but bytes before them are with the keeper. */
static __always_inline int follow(struct sk_msg_md *msg, struct connection *c)
{
	enum held held = held_of(c);

	c->hold.flags = 0;
	if (must_follow(c, held)) {
		if (!divert(msg, c, msg->size))
			return SK_PASS;
	} else if (held == HELD_NOTHING) {
		bpf_msg_apply_bytes(msg, msg->size);
		return SK_PASS;
	}
	struct bpf_sock *sk = msg->sk;

	report_connection(c, sk ? bpf_skc_to_tcp_sock(sk) : 0, CONNECTION_KILLED, TCP_ESTABLISHED, TCP_ESTABLISHED);
	bpf_msg_apply_bytes(msg, 0);
	return SK_DROP;
}

SEC("sk_msg")
int dispatcher(struct sk_msg_md *msg)
{
	__u32 zero = 0;
	struct bpf_sock *sk = msg->sk;
	struct connection *c = sk ? bpf_sk_storage_get(&connections, sk, 0, 0) : 0;
	struct picket_dispatch *d = bpf_map_lookup_elem(&dispatch, &zero);

	if (!c || !d) {
		count_loss(LOSS_STORAGE_FULL);
		return SK_PASS;
	}
	if (c->frame.protocol >= PROTOCOL_TLS) {
		if (may_follow(c))
			return follow(msg, c);
		bpf_msg_apply_bytes(msg, PASS_LONG);
		return SK_PASS;
	}
	if (c->mode >= WORKLOAD_OBSERVE) {
		if (!c->frame.latched)
			c->slot = choose_slot(c, d);
		bpf_tail_call(msg, &slots, c->slot);
		count_loss(LOSS_EMPTY_SLOT); /* fail open */
	}
	/* What passes now is not framed, so a later slot has to find its feet. */
	c->frame.phase = PHASE_RESYNC;
	c->frame.latched = 0;
	c->frame.resynced = 1;
	if (may_follow(c))
		return follow(msg, c);
	bpf_msg_apply_bytes(msg, msg->size);
	return SK_PASS;
}

/*
 * What the keeper gives back: one header in each send, then bytes for the socket
 * that it names. The header of every send is the first that the program sees of
 * it, since a send that does not wait and is not longer than a message holds is
 * one message, and a redirected one leaves no verdict behind. Bytes whose socket
 * is gone go back to where they came from. Never SK_DROP: it would stick.
 */
SEC("sk_msg")
int release(struct sk_msg_md *msg)
{
	__u32 zero = 0;
	struct picket_keeper *k = bpf_map_lookup_elem(&keeper, &zero);
	struct picket_release *h = (void *)first_byte(msg);

	if ((void *)(h + 1) > bytes_end(msg)) {
		if (bpf_msg_pull_data(msg, 0, sizeof(*h), 0))
			goto broken;
		h = (void *)first_byte(msg);
		if ((void *)(h + 1) > bytes_end(msg))
			goto broken;
	}
	if (!k || h->magic != ~k->magic || h->bytes + sizeof(*h) != msg->size)
		goto broken;
	__u64 cookie = h->cookie;
	__u32 judge = h->judge;

	long back = h->sockets == SOCKETS_PLAIN ? bpf_msg_redirect_hash(msg, &sockets_plain, &cookie, 0) :
						  bpf_msg_redirect_hash(msg, &sockets, &cookie, 0);

	if (back == SK_PASS) {
		if (!bpf_msg_pop_data(msg, 0, sizeof(*h), 0))
			return SK_PASS;
	}
	if (bpf_msg_redirect_hash(msg, &judges, &judge, BPF_F_INGRESS) == SK_PASS)
		return SK_PASS;
broken:
	count_loss(LOSS_RELEASE_FAILED);
	return SK_PASS;
}

/* A process of Picket itself: listed, and in no workload. */
static __always_inline bool is_exempt(__u32 tgid)
{
	struct picket_workload *w = bpf_map_lookup_elem(&workload_pids, &tgid);

	return w && w->mode == WORKLOAD_OFF && !w->id;
}

/*
 * Enrols sockets that were connected before the agent. The walk meets listening
 * sockets first: a connection whose local port is one of theirs was accepted,
 * and its process is the server. An accepted socket whose listener is gone is
 * taken for a client; its bytes then never read as a statement frame.
 */
SEC("iter/tcp")
int adopt(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;

	if (!skc)
		return 0;
	__u64 local = (__u64)BPF_CORE_READ(skc, skc_net.net, ns.inum) << 16 | skc->skc_num;
	__u8 state = skc->skc_state, yes = 1;

	if (state == TCP_LISTEN) {
		bpf_map_update_elem(&listening, &local, &yes, BPF_ANY);
		return 0;
	}
	if (state != TCP_ESTABLISHED || bpf_map_lookup_elem(&listening, &local))
		return 0;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(skc);

	if (!tp)
		return 0;
	__u64 cookie = bpf_get_socket_cookie(tp);
	struct picket_owner *owner = bpf_map_lookup_elem(&owners, &cookie);
	struct membership m = {};

	if (owner && owner->workload)
		m = (struct membership){ owner->process.tgid, owner->workload, 1, owner->mode };
	else if (owner && is_exempt(owner->process.tgid))
		return 0;
	else if (!membership_of_cgroup(BPF_CORE_READ((struct sock *)tp, sk_cgrp_data.cgroup), &m))
		return 0;
	struct connection *c = bpf_sk_storage_get(&connections, tp, 0, 0);

	if (c && c->enrolled) {
		/* A workload was chosen, or given up, while the connection lived. */
		__u32 before = c->workload;

		join(c, &m);
		if (c->workload != before)
			report_connection(c, tp, CONNECTION_ADOPTED, state, state);
		return 0;
	}
	if (m.mode < WORKLOAD_OBSERVE)
		return 0;
	c = bpf_sk_storage_get(&connections, tp, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c) {
		count_loss(LOSS_STORAGE_FULL);
		return 0;
	}
	c->cookie = cookie;
	c->begun_ns = bpf_ktime_get_ns();
	c->adopted = 1;
	if (owner)
		c->process = owner->process;
	read_endpoints(&c->endpoints, (struct sock *)tp);
	join(c, &m);
	c->frame.phase = PHASE_RESYNC;
	c->frame.resynced = 1;
	c->frame.expected = tp->write_seq;
	begin_watch(c, tp);
	if (!layered(tp)) {
		long error = bpf_map_update_elem(&sockets, &cookie, tp, BPF_NOEXIST);

		if (error)
			count_refusal(error);
		c->enrolled = !error;
	}
	report_connection(c, tp, c->enrolled ? CONNECTION_ADOPTED : CONNECTION_REFUSED, state, state);
	return 0;
}

/* Ends the condemned connections, both ways; where the kernel cannot (before 6.5), user space uses SOCK_DIAG. */
SEC("iter/tcp")
int sever(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;

	if (!skc || !bpf_sock_destroy)
		return 0;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(skc);

	if (!tp)
		return 0;
	__u64 cookie = bpf_get_socket_cookie(tp);
	__u8 *done = bpf_map_lookup_elem(&condemned, &cookie);

	if (done && !bpf_sock_destroy(skc))
		*done = 1;
	return 0;
}

/*
 * Ends connections of which the keeper has bytes: those that it killed, and, while
 * a keeper that starts says so, all of them, since what an earlier one had is lost.
 */
SEC("iter/tcp")
int sever_held(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tcp_sock *tp = skc ? bpf_skc_to_tcp_sock(skc) : 0;
	__u32 zero = 0;

	/* One that its application has closed says what is left to say. */
	if (!tp || (skc->skc_state != TCP_ESTABLISHED && skc->skc_state != TCP_CLOSE_WAIT))
		return 0;
	struct connection *c = bpf_sk_storage_get(&connections, tp, 0, 0);
	struct picket_keeper *k = bpf_map_lookup_elem(&keeper, &zero);

	if (!c || !k || !c->redirected)
		return 0;
	__u64 cookie = c->cookie;
	struct picket_hold *h = bpf_map_lookup_elem(&holds, &cookie);

	if (!h || !(h->flags & HOLD_KILLED || (k->sweep && h->released != c->redirected)))
		return 0;
	h->flags |= HOLD_KILLED; /* where it cannot be destroyed, at least nothing leaves it any more */
	struct picket_severed is = { .cookie = cookie, .endpoints = c->endpoints };

	if (bpf_sock_destroy)
		is.destroyed = !bpf_sock_destroy(skc);
	bpf_seq_write(ctx->meta->seq, &is, sizeof(is));
	return 0;
}

/* What database servers answer; follows sessions (answer.h). */
SEC("cgroup_skb/ingress")
int answered(struct __sk_buff *skb)
{
	hear(skb);
	return 1;
}

/* Restores FIONREAD on kernels whose sockmap hides waiting bytes; attached only where user space says so. */
SEC("sk_skb/stream_verdict")
int keep_fionread(struct __sk_buff *skb)
{
	return SK_PASS;
}
