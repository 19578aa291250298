/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which workload a process or a socket belongs to. */
#ifndef PICKET_WORKLOAD_H
#define PICKET_WORKLOAD_H

#include "maps.h"

#define CGROUP_DEPTH_MAX 16

struct membership {
	__u64 key;
	__u32 workload;
	__u8 by_pid;
	__u8 mode;
	__u8 sockets; /* enum picket_sockets */
};

/* Of the current process: its own entry, else its nearest listed cgroup. */
static __always_inline bool membership_of_current(struct membership *m)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct picket_workload *w = bpf_map_lookup_elem(&workload_pids, &tgid);

	if (w) {
		*m = (struct membership){ tgid, w->id, 1, w->mode, w->sockets };
		return true;
	}
	for (int level = CGROUP_DEPTH_MAX; level >= 0; level--) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);

		if (!id)
			continue;
		w = bpf_map_lookup_elem(&workloads, &id);
		if (w) {
			*m = (struct membership){ id, w->id, 0, w->mode, w->sockets };
			return true;
		}
	}
	return false;
}

/* The ancestors array is a flexible one of pointers since 6.1, of ids before. */
static __always_inline bool membership_of_cgroup(struct cgroup *cgroup, struct membership *m)
{
	int depth = BPF_CORE_READ(cgroup, level);

	for (int level = CGROUP_DEPTH_MAX; level >= 0; level--) {
		struct cgroup *ancestor = 0;

		if (level > depth)
			continue;
		bpf_core_read(&ancestor, sizeof(ancestor), &cgroup->ancestors[level]);
		__u64 id = ancestor ? BPF_CORE_READ(ancestor, kn, id) : 0;
		struct picket_workload *w = bpf_map_lookup_elem(&workloads, &id);

		if (w) {
			*m = (struct membership){ id, w->id, 0, w->mode, w->sockets };
			return true;
		}
	}
	return false;
}

/* The mode may change while a connection lives; an entry that is gone keeps what was last known. */
static __always_inline __u8 refresh_mode(struct connection *c)
{
	__u64 cgroup = c->workload_key; /* a copy: 6.1 takes no key from a function's argument */
	__u32 tgid = cgroup;
	struct picket_workload *w = c->by_pid ? bpf_map_lookup_elem(&workload_pids, &tgid) :
						bpf_map_lookup_elem(&workloads, &cgroup);

	if (w) {
		c->mode = w->mode;
		c->workload = w->id;
	}
	return c->mode;
}

#endif
