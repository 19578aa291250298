// Writes sql_words.h: the words that the lexer knows, in a table without collisions. A word is told by its
// last eight bytes and its length; exact for words of at most eight letters, and strict for longer ones.
import { writeFileSync } from "node:fs";

const WORDS = {
  SQL_WORD_IN: "in",
  SQL_WORD_VALUES: "values value",
  SQL_WORD_OPERATOR: "like rlike regexp ilike div mod xor",
  SQL_WORD_UNION: "union intersect except",
  SQL_WORD_DELAY: "sleep benchmark get_lock pg_sleep pg_sleep_for pg_sleep_until",
  SQL_WORD_FILE:
    "load_file outfile dumpfile infile lo_import lo_export lo_get lo_put pg_read_file pg_read_binary_file pg_ls_dir copy program",
  SQL_WORD_CATALOGUE:
    "information_schema performance_schema pg_catalog pg_shadow pg_user pg_authid pg_roles pg_tables pg_class pg_stat_activity",
  SQL_WORD_ERROR: "extractvalue updatexml",
  SQL_WORD_CODE:
    "prepare execute dblink dblink_exec dblink_connect dblink_open dblink_send_query query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml set_config crosstab crosstab_hash connectby ts_stat xpath_table sys_exec sys_eval",
  SQL_WORD_CODE_FIRST: "do set",
  SQL_WORD_SESSION_FIRST: "reset discard",
  SQL_WORD_CREATE: "create",
  SQL_WORD_CODE_CREATED: "function procedure trigger event",
  SQL_WORD_ROLLBACK: "rollback",
  SQL_WORD_TO: "to",
  SQL_WORD_NAME: "savepoint",
  SQL_WORD_NAME_FIRST: "release deallocate declare close",
  SQL_WORD_TEMPORARY: "temporary temp",
  SQL_WORD_TABLE: "table",
};
const BITS = 8;
const MASK = (1n << 64n) - 1n;
const entries = Object.entries(WORDS).flatMap(([kind, words]) =>
  words.split(" ").map(word => {
    let tail = 0n;
    for (const byte of Buffer.from(word)) tail = ((tail << 8n) | BigInt(byte)) & MASK;
    return { word, kind, tail, bytes: word.length };
  }),
);
const slot = (entry, multiplier) =>
  Number((((entry.tail ^ BigInt(entry.bytes)) * multiplier) & MASK) >> BigInt(64 - BITS));
let multiplier = 0x9e3779b97f4a7c15n;
while (new Set(entries.map(entry => slot(entry, multiplier))).size < entries.length)
  multiplier = ((multiplier * 6364136223846793005n + 1442695040888963407n) & MASK) | 1n;

const kinds = Object.keys(WORDS);
writeFileSync(
  process.argv[2],
  `/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Written by sql_words.mjs (node src/sql_words.mjs src/sql_words.h); do not edit. */
#ifndef SQL_WORDS_H
#define SQL_WORDS_H

enum sql_word {
	SQL_WORD_OTHER,
${kinds.map(kind => `\t${kind},`).join("\n")}
};

#define SQL_WORDS_MULTIPLIER 0x${multiplier.toString(16)}ull
#define SQL_WORDS_SHIFT ${64 - BITS}

/* bytes << 8 | enum sql_word, and the last eight bytes of the word. */
static const struct {
	__u64 tail;
	__u64 is;
} sql_words[${1 << BITS}] = {
${entries
  .map(entry => [slot(entry, multiplier), entry])
  .sort(([a], [b]) => a - b)
  .map(
    ([at, e]) => `\t[${at}] = { 0x${e.tail.toString(16)}ull, ${e.bytes} << 8 | ${e.kind} }, /* ${e.word} */`,
  )
  .join("\n")}
};

#endif
`,
);
