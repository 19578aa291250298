/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is told of a connection, apart from its statements. */
#ifndef PICKET_CONNECTION_H
#define PICKET_CONNECTION_H

#include "maps.h"

static __always_inline void read_endpoints(struct picket_endpoints *e, struct sock *sk)
{
	const struct sock_common *skc = &sk->__sk_common;

	e->family = skc->skc_family;
	e->local_port = skc->skc_num;
	e->remote_port = bpf_ntohs(skc->skc_dport);
	if (e->family == AF_INET6) {
		BPF_CORE_READ_INTO(&e->local_addr, skc, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&e->remote_addr, skc, skc_v6_daddr);
		return;
	}
	__builtin_memset(e->local_addr, 0, 10);
	__builtin_memset(e->remote_addr, 0, 10);
	e->local_addr[10] = e->local_addr[11] = 0xff;
	e->remote_addr[10] = e->remote_addr[11] = 0xff;
	__u32 local = skc->skc_rcv_saddr, remote = skc->skc_daddr;
	__builtin_memcpy(&e->local_addr[12], &local, 4);
	__builtin_memcpy(&e->remote_addr[12], &remote, 4);
}

/* tp may be NULL where the kernel does not hand out a full socket. */
static __always_inline void report_connection(struct connection *c, struct tcp_sock *tp, __u8 reason,
					      __u8 old_state, __u8 new_state)
{
	struct picket_connection_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		struct picket_event_header lost;

		begin_event(&lost, EVENT_CONNECTION, 0);
		count_loss(LOSS_RING_FULL);
		return;
	}
	begin_event(&e->header, EVENT_CONNECTION, sizeof(*e));
	e->cookie = c->cookie;
	e->process = c->process;
	e->endpoints = c->endpoints;
	e->connect_ns = c->established_ns && !c->adopted ? c->established_ns - c->begun_ns : 0;
	e->lifetime_ns = e->header.time_ns - c->begun_ns;
	e->bytes_sent = tp ? tp->bytes_sent : 0;
	e->bytes_received = tp ? tp->bytes_received : 0;
	e->srtt_us = tp ? tp->srtt_us >> 3 : 0;
	e->retransmits = c->retransmits;
	e->old_state = old_state;
	e->new_state = new_state;
	e->protocol = c->frame.protocol;
	e->adopted = c->adopted;
	e->enrolled = c->enrolled;
	e->workload_mode = c->mode;
	e->reserved = 0;
	e->workload = c->workload;
	e->statements = c->statements;
	e->reason = reason;
	e->notice = c->notice;
	__builtin_memset(e->pad, 0, sizeof(e->pad));
	bpf_ringbuf_submit(e, 0);
}

#endif
