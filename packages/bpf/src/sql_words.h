/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Written by sql_words.mjs (node src/sql_words.mjs src/sql_words.h); do not edit. */
#ifndef SQL_WORDS_H
#define SQL_WORDS_H

enum sql_word {
	SQL_WORD_OTHER,
	SQL_WORD_IN,
	SQL_WORD_VALUES,
	SQL_WORD_OPERATOR,
	SQL_WORD_UNION,
	SQL_WORD_DELAY,
	SQL_WORD_FILE,
	SQL_WORD_CATALOGUE,
	SQL_WORD_ERROR,
	SQL_WORD_CODE,
	SQL_WORD_CODE_FIRST,
	SQL_WORD_CREATE,
	SQL_WORD_CODE_CREATED,
	SQL_WORD_ROLLBACK,
	SQL_WORD_TO,
	SQL_WORD_NAME,
	SQL_WORD_NAME_FIRST,
	SQL_WORD_TEMPORARY,
	SQL_WORD_TABLE,
};

#define SQL_WORDS_MULTIPLIER 0x2c7559e2629d177dull
#define SQL_WORDS_SHIFT 56

/* bytes << 8 | enum sql_word, and the last eight bytes of the word. */
static const struct {
	__u64 tail;
	__u64 is;
} sql_words[256] = {
	[0] = { 0x636c6f7365ull, 5 << 8 | SQL_WORD_NAME_FIRST }, /* close */
	[1] = { 0x726c696b65ull, 5 << 8 | SQL_WORD_OPERATOR }, /* rlike */
	[3] = { 0x745f636f6e666967ull, 10 << 8 | SQL_WORD_CODE }, /* set_config */
	[5] = { 0x726f6c6c6261636bull, 8 << 8 | SQL_WORD_ROLLBACK }, /* rollback */
	[6] = { 0x7064617465786d6cull, 9 << 8 | SQL_WORD_ERROR }, /* updatexml */
	[7] = { 0x726f636564757265ull, 9 << 8 | SQL_WORD_CODE_CREATED }, /* procedure */
	[10] = { 0x6d6f64ull, 3 << 8 | SQL_WORD_OPERATOR }, /* mod */
	[13] = { 0x7461626c65ull, 5 << 8 | SQL_WORD_TABLE }, /* table */
	[22] = { 0x70675f726f6c6573ull, 8 << 8 | SQL_WORD_CATALOGUE }, /* pg_roles */
	[24] = { 0x64756d7066696c65ull, 8 << 8 | SQL_WORD_FILE }, /* dumpfile */
	[25] = { 0x6f5f6578706f7274ull, 9 << 8 | SQL_WORD_FILE }, /* lo_export */
	[26] = { 0x746full, 2 << 8 | SQL_WORD_TO }, /* to */
	[27] = { 0x655f736368656d61ull, 18 << 8 | SQL_WORD_CATALOGUE }, /* performance_schema */
	[28] = { 0x65705f756e74696cull, 14 << 8 | SQL_WORD_DELAY }, /* pg_sleep_until */
	[33] = { 0x6465636c617265ull, 7 << 8 | SQL_WORD_NAME_FIRST }, /* declare */
	[38] = { 0x72656c65617365ull, 7 << 8 | SQL_WORD_NAME_FIRST }, /* release */
	[39] = { 0x74656d70ull, 4 << 8 | SQL_WORD_TEMPORARY }, /* temp */
	[48] = { 0x5f636174616c6f67ull, 10 << 8 | SQL_WORD_CATALOGUE }, /* pg_catalog */
	[50] = { 0x675f6c735f646972ull, 9 << 8 | SQL_WORD_FILE }, /* pg_ls_dir */
	[52] = { 0x6d6c736368656d61ull, 18 << 8 | SQL_WORD_CODE }, /* query_to_xmlschema */
	[53] = { 0x70675f636c617373ull, 8 << 8 | SQL_WORD_CATALOGUE }, /* pg_class */
	[56] = { 0x66756e6374696f6eull, 8 << 8 | SQL_WORD_CODE_CREATED }, /* function */
	[66] = { 0x6f757466696c65ull, 7 << 8 | SQL_WORD_FILE }, /* outfile */
	[67] = { 0x5f636f6e6e656374ull, 14 << 8 | SQL_WORD_CODE }, /* dblink_connect */
	[68] = { 0x6c696b65ull, 4 << 8 | SQL_WORD_OPERATOR }, /* like */
	[70] = { 0x725f746f5f786d6cull, 13 << 8 | SQL_WORD_CODE }, /* cursor_to_xml */
	[75] = { 0x675f736861646f77ull, 9 << 8 | SQL_WORD_CATALOGUE }, /* pg_shadow */
	[77] = { 0x6c6f5f676574ull, 6 << 8 | SQL_WORD_FILE }, /* lo_get */
	[81] = { 0x6f5f696d706f7274ull, 9 << 8 | SQL_WORD_FILE }, /* lo_import */
	[87] = { 0x736574ull, 3 << 8 | SQL_WORD_CODE_FIRST }, /* set */
	[89] = { 0x657863657074ull, 6 << 8 | SQL_WORD_UNION }, /* except */
	[92] = { 0x616c6c6f63617465ull, 10 << 8 | SQL_WORD_NAME_FIRST }, /* deallocate */
	[97] = { 0x656d706f72617279ull, 9 << 8 | SQL_WORD_TEMPORARY }, /* temporary */
	[99] = { 0x6f61645f66696c65ull, 9 << 8 | SQL_WORD_FILE }, /* load_file */
	[100] = { 0x6765745f6c6f636bull, 8 << 8 | SQL_WORD_DELAY }, /* get_lock */
	[103] = { 0x637265617465ull, 6 << 8 | SQL_WORD_CREATE }, /* create */
	[108] = { 0x696e6b5f65786563ull, 11 << 8 | SQL_WORD_CODE }, /* dblink_exec */
	[117] = { 0x76616c7565ull, 5 << 8 | SQL_WORD_VALUES }, /* value */
	[120] = { 0x617665706f696e74ull, 9 << 8 | SQL_WORD_NAME }, /* savepoint */
	[126] = { 0x6e74657273656374ull, 9 << 8 | SQL_WORD_UNION }, /* intersect */
	[128] = { 0x6e5f736368656d61ull, 18 << 8 | SQL_WORD_CATALOGUE }, /* information_schema */
	[131] = { 0x70726570617265ull, 7 << 8 | SQL_WORD_CODE }, /* prepare */
	[133] = { 0x795f746f5f786d6cull, 12 << 8 | SQL_WORD_CODE }, /* query_to_xml */
	[137] = { 0x70675f75736572ull, 7 << 8 | SQL_WORD_CATALOGUE }, /* pg_user */
	[138] = { 0x696c696b65ull, 5 << 8 | SQL_WORD_OPERATOR }, /* ilike */
	[143] = { 0x646976ull, 3 << 8 | SQL_WORD_OPERATOR }, /* div */
	[145] = { 0x636f7079ull, 4 << 8 | SQL_WORD_FILE }, /* copy */
	[146] = { 0x696e66696c65ull, 6 << 8 | SQL_WORD_FILE }, /* infile */
	[152] = { 0x6d6c736368656d61ull, 26 << 8 | SQL_WORD_CODE }, /* query_to_xml_and_xmlschema */
	[160] = { 0x675f7461626c6573ull, 9 << 8 | SQL_WORD_CATALOGUE }, /* pg_tables */
	[161] = { 0x65786563757465ull, 7 << 8 | SQL_WORD_CODE }, /* execute */
	[163] = { 0x786f72ull, 3 << 8 | SQL_WORD_OPERATOR }, /* xor */
	[166] = { 0x61637476616c7565ull, 12 << 8 | SQL_WORD_ERROR }, /* extractvalue */
	[173] = { 0x756e696f6eull, 5 << 8 | SQL_WORD_UNION }, /* union */
	[179] = { 0x6163746976697479ull, 16 << 8 | SQL_WORD_CATALOGUE }, /* pg_stat_activity */
	[181] = { 0x6c6565705f666f72ull, 12 << 8 | SQL_WORD_DELAY }, /* pg_sleep_for */
	[188] = { 0x6172795f66696c65ull, 19 << 8 | SQL_WORD_FILE }, /* pg_read_binary_file */
	[194] = { 0x675f617574686964ull, 9 << 8 | SQL_WORD_CATALOGUE }, /* pg_authid */
	[196] = { 0x6576656e74ull, 5 << 8 | SQL_WORD_CODE_CREATED }, /* event */
	[197] = { 0x646full, 2 << 8 | SQL_WORD_CODE_FIRST }, /* do */
	[203] = { 0x6c6f5f707574ull, 6 << 8 | SQL_WORD_FILE }, /* lo_put */
	[214] = { 0x70675f736c656570ull, 8 << 8 | SQL_WORD_DELAY }, /* pg_sleep */
	[215] = { 0x64626c696e6bull, 6 << 8 | SQL_WORD_CODE }, /* dblink */
	[226] = { 0x736c656570ull, 5 << 8 | SQL_WORD_DELAY }, /* sleep */
	[227] = { 0x696eull, 2 << 8 | SQL_WORD_IN }, /* in */
	[232] = { 0x726567657870ull, 6 << 8 | SQL_WORD_OPERATOR }, /* regexp */
	[233] = { 0x74726967676572ull, 7 << 8 | SQL_WORD_CODE_CREATED }, /* trigger */
	[240] = { 0x696e6b5f6f70656eull, 11 << 8 | SQL_WORD_CODE }, /* dblink_open */
	[242] = { 0x656e63686d61726bull, 9 << 8 | SQL_WORD_DELAY }, /* benchmark */
	[244] = { 0x6e645f7175657279ull, 17 << 8 | SQL_WORD_CODE }, /* dblink_send_query */
	[249] = { 0x70726f6772616dull, 7 << 8 | SQL_WORD_FILE }, /* program */
	[250] = { 0x76616c756573ull, 6 << 8 | SQL_WORD_VALUES }, /* values */
	[252] = { 0x6561645f66696c65ull, 12 << 8 | SQL_WORD_FILE }, /* pg_read_file */
};

#endif
