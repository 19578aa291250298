// SPDX-License-Identifier: Apache-2.0
// Loads the objects on the running kernel and plays a client of either protocol
// through it: what arrives at the server, and what user space is told, must be
// exact. Runs natively and inside the kernels of the matrix (run.mjs).
#define _GNU_SOURCE
#include "harness.h"
#include "sql_lexer.h"
#include "sql_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RULE 3
#define RULE_NAME "sqli-union-select"

#define COM_QUERY 0x03
#define COM_STMT_PREPARE 0x16

// The replacement that a denial makes: SQL with the incident, padded to 128 bytes.
static struct bytes denial(const char *format, uint64_t incident)
{
	struct bytes padded = repeat(" ", 128);
	int length = snprintf((char *)padded.at, 128, format, RULE_NAME, (unsigned long long)incident);

	padded.at[length] = ' ';
	return padded;
}

#define SIGNAL_TEXT "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO=1644, MESSAGE_TEXT='Picket blocked: %s %012llx'"
#define PREPARE_TEXT "SELECT `Picket blocked: %s %012llx`"
#define RAISE_TEXT "DO $$BEGIN RAISE EXCEPTION 'Picket blocked: %s %012llx' USING ERRCODE='42501'; END$$"
#define CAST_TEXT "SELECT 'Picket blocked: %s %012llx'::int"

static const uint8_t query_byte = COM_QUERY, prepare_byte = COM_STMT_PREPARE;

// Sends a statement once, so that its fingerprint is known, and gives it a verdict.
static uint64_t learn(struct link *l, struct bytes frame, uint8_t verdict, uint8_t action)
{
	drain();
	give(l, frame);
	arrived(l, frame.size);
	drain();
	struct picket_statement_event *e = last_statement();

	if (!check(e, "no event for a statement seen for the first time"))
		return 0;
	check(e->fingerprint, "never known");
	set_verdict(&stable, e->fingerprint, verdict, action, RULE);
	return e->fingerprint;
}

static uint64_t incident(void)
{
	struct picket_statement_event *e;

	/* On a slow guest a statement beside it is told again, a second after the first time. */
	for (int i = 0; (e = statement_event(i)) && !e->substituted; i++)
		;
	if (!check(e, "no event for a denied statement"))
		return 0;
	check(e->guarantee == GUARANTEE_PREVENTED, "guarantee %d", e->guarantee);
	check(e->substituted && e->action == ACTION_BLOCK && e->rule == RULE, "rule %u", e->rule);
	return e->incident;
}

static void mysql_cases(void)
{
	begin_case("mysql: a statement seen for the first time passes unchanged and is told with its text");
	struct link l = open_link();
	struct bytes login = mysql_login(0, 0), query = mysql_command(COM_QUERY, "select one, 1 from first");

	give(&l, login);
	give(&l, query);
	check_same(arrived(&l, login.size + query.size), join(2, login, query));
	drain();
	struct picket_connection_event *opened = connection_event(CONNECTION_ESTABLISHED);
	struct picket_connection_event *recognised = connection_event(CONNECTION_RECOGNISED);
	struct picket_statement_event *e = statement_event(0);

	check(opened && opened->enrolled && opened->workload == 11 && opened->cookie == l.cookie, "established");
	check(recognised && recognised->protocol == PROTOCOL_MYSQL, "recognised");
	if (check(e, "statement")) {
		check(e->first && e->last && e->message == MESSAGE_QUERY && e->protocol == PROTOCOL_MYSQL, "flags");
		check_same(raw(e->text, e->text_bytes), text("select one, 1 from first"));
		check(e->statement_bytes == 24 && e->cookie == l.cookie && e->workload == 11, "fields");
		check(e->process.tgid == (uint32_t)getpid() && e->process.start_ns, "process");
	}
	close_link(&l);

	begin_case("mysql: a known-bad query is replaced by one that the server refuses, exactly");
	l = mysql_link();
	struct bytes bad = mysql_command(COM_QUERY, "select evil, 1 from users");

	learn(&l, bad, VERDICT_ATTACK, ACTION_BLOCK);
	give(&l, bad);
	struct bytes got = arrived(&l, 133);

	drain();
	check_same(got, mysql_packet(0, join(2, raw(&query_byte, 1), denial(SIGNAL_TEXT, incident()))));

	begin_case("mysql: a known-bad query before a good one in the same send is replaced alone");
	struct bytes good = mysql_command(COM_QUERY, "select good, 1 from users");

	give(&l, join(2, bad, good));
	got = arrived(&l, 133 + good.size);
	drain();
	check_same(got, join(2, mysql_packet(0, join(2, raw(&query_byte, 1), denial(SIGNAL_TEXT, statement_event(0)->incident))), good));

	begin_case("mysql: a known-bad query after a good one in the same send is replaced alone");
	give(&l, join(2, good, bad));
	got = arrived(&l, 133 + good.size);
	drain();
	check_same(got, join(2, good, mysql_packet(0, join(2, raw(&query_byte, 1), denial(SIGNAL_TEXT, incident())))));

	begin_case("mysql: a long known-bad query is cut to the replacement");
	struct bytes list = join(3, text("select evil where x = '"), repeat("y", 60000), text("'"));
	struct bytes longer = mysql_packet(0, join(2, raw(&query_byte, 1), list));

	learn(&l, longer, VERDICT_ATTACK, ACTION_BLOCK);
	give(&l, join(2, longer, good));
	got = arrived(&l, 133 + good.size);
	drain();
	check_same(got, join(2, mysql_packet(0, join(2, raw(&query_byte, 1), denial(SIGNAL_TEXT, incident()))), good));

	begin_case("mysql: a known-bad prepare is replaced by one that fails to prepare");
	struct bytes prepare = mysql_command(COM_STMT_PREPARE, "select evil, ? from prepared");

	learn(&l, prepare, VERDICT_PROBE, ACTION_BLOCK);
	give(&l, prepare);
	got = arrived(&l, 133);
	drain();
	check_same(got, mysql_packet(0, join(2, raw(&prepare_byte, 1), denial(PREPARE_TEXT, incident()))));
	close_link(&l);
}

static void postgresql_cases(void)
{
	begin_case("postgresql: a known-bad query is replaced by one that the server refuses, exactly");
	struct link l = postgresql_link();
	struct bytes bad = postgresql_query("select evil, 1 from users");

	learn(&l, bad, VERDICT_ATTACK, ACTION_BLOCK);
	give(&l, bad);
	struct bytes got = arrived(&l, 134);

	drain();
	check_same(got, postgresql_message('Q', join(2, denial(RAISE_TEXT, incident()), raw("", 1))));
	close_link(&l);

	begin_case("postgresql: a known-bad parse is replaced by one that fails to parse");
	l = postgresql_link();
	bad = postgresql_parse("", "select evil, $1 from parsed");
	struct bytes sync = postgresql_message('S', raw("", 0));

	learn(&l, bad, VERDICT_ATTACK, ACTION_BLOCK);
	give(&l, join(2, bad, sync));
	got = arrived(&l, 1);
	drain();
	check_same(got, join(2, postgresql_message('P', join(3, raw("", 1), denial(CAST_TEXT, incident()), raw("\0\0", 3))), sync));
	close_link(&l);
}


// The text that user space was told of one statement, put together again.
static struct bytes told(uint64_t statement)
{
	struct bytes whole = { calloc(1, 1), 0 };
	struct picket_statement_event *e;
	uint32_t fragment = 0;

	for (int i = 0; (e = statement_event(i)); i++) {
		if (e->statement != statement)
			continue;
		check(e->fragment == fragment++ && e->text_offset == whole.size, "fragment %u at %u", e->fragment,
		      e->text_offset);
		check(e->first == (e->fragment == 0), "first");
		whole = join(2, whole, raw(e->text, e->text_bytes));
	}
	return whole;
}

static struct link (*const logins[])(void) = { mysql_link, postgresql_link };
static const char *const names[] = { "mysql", "postgresql" };

static struct bytes query(int protocol, const char *sql)
{
	return protocol ? postgresql_query(sql) : mysql_command(COM_QUERY, sql);
}

static void split_cases(int protocol)
{
	char name[128];

	snprintf(name, sizeof(name), "%s: a statement sent byte by byte has the fingerprint of the whole", names[protocol]);
	begin_case(name);
	struct link l = logins[protocol]();
	const char *split = protocol ? "select split, 'x' from bytes where a = 1" : "select 'x', split from bytes where a = 1";
	struct bytes frame = query(protocol, split);
	uint64_t fingerprint = learn(&l, frame, VERDICT_BENIGN, ACTION_OBSERVE);

	drain();
	for (size_t i = 0; i < frame.size; i++)
		give(&l, slice(frame, i, i + 1));
	check_same(arrived(&l, frame.size), frame);
	drain();
	struct picket_statement_event *e = last_statement();

	if (check(e, "an end for what was begun")) {
		check(e->fingerprint == fingerprint && e->verdict == VERDICT_BENIGN && e->last, "verdict %d", e->verdict);
		check_same(told(e->statement), slice(text(split), 0, 39)); // what came with its end is known
	}

	snprintf(name, sizeof(name), "%s: a known-bad statement of which a part has left ends the connection", names[protocol]);
	begin_case(name);
	set_verdict(&stable, fingerprint, VERDICT_ATTACK, ACTION_BLOCK, RULE);
	give(&l, slice(frame, 0, 20));
	int error = try_give(&l, slice(frame, 20, frame.size));

	check(error == EACCES, "errno %d", error);
	check(arrived(&l, 20).size == 20, "the rest left");
	drain();
	e = last_statement();
	if (check(e, "event"))
		check(e->guarantee == GUARANTEE_SEVERED && !e->substituted, "guarantee %d", e->guarantee);
	check(connection_event(CONNECTION_KILLED), "killed");
	close_link(&l);

	snprintf(name, sizeof(name), "%s: a statement of 200 KB arrives whole, and 64 KB of it are told", names[protocol]);
	begin_case(name);
	l = logins[protocol]();
	struct bytes sql = join(3, text("select '"), repeat("0123456789abcdef ", 200000), text("' from big"));
	const char *after = protocol ? "select after, 1 from big" : "select 1, after from big";
	struct bytes small = query(protocol, after);

	frame = query(protocol, (char *)sql.at);
	give(&l, join(2, frame, small));
	check_same(arrived(&l, frame.size + small.size), join(2, frame, small));
	drain();
	check_same(told(1), slice(sql, 0, 64 << 10));
	check_same(told(2), text(after));
	for (int i = 0; (e = statement_event(i)); i++)
		check(e->statement_bytes == (e->last ? e->statement == 1 ? sql.size : 24 : 0), "%u bytes", e->statement_bytes);
	close_link(&l);

	snprintf(name, sizeof(name), "%s: a known-bad query is only counted where its workload is observed", names[protocol]);
	begin_case(name);
	l = logins[protocol]();
	frame = query(protocol, protocol ? "select observed, 1 from users" : "select 1, observed from users");
	learn(&l, frame, VERDICT_ATTACK, ACTION_BLOCK);
	uint64_t before = counters(&stable).would_block;

	set_mode(WORKLOAD_OBSERVE);
	give(&l, frame);
	check_same(arrived(&l, frame.size), frame);
	set_mode(WORKLOAD_ENFORCE);
	drain();
	e = last_statement();
	if (check(e, "event"))
		check(e->guarantee == GUARANTEE_OBSERVED && e->action == ACTION_BLOCK && !e->incident, "event");
	check(counters(&stable).would_block == before + 1, "counter");

	snprintf(name, sizeof(name), "%s: an unknown shape is told once a second, and a known-good one never", names[protocol]);
	begin_case(name);
	frame = query(protocol, protocol ? "select often, 1 from shapes" : "select 1, often from shapes");
	before = counters(&stable).unknown;
	for (int i = 0; i < 10; i++)
		give(&l, frame);
	arrived(&l, 10 * frame.size);
	drain();
	check(statement_event(0) && !statement_event(1), "one event");
	check(counters(&stable).unknown == before + 10, "counter");
	if (last_statement())
		set_verdict(&stable, last_statement()->fingerprint, VERDICT_BENIGN, ACTION_OBSERVE, 0);
	give(&l, frame);
	arrived(&l, frame.size);
	drain();
	check(!statement_event(0), "no event");

	snprintf(name, sizeof(name), "%s: bytes that no slot saw pass, and the next whole statement is judged again", names[protocol]);
	begin_case(name);
	struct bytes bad = query(protocol, protocol ? "select resync, 1 from users" : "select 1, resync from users");

	learn(&l, bad, VERDICT_ATTACK, ACTION_BLOCK);
	before = loss(LOSS_EMPTY_SLOT);
	clear_slot(0);
	give(&l, bad);
	give(&l, slice(bad, 0, 9));
	use_slot(&stable);
	give(&l, slice(bad, 9, bad.size));
	check_same(arrived(&l, 2 * bad.size), join(2, bad, bad));
	check(loss(LOSS_EMPTY_SLOT) == before + 2, "counted");
	drain();
	check(!statement_event(0), "judged without its beginning");
	give(&l, bad);
	struct bytes got = arrived(&l, 133);

	check(memmem(got.at, got.size, "Picket blocked", 14), "not denied: %.60s", got.at + 5);
	close_link(&l);
}

// Before 6.5 the pages of a file go to the socket uncopied, and the program cannot read them until it asks to.
static void sendfile_case(int protocol)
{
	char name[128];

	snprintf(name, sizeof(name), "%s: a known-bad statement that comes by sendfile is replaced, the next one framed", names[protocol]);
	begin_case(name);
	struct link l = logins[protocol]();
	struct bytes bad = query(protocol, "select filed, 1 from users"), next = query(protocol, "select behind, 1 from users");
	int file = memfd_create("statement", 0);
	off_t from = 0;

	learn(&l, bad, VERDICT_ATTACK, ACTION_BLOCK);
	if (check(file >= 0 && write(file, bad.at, bad.size) == (ssize_t)bad.size, "memfd"))
		check(sendfile(l.client, file, &from, bad.size) == (ssize_t)bad.size, "sendfile: %s", strerror(errno));
	struct bytes got = arrived(&l, 133);

	check(memmem(got.at, got.size, "Picket blocked", 14), "not denied: %.60s", got.at + 5);
	give(&l, next);
	check_same(arrived(&l, next.size), next);
	drain();
	check(last_statement() && last_statement()->fingerprint, "the next one");
	close(file);
	close_link(&l);
}

static void mysql_wire_cases(void)
{
	begin_case("mysql: the content of LOAD DATA LOCAL is never read as a command");
	struct link l = mysql_link();
	struct bytes load = mysql_command(COM_QUERY, "load data local infile 'f' into table t");
	struct bytes bad = mysql_command(COM_QUERY, "select evil, 1 from users");
	struct bytes sent = load;

	give(&l, load);
	for (int i = 0; i < 600; i++) {
		struct bytes packet = mysql_packet(2 + i, slice(bad, 4, bad.size)); // reads as COM_QUERY where it is number 0

		give(&l, packet);
		sent = join(2, sent, packet);
	}
	struct bytes end = mysql_packet((uint8_t)(2 + 600), text(""));

	give(&l, end);
	check_same(arrived(&l, sent.size + end.size), join(2, sent, end));
	drain();
	check(statement_event(0) && !statement_event(1), "one statement");
	give(&l, bad);
	check(arrived(&l, 133).size == 133, "judged again after the empty packet");

	begin_case("mysql: replies within COM_CHANGE_USER are no file content");
	give(&l, mysql_command(0x11, "user"));
	give(&l, mysql_packet(2, text("scrambled")));
	give(&l, bad);
	check(arrived(&l, 17 + 133).size == 4 + 5 + 4 + 9 + 133, "judged");
	close_link(&l);

	begin_case("mysql: a statement of more than 16 MB goes on in the next packet");
	l = mysql_link();
	struct bytes sql = join(3, text("select '"), repeat("z", 0xffffff + 1000), text("'"));
	struct bytes payload = join(2, raw(&query_byte, 1), sql);
	struct bytes both = join(2, mysql_packet(0, slice(payload, 0, 0xffffff)), mysql_packet(1, slice(payload, 0xffffff, payload.size)));

	give(&l, both);
	check_same(arrived(&l, both.size), both);
	give(&l, bad);
	struct bytes got = arrived(&l, 133);

	drain();
	check_same(told(1), slice(sql, 0, 64 << 10));
	check_same(got, mysql_packet(0, join(2, raw(&query_byte, 1), denial(SIGNAL_TEXT, incident()))));
	close_link(&l);

	begin_case("mysql: query attributes with values stand before the SQL and are kept");
	l = open_link();
	struct bytes login = mysql_login(1u << 27, 0);

	give(&l, login);
	arrived(&l, login.size);
	// Three parameters: a string "trace" = "00-ab", a NULL, and a 32-bit number named "n".
	struct bytes attributes = raw("\3\1\2\1" "\xfe\0\5trace" "\6\0\0" "\3\0\1n" "\5" "00-ab" "\7\0\0\0", 4 + 8 + 3 + 4 + 6 + 4);
	struct bytes plain = mysql_packet(0, join(2, raw("\3\0\1", 3), text("select attributed, 1 from users")));
	struct bytes none = mysql_packet(0, join(2, raw(&query_byte, 1), text("select attributed, 1 from users")));
	struct bytes full = mysql_packet(0, join(3, raw(&query_byte, 1), attributes, text("select attributed, 1 from users")));
	uint64_t fingerprint = learn(&l, plain, VERDICT_ATTACK, ACTION_BLOCK);

	give(&l, full);
	got = arrived(&l, 1);
	drain();
	check(last_statement() && last_statement()->fingerprint == fingerprint, "the same shape");
	check_same(got, mysql_packet(0, join(3, raw(&query_byte, 1), attributes, denial(SIGNAL_TEXT, incident()))));

	begin_case("mysql: query attributes that were offered and not agreed are not waited for");
	give(&l, none);
	got = arrived(&l, 1);
	drain();
	check_same(got, mysql_packet(0, join(2, raw(&query_byte, 1), denial(SIGNAL_TEXT, incident()))));
	close_link(&l);

	begin_case("mysql: other commands are passed by, whatever they hold");
	l = mysql_link();
	struct bytes others = join(4, mysql_command(0x0e, ""), mysql_command(0x02, "shop"), mysql_command(0x18, "\x03select evil, 1 from users"), mysql_command(0x19, "1234"));

	give(&l, join(2, others, bad));
	check(arrived(&l, others.size + 133).size == others.size + 133, "passed, then judged");
	close_link(&l);
}

static void postgresql_wire_cases(void)
{
	begin_case("postgresql: a parse keeps its statement name and its pipeline when it is replaced");
	struct link l = postgresql_link();
	struct bytes bad = postgresql_message('P', join(3, raw("stmtcache_0123456789abcdef", 27), raw("select named, $1 from users", 28), raw("\0\1\0\0\0\27", 6)));
	struct bytes turn = join(4, postgresql_message('B', raw("\0stmtcache_0123456789abcdef\0\0\0\0\0\0\0", 35)),
				 postgresql_message('D', raw("P", 2)), postgresql_message('E', raw("\0\0\0\0\0", 5)),
				 postgresql_message('S', text("")));

	learn(&l, bad, VERDICT_ATTACK, ACTION_BLOCK);
	give(&l, join(2, bad, turn));
	struct bytes got = arrived(&l, 1);

	drain();
	check_same(got, join(2, postgresql_message('P', join(3, raw("stmtcache_0123456789abcdef", 27), denial(CAST_TEXT, incident()), raw("\0\0", 3))), turn));

	begin_case("postgresql: statements of one pipeline are judged each");
	struct bytes good = postgresql_parse("", "select fine, 1 from users");

	give(&l, join(6, good, turn, bad, turn, good, turn));
	drain();
	arrived(&l, 1);
	drain();
	check(counters(&stable).blocked > 0, "blocked");
	close_link(&l);

	begin_case("postgresql: COPY data is passed by, whatever it holds");
	l = postgresql_link();
	struct bytes query_bad = postgresql_query("select evil, 1 from users");
	struct bytes copy = join(3, postgresql_query("copy t from stdin"), postgresql_message('d', query_bad), postgresql_message('c', text("")));

	give(&l, join(2, copy, query_bad));
	check(arrived(&l, copy.size + 134).size == copy.size + 134, "passed, then judged");
	close_link(&l);

	begin_case("postgresql: a function call is told and never known");
	l = postgresql_link();
	struct bytes call = postgresql_message('F', raw("\0\0\4\322\0\0\0\0\0\0", 10));

	give(&l, join(2, call, query_bad));
	check(arrived(&l, call.size + 134).size == call.size + 134, "passed, then judged");
	drain();
	check(statement_event(0) && statement_event(0)->message == MESSAGE_FUNCTION_CALL && !statement_event(0)->fingerprint, "event");
	close_link(&l);

	begin_case("postgresql: a startup that asks for replication is left alone");
	l = open_link();
	uint8_t head[8] = { 0, 0, 0, 8 + 38, 0, 3, 0, 0 };

	give(&l, join(2, raw(head, 8), raw("user\0repl\0replication\0database\0\0\0\0\0\0\0", 38)));
	arrived(&l, 46);
	drain();
	struct picket_connection_event *e = connection_event(CONNECTION_RECOGNISED);

	check(e && e->protocol == PROTOCOL_OTHER && e->notice == NOTICE_REPLICATION, "recognised");
	give(&l, query_bad);
	check_same(arrived(&l, query_bad.size), query_bad);
	close_link(&l);
}

static uint8_t session_of(struct link *l, struct bytes frame)
{
	drain();
	give(l, frame);
	arrived(l, frame.size);
	drain();
	return check(last_statement(), "no event") ? last_statement()->session : 0xff;
}

#define ESCAPES SQL_SESSION_ESCAPES_KNOWN
#define NO_ESCAPES (SQL_SESSION_ESCAPES_KNOWN | SQL_SESSION_NO_BACKSLASH)
#define QUOTES SQL_SESSION_QUOTES_KNOWN
#define ANSI (SQL_SESSION_QUOTES_KNOWN | SQL_SESSION_ANSI_QUOTES)
#define SAFE SQL_SESSION_CHARSET_KNOWN
#define UNSAFE (SQL_SESSION_CHARSET_KNOWN | SQL_SESSION_CHARSET_UNSAFE)

static struct bytes mysql_greeting(const char *version)
{
	return mysql_packet(0, join(4, raw("\x0a", 1), text(version), repeat("\x01", 60), raw("\0", 1)));
}

static struct bytes mysql_ok(uint8_t sequence, uint16_t status)
{
	uint8_t ok[7] = { 0, 0, 0, status, status >> 8, 0, 0 };

	return mysql_packet(sequence, raw(ok, 7));
}

static struct bytes mysql_err(uint8_t sequence)
{
	return mysql_packet(sequence, raw("\xff\x28\x04#42000no", 11));
}

// One column, one row, two EOFs.
static struct bytes mysql_rows(uint16_t status, const char *row)
{
	uint8_t eof[5] = { 0xfe, 0, 0, status, status >> 8 };

	return join(5, mysql_packet(1, raw("\1", 1)), mysql_packet(2, repeat("d", 30)), mysql_packet(3, raw(eof, 5)),
		    mysql_packet(4, text(row)), mysql_packet(5, raw(eof, 5)));
}

static struct link mysql_session(const char *version, uint8_t collation, uint16_t status)
{
	struct link l = open_link();
	struct bytes login = mysql_login(0, 0);

	login.at[12] = collation;
	answer(&l, mysql_greeting(version));
	give(&l, login);
	arrived(&l, login.size);
	answer(&l, mysql_ok(2, status));
	drain();
	return l;
}

static int probes;

// By what session the next statement would be read; it is answered like any other, with this status.
static uint8_t probe(struct link *l, int protocol, struct bytes reply)
{
	char sql[64], name[8] = { 0 };
	uint8_t session;

	for (int i = 0, n = probes++; i < 4; i++, n /= 26)
		name[i] = 'a' + n % 26;
	snprintf(sql, sizeof(sql), "select 1 as probe_%s", name);
	session = session_of(l, query(protocol, sql));
	answer(l, reply);
	return session;
}

#define MARIADB "5.5.5-10.11.6-MariaDB-1"

static void mysql_session_cases(void)
{
	static const struct {
		const char *version;
		uint8_t collation;
		uint16_t status;
		uint8_t session;
	} logins[] = {
		{ MARIADB, 45, 0x0002, ESCAPES | QUOTES | SAFE },
		{ MARIADB, 28, 0x0202, NO_ESCAPES | QUOTES | UNSAFE },
		{ MARIADB, 45, 0x8002, ESCAPES | ANSI | SAFE },
		{ "11.4.2-MariaDB", 45, 0x8002, ESCAPES | ANSI | SAFE },
		{ "5.5.5-10.2.44-MariaDB", 45, 0x0002, ESCAPES | SAFE },
		{ "8.0.36", 45, 0x0002, ESCAPES | SAFE },
		{ "5.5.62", 45, 0x0202, NO_ESCAPES | SAFE },
	};

	begin_case("session, mysql: the login's answer says it; ANSI quotes only where the server is a MariaDB that tells");
	for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
		struct link l = mysql_session(logins[i].version, logins[i].collation, logins[i].status);
		uint8_t session = probe(&l, 0, mysql_rows(2, "r"));

		check(session == logins[i].session, "%s: %d for %d", logins[i].version, session, logins[i].session);
		close_link(&l);
	}

	static const struct {
		const char *sql, *why;
		uint16_t status; // 0: an error
		uint8_t session;
	} sets[] = {
		{ "set names gbk", "done", 0x0002, ESCAPES | QUOTES | UNSAFE },
		{ "set names gbk", "failed", 0, ESCAPES | QUOTES | SAFE },
		{ "set names dec8", "not known to be safe", 0x0002, ESCAPES | QUOTES },
		{ "set sql_mode='NO_BACKSLASH_ESCAPES'", "done", 0x0202, NO_ESCAPES | QUOTES | SAFE },
		{ "set sql_mode='ANSI'", "failed", 0, ESCAPES | QUOTES | SAFE },
		{ "set autocommit=0", "done", 0x0000, ESCAPES | QUOTES | SAFE },
		{ "set @a = f()", "unclear, done", 0x0002, ESCAPES | QUOTES },
		{ "set @a = f()", "unclear, failed", 0, 0 },
		{ "select 1 as harmless", "a status that nothing asked for", 0x0202, SAFE },
		{ "set autocommit=1", "a status that nothing asked for", 0x0202, SAFE },
		{ "set names utf8; select 1", "two statements", 0x0002, ESCAPES | QUOTES },
		{ "/* x */ set names gbk", "a comment", 0x0002, ESCAPES | QUOTES },
	};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		char name[160];

		snprintf(name, sizeof(name), "session, mysql: %s: %s", sets[i].sql, sets[i].why);
		begin_case(name);
		struct link l = mysql_session(MARIADB, 45, 2);

		session_of(&l, mysql_command(COM_QUERY, sets[i].sql));
		answer(&l, sets[i].status || !strcmp(sets[i].why, "done") ? mysql_ok(1, sets[i].status) : mysql_err(1));
		uint8_t session = probe(&l, 0, mysql_rows(2, "r"));

		check(session == sets[i].session, "%d for %d", session, sets[i].session);
		close_link(&l);
	}

	begin_case("session, mysql: nothing is known while the answer is out, nor ever after where two are");
	struct link l = mysql_session(MARIADB, 45, 2);

	session_of(&l, mysql_command(COM_QUERY, "set names gbk"));
	check(session_of(&l, mysql_command(COM_QUERY, "select 1 as meanwhile")) == 0, "meanwhile");
	answer(&l, mysql_ok(1, 2));
	answer(&l, mysql_rows(2, "r"));
	check(probe(&l, 0, mysql_rows(2, "r")) == 0, "after both");
	close_link(&l);

	begin_case("session, mysql: an answer that nobody asked for makes later changes unknown");
	l = mysql_session(MARIADB, 45, 2);
	check(probe(&l, 0, mysql_rows(2, "r")) == (ESCAPES | QUOTES | SAFE), "before");
	answer(&l, mysql_ok(1, 2));
	session_of(&l, mysql_command(COM_QUERY, "set names latin1"));
	answer(&l, mysql_ok(1, 2));
	check(probe(&l, 0, mysql_rows(2, "r")) == 0, "after");
	close_link(&l);

	begin_case("session, mysql: an answer in pieces is read where its end is whole, and is unknown where it is not");
	l = mysql_session(MARIADB, 45, 2);
	session_of(&l, mysql_command(COM_QUERY, "set names gbk"));
	struct bytes ok = mysql_ok(1, 2);

	answer(&l, slice(ok, 0, 5));
	answer(&l, slice(ok, 5, ok.size));
	check(probe(&l, 0, mysql_rows(2, "r")) == 0, "split");
	close_link(&l);
	l = mysql_session(MARIADB, 45, 2);
	struct bytes rows = mysql_rows(2, "some row");

	session_of(&l, mysql_command(COM_QUERY, "select 1 as pieces"));
	answer(&l, slice(rows, 0, 37));
	answer(&l, slice(rows, 37, rows.size));
	check(probe(&l, 0, mysql_rows(2, "r")) == (ESCAPES | QUOTES | SAFE), "rows");
	close_link(&l);

	begin_case("session, mysql: COM_RESET_CONNECTION leaves the character set unknown and the status known");
	l = mysql_session(MARIADB, 28, 0x0202);
	give(&l, mysql_command(0x1f, ""));
	arrived(&l, 5);
	answer(&l, mysql_ok(1, 2));
	check(probe(&l, 0, mysql_rows(2, "r")) == (ESCAPES | QUOTES), "reset");
	close_link(&l);

	begin_case("session, mysql: a prepared SET may run at any execution");
	l = mysql_session(MARIADB, 45, 2);
	session_of(&l, mysql_command(COM_STMT_PREPARE, "set names gbk"));
	answer(&l, mysql_packet(1, raw("\0\1\0\0\0\0\0\0\0\0\0\0", 12)));
	check(probe(&l, 0, mysql_rows(2, "r")) == (ESCAPES | QUOTES | SAFE), "prepared");
	give(&l, mysql_packet(0, raw("\x17\1\0\0\0\0\1\0\0\0", 10)));
	arrived(&l, 14);
	answer(&l, mysql_ok(1, 2));
	check(probe(&l, 0, mysql_rows(2, "r")) == (ESCAPES | QUOTES), "executed");
	close_link(&l);
}

static struct bytes parameter(const char *name, const char *value)
{
	return postgresql_message('S', join(2, raw(name, strlen(name) + 1), raw(value, strlen(value) + 1)));
}

static struct bytes ready(char status) { return postgresql_message('Z', raw(&status, 1)); }

static struct link postgresql_session(const char *conforming, const char *encoding)
{
	struct link l = open_link();
	struct bytes startup = postgresql_startup();

	give(&l, startup);
	arrived(&l, startup.size);
	answer(&l, join(6, postgresql_message('R', raw("\0\0\0\0", 4)), parameter("DateStyle", "ISO, MDY"),
			parameter("client_encoding", encoding), parameter("standard_conforming_strings", conforming),
			postgresql_message('K', raw("12345678", 8)), ready('I')));
	drain();
	return l;
}

static struct bytes postgresql_rows(char status)
{
	return join(2, postgresql_message('C', raw("SELECT 1", 9)), ready(status));
}

static void postgresql_session_cases(void)
{
	static const struct {
		const char *conforming, *encoding;
		uint8_t session;
	} logins[] = {
		{ "on", "UTF8", NO_ESCAPES | ANSI | SAFE },  { "off", "UTF8", ESCAPES | ANSI | SAFE },
		{ "on", "GBK", NO_ESCAPES | ANSI | UNSAFE }, { "on", "SHIFT_JIS_2004", NO_ESCAPES | ANSI | UNSAFE },
		{ "on", "EUC_JP", NO_ESCAPES | ANSI | SAFE }, { "on", "FUTURE", NO_ESCAPES | ANSI },
		{ "maybe", "UTF8", ANSI | SAFE },
	};

	begin_case("session, postgresql: the login's parameters say it");
	for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
		struct link l = postgresql_session(logins[i].conforming, logins[i].encoding);
		uint8_t session = probe(&l, 1, postgresql_rows('I'));

		check(session == logins[i].session, "%s %s: %d", logins[i].conforming, logins[i].encoding, session);
		close_link(&l);
	}

	begin_case("session, postgresql: what the server tells before ReadyForQuery holds, also where nothing asked for it");
	struct link l = postgresql_session("on", "UTF8");

	session_of(&l, postgresql_query("set standard_conforming_strings=off"));
	answer(&l, join(3, postgresql_message('C', raw("SET", 4)), parameter("standard_conforming_strings", "off"), ready('I')));
	check(probe(&l, 1, join(3, postgresql_message('C', raw("SELECT 1", 9)), parameter("client_encoding", "BIG5"), ready('I'))) ==
		      (ESCAPES | ANSI | SAFE), "set");
	check(probe(&l, 1, postgresql_rows('I')) == (ESCAPES | ANSI | UNSAFE), "not asked for");
	answer(&l, parameter("client_encoding", "UTF8"));
	check(probe(&l, 1, postgresql_rows('I')) == (ESCAPES | ANSI | SAFE), "while idle");
	close_link(&l);

	begin_case("session, postgresql: a change within a transaction is in doubt until it ends");
	l = postgresql_session("on", "UTF8");
	session_of(&l, postgresql_query("set standard_conforming_strings=off"));
	answer(&l, join(3, postgresql_message('C', raw("SET", 4)), parameter("standard_conforming_strings", "off"), ready('T')));
	struct bytes big = join(3, postgresql_message('D', repeat("x", 5000)), parameter("standard_conforming_strings", "on"), ready('I'));

	check(probe(&l, 1, big) == (ESCAPES | ANSI | SAFE), "within");
	check(probe(&l, 1, postgresql_rows('I')) == (NO_ESCAPES | ANSI | SAFE), "after");
	close_link(&l);

	begin_case("session, postgresql: pipelined answers are told apart");
	l = postgresql_session("on", "UTF8");
	give(&l, join(3, postgresql_query("select 1 as pipe_a"), postgresql_query("set standard_conforming_strings=off"),
		      postgresql_query("select 1 as pipe_b")));
	arrived(&l, 60);
	drain();
	check(last_statement() && last_statement()->session == 0, "behind a change");
	answer(&l, postgresql_rows('I'));
	answer(&l, join(2, parameter("standard_conforming_strings", "off"), postgresql_rows('I')));
	answer(&l, postgresql_rows('I'));
	check(probe(&l, 1, postgresql_rows('I')) == (ESCAPES | ANSI | SAFE), "after all");
	close_link(&l);

	begin_case("session, postgresql: a message cut in two is not read");
	l = postgresql_session("on", "UTF8");
	session_of(&l, postgresql_query("set standard_conforming_strings=off"));
	struct bytes cut = join(2, parameter("standard_conforming_strings", "off"), postgresql_rows('I'));

	answer(&l, slice(cut, 0, 20));
	answer(&l, slice(cut, 20, cut.size));
	check(probe(&l, 1, postgresql_rows('I')) == 0, "unknown");
	close_link(&l);

	begin_case("session, postgresql: an unnamed prepared SET is watched until the next one");
	l = postgresql_session("on", "UTF8");
	struct bytes sync = postgresql_message('S', raw("", 0)), run = join(2, postgresql_message('E', raw("\0\0\0\0\0", 5)), sync);

	give(&l, join(2, postgresql_parse("", "set standard_conforming_strings=off"), run));
	arrived(&l, 30);
	answer(&l, join(2, parameter("standard_conforming_strings", "off"), postgresql_rows('I')));
	check(session_of(&l, postgresql_parse("", "select 1 as unnamed")) == (ESCAPES | ANSI | SAFE), "known");
	give(&l, run);
	arrived(&l, 10);
	answer(&l, postgresql_rows('I'));
	check(probe(&l, 1, postgresql_rows('I')) == (ESCAPES | ANSI | SAFE), "after");
	close_link(&l);
}

// A MySQL login of these capabilities; what follows its 32 bytes of settings is given.
static struct bytes login_of(uint32_t more, const void *names, size_t size)
{
	struct bytes head = mysql_login(more, 0);

	head.at[0] = 32 + size;
	head.at[1] = (32 + size) >> 8;
	return join(2, raw(head.at, 4 + 32), raw(names, size));
}

static struct bytes startup_of(const void *parameters, size_t size)
{
	uint8_t head[8] = { 0, 0, (8 + size) >> 8, 8 + size, 0, 3, 0, 0 };

	return join(2, raw(head, 8), raw(parameters, size));
}

static void login_cases(void)
{
	const uint32_t with_database = 1u << 3;
	char long_name[400] = { 0 };

	memset(long_name, 'n', 200);
	const struct {
		const char *name;
		struct bytes login;
		const char *user, *database; // 0: nothing is told
	} cases[] = {
		{ "login: mysql", login_of(with_database, "shop\0\3abcorders\0", 17), "shop", "orders" },
		{ "login: mysql, no password", login_of(with_database, "shop\0\0orders\0", 14), "shop", "orders" },
		{ "login: mysql, no database", login_of(0, "shop\0\3abcmysql_native_password\0", 31), "shop", "" },
		{ "login: mysql, a password counted beyond the packet", login_of(with_database, "shop\0\360abc", 9), "shop", "" },
		{ "login: mysql, a name that does not end", login_of(0, "shop", 4), 0, 0 },
		{ "login: mysql, a name longer than any", login_of(0, long_name, 250), "94 n", "" },
		{ "login: postgresql", startup_of("user\0app\0database\0shop\0\0", 24), "app", "shop" },
		{ "login: postgresql, the other way round", startup_of("database\0shop\0user\0app\0\0", 24), "app", "shop" },
		{ "login: postgresql, no database", startup_of("user\0app\0\0", 10), "app", "" },
		{ "login: postgresql, a user who is called database", startup_of("user\0database\0database\0shop\0\0", 29), "database", "shop" },
		{ "login: postgresql, a database that is called user", startup_of("database\0user\0user\0app\0\0", 24), "app", "user" },
		{ "login: postgresql, nobody", startup_of("client_encoding\0UTF8\0\0", 22), 0, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin_case(cases[i].name);
		struct link l = open_link();
		struct picket_login_event *e;

		give(&l, cases[i].login);
		arrived(&l, cases[i].login.size);
		drain();
		e = login_event();
		if (!cases[i].user) {
			check(!e, "told of %.*s", e ? e->user.bytes : 0, e ? e->user.text : "");
		} else if (check(e, "not told")) {
			const char *user = strcmp(cases[i].user, "94 n") ? cases[i].user : (long_name[94] = 0, long_name);

			check(e->cookie == l.cookie, "of another connection");
			check(e->user.bytes == strlen(user) && !memcmp(e->user.text, user, e->user.bytes), "user %.*s",
			      e->user.bytes, e->user.text);
			check(e->database.bytes == strlen(cases[i].database) &&
				      !memcmp(e->database.text, cases[i].database, e->database.bytes),
			      "database %.*s", e->database.bytes, e->database.text);
		}
		close_link(&l);
	}
}

// What a profile says of a shape is known by the fingerprint with the connection's scope in it.
static void scope_cases(int protocol)
{
	const uint32_t with_database = 1u << 3;
	const struct bytes who[] = {
		protocol ? startup_of("user\0app\0database\0shop\0\0", 24) : login_of(with_database, "app\0\0shop\0", 10),
		protocol ? startup_of("database\0shop\0user\0app\0\0", 24) : login_of(with_database, "app\0\1xshop\0", 11),
		protocol ? startup_of("user\0ops\0database\0shop\0\0", 24) : login_of(with_database, "ops\0\0shop\0", 10),
		protocol ? startup_of("user\0app\0database\0orders\0\0", 26) : login_of(with_database, "app\0\0orders\0", 12),
	};
	struct bytes q = query(protocol, "select scoped, 1 from mine");
	char name[128];
	struct link l[4];

	snprintf(name, sizeof(name), "%s: what a profile says is known to its user's connections to its database, and no others",
		 names[protocol]);
	begin_case(name);
	for (int i = 0; i < 4; i++) {
		l[i] = open_link();
		give(&l[i], who[i]);
		arrived(&l[i], who[i].size);
	}
	drain();
	give(&l[0], q);
	arrived(&l[0], q.size);
	drain();
	struct picket_statement_event *e = last_statement();

	if (!check(e && e->fingerprint && e->scope, "not told"))
		return;
	uint64_t fingerprint = e->fingerprint, scope = e->scope;

	set_verdict(&stable, fingerprint ^ scope, VERDICT_BENIGN, ACTION_OBSERVE, PICKET_NO_RULE);
	for (int i = 0; i < 4; i++) {
		struct picket_slot_counters before = counters(&stable);

		give(&l[i], q);
		arrived(&l[i], q.size);
		check((counters(&stable).known > before.known) == (i < 2), "connection %d", i);
	}
	snprintf(name, sizeof(name), "%s: a verdict for everybody stands above a profile's", names[protocol]);
	begin_case(name);
	set_verdict(&stable, fingerprint, VERDICT_ATTACK, ACTION_BLOCK, 3);
	give(&l[0], q);
	struct bytes got = arrived(&l[0], 133);

	check(memmem(got.at, got.size, "Picket blocked", 14), "%.60s", got.at + 5);
	for (int i = 0; i < 4; i++)
		close_link(&l[i]);
}

// One known use in so many is told with its text, to be compared.
static void compared_case(int protocol)
{
	char name[128];

	snprintf(name, sizeof(name), "%s: of known statements about one in so many is shown, whole, and all of them pass",
		 names[protocol]);
	begin_case(name);
	more_settings.compare_mask = 8;
	struct slot sampling = load_slot(1, 2);

	more_settings.compare_mask = 0;
	use_slot(&sampling);
	set_dispatch(1, 1, 0);
	struct link l = logins[protocol]();
	struct bytes q = query(protocol, "select shown, 'a value' from mine");
	int shown = 0;

	give(&l, q);
	arrived(&l, q.size);
	drain();
	struct picket_statement_event *e = last_statement();

	if (!check(e && e->fingerprint && !e->sampled, "not told"))
		return;
	set_verdict(&sampling, e->fingerprint, VERDICT_BENIGN, ACTION_OBSERVE, PICKET_NO_RULE);
	for (int i = 0; i < 256; i++) {
		give(&l, q);
		check_same(arrived(&l, q.size), q);
		drain();
		e = last_statement();
		if (!e)
			continue;
		shown++;
		check(e->sampled && e->first && e->last && e->verdict == VERDICT_BENIGN && e->scope, "what is told");
		check_same(raw(e->text, e->text_bytes), text("select shown, 'a value' from mine"));
	}
	check(shown > 8 && shown < 80, "%d of 256", shown);
	check(counters(&sampling).known == 256, "known");
	set_dispatch(0, 0, 0);
	close_link(&l);
	close_slot(&sampling);
}

static void answer_cases(int protocol)
{
	char name[128];

	snprintf(name, sizeof(name), "%s: answers are counted once each, errors apart, and a denial is none", names[protocol]);
	begin_case(name);
	struct link l = protocol ? postgresql_session("on", "UTF8") : mysql_session(MARIADB, 45, 2);
	struct bytes good = query(protocol, "select 1 as answered"), bad = query(protocol, "select evil, 1 as answered");
	struct bytes rows = protocol ? postgresql_rows('I') : mysql_rows(2, "r");
	struct bytes error = protocol ? join(2, postgresql_message('E', raw("SERROR\0\0", 8)), ready('I')) : mysql_err(1);

	learn(&l, bad, VERDICT_ATTACK, ACTION_BLOCK);
	answer(&l, rows);
	struct picket_responses before = responses(0);

	for (int i = 0; i < 16; i++) {
		give(&l, good);
		arrived(&l, good.size);
		answer(&l, i % 4 ? rows : error);
	}
	give(&l, bad);
	arrived(&l, 133);
	answer(&l, error);
	struct picket_responses after = responses(0);
	check(after.ok - before.ok == 12, "%llu ok", (unsigned long long)(after.ok - before.ok));
	check(after.errors - before.errors == 4, "%llu errors", (unsigned long long)(after.errors - before.errors));
	close_link(&l);
}

static int clocked_since(const struct picket_responses *before)
{
	struct picket_responses after = responses(0);
	int clocked = 0;

	for (int i = 0; i < PICKET_LATENCY_BUCKETS; i++)
		clocked += after.latency[i] - before->latency[i];
	return clocked;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void clock_cases(int protocol)
{
	char name[128];

	snprintf(name, sizeof(name), "%s: a quiet connection has each statement clocked, a busy one each sixteenth",
		 names[protocol]);
	begin_case(name);
	struct link l = protocol ? postgresql_session("on", "UTF8") : mysql_session(MARIADB, 45, 2);
	struct bytes q = query(protocol, "select 1 as clocked"), rows = protocol ? postgresql_rows('I') : mysql_rows(2, "r");
	struct picket_responses before = responses(0);

	for (int i = 0; i < 6; i++) {
		usleep(40000); // four ticks of the slowest clock (HZ=100)
		give(&l, q);
		arrived(&l, q.size);
		answer(&l, rows);
	}
	check(clocked_since(&before) == 6, "%d of 6", clocked_since(&before));

	// The pause makes the first of each burst the one that is clocked; time that passes may have more of them clocked:
	// three ticks are at least 2 ms (HZ=1000).
	for (int i = 0; i < 8; i++) {
		usleep(40000);
		before = responses(0);
		int64_t begun = now_ns();

		for (int k = 0; k < 33; k++) {
			give(&l, q);
			answer(&l, rows);
		}
		int most = 3 + (now_ns() - begun) / 2000000, clocked = clocked_since(&before);

		arrived(&l, 33 * q.size);

		check(clocked >= 3 && clocked <= most, "%d of 33, at most %d", clocked, most);
	}
	close_link(&l);
}

// An answer in up to three sends, cut anywhere.
static void answer_in_pieces(struct link *l, struct bytes whole)
{
	size_t a = rand() % (whole.size + 1), b = a + rand() % (whole.size - a + 1), cuts[] = { 0, a, b, whole.size };

	if (rand() % 4)
		cuts[1] = cuts[2] = 0; // most in one piece
	for (int i = 0; i < 3; i++)
		if (cuts[i + 1] > cuts[i])
			answer(l, slice(whole, cuts[i], cuts[i + 1]));
}

// What is known must be so: facts that are known and differ from the truth.
static bool wrong(uint8_t session, uint8_t truth)
{
	uint8_t known = session & (ESCAPES | QUOTES | SAFE);

	return (session & (known | known << 1)) != (truth & (known | known << 1));
}

static uint32_t says(const char *sql, size_t size)
{
	struct sql_set set = { 0 };

	for (size_t i = 0; i < size; i++)
		sql_set_step(&set, (uint8_t)sql[i]);
	return sql_set_finish(&set);
}

static void setting_cases(void)
{
	static const struct {
		const char *sql;
		uint32_t says;
	} settings[] = {
		{ "SET NAMES utf8mb4", SQL_SET_SAFE },
		{ "set names 'gbk' collate gbk_chinese_ci", SQL_SET_UNSAFE },
		{ "SET NAMES\tutf8\n;  ", SQL_SET_SAFE },
		{ "SET NAMES utf8mb4 COLLATE utf8mb4_bin, SESSION sql_mode='A,B'", SQL_SET_SAFE | SQL_SET_MODE },
		{ "SET CHARACTER SET gbk", SQL_SET_UNSAFE },
		{ "SET CHARSET \"big5\"", SQL_SET_UNSAFE },
		{ "SET character_set_client = utf8mb4, autocommit=1", SQL_SET_SAFE },
		{ "SET @@session.character_set_client := sjis", SQL_SET_UNSAFE },
		{ "SET NAMES gbk, NAMES utf8", SQL_SET_SAFE },
		{ "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY", SQL_SET_KEEPS },
		{ "SET @@SESSION.sql_mode = CONCAT(@@sql_mode, ',A'), @@SESSION.wait_timeout = 21", SQL_SET_KEEPS | SQL_SET_MODE },
		{ "SET time_zone = '+00:00', sql_auto_is_null = 0", SQL_SET_KEEPS },
		{ "SET character_set_results = NULL", SQL_SET_KEEPS },
		{ "SET NAMES dec8", SQL_SET_OTHER },
		{ "SET NAMES DEFAULT", SQL_SET_OTHER },
		{ "SET character_set_client = @@character_set_server", SQL_SET_OTHER },
		{ "SET @@global.character_set_client = sjis", SQL_SET_UNCLEAR },
		{ "SET @@global.sql_mode = ''", SQL_SET_UNCLEAR },
		{ "SET GLOBAL sql_mode = ''", SQL_SET_UNCLEAR },
		{ "SET sql_mode=(SELECT f())", SQL_SET_UNCLEAR },
		{ "SET @x = f(1)", SQL_SET_UNCLEAR },
		{ "SET @x = concat (f(1))", SQL_SET_UNCLEAR },
		{ "SET NAMES utf8; SELECT 1", SQL_SET_UNCLEAR },
		{ "SET NAMES utf8; SET NAMES gbk", SQL_SET_UNCLEAR },
		{ "SET sql_mode='x\\'", SQL_SET_UNCLEAR },
		{ "SET sql_mode='\xbf'", SQL_SET_UNCLEAR },
		{ "SET NAMES utf8 -- x", SQL_SET_UNCLEAR },
		{ "SET NAMES utf8 # x", SQL_SET_UNCLEAR },
		{ "SET NAMES /*! gbk */ utf8", SQL_SET_UNCLEAR },
		{ "SET STATEMENT max_statement_time=1 FOR SELECT 1", SQL_SET_UNCLEAR },
		{ "SET PASSWORD = 'x'", SQL_SET_UNCLEAR },
		{ "SET NAMES", SQL_SET_UNCLEAR },
		{ "SET NAMES 'utf8", SQL_SET_UNCLEAR },
		{ "SET", SQL_SET_UNCLEAR },
		{ "SELECT 1", SQL_SET_UNCLEAR },
		{ "", SQL_SET_UNCLEAR },
	};

	begin_case("session, mysql: what a SET says of the character set and of sql_mode");
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		uint32_t got = says(settings[i].sql, strlen(settings[i].sql));

		check(got == settings[i].says, "%s: %u for %u", settings[i].sql, got, settings[i].says);
	}
	// Any bytes: an answer, and never a character set that is not spelled out.
	for (int i = 0; i < 200000; i++) {
		static const char *const words[] = { "set ", "names ", "gbk", "utf8", ",", "=", "'", "(", ")", ";", "@@", "sql_mode", " ", "x", "\xbf", "-" };
		char sql[128] = "set ";
		size_t size = 4;

		for (int n = rand() % 8; n >= 0; n--)
			size += sprintf(sql + size, "%s", words[rand() % 16]);
		uint32_t got = says(sql, size) & SQL_SET_SAYS;

		if (got == SQL_SET_SAFE || got == SQL_SET_UNSAFE)
			check(strstr(sql, got == SQL_SET_SAFE ? "utf8" : "gbk"), "%s: %u", sql, got);
		check(got && got < SQL_SET_FORGET, "%s: %u", sql, got);
	}
}

static void random_session_case(int protocol)
{
	static const char *const charsets[2][2] = { { "utf8mb4", "gbk" }, { "UTF8", "GBK" } };
	char name[128];
	int known = 0, unknown = 0;

	snprintf(name, sizeof(name), "%s: whatever is set, fails, or comes in pieces: what is known of a session is true", names[protocol]);
	begin_case(name);
	for (int connection = 0; connection < 12; connection++) {
		uint16_t status = 2;
		uint8_t truth = protocol ? NO_ESCAPES | ANSI | SAFE : ESCAPES | QUOTES | SAFE;
		struct link l = protocol ? postgresql_session("on", "UTF8") : mysql_session(MARIADB, 45, 2);

		for (int turn = 0; turn < 12; turn++) {
			int what = rand() % 4, on = rand() % 2, fails = rand() % 4 == 0;
			struct bytes told = raw("", 0), reply;
			char sql[128];

			if (what == 0) {
				snprintf(sql, sizeof(sql), protocol ? "set client_encoding=%s" : "set names %s", charsets[protocol][on]);
				if (!fails) {
					truth = (truth & ~UNSAFE) | (on ? UNSAFE : SAFE);
					told = parameter("client_encoding", charsets[1][on]);
				}
			} else if (what == 1) {
				snprintf(sql, sizeof(sql), protocol ? "set standard_conforming_strings=%d" : "set sql_mode='%d'", on);
				if (!fails) {
					truth = (truth & ~NO_ESCAPES) | (on ? NO_ESCAPES : ESCAPES);
					status = on ? 0x0202 : 0x0002;
					told = parameter("standard_conforming_strings", on ? "on" : "off");
				}
			} else {
				snprintf(sql, sizeof(sql), "select 1 as turn_%c%c", 'a' + turn, 'a' + connection % 26);
				fails = fails && rand() % 2;
			}
			struct bytes statement = query(protocol, sql);

			give(&l, statement);
			arrived(&l, statement.size);
			if (protocol)
				reply = fails ? join(2, postgresql_message('E', raw("SERROR\0\0", 8)), ready('I')) :
						join(3, postgresql_message('C', raw("SET", 4)), told, ready('I'));
			else
				reply = fails ? mysql_err(1) : what < 2 ? mysql_ok(1, status) : mysql_rows(status, "some row");
			answer_in_pieces(&l, reply);
			uint8_t session = probe(&l, protocol, protocol ? postgresql_rows('I') : mysql_rows(status, "r"));

			check(!wrong(session, truth), "after %s%s: %d, but it is %d", sql, fails ? " (failed)" : "", session, truth);
			known += session != 0;
			unknown += session == 0;
		}
		close_link(&l);
	}
	check(known > 30, "%d of %d known", known, known + unknown);
	printf("#   %s: %d of %d known\n", names[protocol], known, known + unknown);

	snprintf(name, sizeof(name), "%s: any bytes from a server are survived", names[protocol]);
	begin_case(name);
	for (int connection = 0; connection < 20; connection++) {
		struct link l = protocol ? postgresql_session("on", "UTF8") : mysql_session(MARIADB, 45, 2);

		for (int turn = 0; turn < 20; turn++) {
			struct bytes noise = repeat("x", 1 + rand() % 200);

			for (size_t i = 0; i < noise.size; i++)
				noise.at[i] = rand() % 3 ? rand() % 8 : rand();
			give(&l, query(protocol, rand() % 2 ? "set names gbk" : "select 1 as noise"));
			answer(&l, noise);
		}
		close_link(&l);
	}
}

static void recognition_cases(void)
{
	struct bytes hello = raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
	struct bytes ssl = postgresql_request(80877103), gss = postgresql_request(80877104);
	const struct {
		const char *name;
		struct bytes sends[4];
		uint8_t protocol, notice;
	} cases[] = {
		{ "postgresql after SSLRequest was refused", { ssl, postgresql_startup() }, PROTOCOL_POSTGRESQL, 0 },
		{ "postgresql after GSSENCRequest and SSLRequest", { gss, ssl, postgresql_startup() }, PROTOCOL_POSTGRESQL, 0 },
		{ "postgresql after SSLRequest and GSSENCRequest", { ssl, gss, postgresql_startup() }, PROTOCOL_POSTGRESQL, 0 },
		{ "TLS after SSLRequest was granted", { ssl, hello }, PROTOCOL_TLS, NOTICE_ENCRYPTED },
		{ "TLS from the first byte", { hello }, PROTOCOL_TLS, NOTICE_ENCRYPTED },
		{ "mysql that asks for TLS", { mysql_login(0, 1) }, PROTOCOL_TLS, NOTICE_ENCRYPTED },
		{ "mysql with compression", { mysql_login(1 << 5, 0) }, PROTOCOL_OTHER, NOTICE_COMPRESSED },
		{ "mysql with zstd", { mysql_login(1 << 26, 0) }, PROTOCOL_OTHER, NOTICE_COMPRESSED },
		{ "a cancel request", { raw("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2", 16) }, PROTOCOL_OTHER, NOTICE_CANCEL },
		{ "HTTP", { text("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") }, PROTOCOL_OTHER, NOTICE_NOT_A_DATABASE },
		{ "Redis", { text("*1\r\n$4\r\nPING\r\n") }, PROTOCOL_OTHER, NOTICE_NOT_A_DATABASE },
		{ "zeros", { raw((char[64]){ 0 }, 64) }, PROTOCOL_OTHER, NOTICE_NOT_A_DATABASE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char name[128];

		for (int one = 0; one < 2; one++) {
			snprintf(name, sizeof(name), "recognised%s: %s", one ? " byte by byte" : "", cases[i].name);
			begin_case(name);
			struct link l = open_link();
			struct bytes all = { calloc(1, 1), 0 };

			for (int k = 0; k < 4 && cases[i].sends[k].size; k++) {
				struct bytes b = cases[i].sends[k];

				all = join(2, all, b);
				for (size_t at = 0; at < b.size; at += one ? 1 : b.size)
					give(&l, one ? slice(b, at, at + 1) : b);
			}
			check_same(arrived(&l, all.size), all);
			drain();
			struct picket_connection_event *e = connection_event(CONNECTION_RECOGNISED);

			if (check(e, "not told"))
				check(e->protocol == cases[i].protocol && e->notice == cases[i].notice, "protocol %d notice %d", e->protocol, e->notice);
			close_link(&l);
		}
	}
	begin_case("a connection whose framing is lost passes, is counted and told");
	struct link l = postgresql_link();
	uint64_t before = loss(LOSS_FRAME_UNKNOWN);
	struct bytes nonsense = raw("Q\xff\xff\xff\xff select", 12), bad = postgresql_query("select evil, 1 from users");

	give(&l, nonsense);
	give(&l, bad);
	check_same(arrived(&l, nonsense.size + bad.size), join(2, nonsense, bad));
	check(loss(LOSS_FRAME_UNKNOWN) == before + 1, "counted");
	drain();
	struct picket_connection_event *e = connection_event(CONNECTION_RECOGNISED);

	check(e && e->notice == NOTICE_FRAMING_LOST, "told");
	close_link(&l);
}

// A connection past its login that no agent of this test has seen.
static struct link existing_link(void)
{
	set_mode(WORKLOAD_OFF);
	struct link l = open_link();
	struct bytes login = mysql_login(0, 0);

	give(&l, login);
	arrived(&l, login.size);
	set_mode(WORKLOAD_ENFORCE);
	return l;
}

static void connection_cases(void)
{
	begin_case("connections: closing is told with its counters");
	struct link l = mysql_link();

	give(&l, mysql_command(COM_QUERY, "select closing, 1"));
	arrived(&l, 1);
	drain();
	close_link(&l);
	usleep(100000);
	drain();
	struct picket_connection_event *e = connection_event(CONNECTION_CLOSED);

	if (check(e, "no event")) {
		check(e->cookie == l.cookie && e->statements == 1 && e->bytes_sent > 0 && e->srtt_us > 0, "fields");
		check(e->endpoints.family == 2 && e->endpoints.remote_addr[12] == 127 && e->endpoints.local_port, "endpoints");
		check(e->connect_ns && e->lifetime_ns >= e->connect_ns, "times");
	}
	begin_case("connections: a connect that is refused is told");
	int fd = refused();

	drain();
	e = connection_event(CONNECTION_CLOSED);
	if (check(e, "no event"))
		check(e->old_state == 2 && e->new_state == 7 && e->process.tgid == (uint32_t)getpid(), "states %d %d", e->old_state, e->new_state);
	close(fd);

	begin_case("connections: a workload that is off is not enrolled");
	set_mode(WORKLOAD_OFF);
	l = open_link();
	set_mode(WORKLOAD_ENFORCE);
	drain();
	check(!connection_event(CONNECTION_ESTABLISHED), "enrolled");
	close_link(&l);

	begin_case("connections: those of a workload that never asks FIONREAD are judged from a map of their own");
	uint64_t in_map;
	int waiting = 0;

	set_workload(WORKLOAD_ENFORCE, SOCKETS_PLAIN);
	l = mysql_link();
	set_mode(WORKLOAD_ENFORCE);
	check(!bpf_map_lookup_elem(map_fd(dispatcher, "sockets_plain"), &l.cookie, &in_map), "not in the plain map");
	check(bpf_map_lookup_elem(map_fd(dispatcher, "sockets"), &l.cookie, &in_map), "in the other map");
	struct bytes evil = mysql_command(COM_QUERY, "select evil, plain from users");

	set_verdict(&stable, learn(&l, evil, VERDICT_BENIGN, ACTION_OBSERVE), VERDICT_ATTACK, ACTION_BLOCK, RULE);
	set_rule(&stable, RULE, RULE_NAME);
	give(&l, evil);
	check(arrived(&l, 133).size == 133, "not denied");
	check(send(l.server, "row", 3, 0) == 3, "send");
	usleep(50000);
	bpf_map_delete_elem(map_fd(dispatcher, "sockets_plain"), &l.cookie);
	ioctl(l.client, FIONREAD, &waiting);
	check(waiting == 3, "%d of 3 bytes wait", waiting);
	close_link(&l);

	begin_case("connections: one that existed before is adopted as a client, its server's end is not");
	struct bytes bad = mysql_command(COM_QUERY, "select evil, 1 from users");
	bool taken = true;

	// An agent that watches this whole host may be faster; then the refusal is what must be told.
	for (int i = 0; i < 10 && taken; i++) {
		l = existing_link();
		struct link accepted = open_listened_link();
		bool adopted = false;
		uint64_t busy = loss(LOSS_SOCKHASH_BUSY);

		run_iterator("adopt");
		drain();
		taken = false;
		for (int k = 0; (e = connection_event_nth(CONNECTION_REFUSED, k)); k++)
			taken |= e->cookie == l.cookie && !e->enrolled && loss(LOSS_SOCKHASH_BUSY) > busy;
		for (int k = 0; (e = connection_event_nth(CONNECTION_ADOPTED, k)); k++) {
			adopted |= e->cookie == l.cookie && e->adopted && e->enrolled && e->workload == 11;
			check(e->cookie != accepted.cookie, "the server's end was adopted");
		}
		check(adopted || taken, "not adopted");
		close_link(&accepted);
		if (taken)
			printf("#   another sockmap has the socket: told and counted\n");
	}
	give(&l, slice(bad, 0, 7));
	give(&l, slice(bad, 7, bad.size)); // no whole frame: passes
	give(&l, bad);
	struct bytes got = arrived(&l, bad.size + 133);

	check(got.size == bad.size + 133, "%zu bytes", got.size);
	drain();
	if (check(last_statement(), "event"))
		check(last_statement()->adopted && last_statement()->substituted, "denied");

	begin_case("connections: a walk that finds their workload off lets them pass unseen, and on again judges them");
	uint64_t before = counters(&stable).statements;

	set_mode(WORKLOAD_OFF);
	run_iterator("adopt");
	give(&l, bad);
	check_same(arrived(&l, bad.size), bad);
	check(counters(&stable).statements == before, "lexed");
	set_mode(WORKLOAD_ENFORCE);
	run_iterator("adopt");
	give(&l, bad);
	check(arrived(&l, 133).size == 133, "judged");

	begin_case("connections: a condemned one is ended");
	if (condemn(l.cookie))
		check(try_give(&l, bad), "still open");
	close_link(&l);
}

static uint32_t dice(uint32_t sides) { return rand() % sides; }

// A message of some kind; where it holds SQL, the SQL.
static struct bytes any_message(int protocol, int number, struct bytes *sql)
{
	static const size_t sizes[] = { 0, 3, 40, 300, 5000, 16384, 20000, 70000 };
	size_t size = sizes[dice(8)] + dice(9);
	struct bytes filler = repeat("abc 'd' ,1", size);
	char head[64];

	snprintf(head, sizeof(head), "select n%d%c, '", number, 'a' + number % 26);
	*sql = join(3, text(head), repeat("xyz", size), text("' from t"));
	if (protocol == 0) {
		switch (dice(4)) {
		case 0:
			return mysql_packet(0, join(2, raw(&query_byte, 1), *sql));
		case 1:
			return mysql_packet(0, join(2, raw(&prepare_byte, 1), *sql));
		default:
			sql->size = 0;
			return mysql_packet(0, join(2, raw("\x18", 1), filler)); // COM_STMT_SEND_LONG_DATA
		}
	}
	switch (dice(6)) {
	case 0:
		return postgresql_message('Q', join(2, *sql, raw("", 1)));
	case 1:
		return postgresql_message('P', join(4, text(head + 7), raw("", 1), *sql, raw("\0\0\1\0\0\0\0", 7)));
	default:
		sql->size = 0;
		return postgresql_message("BDESHCdcfp"[dice(10)], filler);
	}
}

static void random_case(int protocol)
{
	char name[128];

	snprintf(name, sizeof(name), "%s: any messages in any sends arrive unchanged, and each statement is told once", names[protocol]);
	begin_case(name);
	struct link l = logins[protocol]();
	struct bytes stream = { calloc(1, 1), 0 }, expected[400];
	int statements = 0;

	srand(protocol + 5);
	for (int i = 0; i < 400; i++) {
		struct bytes sql, message = any_message(protocol, i, &sql);

		append(&stream, message);
		if (sql.size)
			expected[statements++] = sql;
	}
	int told_count = 0;
	struct bytes text_of = { calloc(1, 1), 0 }, got = { calloc(1, 1), 0 };

	for (size_t at = 0; at < stream.size;) {
		static const size_t chunks[] = { 1, 2, 5, 9, 100, 4000, 30000, 200000 };
		size_t size = 1 + dice(chunks[dice(8)]);

		size = size < stream.size - at ? size : stream.size - at;
		give(&l, slice(stream, at, at + size));
		at += size;
		append(&got, arrived_now(&l));
		drain();
		struct picket_statement_event *e;

		for (int i = 0; (e = statement_event(i)); i++) {
			if (e->first)
				text_of.size = 0;
			append(&text_of, raw(e->text, e->text_bytes));
			if (!e->last)
				continue;
			check(e->statement_bytes == expected[told_count].size, "statement %d: %u bytes of %zu", told_count, e->statement_bytes, expected[told_count].size);
			size_t most = expected[told_count].size < 65536 ? expected[told_count].size : 65536;

			if (!check_same(text_of, slice(expected[told_count], 0, most)))
				return;
			told_count++;
		}
	}
	append(&got, arrived(&l, stream.size - got.size));
	check_same(got, stream);
	check(told_count == statements, "%d told of %d", told_count, statements);
	close_link(&l);
}

static void adopted_session_case(void)
{
	begin_case("session, mysql: of a connection that existed before, only what a SET names is known");
	struct link l = existing_link();

	run_iterator("adopt");
	check(probe(&l, 0, mysql_rows(0x0202, "r")) == 0, "at first");
	check(probe(&l, 0, mysql_rows(0x0202, "r")) == 0, "after an answer");
	session_of(&l, mysql_command(COM_QUERY, "set names gbk"));
	answer(&l, mysql_ok(1, 0x0202));
	check(probe(&l, 0, mysql_rows(0x0202, "r")) == UNSAFE, "after SET NAMES");
	session_of(&l, mysql_command(COM_QUERY, "set sql_mode=''"));
	answer(&l, mysql_ok(1, 0x0002));
	check(probe(&l, 0, mysql_rows(0x0002, "r")) == (ESCAPES | UNSAFE), "after SET sql_mode");
	close_link(&l);
}

static void membership_cases(void)
{
	begin_case("membership: bytes that wait to be read survive that a socket is let go");
	static const size_t sizes[] = { 1, 1000, 30000 };

	for (int i = 0; i < 3; i++) {
		struct link l = mysql_link();
		struct bytes answer = repeat("row ", sizes[i]);
		int waiting = -1;

		check(send(l.server, answer.at, answer.size, 0) == (ssize_t)answer.size, "send");
		usleep(50000);
		ioctl(l.client, FIONREAD, &waiting);
		if (!i)
			printf("#   FIONREAD of a member socket: %d of 1 byte%s\n", waiting, waiting ? "" : " (affected kernel)");
		bpf_map_delete_elem(map_fd(dispatcher, "sockets"), &l.cookie);
		ioctl(l.client, FIONREAD, &waiting);
		check(waiting == (int)answer.size, "%d of %zu bytes wait", waiting, answer.size);
		int client = l.client;

		l.client = l.server;
		l.server = client;
		check_same(arrived(&l, answer.size), answer);
		close_link(&l);
	}
}

static void slot_cases(void)
{
	begin_case("slots: a swap takes effect at the next statement of a live connection");
	struct slot candidate = load_slot(1, 2);
	struct link l = mysql_link();
	struct bytes frame = mysql_command(COM_QUERY, "select swapped, 1 from users");
	uint64_t fingerprint = learn(&l, frame, VERDICT_BENIGN, ACTION_OBSERVE);

	set_rule(&candidate, RULE, RULE_NAME);
	set_verdict(&candidate, fingerprint, VERDICT_ATTACK, ACTION_BLOCK, RULE);
	use_slot(&candidate);
	set_dispatch(1, 1, 0);
	give(&l, frame);
	check(arrived(&l, 133).size == 133, "denied by the new version");
	drain();
	if (check(last_statement(), "event"))
		check(last_statement()->slot == 1 && last_statement()->version == 2, "slot");
	set_dispatch(0, 0, 0);
	give(&l, frame);
	check_same(arrived(&l, frame.size), frame);

	begin_case("slots: a statement ends in the slot in which it began");
	drain();
	give(&l, slice(frame, 0, 12));
	set_dispatch(1, 1, 0);
	give(&l, slice(frame, 12, frame.size));
	check_same(arrived(&l, frame.size), frame);
	drain();
	if (check(last_statement(), "event"))
		check(last_statement()->slot == 0 && last_statement()->verdict == VERDICT_BENIGN, "slot %d", last_statement()->slot);
	close_link(&l);

	begin_case("slots: a share takes about its part of the processes and keeps each where it is");
	set_dispatch(0, 1, 3000);
	int taken = 0, torn = 0;

	for (int i = 0; i < 100; i++) {
		int answer = share_child(frame);

		taken += answer & 1;
		torn += answer >> 1;
	}
	check(taken > 12 && taken < 50, "%d of 100", taken);
	check(!torn, "%d changed sides", torn);
	set_dispatch(0, 0, 0);
	close_slot(&candidate);
}

static void pressure_cases(int protocol)
{
	char name[128];

	snprintf(name, sizeof(name), "%s: a full send buffer on a non-blocking socket costs neither bytes nor framing", names[protocol]);
	begin_case(name);
	struct link l = logins[protocol]();
	struct bytes bad = query(protocol, "select evil, 1 from users"), all = { calloc(1, 1), 0 };
	uint64_t lost = loss(LOSS_FRAME_UNKNOWN);
	size_t wanted = 0;
	int blocked = 0;

	squeeze(&l);
	for (int round = 0; round < 24; round++) {
		struct bytes sql = join(3, text("select pressed, '"), repeat("abcdefgh", 1000 + 7919 * round), text("'"));
		struct bytes frame = query(protocol, (char *)sql.at);

		wanted += frame.size;
		blocked += press(&l, frame, &all, wanted);
		size_t before = all.size;

		wanted += 128 + 5 + protocol;
		press(&l, bad, &all, wanted);
		if (!check(memmem(all.at + before, all.size - before, "Picket blocked", 14), "round %d: framing went astray", round))
			break;
	}
	check(all.size == wanted, "%zu bytes arrived of %zu", all.size, wanted);
	check(loss(LOSS_FRAME_UNKNOWN) == lost, "framing lost");
	check(blocked > 24, "the buffer was full %d times", blocked);
	printf("#   %s: %d partial sends, %llu of them left bytes unseen\n", names[protocol], blocked,
	       (unsigned long long)loss(LOSS_BYTES_UNSEEN));
	close_link(&l);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: loader <dispatcher.bpf.o> <slot.bpf.o> <cgroup2 mount>\n");
		return 2;
	}
	setvbuf(stdout, 0, _IOLBF, 0);
	set_up(argv[1], argv[2], argv[3]);
	set_rule(&stable, RULE, RULE_NAME);
	mysql_cases();
	postgresql_cases();
	for (int protocol = 0; protocol < 2; protocol++) {
		split_cases(protocol);
		sendfile_case(protocol);
	}
	mysql_wire_cases();
	postgresql_wire_cases();
	setting_cases();
	mysql_session_cases();
	postgresql_session_cases();
	for (int protocol = 0; protocol < 2; protocol++) {
		answer_cases(protocol);
		clock_cases(protocol);
		random_session_case(protocol);
	}
	login_cases();
	for (int protocol = 0; protocol < 2; protocol++)
		scope_cases(protocol), compared_case(protocol);
	recognition_cases();
	connection_cases();
	adopted_session_case();
	membership_cases();
	slot_cases();
	for (int protocol = 0; protocol < 2; protocol++) {
		random_case(protocol);
		pressure_cases(protocol);
	}
	int status = report_results();

	tear_down();
	return status;
}
