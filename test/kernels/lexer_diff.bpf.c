/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs the lexer of the programs over what user space sends with BPF_PROG_TEST_RUN: a packet of a head and a
 * statement in, fingerprint and danger in their place at the packet's start out. lexer.test.ts compares them with
 * what the same header gives in user space.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "lexing.h"

#define STATEMENT_MAX 2048

struct head {
	__u64 key;
	__u64 start;
	__u32 dialect;
	__u32 session;
	__u32 bytes;
	__u32 unused;
};

struct answer {
	__u64 fingerprint;
	__u32 danger;
	__u32 bytes; /* that were lexed */
};

/* The lexer's state lives in a map, as a connection's does. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct {
		struct sql_lexer lexer;
		__u32 read;
	});
} state SEC(".maps");

SEC("tc")
int lexer_diff(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct {
		struct sql_lexer lexer;
		__u32 read;
	} *s = bpf_map_lookup_elem(&state, &zero);
	struct answer answer = {};
	struct head head;

	if (!s || bpf_skb_load_bytes(skb, 0, &head, sizeof(head)) || head.bytes > STATEMENT_MAX ||
	    bpf_skb_pull_data(skb, sizeof(head) + head.bytes))
		return -1;
	struct lexing x = {
		.lexer = &s->lexer,
		.read = &s->read,
		.data = (__u8 *)(long)skb->data + sizeof(head),
		.end = (void *)(long)skb->data_end,
		.bytes = head.bytes,
	};

	sql_lexer_start(&s->lexer, head.dialect, head.session, head.key, head.start);
	lex_in_hand(&x);
	answer.fingerprint = sql_lexer_finish(&s->lexer);
	answer.danger = s->lexer.danger;
	answer.bytes = s->read;
	return bpf_skb_store_bytes(skb, 0, &answer, sizeof(answer), 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
