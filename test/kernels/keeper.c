// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *keeper_binary;
static char pins[128], control[128];
static int running;

static void fail(const char *what)
{
	fprintf(stderr, "hold: %s: %s\n", what, strerror(errno));
	keeper_tear_down();
	tear_down();
	exit(2);
}

static void keeper_hangs(void)
{
	struct picket_keeper k = keeper_now();

	printf("#   the keeper's entry: %llu bytes diverted, %llu settled\n", (unsigned long long)k.diverted,
	       (unsigned long long)k.settled);
	if (running)
		keeper_kill(running, SIGKILL);
	keeper_tear_down();
}

void keeper_set_up(const char *binary)
{
	static const char *const maps[] = { "holds", "judges", "keeper" };
	struct bpf_program *release = bpf_object__find_program_by_name(dispatcher, "release");
	struct bpf_program *sever = bpf_object__find_program_by_name(dispatcher, "sever_held");
	char path[256];

	keeper_binary = binary;
	at_a_hang = keeper_hangs;
	snprintf(pins, sizeof(pins), "/sys/fs/bpf/picket-test-hold-%d", getpid());
	snprintf(control, sizeof(control), "/tmp/picket-test-hold-%d", getpid());
	mkdir(pins, 0700);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", pins, i ? "links" : "maps");
		if (mkdir(path, 0700))
			fail(path);
	}
	for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		snprintf(path, sizeof(path), "%s/maps/%s", pins, maps[i]);
		if (bpf_obj_pin(map_fd(dispatcher, maps[i]), path))
			fail(path);
	}
	if (bpf_prog_attach(bpf_program__fd(release), map_fd(dispatcher, "judges"), BPF_SK_MSG_VERDICT, 0))
		fail("release");
	snprintf(path, sizeof(path), "%s/links/sever_held", pins);
	if (bpf_link__pin(bpf_program__attach_iter(sever, 0), path))
		fail(path);
}

void keeper_tear_down(void)
{
	static const char *const parts[] = { "maps/holds", "maps/judges", "maps/keeper", "links/sever_held", "maps", "links" };
	char path[256];

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		snprintf(path, sizeof(path), "%s/%s", pins, parts[i]);
		remove(path);
	}
	remove(pins);
	remove(control);
	snprintf(path, sizeof(path), "%s.lock", control);
	remove(path);
}

int keeper_start(void)
{
	int out[2], in[2], pid;
	char line[16] = "";

	if (pipe(out) || pipe(in))
		fail("pipe");
	pid = fork();
	if (!pid) {
		dup2(out[1], 1);
		dup2(in[0], 0); /* it waits for a line there, or for its end */
		for (int fd = 3; fd < 8192; fd++)
			close(fd);
		execl(keeper_binary, keeper_binary, pins, control, (char *)0);
		_exit(127);
	}
	close(out[1]);
	close(in[0]);
	close(in[1]);
	if (read(out[0], line, sizeof(line)) <= 0)
		fail("the keeper does not start");
	close(out[0]);
	return running = pid;
}

void keeper_kill(int pid, int number)
{
	kill(pid, number);
	if (number != SIGKILL)
		return;
	waitpid(pid, 0, 0);
	running = 0;
}

int keeper_ends(int pid)
{
	int status;

	for (int i = 0; i < 500; i++, usleep(10000))
		if (waitpid(pid, &status, WNOHANG) == pid) {
			running = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
		}
	return -1;
}

void keeper_lives(void)
{
	int status;

	if (running && waitpid(running, &status, WNOHANG) == running) {
		check(false, "the keeper ended: exit code %d, signal %d", WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
		running = 0;
	}
}

int agent_connect(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, control);
	if (connect(fd, (void *)&address, sizeof(address)))
		fail(control);
	struct picket_keeper_hello *h = (void *)agent_frame(fd, KEEPER_HELLO).at;
	if (h->severed || h->not_severed)
		printf("#   severed %u, not %u\n", h->severed, h->not_severed);
	return fd;
}

void agent_hang_up(int fd)
{
	close(fd);
	usleep(20000);
}

void agent_send(int fd, uint32_t kind, struct bytes payload)
{
	struct picket_keeper_frame frame = { .bytes = payload.size, .kind = kind };

	if (send(fd, &frame, sizeof(frame), MSG_NOSIGNAL) < 0 ||
	    send(fd, payload.at, payload.size, MSG_NOSIGNAL) != (ssize_t)payload.size)
		check(false, "the keeper hung up: %s", strerror(errno));
}

uint64_t keeper_bytes_max = 256 << 20;

void agent_policy(int fd, uint64_t deadline_ms, uint8_t consult, uint8_t on_failure)
{
	struct picket_keeper_policy p = {
		.deadline_ns = deadline_ms * 1000000,
		.steps_max = 1000000,
		.fail_mask = more_settings.fail_mask,
		.bytes_max = keeper_bytes_max,
		.consult = consult,
		.on_failure = on_failure,
	};

	agent_send(fd, KEEPER_POLICY, raw(&p, sizeof(p)));
	usleep(5000);
}

void agent_answer(int fd, uint64_t hold, uint8_t answer, const char *rule)
{
	struct picket_keeper_answer a = { .hold = hold, .answer = answer, .text = { .bytes = strlen(rule) } };

	memcpy(a.text.text, rule, a.text.bytes);
	agent_send(fd, KEEPER_ANSWER, raw(&a, sizeof(a)));
}

static bool exactly(int fd, void *to, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t n = poll(&p, 1, 5000) > 0 ? recv(fd, (char *)to + done, bytes - done, 0) : -1;

		if (n <= 0)
			return false;
		done += n;
	}
	return true;
}

struct bytes agent_frame(int fd, uint32_t kind)
{
	// Statistics come each second: a frame that does not come is not waited for any longer than that.
	for (time_t until = time(0) + 5; time(0) <= until;) {
		struct picket_keeper_frame frame;
		struct bytes payload;

		if (!exactly(fd, &frame, sizeof(frame)))
			return (struct bytes){ calloc(1, sizeof(struct picket_keeper_held) + 1), 0 };
		payload = (struct bytes){ malloc(frame.bytes + 1), frame.bytes };
		if (!exactly(fd, payload.at, frame.bytes))
			payload.size = 0;
		payload.at[payload.size] = 0;
		if (frame.kind == kind)
			return payload;
		free(payload.at);
	}
	return (struct bytes){ calloc(1, sizeof(struct picket_keeper_held) + 1), 0 };
}

struct picket_hold hold_of(uint64_t cookie)
{
	struct picket_hold h = { .released = ~0ull };

	bpf_map_lookup_elem(map_fd(dispatcher, "holds"), &cookie, &h);
	return h;
}

void keeper_settles(void)
{
	struct timespec t;

	for (int i = 0; i < 5000; i++, usleep(1000)) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		if ((int64_t)(t.tv_sec * 1000000000ll + t.tv_nsec - heartbeat()) < 50000000)
			return;
	}
}

struct picket_keeper keeper_now(void)
{
	struct picket_keeper k = { 0 };
	uint32_t zero = 0;

	bpf_map_lookup_elem(map_fd(dispatcher, "keeper"), &zero, &k);
	return k;
}

uint64_t heartbeat(void) { return keeper_now().heartbeat_ns; }
