// SPDX-License-Identifier: Apache-2.0
// The control socket: frames of a length, a kind and a payload, both ways. One agent at a time; a newer one replaces
// the older. What it is too slow to take is counted and dropped, never waited for.
#include "keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FRAME_MAX (64u << 20)
#define OUT_MAX (16u << 20)
#define KEPT_MAX (1u << 20) // room that an empty buffer keeps
// What nobody waits for is gathered so long, or so much of it: each wake-up of the agent takes a core from somebody.
#define GATHER_NS 2000000ll
#define GATHER_MAX (64u << 10)

bool retiring;

static int listener = -1, agent = -1, poll_fd;
static bool watching_out;
static bool urgent;
static uint64_t gathering_since;
static struct picket_keeper_hello hello = { .abi = PICKET_ABI, .judges = JUDGES };

struct buffer {
	uint8_t *at;
	size_t from, bytes, room;
};
static struct buffer in, out;

static uint8_t *room_for(struct buffer *b, size_t more)
{
	if (b->from && b->from + b->bytes + more > b->room) {
		memmove(b->at, b->at + b->from, b->bytes);
		b->from = 0;
	}
	if (b->bytes + more > b->room) {
		b->room = (b->bytes + more) * 2;
		b->at = realloc(b->at, b->room);
		if (!b->at)
			no_memory(b->room);
	}
	return b->at + b->from + b->bytes;
}

static void empty(struct buffer *b)
{
	if (b->bytes)
		return;
	b->from = 0;
	if (b->room > KEPT_MAX) {
		free(b->at);
		b->at = 0;
		b->room = 0;
	}
}

static void watch(bool out_too)
{
	struct epoll_event e = { .events = EPOLLIN | (out_too ? EPOLLOUT : 0), .data.fd = agent };

	if (watching_out != out_too)
		epoll_ctl(poll_fd, EPOLL_CTL_MOD, agent, &e);
	watching_out = out_too;
}

static void hang_up(const char *why)
{
	if (agent < 0)
		return;
	if (why)
		warn("%s", why);
	close(agent);
	agent = -1;
	in.bytes = out.bytes = 0;
	empty(&in);
	empty(&out);
}

void agent_listen(const char *path, int epoll)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct epoll_event e = { .events = EPOLLIN };

	poll_fd = epoll;
	if (strlen(path) >= sizeof(address.sun_path))
		die("%s: the path of a socket is at most %zu bytes", path, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	unlink(path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	umask(0177);
	if (listener < 0 || bind(listener, (void *)&address, sizeof(address)) || listen(listener, 4))
		die("%s: %s", path, strerror(errno));
	e.data.fd = listener;
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
}

bool agent_owns(int fd) { return fd == listener || fd == agent; }
bool agent_connected(void) { return agent >= 0; }

void agent_hello(uint32_t severed, uint32_t not_severed)
{
	hello.pid = getpid();
	hello.severed = severed;
	hello.not_severed = not_severed;
}

void agent_tell(uint32_t kind, const void *head, size_t head_bytes, const void *tail, size_t tail_bytes)
{
	struct picket_keeper_frame frame = { .bytes = head_bytes + tail_bytes, .kind = kind };

	if (agent < 0 || out.bytes + sizeof(frame) + frame.bytes > OUT_MAX) {
		stats.untold += kind != KEEPER_STATS;
		return;
	}
	uint8_t *to = room_for(&out, sizeof(frame) + frame.bytes);

	if (!out.bytes)
		gathering_since = now_ns();
	memcpy(to, &frame, sizeof(frame));
	memcpy(to + sizeof(frame), head, head_bytes);
	if (tail_bytes)
		memcpy(to + sizeof(frame) + head_bytes, tail, tail_bytes);
	out.bytes += sizeof(frame) + frame.bytes;
}

void agent_hurry(void) { urgent = true; }

int agent_flush(uint64_t now)
{
	int64_t gathered = now - gathering_since;

	if (out.bytes && !urgent && out.bytes < GATHER_MAX && gathered < GATHER_NS)
		return 1 + (GATHER_NS - gathered) / 1000000;
	urgent = false;
	while (agent >= 0 && out.bytes) {
		ssize_t n = send(agent, out.at + out.from, out.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			hang_up(0);
			break;
		}
		out.from += n;
		out.bytes -= n;
	}
	empty(&out);
	if (agent >= 0)
		watch(out.bytes != 0);
	return INT32_MAX;
}

static void welcome(void)
{
	int fd = accept4(listener, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred who;
	socklen_t size = sizeof(who);
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) || who.uid) {
		close(fd);
		return;
	}
	hang_up(agent >= 0 ? "another agent took over" : 0);
	agent = fd;
	watching_out = false;
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e);
	agent_tell(KEEPER_HELLO, &hello, sizeof(hello), 0, 0);
	agent_hurry();
}

static const char *handle(uint32_t kind, const uint8_t *payload, size_t bytes)
{
	switch (kind) {
	case KEEPER_RULES:
		return judge_set_rules(payload, bytes);
	case KEEPER_DROP_RULES:
		if (bytes != sizeof(struct picket_keeper_rules))
			return "DROP_RULES: wrong length";
		judge_drop_rules(((const struct picket_keeper_rules *)payload)->version);
		return 0;
	case KEEPER_POLICY:
		return judge_set_policy(payload, bytes);
	case KEEPER_ANSWER:
		if (bytes != sizeof(struct picket_keeper_answer))
			return "ANSWER: wrong length";
		connections_answer((const void *)payload);
		return 0;
	case KEEPER_RETIRE:
		retiring = true;
		return 0;
	default:
		return "a frame of unknown kind";
	}
}

static void read_frames(void)
{
	ssize_t n;

	do {
		uint8_t *to = room_for(&in, 64 << 10);

		n = recv(agent, to, 64 << 10, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return hang_up(0);
		in.bytes += n;
	} while (n == 64 << 10 && in.bytes <= FRAME_MAX);
	while (in.bytes >= sizeof(struct picket_keeper_frame)) {
		struct picket_keeper_frame frame;
		uint8_t *payload;

		memcpy(&frame, in.at + in.from, sizeof(frame));
		if (frame.bytes > FRAME_MAX)
			return hang_up("a frame longer than 64 MiB");
		if (in.bytes < sizeof(frame) + frame.bytes)
			break;
		// A copy: it is aligned, and handling it may hang up.
		payload = malloc(frame.bytes + 1);
		if (!payload)
			no_memory(frame.bytes);
		memcpy(payload, in.at + in.from + sizeof(frame), frame.bytes);
		in.from += sizeof(frame) + frame.bytes;
		in.bytes -= sizeof(frame) + frame.bytes;
		const char *wrong = handle(frame.kind, payload, frame.bytes);

		free(payload);
		if (wrong)
			return hang_up(wrong);
	}
	empty(&in);
}

void agent_ready(int fd, uint32_t events)
{
	if (fd == listener)
		return welcome();
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_frames();
}
