/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every kind of map and attachment that the addon's tests touch. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct pair {
	__u32 a;
	__u32 b;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct pair);
} pairs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} storage SEC(".maps");

enum counter {
	COUNT_SOCKOPS,
	COUNT_MESSAGES,
	COUNT_EXEC,
	COUNT_TRACEPOINT,
	COUNT_UPROBE,
	COUNT_URETPROBE,
	COUNT_COOKIE,
};

const volatile __u32 answer = 7;
const volatile __u64 watched_tgid;
__u64 written_by_kernel;

static __always_inline void count(__u32 index, __u64 value)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &index);

	if (counter)
		__sync_fetch_and_add(counter, value);
}

SEC("syscall")
int run(void *ctx)
{
	__u32 zero = 0, *mine = bpf_map_lookup_elem(&percpu, &zero);

	if (mine)
		*mine += 1;
	written_by_kernel = 0x1122334455667788ull;
	return answer;
}

SEC("socket")
int slot_one(struct __sk_buff *skb)
{
	return 101;
}

SEC("socket")
int slot_two(struct __sk_buff *skb)
{
	return 102;
}

SEC("socket")
int dispatch(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &slots, 1);
	return 100;
}

SEC("sockops")
int enrol(struct bpf_sock_ops *ops)
{
	__u64 cookie = bpf_get_socket_cookie(ops), *state;

	if (ops->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		return 1;
	count(COUNT_SOCKOPS, 1);
	bpf_sock_hash_update(ops, &sockets, &cookie, BPF_ANY);
	if (ops->sk) {
		state = bpf_sk_storage_get(&storage, ops->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (state)
			*state = cookie;
	}
	return 1;
}

SEC("sk_msg")
int on_message(struct sk_msg_md *msg)
{
	count(COUNT_MESSAGES, 1);
	return SK_PASS;
}

SEC("sk_skb/stream_verdict")
int on_stream(struct __sk_buff *skb)
{
	return SK_PASS;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec)
{
	count(COUNT_EXEC, 1);
	return 0;
}

SEC("tracepoint/sched/sched_process_exec")
int on_exec_tracepoint(void *ctx)
{
	count(COUNT_TRACEPOINT, 1);
	return 0;
}

SEC("uprobe")
int on_entry(struct pt_regs *ctx)
{
	count(COUNT_UPROBE, 1);
	count(COUNT_COOKIE, bpf_get_attach_cookie(ctx));
	return 0;
}

SEC("uretprobe")
int on_return(struct pt_regs *ctx)
{
	count(COUNT_URETPROBE, 1);
	return 0;
}

struct task_struct {
	int pid;
	int tgid;
} __attribute__((preserve_access_index));

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

SEC("iter/task")
int list_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task)
		BPF_SEQ_PRINTF(ctx->meta->seq, "%d %d\n", task->tgid, task->pid);
	return 0;
}

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *map;
	void *key;
	void *value;
} __attribute__((preserve_access_index));

SEC("iter/bpf_map_elem")
int list_pairs(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 *key = ctx->key;
	struct pair *value = ctx->value;

	if (key && value)
		BPF_SEQ_PRINTF(ctx->meta->seq, "%llu=%u,%u\n", *key, value->a, value->b);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
