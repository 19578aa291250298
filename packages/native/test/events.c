/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the C compiler makes of event.h, for the test of the generated decoders. `events write` prints each
 * struct as hex with the values it holds; `events read` prints the values of structs given as hex.
 */
#include <linux/types.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "event.h"

static void hex(const char *name, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	printf("%s ", name);
	for (size_t i = 0; i < size; i++)
		printf("%02x", bytes[i]);
	printf("\n");
}

#define U(path, value) printf("%s %llu\n", path, (unsigned long long)(value))

static void write_statement(void)
{
	const char text[] = "select * from users where name = 'caf\xc3\xa9'";
	size_t size = sizeof(struct picket_statement_event) + sizeof(text) - 1;
	struct picket_statement_event *e = calloc(1, size);

	e->header.seq = 0xfedcba9876543210ull;
	e->header.time_ns = 123456789012345ull;
	e->header.size = size;
	e->header.cpu = 65000;
	e->header.kind = EVENT_STATEMENT;
	e->header.abi = PICKET_ABI;
	e->cookie = 0x8000000000000001ull;
	e->statement = 42;
	e->fingerprint = ~0ull;
	e->incident = 0xabcdef012345ull;
	e->process.cgroup_id = 77;
	e->process.start_ns = 88;
	e->process.tgid = 4000000000u;
	e->process.tid = 99;
	memcpy(e->process.comm, "full sixteen c.", 16);
	memcpy(e->endpoints.local_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	e->endpoints.remote_addr[15] = 9;
	e->endpoints.local_port = 50123;
	e->endpoints.remote_port = 3306;
	e->endpoints.family = 2;
	e->workload = 5;
	e->version = 6;
	e->danger = 0x80000001u;
	e->text_offset = 7;
	e->text_bytes = sizeof(text) - 1;
	e->statement_bytes = 1000000;
	e->scope = 0x1122334455667788ull;
	e->rule = PICKET_NO_RULE;
	e->protocol = PROTOCOL_MYSQL;
	e->message = MESSAGE_FUNCTION_CALL;
	e->verdict = VERDICT_PROBE;
	e->action = ACTION_BLOCK;
	e->guarantee = GUARANTEE_SEVERED;
	e->slot = 15;
	e->session = 3;
	e->first = 1;
	e->substituted = 1;
	e->sampled = 1;
	memcpy(e->text, text, sizeof(text) - 1);
	hex("statement", e, size);
	free(e);
}

static void write_connection(void)
{
	struct picket_connection_event e = {};

	e.header.kind = EVENT_CONNECTION;
	e.cookie = 3;
	e.lifetime_ns = 1ull << 40;
	e.srtt_us = 250;
	e.old_state = 2;
	e.new_state = 1;
	e.protocol = PROTOCOL_POSTGRESQL;
	e.enrolled = 1;
	e.workload_mode = WORKLOAD_ENFORCE;
	e.workload = 12;
	hex("connection", &e, sizeof(e));
}

static void read_one(const char *name, const char *text)
{
	unsigned char bytes[512] = {};
	size_t size = strlen(text) / 2;

	for (size_t i = 0; i < size && i < sizeof(bytes); i++)
		sscanf(text + 2 * i, "%2hhx", &bytes[i]);
	if (!strcmp(name, "verdict")) {
		struct picket_verdict_entry *v = (void *)bytes;

		U("size", sizeof(*v));
		U("count", v->count);
		U("lastNs", v->last_ns);
		U("rule", v->rule);
		U("verdict", v->verdict);
		U("action", v->action);
		U("source", v->source);
	} else if (!strcmp(name, "dispatch")) {
		struct picket_dispatch *d = (void *)bytes;

		U("size", sizeof(*d));
		U("salt", d->salt);
		U("scopeSinceNs", d->scope_since_ns);
		U("stable", d->stable);
		U("candidate", d->candidate);
		U("share", d->share);
		U("newProcessesOnly", d->new_processes_only);
	} else if (!strcmp(name, "connection")) {
		struct picket_connection_event *c = (void *)bytes;

		U("size", sizeof(*c));
		U("cookie", c->cookie);
		U("adopted", c->adopted);
		U("enrolled", c->enrolled);
		U("workloadMode", c->workload_mode);
		U("workload", c->workload);
		printf("comm %s\n", c->process.comm);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "write")) {
		write_statement();
		write_connection();
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "read")) {
		read_one(argv[2], argv[3]);
		return 0;
	}
	return 2;
}
