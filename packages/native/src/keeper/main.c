// SPDX-License-Identifier: Apache-2.0
// picket-keeper <directory of the instance's pins> <path of the control socket>
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define ALONE_NS 60000000000ull
#define STATS_NS 1000000000ull
#define DRAINED_NS 100000000ull // longer than a run of the slot takes that saw the last heartbeat

struct picket_keeper_stats stats;

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Two keepers of one instance would take each other's sockets. The lock goes with the process.
static void be_alone(const char *socket_path)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s.lock", socket_path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB))
		die("another keeper runs: it holds %s", path);
}

/*
 * On a host under load it would else be late, and a late keeper holds nothing. Ahead of every ordinary process it also
 * runs before the program that sent a statement can close its connection, where both have one processor. Its work is
 * bounded, and the kernel's limit for such processes stands.
 */
static void come_first(void)
{
	struct sched_param lowest = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) && setpriority(PRIO_PROCESS, 0, -10))
		warn("no higher priority: %s", strerror(errno));
}

static void add(int epoll, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e))
		die("epoll: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct epoll_event ready[64];
	uint32_t severed = 0, not_severed = 0;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (argc != 3) {
		fputs("usage: picket-keeper <directory of pins> <path of the control socket>\n", stderr);
		return ENDED_USAGE;
	}
	last_words_open();
	/* Who starts it tells the kernel first to leave this process's own connections alone, then writes a line. */
	for (int c = getchar(); c != '\n' && c != EOF;)
		c = getchar();
	be_alone(argv[2]);
	come_first();
	kernel_open(argv[1]);
	sever_all(&severed, &not_severed);
	kernel_join();
	sever_start();
	agent_hello(severed, not_severed);
	agent_listen(argv[2], epoll);
	for (int i = 0; i < JUDGES; i++) {
		add(epoll, judges[i].fd);
		add(epoll, judges[i].drain);
	}
	kernel_heartbeat(now_ns());
	puts("ready");
	fflush(stdout);

	uint64_t told = 0, busy = now_ns();

	for (;;) {
		uint64_t now = now_ns();
		int wait = connections_turn(now, HEARTBEAT_NS / 1000000);
		bool idle = connections_idle();

		if (asked_to_end && !retiring) {
			warn("retires: signal %d", asked_to_end);
			retiring = true;
		}
		kernel_heartbeat(now);
		kernel_recount(now, idle);
		if (!idle || (agent_connected() && !retiring))
			busy = now;
		if (now - busy > (retiring ? DRAINED_NS : ALONE_NS)) {
			if (retiring)
				end(ENDED, "ends: nothing is held, and %s", agent_connected() || asked_to_end ? "it was told to" : "no agent came");
			retiring = true; // once more round: what was diverted meanwhile is given back first
			busy = now;
		}
		if (agent_connected() && now - told >= STATS_NS) {
			told = now;
			agent_tell(KEEPER_STATS, &stats, sizeof(stats), 0, 0);
		}
		int gather = agent_flush(now);
		int n = epoll_wait(epoll, ready, 64, gather < wait ? gather : wait);

		for (int i = 0; i < n; i++) {
			if (agent_owns(ready[i].data.fd)) {
				agent_ready(ready[i].data.fd, ready[i].events);
				continue;
			}
			for (uint32_t k = 0; k < JUDGES; k++)
				if (judges[k].fd == ready[i].data.fd)
					kernel_read(k);
				else if (judges[k].drain == ready[i].data.fd)
					kernel_drain(k);
		}
	}
}
