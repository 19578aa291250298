// SPDX-License-Identifier: Apache-2.0
// Loads the objects on the running kernel and plays a client of either protocol
// through it: what arrives at the server, and what user space is told, must be
// exact. Runs natively and inside the kernels of the matrix (run.mjs).
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	struct picket_statement_event *e = last_statement();

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
	int status = report_results();

	tear_down();
	return status;
}
