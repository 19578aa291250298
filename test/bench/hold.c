// SPDX-License-Identifier: Apache-2.0
// hold <cgroup of nobody> <watched cgroup> <mysql port> <postgresql port> <rounds> [<statement>]
// Round trips of a one-row select on real servers, in turn over three connections of each: one outside the cgroup, one
// whose shape is known ("a"), one whose shape never becomes known ("b", since nobody says so; or the given statement,
// an alias after it that is a new one each time). Prints nanoseconds as JSON.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { OFF, KNOWN, HELD, WAYS };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void exactly(int fd, void *to, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = recv(fd, (char *)to + done, bytes - done, 0);

		if (n <= 0)
			fail("recv");
		done += n;
	}
}

static int reach(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (connect(fd, (void *)&to, sizeof(to)))
		fail("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static uint8_t packet[1 << 16];

static uint32_t mysql_packet(int fd)
{
	exactly(fd, packet, 4);
	uint32_t bytes = packet[0] | packet[1] << 8 | packet[2] << 16;

	exactly(fd, packet, bytes);
	return bytes;
}

static int mysql(int port)
{
	int fd = reach(port);
	uint8_t login[4 + 32 + 5 + 1 + 22] = { 60, 0, 0, 1, 0x05, 0xa2, 0x08, 0, 0, 0, 0, 1, 45 };

	mysql_packet(fd);
	strcpy((char *)login + 36, "raw");
	strcpy((char *)login + 41, "mysql_native_password");
	if (send(fd, login, sizeof(login), 0) < 0)
		fail("send");
	mysql_packet(fd);
	if (packet[0]) {
		fprintf(stderr, "mysql login: %.80s\n", packet + 9);
		exit(1);
	}
	return fd;
}

static int postgresql(int port)
{
	static const char startup[] = "\0\0\0\x23\0\3\0\0user\0picket\0database\0shop\0";
	int fd = reach(port);

	if (send(fd, startup, 35, 0) < 0)
		fail("send");
	for (;;) {
		exactly(fd, packet, 5);
		uint8_t type = packet[0];

		exactly(fd, packet + 5, (packet[3] << 8 | packet[4]) - 4);
		if (type == 'Z')
			return fd;
		if (type == 'E') {
			fprintf(stderr, "postgresql login: %.60s\n", packet + 5);
			exit(1);
		}
	}
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t round_trip(int server, int fd, const char *statement, const char *alias)
{
	uint8_t query[120];
	int bytes = snprintf((char *)query + 5, 110, "%s %s", statement, alias);
	uint64_t begun;

	if (server) {
		query[0] = 'Q';
		query[1] = query[2] = query[3] = 0;
		query[4] = bytes + 5;
		query[5 + bytes] = 0;
	} else {
		query[0] = bytes + 1;
		query[1] = query[2] = query[3] = 0;
		query[4] = 3;
	}
	begun = now();
	if (send(fd, query, 5 + bytes + server, 0) < 0)
		fail("send");
	if (!server) {
		// Column count, column, end, row, end.
		for (int i = 0; i < 5; i++)
			mysql_packet(fd);
		return now() - begun;
	}
	for (;;) {
		exactly(fd, packet, 5);
		uint8_t type = packet[0];

		exactly(fd, packet + 5, (packet[3] << 8 | packet[4]) - 4);
		if (type == 'Z')
			return now() - begun;
	}
}

// This process, to a cgroup: the sockets that it connects from now on are of that one.
static void move(const char *cgroup)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		fail(path);
	close(fd);
}

static int compare(const void *a, const void *b)
{
	return *(const uint64_t *)a < *(const uint64_t *)b ? -1 : 1;
}

int main(int argc, char **argv)
{
	static const char *const servers[] = { "mariadb", "postgresql" }, *const ways[] = { "off", "known", "held" };
	int fds[2][WAYS], ports[2], rounds;

	if (argc != 6 && argc != 7)
		return 2;
	ports[0] = atoi(argv[3]);
	ports[1] = atoi(argv[4]);
	rounds = atoi(argv[5]);
	for (int way = 0; way < WAYS; way++) {
		move(argv[way == OFF ? 1 : 2]);
		for (int server = 0; server < 2; server++)
			fds[server][way] = server ? postgresql(ports[1]) : mysql(ports[0]);
	}
	printf("{");
	for (int server = 0; server < 2; server++) {
		uint64_t *took[WAYS];

		for (int way = 0; way < WAYS; way++)
			took[way] = calloc(rounds, 8);
		for (int i = -200; i < rounds; i++)
			for (int way = 0; way < WAYS; way++) {
				char alias[24] = "b";

				if (argc == 7)
					snprintf(alias, sizeof(alias), "b%d_%d", getpid(), i + 200);
				uint64_t ns = round_trip(server, fds[server][way], way == HELD && argc == 7 ? argv[6] : "select 1",
							 way == HELD ? alias : "a");

				if (i >= 0)
					took[way][i] = ns;
			}
		printf("%s\"%s\":{", server ? "," : "", servers[server]);
		for (int way = 0; way < WAYS; way++) {
			qsort(took[way], rounds, 8, compare);
			printf("%s\"%s\":{\"p50\":%llu,\"p99\":%llu}", way ? "," : "", ways[way],
			       (unsigned long long)took[way][rounds / 2], (unsigned long long)took[way][rounds * 99ll / 100]);
		}
		printf("}");
	}
	printf("}\n");
	return 0;
}
