/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The verifier must refuse `unchecked`: it reads a map value without asking whether there is one. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} values SEC(".maps");

SEC("socket")
int fine(struct __sk_buff *skb)
{
	return 0;
}

SEC("socket")
int unchecked(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&values, &key);

	return *value;
}

char LICENSE[] SEC("license") = "GPL";
