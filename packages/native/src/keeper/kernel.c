// SPDX-License-Identifier: Apache-2.0
// What the keeper has of the kernel: the pinned maps, its pairs of loopback sockets, and the way back.
#include "keeper.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

struct judge_socket judges[JUDGES];
uint32_t magic;

static int holds, judges_map, sever_link;
static struct picket_keeper *mine;
static int keeper_map;

#define READ_MAX (1u << 20)
#define BYTES_MAX (256ull << 20) // until a policy says otherwise
#define RECOUNT_NS 1000000000ull
#define RECORD_MAX (4u << 20) // the kernel's messages are smaller: a header that says more is broken

static int pinned(const char *pins, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", pins, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

/*
 * A connected loopback pair. Nobody else can take the place of the connecting end: its address is compared. What is
 * kept is the accepted one: another agent on this host that guards everything enrols sockets that connect, and a
 * socket can be in the maps of one agent only.
 */
static void open_pair(struct judge_socket *j)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, peer, own;
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	j->drain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || j->drain < 0 || bind(listener, (void *)&address, size) || listen(listener, 1) ||
	    getsockname(listener, (void *)&address, &size) || connect(j->drain, (void *)&address, size))
		die("a loopback pair: %s", strerror(errno));
	getsockname(j->drain, (void *)&own, &size);
	do {
		j->fd = accept4(listener, (void *)&peer, &size, SOCK_CLOEXEC);
		if (j->fd >= 0 && peer.sin_port == own.sin_port)
			break;
		close(j->fd);
	} while (j->fd >= 0);
	if (j->fd < 0)
		die("a loopback pair: %s", strerror(errno));
	close(listener);
	setsockopt(j->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(j->fd, F_SETFL, O_NONBLOCK);
	fcntl(j->drain, F_SETFL, O_NONBLOCK);
}

void kernel_open(const char *pins)
{
	holds = pinned(pins, "maps/holds");
	judges_map = pinned(pins, "maps/judges");
	keeper_map = pinned(pins, "maps/keeper");
	sever_link = pinned(pins, "links/sever_held");
	mine = mmap(0, getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, keeper_map, 0);
	if (mine == MAP_FAILED)
		die("the keeper map cannot be mapped: %s", strerror(errno));
	mine->heartbeat_ns = 0;
	__atomic_store_n(&mine->settled, __atomic_load_n(&mine->diverted, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
	kernel_bound(BYTES_MAX);
	if (getrandom(&magic, sizeof(magic), 0) != sizeof(magic))
		die("getrandom: %s", strerror(errno));
	mine->magic = magic;
	// Until this keeper has ended what an earlier one left, nothing may follow the bytes that are lost.
	__atomic_store_n(&mine->judges, 0, __ATOMIC_SEQ_CST);
	for (int i = 0; i < JUDGES; i++)
		open_pair(&judges[i]);
}

void kernel_join(void)
{
	for (uint32_t i = 0; i < JUDGES; i++) {
		uint64_t fd = judges[i].fd;

		if (bpf_map_update_elem(judges_map, &i, &fd, BPF_ANY))
			die("judges[%u]: %s", i, strerror(errno));
	}
	__atomic_store_n(&mine->judges, JUDGES, __ATOMIC_SEQ_CST);
}

// A keeper that retires gives back what it has and takes no more.
void kernel_heartbeat(uint64_t now)
{
	__atomic_store_n(&mine->heartbeat_ns, retiring ? 0 : now, __ATOMIC_RELEASE);
}

void kernel_bound(uint64_t bytes_max) { __atomic_store_n(&mine->bytes_max, bytes_max, __ATOMIC_RELEASE); }

void kernel_settle(uint64_t bytes)
{
	__atomic_store_n(&mine->settled, mine->settled + bytes + HOLD_COST, __ATOMIC_RELEASE);
}

// What was diverted and never came (the kernel had no memory for it) would else count for ever.
void kernel_recount(uint64_t now, bool idle)
{
	static uint64_t seen, since;
	uint64_t diverted = __atomic_load_n(&mine->diverted, __ATOMIC_ACQUIRE);

	if (!idle || diverted != seen)
		since = now;
	else if (now - since > RECOUNT_NS)
		__atomic_store_n(&mine->settled, seen, __ATOMIC_RELEASE);
	seen = diverted;
}

void kernel_sweep(bool on) { __atomic_store_n(&mine->sweep, on, __ATOMIC_SEQ_CST); }

bool kernel_released(uint64_t cookie, uint64_t released)
{
	struct picket_hold value = { .released = released };

	return !bpf_map_update_elem(holds, &cookie, &value, BPF_EXIST);
}

bool kernel_killed(uint64_t cookie, uint64_t released)
{
	struct picket_hold value = { .released = released, .flags = HOLD_KILLED };

	return !bpf_map_update_elem(holds, &cookie, &value, BPF_EXIST);
}

bool kernel_alive(uint64_t cookie)
{
	struct picket_hold value;

	return !bpf_map_lookup_elem(holds, &cookie, &value);
}

uint64_t kernel_given_back(uint64_t cookie)
{
	struct picket_hold value;

	return bpf_map_lookup_elem(holds, &cookie, &value) ? ~0ull : value.released;
}

int kernel_iterator(void) { return bpf_iter_create(sever_link); }

/*
 * The send is redirected as a whole, and what finds no room in the application's socket is dropped from it: the result
 * counts the header, and of the bytes those that went. So each send begins with a header, a repeated one too.
 */
size_t kernel_give_back(const struct picket_held *held, uint32_t judge, const uint8_t *at, size_t bytes)
{
	struct picket_release header = {
		.magic = ~magic,
		.bytes = bytes < RELEASE_MAX ? bytes : RELEASE_MAX,
		.cookie = held->cookie,
		.judge = judge,
		.sockets = held->sockets,
	};
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)at, header.bytes } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t sent = sendmsg(judges[judge].fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

	return sent > (ssize_t)sizeof(header) ? sent - sizeof(header) : 0;
}

// One record from the front of what was received; its bytes, or 0 where it is not whole yet.
static size_t take_record(uint32_t judge, const uint8_t *at, size_t bytes)
{
	struct picket_held held;
	struct picket_release stray;

	if (bytes < sizeof(stray))
		return 0;
	memcpy(&stray, at, sizeof(stray));
	if (stray.magic == ~magic && stray.bytes <= RELEASE_MAX) {
		if (bytes < sizeof(stray) + stray.bytes)
			return 0;
		connections_stray(&stray);
		return sizeof(stray) + stray.bytes;
	}
	if (bytes < sizeof(held))
		return 0;
	memcpy(&held, at, sizeof(held));
	if (held.magic != magic || held.bytes > RECORD_MAX) {
		// Where the next record begins nobody can say. Whoever starts the keeper anew ends these connections.
		end(ENDED_STREAM, "judge socket %u: what came is no record: %08x, %u bytes", judge, held.magic, held.bytes);
	}
	if (bytes < sizeof(held) + held.bytes)
		return 0;
	stats.bytes += held.bytes;
	if (!connections_take(&held, judge, at + sizeof(held)))
		kernel_settle(held.bytes);
	return sizeof(held) + held.bytes;
}

void kernel_drain(uint32_t judge)
{
	static char nothing[4096];

	while (recv(judges[judge].drain, nothing, sizeof(nothing), MSG_DONTWAIT) > 0)
		stats.broken++;
}

void kernel_read(uint32_t judge)
{
	struct judge_socket *j = &judges[judge];

	for (;;) {
		size_t done = 0;

		if (j->room - j->bytes < READ_MAX) {
			j->room = j->bytes + READ_MAX;
			j->at = realloc(j->at, j->room);
			if (!j->at)
				no_memory(j->room);
		}
		ssize_t n = recv(j->fd, j->at + j->bytes, j->room - j->bytes, MSG_DONTWAIT);

		if (n <= 0)
			return;
		j->bytes += n;
		for (size_t one; done < j->bytes && (one = take_record(judge, j->at + done, j->bytes - done));)
			done += one;
		memmove(j->at, j->at + done, j->bytes - done);
		j->bytes -= done;
		kernel_heartbeat(now_ns());
		if ((size_t)n < READ_MAX / 2)
			return; // level-triggered: what came since is told again
	}
}
