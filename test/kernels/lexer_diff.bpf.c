/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs the lexer of the programs over what user space sends with BPF_PROG_TEST_RUN: a packet of a head and a
 * statement in, fingerprint and danger in their place at the packet's start out. lexer.test.ts compares them with
 * what the same header gives in user space.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "sql_lexer.h"

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

struct lexing {
	struct sql_lexer lexer;
	struct __sk_buff *skb;
	__u32 bytes;
	__u32 read;
};

static long lex_byte(__u32 i, struct lexing *x)
{
	__u8 c;

	if (i >= x->bytes || bpf_skb_load_bytes(x->skb, sizeof(struct head) + i, &c, 1))
		return 1;
	struct sql_lexer lexer = x->lexer;

	sql_lexer_step(&lexer, c);
	x->lexer = lexer;
	x->read = i + 1;
	return 0;
}

SEC("tc")
int lexer_diff(struct __sk_buff *skb)
{
	struct lexing x = { .skb = skb };
	struct answer answer = {};
	struct head head;

	if (bpf_skb_load_bytes(skb, 0, &head, sizeof(head)) || head.bytes > STATEMENT_MAX)
		return -1;
	x.bytes = head.bytes;
	sql_lexer_start(&x.lexer, head.dialect, head.session, head.key, head.start);
	bpf_loop(STATEMENT_MAX, lex_byte, &x, 0);
	struct sql_lexer lexer = x.lexer;

	answer.fingerprint = sql_lexer_finish(&lexer);
	answer.danger = lexer.danger;
	answer.bytes = x.read;
	return bpf_skb_store_bytes(skb, 0, &answer, sizeof(answer), 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
