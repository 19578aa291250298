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
	SQL_WORD_SESSION_FIRST,
	SQL_WORD_CREATE,
	SQL_WORD_CODE_CREATED,
	SQL_WORD_ROLLBACK,
	SQL_WORD_TO,
	SQL_WORD_NAME,
	SQL_WORD_NAME_FIRST,
	SQL_WORD_TEMPORARY,
	SQL_WORD_TABLE,
};

#define SQL_WORDS_MULTIPLIER 0xcd42e9539ee045a1ull
#define SQL_WORDS_SHIFT 56

/* bytes << 8 | enum sql_word, and the last eight bytes of the word. */
static const struct {
	__u64 tail;
	__u64 is;
} sql_words[256] = {
	[1] = { 0x636f7079ull, 4 << 8 | SQL_WORD_FILE }, /* copy */
	[3] = { 0x7379735f6576616cull, 8 << 8 | SQL_WORD_CODE }, /* sys_eval */
	[5] = { 0x617665706f696e74ull, 9 << 8 | SQL_WORD_NAME }, /* savepoint */
	[6] = { 0x657863657074ull, 6 << 8 | SQL_WORD_UNION }, /* except */
	[9] = { 0x696eull, 2 << 8 | SQL_WORD_IN }, /* in */
	[12] = { 0x756e696f6eull, 5 << 8 | SQL_WORD_UNION }, /* union */
	[14] = { 0x6f5f696d706f7274ull, 9 << 8 | SQL_WORD_FILE }, /* lo_import */
	[20] = { 0x696c696b65ull, 5 << 8 | SQL_WORD_OPERATOR }, /* ilike */
	[25] = { 0x656e63686d61726bull, 9 << 8 | SQL_WORD_DELAY }, /* benchmark */
	[26] = { 0x675f7461626c6573ull, 9 << 8 | SQL_WORD_CATALOGUE }, /* pg_tables */
	[27] = { 0x74735f73746174ull, 7 << 8 | SQL_WORD_CODE }, /* ts_stat */
	[28] = { 0x70726f6772616dull, 7 << 8 | SQL_WORD_FILE }, /* program */
	[35] = { 0x70675f726f6c6573ull, 8 << 8 | SQL_WORD_CATALOGUE }, /* pg_roles */
	[37] = { 0x745f636f6e666967ull, 10 << 8 | SQL_WORD_CODE }, /* set_config */
	[38] = { 0x65786563757465ull, 7 << 8 | SQL_WORD_CODE }, /* execute */
	[42] = { 0x66756e6374696f6eull, 8 << 8 | SQL_WORD_CODE_CREATED }, /* function */
	[43] = { 0x5f636174616c6f67ull, 10 << 8 | SQL_WORD_CATALOGUE }, /* pg_catalog */
	[46] = { 0x6465636c617265ull, 7 << 8 | SQL_WORD_NAME_FIRST }, /* declare */
	[48] = { 0x6e645f7175657279ull, 17 << 8 | SQL_WORD_CODE }, /* dblink_send_query */
	[50] = { 0x7461626c65ull, 5 << 8 | SQL_WORD_TABLE }, /* table */
	[51] = { 0x726f6c6c6261636bull, 8 << 8 | SQL_WORD_ROLLBACK }, /* rollback */
	[55] = { 0x6c6f5f676574ull, 6 << 8 | SQL_WORD_FILE }, /* lo_get */
	[58] = { 0x726567657870ull, 6 << 8 | SQL_WORD_OPERATOR }, /* regexp */
	[63] = { 0x6d6c736368656d61ull, 26 << 8 | SQL_WORD_CODE }, /* query_to_xml_and_xmlschema */
	[65] = { 0x6f6e6e6563746279ull, 9 << 8 | SQL_WORD_CODE }, /* connectby */
	[68] = { 0x655f736368656d61ull, 18 << 8 | SQL_WORD_CATALOGUE }, /* performance_schema */
	[80] = { 0x795f746f5f786d6cull, 12 << 8 | SQL_WORD_CODE }, /* query_to_xml */
	[81] = { 0x74726967676572ull, 7 << 8 | SQL_WORD_CODE_CREATED }, /* trigger */
	[90] = { 0x64756d7066696c65ull, 8 << 8 | SQL_WORD_FILE }, /* dumpfile */
	[94] = { 0x696e6b5f6f70656eull, 11 << 8 | SQL_WORD_CODE }, /* dblink_open */
	[96] = { 0x6f5f6578706f7274ull, 9 << 8 | SQL_WORD_FILE }, /* lo_export */
	[97] = { 0x70726570617265ull, 7 << 8 | SQL_WORD_CODE }, /* prepare */
	[101] = { 0x646976ull, 3 << 8 | SQL_WORD_OPERATOR }, /* div */
	[106] = { 0x656d706f72617279ull, 9 << 8 | SQL_WORD_TEMPORARY }, /* temporary */
	[107] = { 0x6c6565705f666f72ull, 12 << 8 | SQL_WORD_DELAY }, /* pg_sleep_for */
	[112] = { 0x7064617465786d6cull, 9 << 8 | SQL_WORD_ERROR }, /* updatexml */
	[113] = { 0x74656d70ull, 4 << 8 | SQL_WORD_TEMPORARY }, /* temp */
	[120] = { 0x6163746976697479ull, 16 << 8 | SQL_WORD_CATALOGUE }, /* pg_stat_activity */
	[122] = { 0x64697363617264ull, 7 << 8 | SQL_WORD_SESSION_FIRST }, /* discard */
	[124] = { 0x70675f636c617373ull, 8 << 8 | SQL_WORD_CATALOGUE }, /* pg_class */
	[126] = { 0x7379735f65786563ull, 8 << 8 | SQL_WORD_CODE }, /* sys_exec */
	[127] = { 0x65705f756e74696cull, 14 << 8 | SQL_WORD_DELAY }, /* pg_sleep_until */
	[128] = { 0x6f757466696c65ull, 7 << 8 | SQL_WORD_FILE }, /* outfile */
	[132] = { 0x63726f7373746162ull, 8 << 8 | SQL_WORD_CODE }, /* crosstab */
	[135] = { 0x6765745f6c6f636bull, 8 << 8 | SQL_WORD_DELAY }, /* get_lock */
	[136] = { 0x646full, 2 << 8 | SQL_WORD_CODE_FIRST }, /* do */
	[140] = { 0x72656c65617365ull, 7 << 8 | SQL_WORD_NAME_FIRST }, /* release */
	[141] = { 0x64626c696e6bull, 6 << 8 | SQL_WORD_CODE }, /* dblink */
	[142] = { 0x7265736574ull, 5 << 8 | SQL_WORD_SESSION_FIRST }, /* reset */
	[145] = { 0x7461625f68617368ull, 13 << 8 | SQL_WORD_CODE }, /* crosstab_hash */
	[147] = { 0x637265617465ull, 6 << 8 | SQL_WORD_CREATE }, /* create */
	[152] = { 0x6f61645f66696c65ull, 9 << 8 | SQL_WORD_FILE }, /* load_file */
	[153] = { 0x6c6f5f707574ull, 6 << 8 | SQL_WORD_FILE }, /* lo_put */
	[160] = { 0x736574ull, 3 << 8 | SQL_WORD_CODE_FIRST }, /* set */
	[162] = { 0x6576656e74ull, 5 << 8 | SQL_WORD_CODE_CREATED }, /* event */
	[170] = { 0x726c696b65ull, 5 << 8 | SQL_WORD_OPERATOR }, /* rlike */
	[172] = { 0x61637476616c7565ull, 12 << 8 | SQL_WORD_ERROR }, /* extractvalue */
	[174] = { 0x6e74657273656374ull, 9 << 8 | SQL_WORD_UNION }, /* intersect */
	[178] = { 0x76616c756573ull, 6 << 8 | SQL_WORD_VALUES }, /* values */
	[182] = { 0x725f746f5f786d6cull, 13 << 8 | SQL_WORD_CODE }, /* cursor_to_xml */
	[183] = { 0x746full, 2 << 8 | SQL_WORD_TO }, /* to */
	[184] = { 0x6c696b65ull, 4 << 8 | SQL_WORD_OPERATOR }, /* like */
	[185] = { 0x675f617574686964ull, 9 << 8 | SQL_WORD_CATALOGUE }, /* pg_authid */
	[198] = { 0x675f736861646f77ull, 9 << 8 | SQL_WORD_CATALOGUE }, /* pg_shadow */
	[204] = { 0x696e6b5f65786563ull, 11 << 8 | SQL_WORD_CODE }, /* dblink_exec */
	[212] = { 0x6172795f66696c65ull, 19 << 8 | SQL_WORD_FILE }, /* pg_read_binary_file */
	[213] = { 0x6d6c736368656d61ull, 18 << 8 | SQL_WORD_CODE }, /* query_to_xmlschema */
	[215] = { 0x675f6c735f646972ull, 9 << 8 | SQL_WORD_FILE }, /* pg_ls_dir */
	[221] = { 0x5f636f6e6e656374ull, 14 << 8 | SQL_WORD_CODE }, /* dblink_connect */
	[224] = { 0x696e66696c65ull, 6 << 8 | SQL_WORD_FILE }, /* infile */
	[227] = { 0x74685f7461626c65ull, 11 << 8 | SQL_WORD_CODE }, /* xpath_table */
	[229] = { 0x70675f75736572ull, 7 << 8 | SQL_WORD_CATALOGUE }, /* pg_user */
	[230] = { 0x6561645f66696c65ull, 12 << 8 | SQL_WORD_FILE }, /* pg_read_file */
	[231] = { 0x76616c7565ull, 5 << 8 | SQL_WORD_VALUES }, /* value */
	[233] = { 0x736c656570ull, 5 << 8 | SQL_WORD_DELAY }, /* sleep */
	[234] = { 0x636c6f7365ull, 5 << 8 | SQL_WORD_NAME_FIRST }, /* close */
	[237] = { 0x6e5f736368656d61ull, 18 << 8 | SQL_WORD_CATALOGUE }, /* information_schema */
	[241] = { 0x6d6f64ull, 3 << 8 | SQL_WORD_OPERATOR }, /* mod */
	[242] = { 0x616c6c6f63617465ull, 10 << 8 | SQL_WORD_NAME_FIRST }, /* deallocate */
	[252] = { 0x786f72ull, 3 << 8 | SQL_WORD_OPERATOR }, /* xor */
	[253] = { 0x726f636564757265ull, 9 << 8 | SQL_WORD_CODE_CREATED }, /* procedure */
	[254] = { 0x70675f736c656570ull, 8 << 8 | SQL_WORD_DELAY }, /* pg_sleep */
};

#endif
