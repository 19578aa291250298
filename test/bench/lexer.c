// SPDX-License-Identifier: Apache-2.0
// Lexes statements, hashes their shapes and looks up their verdicts, as fast as one core can; and hands the same
// statements to libinjection's libinjection_sqli() when a shared library is named, in turns, so that both meet the
// same machine. Time is this thread's CPU time. Prints a line a round: ours and the peer's nanoseconds a statement.
//   lexer <rounds> [libinjection.so]
#include <dlfcn.h>
#include <linux/types.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "sql_lexer.h"

enum { STATEMENTS = 4096, REPEATS = 60, SLOTS = 65536, LONGEST = 256 };

// What a shop asks, each with other values every time; about 100 bytes each.
static const char *const shapes[] = {
	"SELECT id, name, price FROM products WHERE category_id = %u AND visible = 1 ORDER BY name LIMIT %u",
	"SELECT * FROM users WHERE email = 'user%u@example.com' AND active = 1 AND tenant_id = %u LIMIT 1",
	"UPDATE carts SET quantity = %u, updated_at = '2026-01-02 03:04:05' WHERE cart_id = %u AND sku = 'A-1'",
	"INSERT INTO orders (user_id, total, state, note) VALUES (%u, 19.90, 'open', 'leave it at door %u')",
	"SELECT o.id, o.total FROM orders o JOIN users u ON u.id = o.user_id WHERE u.id = %u AND o.total > %u",
	"DELETE FROM sessions WHERE user_id = %u AND expires_at < '2026-05-06 07:08:09' AND kind = 'web%u' LIMIT 9",
	"SELECT COUNT(*) AS n FROM `reviews` WHERE `product_id` IN (%u, %u, 17, 23, 42) AND `state` = 'shown'",
	"SELECT sku, stock FROM inventory WHERE warehouse = 'north-%u' AND stock < %u AND discontinued IS NULL",
};

static struct {
	char text[LONGEST];
	uint32_t bytes;
} statements[STATEMENTS];

static struct {
	uint64_t fingerprint;
	uint32_t verdict;
} verdicts[SLOTS];

static uint64_t key = 0x9e3779b97f4a7c15ull, start = 0x243f6a8885a308d3ull;
static const uint32_t session = 21; // all known: backslash escapes, no ANSI quotes, a safe character set

static uint64_t fingerprint_of(const char *sql, uint32_t bytes)
{
	struct sql_lexer l;

	sql_lexer_start(&l, SQL_MYSQL, session, key, start);
	sql_lexer_read(&l, (const uint8_t *)sql, bytes);
	return sql_lexer_finish(&l);
}

static uint32_t verdict_of(uint64_t fingerprint)
{
	for (uint32_t slot = fingerprint >> 40;; slot++) {
		slot &= SLOTS - 1;
		if (verdicts[slot].fingerprint == fingerprint)
			return verdicts[slot].verdict;
		if (!verdicts[slot].fingerprint)
			return 0;
	}
}

static void learn(uint64_t fingerprint, uint32_t verdict)
{
	uint32_t slot = fingerprint >> 40 & (SLOTS - 1);

	while (verdicts[slot].fingerprint && verdicts[slot].fingerprint != fingerprint)
		slot = (slot + 1) & (SLOTS - 1);
	verdicts[slot].fingerprint = fingerprint;
	verdicts[slot].verdict = verdict;
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5;
	int (*peer)(const char *, size_t, char *) = NULL;
	uint64_t bytes = 0;

	if (argc > 2) {
		void *library = dlopen(argv[2], RTLD_NOW);

		peer = library ? (int (*)(const char *, size_t, char *))dlsym(library, "libinjection_sqli") : NULL;
		if (!peer) {
			fprintf(stderr, "%s\n", dlerror());
			return 2;
		}
	}
	for (uint32_t i = 0; i < STATEMENTS; i++) {
		statements[i].bytes = snprintf(statements[i].text, LONGEST, shapes[i % 8], i * 37 % 9973, i * 61 % 997 + 10);
		bytes += statements[i].bytes;
	}
	for (uint32_t i = 0; i < 8; i++)
		learn(fingerprint_of(statements[i].text, statements[i].bytes), 1);
	for (uint64_t i = 1; i < SLOTS / 4; i++) // a map in use
		learn(i * 0x9e3779b97f4a7c15ull, 2);
	printf("bytes %.1f\n", (double)bytes / STATEMENTS);

	for (int round = 0; round < rounds; round++) {
		uint64_t known = 0, flagged = 0;
		double began = cpu_ns(), ours, theirs = 0;

		for (int repeat = 0; repeat < REPEATS; repeat++)
			for (uint32_t i = 0; i < STATEMENTS; i++)
				known += verdict_of(fingerprint_of(statements[i].text, statements[i].bytes)) == 1;
		ours = cpu_ns() - began;
		if (known != (uint64_t)REPEATS * STATEMENTS) {
			fprintf(stderr, "only %lu of %u statements were known\n", known, REPEATS * STATEMENTS);
			return 1;
		}
		if (peer) {
			char fingerprint[8];

			began = cpu_ns();
			for (int repeat = 0; repeat < REPEATS; repeat++)
				for (uint32_t i = 0; i < STATEMENTS; i++)
					flagged += peer(statements[i].text, statements[i].bytes, fingerprint) != 0;
			theirs = cpu_ns() - began;
		}
		printf("round %.1f %.1f %lu\n", ours / REPEATS / STATEMENTS, theirs / REPEATS / STATEMENTS,
		       flagged / REPEATS);
	}
	return 0;
}
