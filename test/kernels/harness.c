// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUIET_MS 30       // nothing more comes after this
#define PATIENCE_MS 5000  // emulated kernels are slow
#define CASE_S 120         // likewise: CASE_S in the environment

struct bpf_object *dispatcher;
struct slot stable;
static const char *slot_path;
static char cgroup_path[256];
static int cgroup_fd = -1, home_fd = -1;
static struct ring_buffer *ring;
static struct events now;
static struct bpf_link *links[8];
static int links_count;

static void hangs(int number);

int case_s(void)
{
	return getenv("CASE_S") ? atoi(getenv("CASE_S")) : CASE_S;
}

static void fail(const char *what)
{
	fprintf(stderr, "loader: %s: %s\n", what, strerror(errno));
	tear_down();
	exit(2);
}

struct bytes raw(const void *data, size_t size)
{
	struct bytes b = { malloc(size + 1), size };

	memcpy(b.at, data, size);
	b.at[size] = 0;
	return b;
}

struct bytes text(const char *string) { return raw(string, strlen(string)); }

struct bytes join(int count, ...)
{
	struct bytes whole = { 0, 0 };
	va_list parts;

	va_start(parts, count);
	for (int i = 0; i < count; i++) {
		struct bytes part = va_arg(parts, struct bytes);

		whole.at = realloc(whole.at, whole.size + part.size + 1);
		memcpy(whole.at + whole.size, part.at, part.size);
		whole.size += part.size;
	}
	va_end(parts);
	whole.at[whole.size] = 0;
	return whole;
}

void append(struct bytes *whole, struct bytes part)
{
	whole->at = realloc(whole->at, whole->size + part.size + 1);
	memcpy(whole->at + whole->size, part.at, part.size + 1);
	whole->size += part.size;
	free(part.at);
}

struct bytes repeat(const char *unit, size_t size)
{
	struct bytes b = { malloc(size + 1), size };
	size_t length = strlen(unit);

	for (size_t i = 0; i < size; i++)
		b.at[i] = unit[i % length];
	b.at[size] = 0;
	return b;
}

struct bytes slice(struct bytes whole, size_t from, size_t to) { return raw(whole.at + from, to - from); }

struct bytes mysql_packet(uint8_t sequence, struct bytes payload)
{
	uint8_t header[4] = { payload.size, payload.size >> 8, payload.size >> 16, sequence };

	return join(2, raw(header, 4), payload);
}

struct bytes mysql_login(uint32_t more, int ssl_request)
{
	uint8_t fixed[32] = { 0 };
	uint32_t capabilities = 0x0000a285 | more | (ssl_request ? 1u << 11 : 0);

	memcpy(fixed, &capabilities, 4);
	fixed[6] = 1;
	fixed[8] = 45; // utf8mb4_general_ci
	struct bytes head = raw(fixed, 32);

	return mysql_packet(1, ssl_request ? head : join(2, head, raw("root\0\0mysql_native_password", 28)));
}

struct bytes mysql_command(uint8_t command, const char *sql)
{
	return mysql_packet(0, join(2, raw(&command, 1), text(sql)));
}

static struct bytes number(uint32_t n)
{
	n = htonl(n);
	return raw(&n, 4);
}

struct bytes postgresql_message(char type, struct bytes body)
{
	return join(3, raw(&type, 1), number(body.size + 4), body);
}

struct bytes postgresql_request(uint32_t code) { return join(2, number(8), number(code)); }

struct bytes postgresql_startup(void)
{
	struct bytes parameters = raw("user\0app\0database\0shop\0", 24);

	return join(3, number(8 + parameters.size), number(3 << 16), parameters);
}

struct bytes postgresql_query(const char *sql) { return postgresql_message('Q', raw(sql, strlen(sql) + 1)); }

struct bytes postgresql_parse(const char *name, const char *sql)
{
	return postgresql_message('P', join(3, raw(name, strlen(name) + 1), raw(sql, strlen(sql) + 1), raw("\0\0", 2)));
}

static int listener;

struct link open_link(void)
{
	struct link l = open_listened_link();
	socklen_t size = sizeof(l.cookie);

	close(listener);
	getsockopt(l.client, SOL_SOCKET, SO_COOKIE, &l.cookie, &size);
	return l;
}

struct link open_listened_link(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	struct link l = { .client = socket(AF_INET, SOCK_STREAM, 0) };

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&address, size) || listen(listener, 1) ||
	    getsockname(listener, (void *)&address, &size) || connect(l.client, (void *)&address, size))
		fail("connect");
	l.server = accept(listener, 0, 0);
	size = sizeof(l.cookie);
	getsockopt(l.server, SOL_SOCKET, SO_COOKIE, &l.cookie, &size);
	return l;
}

void close_link(struct link *l)
{
	close(l->client);
	close(l->server);
}

static bool receive(struct link *l, int patience_ms)
{
	struct pollfd p = { l->server, POLLIN, 0 };

	if (poll(&p, 1, patience_ms) <= 0)
		return false;
	l->waiting.at = realloc(l->waiting.at, l->waiting.size + (1 << 20) + 1);
	ssize_t n = recv(l->server, l->waiting.at + l->waiting.size, 1 << 20, MSG_DONTWAIT);

	if (n <= 0)
		return false;
	l->waiting.size += n;
	return true;
}

bool receive_more(struct link *l) { return receive(l, PATIENCE_MS); }

int try_give(struct link *l, struct bytes b)
{
	size_t done = 0;

	while (done < b.size) {
		// More than both buffers hold needs a reader at the other end.
		int flags = MSG_NOSIGNAL | (b.size > 100000 ? MSG_DONTWAIT : 0);
		ssize_t sent = send(l->client, b.at + done, b.size - done, flags);

		if (sent > 0)
			done += sent;
		else if (errno == EAGAIN)
			receive(l, 100);
		else
			return errno;
	}
	return 0;
}

void give(struct link *l, struct bytes b)
{
	int error = try_give(l, b);

	check(!error, "send of %zu bytes: %s", b.size, strerror(error));
}

struct bytes arrived(struct link *l, size_t at_least)
{
	while (receive(l, l->waiting.size < at_least ? PATIENCE_MS : QUIET_MS))
		;
	struct bytes b = raw(l->waiting.at ? l->waiting.at : (uint8_t *)"", l->waiting.size);

	l->waiting.size = 0;
	return b;
}

struct bytes arrived_now(struct link *l)
{
	while (receive(l, 0))
		;
	struct bytes b = raw(l->waiting.at ? l->waiting.at : (uint8_t *)"", l->waiting.size);

	l->waiting.size = 0;
	return b;
}

void answer(struct link *l, struct bytes b)
{
	size_t got = 0;
	struct pollfd p = { l->client, POLLIN, 0 };

	check(send(l->server, b.at, b.size, MSG_NOSIGNAL) == (ssize_t)b.size, "answer of %zu bytes", b.size);
	while (got < b.size && poll(&p, 1, PATIENCE_MS) > 0) {
		uint8_t sink[4096];
		ssize_t n = recv(l->client, sink, sizeof(sink), 0);

		if (n <= 0)
			break;
		got += n;
	}
	check(got == b.size, "%zu of %zu bytes of an answer arrived", got, b.size);
}

struct link mysql_link(void)
{
	struct link l = open_link();
	struct bytes login = mysql_login(0, 0);

	give(&l, login);
	arrived(&l, login.size);
	drain();
	return l;
}

struct link postgresql_link(void)
{
	struct link l = open_link();
	struct bytes startup = postgresql_startup();

	give(&l, startup);
	arrived(&l, startup.size);
	drain();
	return l;
}

static int keep(void *context, void *data, size_t size)
{
	(void)context;
	if (now.count < (int)(sizeof(now.at) / sizeof(now.at[0])))
		now.at[now.count++] = raw(data, size).at;
	return 0;
}

void drain(void)
{
	for (int i = 0; i < now.count; i++)
		free(now.at[i]);
	now.count = 0;
	ring_buffer__consume(ring);
}

struct picket_statement_event *statement_event(int nth)
{
	for (int i = 0; i < now.count; i++) {
		struct picket_event_header *h = now.at[i];

		if (h->kind == EVENT_STATEMENT && nth-- == 0)
			return now.at[i];
	}
	return 0;
}

struct picket_statement_event *last_statement(void)
{
	struct picket_statement_event *last = 0, *e;

	for (int i = 0; (e = statement_event(i)); i++)
		last = e;
	return last;
}

struct picket_connection_event *connection_event_nth(uint8_t reason, int nth)
{
	for (int i = 0; i < now.count; i++) {
		struct picket_connection_event *e = now.at[i];

		if (e->header.kind == EVENT_CONNECTION && e->reason == reason && nth-- == 0)
			return e;
	}
	return 0;
}

struct picket_login_event *login_event(void)
{
	for (int i = 0; i < now.count; i++) {
		struct picket_login_event *e = now.at[i];

		if (e->header.kind == EVENT_LOGIN)
			return e;
	}
	return 0;
}

struct picket_connection_event *connection_event(uint8_t reason) { return connection_event_nth(reason, 0); }

int refused(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int taken = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	// A port that is bound but not listened on refuses, and nobody else gets it meanwhile.
	if (bind(taken, (void *)&address, size) || getsockname(taken, (void *)&address, &size))
		fail("bind");
	connect(fd, (void *)&address, size);
	close(taken);
	return fd;
}

int map_fd(struct bpf_object *o, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(o, name);

	if (fd < 0)
		fail(name);
	return fd;
}

static struct bpf_program *program(struct bpf_object *o, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(o, name);

	if (!p)
		fail(name);
	return p;
}

static void told_size(const char *object, struct bpf_object *o)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, o)
	{
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		if (!bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &size))
			printf("# %s: %s verified in %u instructions, %u bytes of machine code\n", object,
			       bpf_program__name(p), info.verified_insns, info.jited_prog_len);
	}
}

struct picket_slot_settings more_settings;

struct slot load_slot(uint32_t index, uint32_t version)
{
	struct slot s = { .index = index, .object = bpf_object__open(slot_path) };
	struct bpf_map *m;
	static bool told;

	if (!s.object)
		fail(slot_path);
	bpf_object__for_each_map(m, s.object)
	{
		const char *name = bpf_map__name(m);
		size_t size;

		if (!strcmp(name, ".rodata.settings")) {
			struct picket_slot_settings *settings = (void *)bpf_map__initial_value(m, &size);

			*settings = (struct picket_slot_settings){
				.hash_key = 0x9e3779b97f4a7c15ull,
				.hash_start = 0x243f6a8885a308d3ull,
				.report_interval_ns = 1000000000ull,
				.version = version,
				.slot = index,
				.text_bytes_max = 64 << 10,
				.never_known_burst = 32,
				.hold_bytes_max = more_settings.hold_bytes_max,
				.hold_burst = more_settings.hold_burst,
				.fail_mask = more_settings.fail_mask,
				.compare_mask = more_settings.compare_mask - 1, // one in so many; 0: as good as none
				.on_failure = more_settings.on_failure,
			};
			continue;
		}
		struct bpf_map *shared = bpf_object__find_map_by_name(dispatcher, name);

		if (shared && bpf_map__reuse_fd(m, bpf_map__fd(shared)))
			fail(name);
	}
	if (bpf_object__load(s.object))
		fail("loading the slot");
	if (!told)
		told_size("slot", s.object);
	told = true;
	s.program = bpf_program__fd(program(s.object, "slot"));
	s.verdicts = map_fd(s.object, "verdicts");
	s.counters = map_fd(s.object, "slot_counters");
	s.rules = map_fd(s.object, "rule_texts");
	return s;
}

void close_slot(struct slot *s)
{
	clear_slot(s->index);
	bpf_object__close(s->object);
}

void use_slot(struct slot *s)
{
	if (bpf_map_update_elem(map_fd(dispatcher, "slots"), &s->index, &s->program, BPF_ANY))
		fail("slots");
}

void clear_slot(uint32_t index) { bpf_map_delete_elem(map_fd(dispatcher, "slots"), &index); }

void set_dispatch(uint32_t stable_slot, uint32_t candidate, uint32_t share)
{
	struct picket_dispatch d = { .salt = 7, .stable = stable_slot, .candidate = candidate, .share = share };
	uint32_t zero = 0;

	if (bpf_map_update_elem(map_fd(dispatcher, "dispatch"), &zero, &d, BPF_ANY))
		fail("dispatch");
}

uint64_t cgroup_id(void)
{
	struct file_handle *handle = calloc(1, sizeof(*handle) + 8);
	uint64_t id;
	int mount;

	handle->handle_bytes = 8;
	if (name_to_handle_at(AT_FDCWD, cgroup_path, handle, &mount, 0))
		fail("cgroup id");
	memcpy(&id, handle->f_handle, 8);
	free(handle);
	return id;
}

void set_workload(uint8_t mode, uint8_t sockets)
{
	struct picket_workload w = { .id = 11, .mode = mode, .sockets = sockets };
	uint64_t id = cgroup_id();

	if (bpf_map_update_elem(map_fd(dispatcher, "workloads"), &id, &w, BPF_ANY))
		fail("workloads");
}

void set_mode(uint8_t mode)
{
	set_workload(mode, SOCKETS_KEPT);
}

void set_verdict(struct slot *s, uint64_t fingerprint, uint8_t verdict, uint8_t action, uint32_t rule)
{
	struct picket_verdict_entry e = { .rule = rule, .verdict = verdict, .action = action };

	if (bpf_map_update_elem(s->verdicts, &fingerprint, &e, BPF_ANY))
		fail("verdicts");
}

void set_rule(struct slot *s, uint32_t index, const char *name)
{
	struct picket_rule_text r = { .bytes = strlen(name) };

	memcpy(r.text, name, r.bytes);
	if (bpf_map_update_elem(s->rules, &index, &r, BPF_ANY))
		fail("rule_texts");
}

struct picket_slot_counters counters(struct slot *s)
{
	int cpus = libbpf_num_possible_cpus();
	struct picket_slot_counters *each = calloc(cpus, sizeof(*each)), sum = { 0 };
	uint32_t zero = 0;

	bpf_map_lookup_elem(s->counters, &zero, each);
	for (int i = 0; i < cpus; i++)
		for (size_t k = 0; k < sizeof(sum) / 8; k++)
			((uint64_t *)&sum)[k] += ((uint64_t *)&each[i])[k];
	free(each);
	return sum;
}

struct picket_responses responses(uint32_t slot)
{
	int cpus = libbpf_num_possible_cpus();
	struct picket_responses *each = calloc(cpus, sizeof(*each)), sum = { 0 };

	bpf_map_lookup_elem(map_fd(dispatcher, "responses"), &slot, each);
	for (int i = 0; i < cpus; i++)
		for (size_t k = 0; k < sizeof(sum) / 8; k++)
			((uint64_t *)&sum)[k] += ((uint64_t *)&each[i])[k];
	free(each);
	return sum;
}

uint64_t loss(uint32_t kind)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *each = calloc(cpus, 8), sum = 0;

	bpf_map_lookup_elem(map_fd(dispatcher, "losses"), &kind, each);
	for (int i = 0; i < cpus; i++)
		sum += each[i];
	free(each);
	return sum;
}

uint64_t losses_total(void)
{
	uint64_t sum = 0;

	for (uint32_t kind = 0; kind < LOSS_KINDS; kind++)
		sum += kind == LOSS_REPORT_LIMITED ? 0 : loss(kind);
	return sum;
}

void run_iterator(const char *name)
{
	struct bpf_link *l = bpf_program__attach_iter(program(dispatcher, name), 0);
	int fd = l ? bpf_iter_create(bpf_link__fd(l)) : -1;
	char sink[256];

	if (fd < 0)
		fail(name);
	while (read(fd, sink, sizeof(sink)) > 0)
		;
	close(fd);
	bpf_link__destroy(l);
}

bool condemn(uint64_t cookie)
{
	int fd = map_fd(dispatcher, "condemned");
	uint8_t done = 0;

	bpf_map_update_elem(fd, &cookie, &done, BPF_ANY);
	run_iterator("sever");
	bpf_map_lookup_elem(fd, &cookie, &done);
	bpf_map_delete_elem(fd, &cookie);
	if (!done)
		printf("#   this kernel has no bpf_sock_destroy (6.5)\n");
	return done;
}

int share_child(struct bytes frame)
{
	int pid = fork(), status = 0;

	if (pid) {
		waitpid(pid, &status, 0);
		return WEXITSTATUS(status);
	}
	int denied[2];

	for (int i = 0; i < 2; i++) {
		struct link l = open_link();

		try_give(&l, mysql_login(0, 0));
		try_give(&l, frame);
		struct bytes got = arrived(&l, mysql_login(0, 0).size + frame.size);

		denied[i] = memmem(got.at, got.size, "Picket blocked", 14) != 0;
		close_link(&l);
	}
	_exit(denied[0] | (denied[0] != denied[1]) << 1);
}

void squeeze(struct link *l)
{
	int small = 4096, more = 32768; // a window so small that it closes would cost a timer each time

	setsockopt(l->client, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(l->server, SOL_SOCKET, SO_RCVBUF, &more, sizeof(more));
	fcntl(l->client, F_SETFL, O_NONBLOCK);
	fcntl(l->server, F_SETFL, O_NONBLOCK);
}

int press(struct link *l, struct bytes b, struct bytes *received, size_t until)
{
	static uint8_t chunk[1 << 16];
	size_t done = 0;
	int full = 0, quiet = 0;

	received->at = realloc(received->at, received->size + b.size + (1 << 20));
	while (done < b.size || (received->size < until && quiet < 10 * PATIENCE_MS)) {
		if (done < b.size) {
			ssize_t n = send(l->client, b.at + done, b.size - done, MSG_NOSIGNAL);

			if (n < 0 && errno != EAGAIN) {
				check(false, "send: %s", strerror(errno));
				return full;
			}
			full += n < (ssize_t)(b.size - done);
			done += n > 0 ? n : 0;
		}
		ssize_t n = recv(l->server, chunk, 1 + rand() % sizeof(chunk), 0);

		if (n > 0) {
			memcpy(received->at + received->size, chunk, n);
			received->size += n;
			quiet = 0;
		} else {
			quiet += done == b.size;
			usleep(100);
		}
	}
	return full;
}

static void attach(struct bpf_link *l, const char *what)
{
	if (!l)
		fail(what);
	links[links_count++] = l;
}

static void write_all(int fd, const char *name, const char *value)
{
	int file = openat(fd, name, O_WRONLY);

	if (file < 0 || write(file, value, strlen(value)) < 0)
		fail(name);
	close(file);
}

void set_up(const char *dispatcher_path, const char *slot_object, const char *cgroup_root)
{
	slot_path = slot_object;
	snprintf(cgroup_path, sizeof(cgroup_path), "%s/picket-test-kernels-%d", cgroup_root, getpid());
	home_fd = open(cgroup_root, O_RDONLY | O_DIRECTORY);
	if (home_fd < 0 || mkdir(cgroup_path, 0755))
		fail(cgroup_path);
	cgroup_fd = open(cgroup_path, O_RDONLY | O_DIRECTORY);
	write_all(cgroup_fd, "cgroup.procs", "0");

	dispatcher = bpf_object__open(dispatcher_path);
	if (!dispatcher || bpf_object__load(dispatcher))
		fail(dispatcher_path);
	told_size("dispatcher", dispatcher);
	attach(bpf_program__attach(program(dispatcher, "state_changed")), "inet_sock_set_state");
	attach(bpf_program__attach(program(dispatcher, "retransmitted")), "tcp_retransmit_skb");
	attach(bpf_program__attach_cgroup(program(dispatcher, "enrol"), cgroup_fd), "sockops");
	attach(bpf_program__attach_cgroup(program(dispatcher, "answered"), cgroup_fd), "cgroup_skb/ingress");
	attach(bpf_program__attach_cgroup(program(dispatcher, "closing"), cgroup_fd), "cgroup/sock_release");
	static const char *const sockets[] = { "sockets", "sockets_plain" };

	for (int i = 0; i < 2; i++)
		if (bpf_prog_attach(bpf_program__fd(program(dispatcher, "dispatcher")), map_fd(dispatcher, sockets[i]),
				    BPF_SK_MSG_VERDICT, 0))
			fail("sk_msg");
	ring = ring_buffer__new(map_fd(dispatcher, "events"), keep, 0, 0);
	if (!ring)
		fail("events");
	signal(SIGALRM, hangs);
	stable = load_slot(0, 1);
	use_slot(&stable);
	set_dispatch(0, 0, 0);
	set_mode(WORKLOAD_ENFORCE);
}

void tear_down(void)
{
	for (int i = 0; i < links_count; i++)
		bpf_link__destroy(links[i]);
	if (home_fd >= 0) {
		int file = openat(home_fd, "cgroup.procs", O_WRONLY);

		if (file >= 0 && write(file, "0", 1) == 1 && cgroup_fd >= 0)
			rmdir(cgroup_path);
	}
}

static char current[160];
static int passed, failed;
static bool case_failed;
void (*at_a_hang)(void);

// A send or a read that nothing ends would keep whoever runs the cases for ever. Nothing goes on after it, so what a
// signal handler may not call is called.
static void end_case(void);

static void hangs(int number)
{
	(void)number;
	check_at(0, false, "the case", "it hangs");
	end_case();
	if (at_a_hang)
		at_a_hang();
	tear_down();
	_exit(1);
}

static void end_case(void)
{
	if (!*current)
		return;
	if (case_failed)
		failed++;
	else
		passed++;
	printf("%s %s\n", case_failed ? "FAIL" : "ok  ", current);
	fflush(stdout);
}

void begin_case(const char *name)
{
	end_case();
	snprintf(current, sizeof(current), "%s", name);
	case_failed = false;
	drain();
	alarm(case_s());
}

bool check_at(int line, bool ok, const char *what, const char *format, ...)
{
	va_list details;

	if (ok)
		return true;
	case_failed = true;
	printf("  line %d: %s: ", line, what);
	va_start(details, format);
	vprintf(format, details);
	va_end(details);
	putchar('\n');
	return false;
}

bool same(int line, struct bytes got, struct bytes want)
{
	size_t i = 0;

	while (i < got.size && i < want.size && got.at[i] == want.at[i])
		i++;
	if (got.size == want.size && i == got.size)
		return true;
	check_at(line, false, "bytes differ", "%zu arrived, %zu wanted, first difference at %zu: \"%.80s\" for \"%.80s\"",
		 got.size, want.size, i, i < got.size ? (char *)got.at + i : "", i < want.size ? (char *)want.at + i : "");
	return false;
}

int report_results(void)
{
	end_case();
	printf("%d passed, %d failed\n", passed, failed);
	return failed ? 1 : 0;
}
