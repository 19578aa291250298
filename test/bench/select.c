/*
 * Point selects over several connections that take turns, eight statements each: one opened outside of any guarded
 * cgroup, one inside of each that is named. All meet the same machine within a millisecond, so what else runs on it
 * weighs on all alike. Waits for each answer and does nothing between.
 *
 *   select <mysql|pg> <port> <user> <database> <seconds> <cgroup.procs>...
 *
 * The account has no password. Prints for each connection, the one outside first, a line of JSON: ns of a statement in
 * the fastest fiftieth and in the median of its turns, and the median of the ratios of its turns to those outside.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TURN = 8, CONNECTIONS_MAX = 8, TURNS_MAX = 200000 };

static unsigned char answer[1 << 16];
static double turns[CONNECTIONS_MAX][TURNS_MAX], sorted[TURNS_MAX];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void give(int fd, const void *bytes, int size)
{
	if (send(fd, bytes, size, MSG_NOSIGNAL) != size)
		fail("send");
}

static int receive(int fd, int have)
{
	int got = recv(fd, answer + have, sizeof(answer) - have, 0);

	if (got <= 0)
		fail("the server ended the connection");
	return have + got;
}

/* Until ReadyForQuery: Z, length 5, a state. */
static void pg_wait(int fd)
{
	for (int have = 0;;) {
		have = receive(fd, have);
		if (have >= 6 && !memcmp(answer + have - 6, "Z\0\0\0\5", 5))
			return;
	}
}

static void pg_open(int fd, const char *user, const char *database)
{
	char m[256] = { 0 };
	int size = 8;

	size += sprintf(m + size, "user") + 1;
	size += sprintf(m + size, "%s", user) + 1;
	size += sprintf(m + size, "database") + 1;
	size += sprintf(m + size, "%s", database) + 2;
	*(int *)m = htonl(size);
	*(int *)(m + 4) = htonl(196608);
	give(fd, m, size);
	pg_wait(fd);
}

static void pg_select(int fd, unsigned id)
{
	char m[128] = "Q";
	int size = 5 + sprintf(m + 5, "SELECT id, name FROM products WHERE id = %u", id) + 1;

	*(int *)(m + 1) = htonl(size - 1);
	give(fd, m, size);
	pg_wait(fd);
}

/* One packet, or with `rows` until the second EOF packet, which ends the rows. */
static void mysql_wait(int fd, int rows)
{
	int have = 0, at = 0, ends = 0;

	for (;;) {
		while (have - at < 4 || have - at < 4 + (answer[at] | answer[at + 1] << 8 | answer[at + 2] << 16))
			have = receive(fd, have);
		int size = answer[at] | answer[at + 1] << 8 | answer[at + 2] << 16;

		if (answer[at + 4] == 0xff) {
			fprintf(stderr, "%.*s\n", size - 3, (char *)answer + at + 7);
			exit(1);
		}
		ends += answer[at + 4] == 0xfe && size < 9;
		at += 4 + size;
		if (!rows || ends == 2)
			return;
	}
}

static void mysql_open(int fd, const char *user, const char *database)
{
	char m[256] = { 0 };
	int size = 36;

	mysql_wait(fd, 0);
	/* CLIENT_LONG_PASSWORD, CONNECT_WITH_DB, PROTOCOL_41, SECURE_CONNECTION */
	*(int *)(m + 4) = 0x1 | 0x8 | 0x200 | 0x8000;
	m[12] = 45; /* utf8mb4 */
	size += sprintf(m + size, "%s", user) + 1;
	size++; /* no password */
	size += sprintf(m + size, "%s", database) + 1;
	m[0] = size - 4;
	m[3] = 1;
	give(fd, m, size);
	mysql_wait(fd, 0);
}

static void mysql_select(int fd, unsigned id)
{
	char m[128] = { 0 };
	int size = 5 + sprintf(m + 5, "SELECT id, name FROM products WHERE id = %u", id);

	m[0] = size - 4;
	m[4] = 3;
	give(fd, m, size);
	mysql_wait(fd, 1);
}

static int compare(const void *left, const void *right)
{
	double l = *(const double *)left, r = *(const double *)right;

	return (l > r) - (l < r);
}

static double quantile(const double *values, int count, double share)
{
	memcpy(sorted, values, count * sizeof(double));
	qsort(sorted, count, sizeof(double), compare);
	return sorted[(int)(count * share)];
}

int main(int argc, char **argv)
{
	if (argc < 6 || argc - 5 > CONNECTIONS_MAX) {
		fprintf(stderr, "usage: select <mysql|pg> <port> <user> <database> <seconds> <cgroup.procs>...\n");
		return 2;
	}
	int mysql = !strcmp(argv[1], "mysql"), connections = argc - 5, fds[CONNECTIONS_MAX], one = 1, count = 0;
	void (*ask)(int, unsigned) = mysql ? mysql_select : pg_select;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(atoi(argv[2])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	for (int i = 0; i < connections; i++) {
		/* A connection belongs to the cgroup that its process is in when it connects. */
		int procs = i ? open(argv[5 + i], O_WRONLY) : -1;

		if (i && (procs < 0 || write(procs, "0", 1) != 1))
			fail(argv[5 + i]);
		if (i)
			close(procs);
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fds[i], (struct sockaddr *)&address, sizeof(address)))
			fail("connect");
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		(mysql ? mysql_open : pg_open)(fds[i], argv[3], argv[4]);
		/* The shape becomes known. */
		for (int n = 0; n < 100; n++) {
			ask(fds[i], n + 1);
			usleep(1000);
		}
	}
	unsigned id = 0;

	for (double ends = now() + atof(argv[5]) * 1e9; now() < ends && count < TURNS_MAX; count++)
		for (int turn = 0; turn < connections; turn++) {
			int i = (turn + count) % connections;
			double begun = now();

			for (int n = 0; n < TURN; n++)
				ask(fds[i], (id += 7919) % 10000 + 1);
			turns[i][count] = (now() - begun) / TURN;
		}
	for (int i = 0; i < connections; i++) {
		double fast = quantile(turns[i], count, 0.02), middle = quantile(turns[i], count, 0.5);

		static double ratios[TURNS_MAX];

		for (int n = 0; n < count; n++)
			ratios[n] = turns[0][n] / turns[i][n];
		printf("{\"turns\":%d,\"fastNs\":%.0f,\"medianNs\":%.0f,\"pairedRatio\":%.4f}\n", count, fast, middle,
		       quantile(ratios, count, 0.5));
	}
	return 0;
}
