// SPDX-License-Identifier: Apache-2.0
// The plain run of the lexer: nothing is hooked, so this is what the kernel computes.
#include <linux/types.h>
#include <string.h>
#include "lexer.h"
#include "sql_lexer.h"

struct picket_fingerprint picket_fingerprint(const struct picket_lexing *how, const uint8_t *sql, size_t bytes)
{
	struct sql_lexer l;

	sql_lexer_start(&l, how->dialect, how->session, how->key, how->start);
	sql_lexer_read(&l, sql, bytes);
	uint64_t value = sql_lexer_finish(&l);

	return (struct picket_fingerprint){value, l.danger};
}
