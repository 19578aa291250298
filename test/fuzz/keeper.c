// SPDX-License-Identifier: Apache-2.0
// Fuzzes the keeper: frames of an agent, records of the kernel, time, closed connections and full sockets, in any
// order. Its own sources run; what they ask of the kernel (maps, sockets) is played here, so run.mjs compiles them
// with those calls renamed. Each input is played twice, whole and with both streams cut where the head says. These
// hold, whatever the bytes are:
//   - what was held of a connection comes back whole, in order and once, or with its frame replaced, or the
//     connection is ended;
//   - where the streams were cut makes no difference;
//   - what the agent is told is frames of known kinds and right lengths;
//   - in the end nothing is queued, waited for, counted or leaked.
#include "../../packages/native/src/keeper/keeper.h"

#include "../../packages/native/src/lexer/core/token_rules.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define HOLDS(claim)                                                                                         \
	do {                                                                                                 \
		if (!(claim)) {                                                                              \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim);           \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

enum { OPTIONS_BYTES = 4, CONNECTIONS = 4, STREAM_MAX = 1 << 20 };
enum { FD_HOLDS = 100, FD_JUDGES, FD_KEEPER, FD_SEVER, FD_AGENT, FD_LISTENER, FD_FIRST };

struct stream {
	uint8_t *at;
	size_t bytes, room;
};

static struct {
	bool alive, killed;
	uint64_t offset; // of the next record
	struct picket_hold hold;
	struct stream in, out;
} connections[CONNECTIONS];

static struct stream to_agent, from_agent, from_kernel[JUDGES], told;
static bool agent_gone, replaced, scarce;
static uint32_t random_state, cuts;
static uint64_t clock_ns = 10000000000ull;
static union {
	struct picket_keeper keeper;
	uint8_t page[4096];
} keeper_map;
static uint8_t *rules;
static size_t rules_bytes;

// main.c and last-words.c have these.
struct picket_keeper_stats stats;
volatile int asked_to_end;
uint64_t now_ns(void) { return clock_ns; }
void warn(const char *format, ...) { (void)format; }
void sever_one(const struct picket_held *held)
{
	if (held->cookie - 1 < CONNECTIONS)
		connections[held->cookie - 1].killed = true;
}
void end(enum ending how, const char *format, ...)
{
	va_list details;

	va_start(details, format);
	vfprintf(stderr, format, details);
	fprintf(stderr, "\nended with %d\n", how);
	abort(); // the harness sends nothing that should end it
}

static uint32_t draw(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return below ? random_state % below : 0;
}

static void append(struct stream *s, const void *at, size_t bytes)
{
	if (s->bytes + bytes > s->room) {
		s->room = (s->bytes + bytes) * 2;
		s->at = realloc(s->at, s->room);
	}
	if (bytes)
		memcpy(s->at + s->bytes, at, bytes);
	s->bytes += bytes;
}

static size_t take(struct stream *s, void *to, size_t most)
{
	size_t n = s->bytes < most ? s->bytes : most;

	if (n) {
		memcpy(to, s->at, n);
		memmove(s->at, s->at + n, s->bytes - n);
	}
	s->bytes -= n;
	return n;
}

// What the keeper asks of the system.
int fuzz_bpf_obj_get(const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	return !strcmp(name, "holds")  ? FD_HOLDS :
	       !strcmp(name, "judges") ? FD_JUDGES :
	       !strcmp(name, "keeper") ? FD_KEEPER :
					 FD_SEVER;
}

int fuzz_bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	uint64_t cookie;

	HOLDS(fd == FD_HOLDS);
	memcpy(&cookie, key, sizeof(cookie));
	if (cookie - 1 >= CONNECTIONS || !connections[cookie - 1].alive)
		return -1;
	memcpy(value, &connections[cookie - 1].hold, sizeof(struct picket_hold));
	return 0;
}

int fuzz_bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)
{
	uint64_t cookie;
	struct picket_hold hold;

	if (fd != FD_HOLDS)
		return 0;
	memcpy(&cookie, key, sizeof(cookie));
	memcpy(&hold, value, sizeof(hold));
	HOLDS(flags == BPF_EXIST);
	if (cookie - 1 >= CONNECTIONS || !connections[cookie - 1].alive)
		return -1;
	struct picket_hold *before = &connections[cookie - 1].hold;

	HOLDS(hold.flags & HOLD_KILLED || hold.released >= before->released);
	HOLDS(!(before->flags & HOLD_KILLED) || hold.flags & HOLD_KILLED);
	*before = hold;
	return 0;
}

int fuzz_bpf_map_delete_elem(int fd, const void *key) { return (void)fd, (void)key, 0; }
int fuzz_bpf_iter_create(int link) { return (void)link, -1; }
void *fuzz_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	(void)at, (void)bytes, (void)protection, (void)flags, (void)offset;
	HOLDS(fd == FD_KEEPER);
	return &keeper_map;
}
int fuzz_socket(int domain, int type, int protocol)
{
	static int next = FD_FIRST;

	(void)type, (void)protocol;
	return domain == AF_UNIX ? FD_LISTENER : next++;
}
int fuzz_bind(int fd, const struct sockaddr *a, socklen_t n) { return (void)fd, (void)a, (void)n, 0; }
int fuzz_listen(int fd, int backlog) { return (void)fd, (void)backlog, 0; }
int fuzz_connect(int fd, const struct sockaddr *a, socklen_t n) { return (void)fd, (void)a, (void)n, 0; }
int fuzz_getsockname(int fd, struct sockaddr *a, socklen_t *n) { return (void)fd, memset(a, 0, *n), 0; }
int fuzz_setsockopt(int fd, int l, int o, const void *v, socklen_t n)
{
	return (void)fd, (void)l, (void)o, (void)v, (void)n, 0;
}
int fuzz_getsockopt(int fd, int l, int o, void *v, socklen_t *n)
{
	HOLDS(fd == FD_AGENT && l == SOL_SOCKET && o == SO_PEERCRED);
	memset(v, 0, *n);
	return 0;
}
int fuzz_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	static int next = FD_FIRST + 100;

	(void)flags;
	if (fd == FD_LISTENER)
		return FD_AGENT;
	memset(a, 0, *n);
	return next++;
}
int fuzz_close(int fd)
{
	if (fd == FD_AGENT)
		to_agent.bytes = from_agent.bytes = told.bytes = 0;
	return 0;
}
int fuzz_fcntl(int fd, int command, ...) { return (void)fd, (void)command, 0; }
int fuzz_epoll_ctl(int epoll, int op, int fd, void *event) { return (void)epoll, (void)op, (void)fd, (void)event, 0; }

ssize_t fuzz_recv(int fd, void *to, size_t bytes, int flags)
{
	(void)flags;
	struct stream *s = fd == FD_AGENT ? &from_agent : NULL;

	for (int i = 0; i < JUDGES; i++)
		if (judges[i].fd == fd)
			s = &from_kernel[i];
	if (fd == FD_AGENT && agent_gone && !from_agent.bytes)
		return 0;
	if (!s || !s->bytes) {
		errno = EAGAIN;
		return -1;
	}
	return take(s, to, bytes);
}

// What the agent is told.
static void check_told(void)
{
	while (told.bytes >= sizeof(struct picket_keeper_frame)) {
		struct picket_keeper_frame frame;
		struct picket_keeper_held held;
		struct picket_keeper_result result;
		const uint8_t *payload = told.at + sizeof(frame);

		memcpy(&frame, told.at, sizeof(frame));
		if (told.bytes < sizeof(frame) + frame.bytes)
			return;
		switch (frame.kind) {
		case KEEPER_HELLO:
			HOLDS(frame.bytes == sizeof(struct picket_keeper_hello));
			break;
		case KEEPER_STATS:
			HOLDS(frame.bytes == sizeof(struct picket_keeper_stats));
			break;
		case KEEPER_HELD:
			HOLDS(frame.bytes >= offsetof(struct picket_keeper_held, text));
			memcpy(&held, payload, offsetof(struct picket_keeper_held, text));
			HOLDS(frame.bytes == offsetof(struct picket_keeper_held, text) + held.text_bytes);
			HOLDS(held.outcome <= OUTCOME_GONE && (held.outcome == OUTCOME_WAITING) == !held.because);
			replaced |= held.outcome == OUTCOME_SUBSTITUTED;
			break;
		case KEEPER_RESULT:
			HOLDS(frame.bytes == sizeof(result));
			memcpy(&result, payload, sizeof(result));
			HOLDS(result.outcome && result.outcome <= OUTCOME_GONE && result.because);
			break;
		default:
			HOLDS(!"a frame of unknown kind");
		}
		told.bytes -= sizeof(frame) + frame.bytes;
		memmove(told.at, told.at + sizeof(frame) + frame.bytes, told.bytes);
	}
}

ssize_t fuzz_send(int fd, const void *at, size_t bytes, int flags)
{
	(void)flags;
	HOLDS(fd == FD_AGENT && bytes);
	size_t n = scarce ? draw(bytes + 1) : bytes;

	if (!n) {
		errno = EAGAIN;
		return -1;
	}
	append(&told, at, n);
	check_told();
	return n;
}

// Bytes that are given back: as many as the application's socket has room for.
ssize_t fuzz_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct picket_release header;

	(void)flags;
	HOLDS(message->msg_iovlen == 2 && message->msg_iov[0].iov_len == sizeof(header));
	memcpy(&header, message->msg_iov[0].iov_base, sizeof(header));
	HOLDS(header.magic == ~magic && header.bytes == message->msg_iov[1].iov_len && header.bytes <= RELEASE_MAX);
	HOLDS(header.judge < JUDGES && judges[header.judge].fd == fd && header.cookie - 1 < CONNECTIONS);
	HOLDS(!connections[header.cookie - 1].killed);
	size_t n = scarce ? draw(header.bytes + 1) : header.bytes;

	if ((scarce && !draw(4)) || !connections[header.cookie - 1].alive) {
		errno = EAGAIN;
		return -1;
	}
	append(&connections[header.cookie - 1].out, message->msg_iov[1].iov_base, n);
	return sizeof(header) + n;
}

// One stream, in one piece or cut.
static void deliver(struct stream *to, const void *bytes, size_t count, void (*ready)(uint32_t), uint32_t which)
{
	const uint8_t *at = bytes;

	while (count) {
		size_t n = cuts ? 1 + draw(draw(2) ? 16 : count) : count;

		n = n < count ? n : count;
		append(to, at, n);
		ready(which);
		at += n;
		count -= n;
	}
}

static void agent_speaks(uint32_t which)
{
	(void)which;
	if (agent_connected())
		agent_ready(FD_AGENT, 1 /* EPOLLIN */);
	else
		from_agent.bytes = 0;
}

static void send_frame(uint32_t kind, const void *payload, size_t bytes, int lie)
{
	struct picket_keeper_frame frame = { .bytes = bytes + lie, .kind = kind };
	struct stream whole = { 0 };

	append(&whole, &frame, sizeof(frame));
	append(&whole, payload, bytes);
	if (agent_connected())
		deliver(&from_agent, whole.at, whole.bytes, agent_speaks, 0);
	free(whole.at);
}

// A record of the kernel, of which the input says what its header holds; null where the slot could not have made it.
static void hold(const uint8_t *head, const uint8_t *data, size_t bytes)
{
	uint32_t i = head[0] % CONNECTIONS, judge_index = i % JUDGES;
	struct picket_held held = {
		.magic = magic,
		.bytes = bytes,
		.cookie = i + 1,
		.offset = connections[i].offset + (head[0] == 0xff),
		.time_ns = clock_ns,
		.flags = head[1] & 15,
		.protocol = 1 + (head[2] & 1),
		.message = 1 + (head[2] >> 1) % 3,
		.session = head[2],
		.version = head[3] & 3,
		.workload = head[3] >> 2 & 3,
		.danger = head[4] | head[4] << 8,
		.sql_at = head[5] % (bytes + 1),
		.incident = head[2],
		.statement = 1,
	};
	struct stream whole = { 0 };

	if (!connections[i].alive || connections[i].killed)
		return;
	held.sql_bytes = bytes - held.sql_at;
	if (head[2] & 0x80)
		held.sql_bytes /= 2;
	// What can be replaced begins with a whole frame, and nothing replaces a call.
	if (held.message != MESSAGE_FUNCTION_CALL && held.sql_at >= 5)
		held.frame_bytes = held.sql_at + held.sql_bytes;
	append(&whole, &held, sizeof(held));
	append(&whole, data, bytes);
	append(&connections[i].in, data, bytes);
	connections[i].offset += bytes;
	keeper_map.keeper.diverted += bytes + HOLD_COST;
	deliver(&from_kernel[judge_index], whole.at, whole.bytes, kernel_read, judge_index);
	free(whole.at);
}

static void turn(uint64_t ns)
{
	clock_ns += ns;
	HOLDS(connections_turn(clock_ns, 40) <= 40);
	kernel_heartbeat(clock_ns);
	kernel_recount(clock_ns, connections_idle());
	agent_flush(clock_ns);
}

static void welcome_agent(void)
{
	agent_gone = false;
	agent_ready(FD_LISTENER, 1);
	agent_flush(clock_ns);
}

static void play(const uint8_t *data, size_t bytes, uint64_t holds_before)
{
	replaced = retiring = false;
	for (int i = 0; i < CONNECTIONS; i++) {
		connections[i].alive = true;
		connections[i].killed = false;
		connections[i].offset = connections[i].in.bytes = connections[i].out.bytes = 0;
		connections[i].hold = (struct picket_hold){ 0 };
	}
	welcome_agent();
	send_frame(KEEPER_POLICY, &(struct picket_keeper_policy){ .deadline_ns = 50000000, .steps_max = 100000, .bytes_max = 1 << 28 },
		   sizeof(struct picket_keeper_policy), 0);
	while (bytes >= 8) {
		const uint8_t *head = data + 1;
		size_t n = data[7];
		uint8_t kind = data[0];

		data += 8;
		bytes -= 8;
		n = n < bytes ? n : bytes;
		switch (kind & 15) {
		default:
			hold(head, data, n);
			break;
		case 8: // a frame of any kind and length
			send_frame(head[0] & 31, data, n, head[1] > 0xf0 ? head[1] - 0xf8 : 0);
			break;
		case 9: { // an answer, to one of the last holds
			struct picket_keeper_answer answer = { .hold = holds_before + head[0], .answer = head[1] };

			memcpy(&answer.text, data, n < sizeof(answer.text) ? n : sizeof(answer.text));
			send_frame(KEEPER_ANSWER, &answer, sizeof(answer), 0);
			break;
		}
		case 10: { // the core rules
			struct picket_keeper_rules of;

			memcpy(&of, rules, sizeof(of));
			of.version = head[0] & 3;
			memcpy(rules, &of, sizeof(of));
			send_frame(KEEPER_RULES, rules, rules_bytes, 0);
			break;
		}
		case 11: {
			struct {
				struct picket_keeper_policy all;
				struct picket_keeper_workload one[2];
			} policy = {
				.all = { .deadline_ns = head[0] * 1000000ull, .steps_max = head[1] << (head[2] & 15),
					 .fail_mask = head[3], .workloads = 2, .bytes_max = 1 << 28, .consult = head[4] % 3,
					 .on_failure = head[5] & 1 },
				.one = { { .id = 1, .consult = head[4] / 3 % 3, .on_failure = head[5] >> 1 & 1 },
					 { .id = 2, .consult = head[4] / 9 % 3, .on_failure = head[5] >> 2 & 1 } },
			};

			send_frame(KEEPER_POLICY, &policy, sizeof(policy), 0);
			break;
		}
		case 12:
			turn(head[0] * 1000000ull);
			break;
		case 13: // closed: what of it is here is nobody's
			connections[head[0] % CONNECTIONS].alive = false;
			break;
		case 14: // the agent goes, or another one comes
			if (head[0] & 1 && agent_connected()) {
				agent_gone = true;
				agent_speaks(0);
			} else {
				welcome_agent();
			}
			break;
		case 15: { // bytes that came back: their connection is gone, or was let go
			struct picket_release stray = { .magic = ~magic, .bytes = n, .cookie = 1 + head[0] % CONNECTIONS };
			uint8_t whole[sizeof(stray) + 256];

			memcpy(whole, &stray, sizeof(stray));
			memcpy(whole + sizeof(stray), data, n);
			deliver(&from_kernel[0], whole, sizeof(stray) + n, kernel_read, 0);
			break;
		}
		}
		data += n;
		bytes -= n;
		agent_flush(clock_ns);
	}
}

// The agent goes away, everything is decided and given back; what then is left are the dead.
static void finish(void)
{
	bool were = scarce;

	scarce = false;
	for (int i = 0; i < 8; i++)
		turn(300000000);
	if (agent_connected()) {
		agent_gone = true;
		agent_speaks(0);
	}
	for (int i = 0; i < 8; i++)
		turn(300000000);
	HOLDS(!stats.waiting && !stats.queued_bytes);
	for (int i = 0; i < CONNECTIONS; i++) {
		const struct stream *in = &connections[i].in, *out = &connections[i].out;

		if (connections[i].alive && !connections[i].killed && connections[i].offset) {
			HOLDS(connections[i].hold.released == connections[i].offset);
			HOLDS(replaced || stats.substituted || (in->bytes == out->bytes && !memcmp(in->at, out->at, in->bytes)));
		}
		connections[i].alive = false;
	}
	for (int i = 0; i < 3; i++)
		turn(300000000);
	HOLDS(connections_idle() && !stats.connections);
	HOLDS(keeper_map.keeper.settled == keeper_map.keeper.diverted);
	for (uint32_t version = 0; version < 256; version++)
		judge_drop_rules(version);
	for (int i = 0; i < JUDGES; i++)
		HOLDS(!judges[i].bytes);
	scarce = were;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *path = getenv("PICKET_FUZZ_RULES");
	FILE *file = path ? fopen(path, "rb") : NULL;
	struct picket_keeper_rules head = { 0 };

	(void)argc, (void)argv;
	if (!file) {
		fprintf(stderr, "PICKET_FUZZ_RULES names no table of token rules\n");
		exit(2);
	}
	fseek(file, 0, SEEK_END);
	head.table_bytes = ftell(file);
	rewind(file);
	rules = calloc(1, sizeof(head) + head.table_bytes + 1024 * sizeof(struct picket_keeper_rule));
	HOLDS(fread(rules + sizeof(head), 1, head.table_bytes, file) == head.table_bytes);
	fclose(file);
	struct picket_rules opened;

	HOLDS(picket_rules_open(&opened, rules + sizeof(head), head.table_bytes) == 0);
	head.rules = opened.header->rules;
	rules_bytes = sizeof(head) + head.table_bytes + head.rules * sizeof(struct picket_keeper_rule);
	memcpy(rules, &head, sizeof(head));
	for (uint32_t i = 0; i < head.rules; i++) {
		struct picket_keeper_rule each = { .action = i % 3, .text = { .bytes = 9, .text = "sqli-fuzz" } };

		memcpy(rules + sizeof(head) + head.table_bytes + i * sizeof(each), &each, sizeof(each));
	}
	kernel_open("/fuzz");
	kernel_join();
	agent_listen("/nowhere/fuzz", 1);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct stream whole[CONNECTIONS] = { 0 };
	bool compare[CONNECTIONS];

	if (bytes < OPTIONS_BYTES)
		return -1;
	scarce = data[1] & 1;
	for (int round = 0; round < 2; round++) {
		uint64_t holds = stats.held;

		cuts = round;
		random_state = (data[0] << 8 | data[2]) + 0x9e3779b9;
		stats.substituted = 0;
		play(data + OPTIONS_BYTES, bytes - OPTIONS_BYTES, holds);
		for (int i = 0; i < CONNECTIONS; i++) {
			bool lives = connections[i].alive && !connections[i].killed;

			compare[i] = round ? compare[i] && lives && !scarce : lives;
		}
		finish();
		for (int i = 0; i < CONNECTIONS; i++) {
			const struct stream *out = &connections[i].out;

			if (!round)
				append(&whole[i], out->at, out->bytes);
			else
				HOLDS(!compare[i] || (out->bytes == whole[i].bytes && (!out->bytes || !memcmp(out->at, whole[i].at, out->bytes))));
		}
	}
	for (int i = 0; i < CONNECTIONS; i++)
		free(whole[i].at);
	return 0;
}
