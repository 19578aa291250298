/*
 * A load of MySQL statements with as little around them as possible: connections to a sink in the same process
 * that reads and discards, so that what is measured is the sending host's kernel and not a database. Each
 * connection sends a login and then COM_QUERY after COM_QUERY, one send each, without waiting for answers.
 *
 *   load <statements/s, 0: as fast as it goes> <seconds> <connections> <bytes per statement> [dense]
 *
 * A statement is padded by one long literal; a dense one consists of short words and punctuation throughout.
 *
 * Prints one line of JSON: statements sent, seconds, CPU seconds of the sending threads by kind, and p50/p99 of
 * one send() in ns.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS 100000 /* of 10 ns */

static int bytes, dense;
static double rate, seconds;
static struct sockaddr_in address;

struct sender {
	pthread_t thread;
	unsigned long long sent;
	double user, system;
	unsigned *histogram;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *discard(void *arg)
{
	static __thread char buffer[1 << 18];
	int fd = (int)(long)arg;

	while (recv(fd, buffer, sizeof buffer, 0) > 0)
		;
	close(fd);
	return 0;
}

static void *sink(void *arg)
{
	int listener = (int)(long)arg, fd;
	pthread_t thread;

	while ((fd = accept(listener, 0, 0)) >= 0)
		pthread_create(&thread, 0, discard, (void *)(long)fd);
	return 0;
}

/* HandshakeResponse41 with an empty password. */
static void login(int fd)
{
	unsigned char packet[4 + 32 + 6] = { 38, 0, 0, 1, 0x01, 0x82, 0, 0 };

	packet[12] = 45; /* utf8mb4 */
	memcpy(packet + 36, "bench", 5);
	if (send(fd, packet, sizeof packet, 0) != sizeof packet) {
		perror("login");
		exit(1);
	}
}

static int framed(char *out, int text)
{
	int length = text + 1;

	out[0] = length;
	out[1] = length >> 8;
	out[2] = length >> 16;
	out[3] = 0;
	out[4] = 3;
	return length + 4;
}

/* As many columns as fit: about nine tokens for each 20 bytes. */
static int dense_statement(char *out, unsigned long long n)
{
	static const char *const columns[] = { "p.name_%d, ", "coalesce(o.total, %d) AS t, ", "a.b + %d, " };
	int used = sprintf(out + 5, "SELECT "), tail = 60;

	for (int i = 0; used < bytes - tail - 30; i++)
		used += sprintf(out + 5 + used, columns[i % 3], i % 3 ? i + (int)(n % 7) : i);
	used += sprintf(out + 5 + used, "p.id FROM products p JOIN orders o ON o.pid = p.id AND o.id = %llu", n % 100000);
	return framed(out, used);
}

/* One of a few shapes, with literals of its own, padded by a longer literal to the wanted length. */
static int statement(char *out, unsigned long long n)
{
	int used = n & 1 ? snprintf(out + 5, 200, "SELECT id, name FROM products WHERE id = %llu AND note <> '", n % 100000)
			 : snprintf(out + 5, 200, "UPDATE stock SET amount = amount - %llu WHERE label = '", n % 97);
	int fill = bytes - used - 1;

	for (int i = 0; i < fill; i++)
		out[5 + used + i] = 'a' + (n + i) % 26;
	int text = used + (fill > 0 ? fill : 0);
	out[5 + text++] = '\'';
	return framed(out, text);
}

static void *sending(void *arg)
{
	struct sender *s = arg;
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char message[70000];
	double begin, end;

	if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
		perror("connect");
		exit(1);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	login(fd);
	begin = now();
	end = begin + seconds;
	for (;;) {
		int length = dense ? dense_statement(message, s->sent) : statement(message, s->sent);
		double before = now();

		if (before >= end)
			break;
		if (rate > 0) {
			double due = begin + s->sent / rate;

			if (before < due) {
				struct timespec pause = { 0, (long)((due - before) * 1e9) };

				nanosleep(&pause, 0);
				before = now();
			}
		}
		if (send(fd, message, length, MSG_NOSIGNAL) != length) {
			perror("send");
			exit(1);
		}
		long slot = (now() - before) * 1e8;

		s->histogram[slot < BUCKETS ? slot : BUCKETS - 1]++;
		s->sent++;
	}
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	s->user = usage.ru_utime.tv_sec + usage.ru_utime.tv_usec / 1e6;
	s->system = usage.ru_stime.tv_sec + usage.ru_stime.tv_usec / 1e6;
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 5 && argc != 6) {
		fprintf(stderr, "usage: load <statements/s> <seconds> <connections> <bytes> [dense]\n");
		return 2;
	}
	int connections = atoi(argv[3]);
	struct sender *senders = calloc(connections, sizeof *senders);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t size = sizeof address;
	pthread_t thread;

	rate = atof(argv[1]) / connections;
	seconds = atof(argv[2]);
	bytes = atoi(argv[4]);
	dense = argc == 6;
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 512)) {
		perror("listen");
		return 1;
	}
	getsockname(listener, (struct sockaddr *)&address, &size);
	pthread_create(&thread, 0, sink, (void *)(long)listener);
	double begin = now();

	for (int i = 0; i < connections; i++) {
		senders[i].histogram = calloc(BUCKETS, sizeof(unsigned));
		pthread_create(&senders[i].thread, 0, sending, &senders[i]);
	}
	unsigned long long sent = 0, seen = 0, p50 = 0, p99 = 0;
	double user = 0, system = 0;

	for (int i = 0; i < connections; i++) {
		pthread_join(senders[i].thread, 0);
		sent += senders[i].sent;
		user += senders[i].user;
		system += senders[i].system;
	}
	double took = now() - begin;

	for (int b = 0; b < BUCKETS; b++) {
		for (int i = 0; i < connections; i++)
			seen += senders[i].histogram[b];
		if (!p50 && seen * 2 >= sent)
			p50 = b * 10;
		if (!p99 && seen * 100 >= sent * 99)
			p99 = b * 10;
	}
	printf("{\"sent\":%llu,\"seconds\":%.3f,\"userSeconds\":%.3f,\"systemSeconds\":%.3f,\"p50Ns\":%llu,\"p99Ns\":%llu}\n",
	       sent, took, user, system, p50, p99);
	return 0;
}
