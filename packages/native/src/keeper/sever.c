// SPDX-License-Identifier: Apache-2.0
// Ends connections that may send no more, so that no application waits for an answer that cannot come. The kernel's
// iterator finds them by their hold (sever_held in dispatcher.bpf.c) in one network namespace at a time; where it
// cannot destroy sockets (before 6.5) SOCK_DIAG is asked to.
#include "keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SOCK_DESTROY
#define SOCK_DESTROY 21
#endif
#define NAMESPACES_MAX 1024

static int jobs[2];

// True where the kernel says that it is done.
static bool destroy(uint64_t cookie, const struct picket_endpoints *e)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} ask = {
		.header = { .nlmsg_len = sizeof(ask), .nlmsg_type = SOCK_DESTROY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.request = { .sdiag_family = e->family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u },
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char more[256];
	} said;
	struct inet_diag_sockid *id = &ask.request.id;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	bool done = false;
	int from = e->family == AF_INET ? 12 : 0;

	if (fd < 0)
		return false;
	id->idiag_sport = htons(e->local_port);
	id->idiag_dport = htons(e->remote_port);
	memcpy(id->idiag_src, e->local_addr + from, 16 - from);
	memcpy(id->idiag_dst, e->remote_addr + from, 16 - from);
	id->idiag_cookie[0] = cookie;
	id->idiag_cookie[1] = cookie >> 32;
	if (send(fd, &ask, sizeof(ask), 0) == sizeof(ask) && recv(fd, &said, sizeof(said), 0) >= (ssize_t)sizeof(said.header))
		done = said.header.nlmsg_type == NLMSG_ERROR && said.error.error == 0;
	close(fd);
	return done;
}

static void walk(uint32_t *severed, uint32_t *not_severed)
{
	int fd = kernel_iterator();
	struct picket_severed found[64];
	ssize_t n;

	if (fd < 0) {
		warn("sever_held: %s", strerror(errno));
		return;
	}
	while ((n = read(fd, found, sizeof(found))) > 0 || (n < 0 && errno == EAGAIN))
		for (ssize_t i = 0; i < n / (ssize_t)sizeof(*found); i++)
			if (found[i].destroyed || destroy(found[i].cookie, &found[i].endpoints))
				++*severed;
			else
				++*not_severed;
	close(fd);
}

static bool enter(uint32_t tgid)
{
	char path[64];
	int fd;
	bool in;

	snprintf(path, sizeof(path), "/proc/%u/ns/net", tgid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	in = fd >= 0 && !setns(fd, CLONE_NEWNET);
	if (fd >= 0)
		close(fd);
	return in;
}

// Each network namespace in which some process is, once. Called before other threads are there.
void sever_all(uint32_t *severed, uint32_t *not_severed)
{
	ino_t seen[NAMESPACES_MAX];
	int count = 0, home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	kernel_sweep(true);
	while (proc && (entry = readdir(proc))) {
		char path[300];
		struct stat is;
		int i = 0;

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/ns/net", entry->d_name);
		if (stat(path, &is))
			continue;
		while (i < count && seen[i] != is.st_ino)
			i++;
		if (i < count || count == NAMESPACES_MAX)
			continue;
		seen[count++] = is.st_ino;
		if (enter(strtoul(entry->d_name, 0, 10)))
			walk(severed, not_severed);
	}
	if (proc)
		closedir(proc);
	if (home < 0 || setns(home, CLONE_NEWNET))
		die("cannot return to the own network namespace: %s", strerror(errno));
	close(home);
	kernel_sweep(false);
}

struct job {
	uint64_t cookie;
	struct picket_endpoints endpoints;
	uint32_t tgid;
};

static void *work(void *unused)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct job j;

	while (read(jobs[0], &j, sizeof(j)) == sizeof(j)) {
		uint32_t severed = 0, not_severed = 0;

		if ((!j.tgid || !enter(j.tgid)) && setns(home, CLONE_NEWNET))
			warn("cannot return to the own network namespace: %s", strerror(errno));
		if (!j.endpoints.family || !destroy(j.cookie, &j.endpoints))
			walk(&severed, &not_severed);
	}
	return unused;
}

void sever_start(void)
{
	pthread_t thread;

	if (pipe2(jobs, O_CLOEXEC) || fcntl(jobs[1], F_SETFL, O_NONBLOCK) || pthread_create(&thread, 0, work, 0))
		die("a thread: %s", strerror(errno));
}

// The hold is marked already: should the pipe be full, the next walk finds it all the same.
void sever_one(const struct picket_held *held)
{
	struct job j = { .cookie = held->cookie, .endpoints = held->endpoints, .tgid = held->process.tgid };

	if (write(jobs[1], &j, sizeof(j)) != sizeof(j))
		warn("more connections to end than can be noted: the next walk ends them");
}
