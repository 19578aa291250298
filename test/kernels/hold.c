// SPDX-License-Identifier: Apache-2.0
// Holding: what nobody has judged goes to a real keeper, and what arrives at the server, what the agent is told and
// what becomes of the connection when something fails must be exact.
#define _GNU_SOURCE
#include "keeper.h"
#include "sql_lexer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define COM_QUERY 0x03
#define COM_STMT_PREPARE 0x16

static struct link (*const logins[])(void) = { mysql_link, postgresql_link };
static const char *const names[] = { "mysql", "postgresql" };

static struct bytes query(int protocol, const char *sql)
{
	return protocol ? postgresql_query(sql) : mysql_command(COM_QUERY, sql);
}

// What replaces the SQL, padded to 128 bytes.
static struct bytes denial(int protocol, bool prepare, const char *rule, uint64_t incident)
{
	static const char *const formats[2][2] = {
		{ "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO=1644, MESSAGE_TEXT='Picket blocked: %s %012llx'",
		  "SELECT `Picket blocked: %s %012llx`" },
		{ "DO $$BEGIN RAISE EXCEPTION 'Picket blocked: %s %012llx' USING ERRCODE='42501'; END$$",
		  "SELECT 'Picket blocked: %s %012llx'::int" },
	};
	struct bytes padded = repeat(" ", 128);
	int length = snprintf((char *)padded.at, 128, formats[protocol][prepare], rule, (unsigned long long)incident);

	padded.at[length] = ' ';
	return padded;
}

static struct bytes denied_frame(int protocol, bool prepare, const char *name, const char *rule, uint64_t incident)
{
	uint8_t command = prepare ? COM_STMT_PREPARE : COM_QUERY;
	struct bytes sql = denial(protocol, prepare, rule, incident);

	if (!protocol)
		return mysql_packet(0, join(2, raw(&command, 1), sql));
	return prepare ? postgresql_message('P', join(3, raw(name, strlen(name) + 1), sql, raw("\0\0", 3))) :
			 postgresql_message('Q', join(2, sql, raw("", 1)));
}

static struct bytes prepare(int protocol, const char *name, const char *sql)
{
	return protocol ? postgresql_parse(name, sql) : mysql_command(COM_STMT_PREPARE, sql);
}

// What the agent is told of the next statement that is held on this connection.
static struct picket_keeper_held held(int agent, struct link *l)
{
	for (;;) {
		struct bytes frame = agent_frame(agent, KEEPER_HELD);
		struct picket_keeper_held h = *(struct picket_keeper_held *)frame.at;

		if (!check(frame.size, "the agent was not told"))
			return (struct picket_keeper_held){ 0 };
		free(frame.at);
		if (h.held.cookie == l->cookie)
			return h;
	}
}

static struct picket_keeper_result result(int agent, uint64_t hold)
{
	for (;;) {
		struct bytes frame = agent_frame(agent, KEEPER_RESULT);
		struct picket_keeper_result r = *(struct picket_keeper_result *)frame.at;

		if (!check(frame.size, "no result"))
			return (struct picket_keeper_result){ 0 };
		free(frame.at);
		if (r.hold == hold)
			return r;
	}
}

/*
 * True once the application learns that the connection is gone. A kernel that has neither bpf_sock_destroy (6.5) nor
 * tcp_diag, as the guests of run.mjs, can only refuse what it sends.
 */
static bool dies(struct link *l)
{
	char byte;

	for (int i = 0; i < 500; i++) {
		ssize_t n = recv(l->client, &byte, 1, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		usleep(2000);
	}
	printf("#   this kernel ends no connection\n");
	return send(l->client, "x", 1, MSG_NOSIGNAL) < 0 && errno == EACCES;
}

#define CASE(...)                                                                                            \
	do {                                                                                                 \
		char name_[160];                                                                             \
		snprintf(name_, sizeof(name_), __VA_ARGS__);                                                 \
		begin_case(name_);                                                                           \
		keeper_lives();                                                                              \
		keeper_settles();                                                                            \
	} while (0)

static void release_cases(int protocol, int agent)
{
	CASE("%s: a statement that nobody has judged is held, told and given back", names[protocol]);
	struct link l = logins[protocol]();
	struct bytes one = query(protocol, "select held, 1 from first"), two = query(protocol, "select held, 2 from second");

	agent_policy(agent, 5000, CONSULT_NEVER, FAIL_OPEN);
	give(&l, one);
	check_same(arrived(&l, one.size), one);
	struct bytes frame = agent_frame(agent, KEEPER_HELD);
	struct picket_keeper_held *h = (void *)frame.at;

	if (check(frame.size, "the agent was not told")) {
		check(h->held.cookie == l.cookie && h->held.statement == 1 && h->held.fingerprint, "whose");
		check(h->outcome == OUTCOME_RELEASED, "outcome %d", h->outcome);
		check_same(raw(h->text, h->text_bytes), text("select held, 1 from first"));
		check(h->held.process.tgid == (uint32_t)getpid() && h->held.workload == 11, "process");
	}
	check(!last_statement(), "and on the ring, too");
	check(hold_of(l.cookie).released == one.size, "released");
	give(&l, two);
	check_same(arrived(&l, two.size), two);
	check(held(agent, &l).held.statement == 2, "told");

	CASE("%s: a shape that is known is not held", names[protocol]);
	give(&l, one);
	struct picket_keeper_held again = held(agent, &l);

	set_verdict(&stable, again.held.fingerprint, VERDICT_BENIGN, ACTION_OBSERVE, PICKET_NO_RULE);
	struct picket_slot_counters before = counters(&stable);
	for (int i = 0; i < 3; i++)
		give(&l, one);
	check_same(arrived(&l, 4 * one.size), join(4, one, raw(one.at, one.size), raw(one.at, one.size), raw(one.at, one.size)));
	check(counters(&stable).held == before.held && counters(&stable).known == before.known + 3, "held");
	close_link(&l);
}

static void denial_cases(int protocol, int agent)
{
	for (int prepared = 0; prepared < 2; prepared++) {
		CASE("%s: a %s that the agent denies is replaced, exactly, and what follows it is not", names[protocol],
		     prepared ? "prepare" : "query");
		struct link l = logins[protocol]();
		char sql[64];

		agent_policy(agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
		snprintf(sql, sizeof(sql), "select denied%d, 1 from users", prepared);
		struct bytes bad = prepared ? prepare(protocol, "st", sql) : query(protocol, sql);
		struct bytes behind = protocol ? postgresql_message('S', text("")) : mysql_packet(0, raw("\x0e", 1));

		give(&l, join(2, bad, behind));
		struct picket_keeper_held h = held(agent, &l);

		check(h.outcome == OUTCOME_WAITING, "outcome %d", h.outcome);
		check(!arrived_now(&l).size, "bytes left");
		agent_answer(agent, h.hold, ANSWER_DENY, "sqli-test");
		struct bytes want = join(2, denied_frame(protocol, prepared, "st", "sqli-test", h.held.incident), behind);
		check_same(arrived(&l, want.size), want);
		struct picket_keeper_result r = result(agent, h.hold);

		check(r.outcome == OUTCOME_SUBSTITUTED && r.because == BECAUSE_ANSWERED && r.guarantee == GUARANTEE_PREVENTED, "result");

		CASE("%s: after a denied %s the next statements of the connection are framed as before", names[protocol],
		     prepared ? "prepare" : "query");
		struct bytes good = query(protocol, prepared ? "select finer, 1 from users" : "select fine, 1 from users");

		give(&l, good);
		h = held(agent, &l);
		check(h.held.statement == 2 && h.held.fingerprint, "statement %llu", (unsigned long long)h.held.statement);
		agent_answer(agent, h.hold, ANSWER_RELEASE, "");
		check_same(arrived(&l, good.size), good);
		set_verdict(&stable, h.held.fingerprint, VERDICT_BENIGN, ACTION_OBSERVE, PICKET_NO_RULE);
		usleep(5000);
		struct picket_slot_counters before = counters(&stable);

		give(&l, good);
		check_same(arrived(&l, good.size), good);
		check(counters(&stable).known == before.known + 1, "not known");
		check(loss(LOSS_BYTES_UNSEEN) == 0, "bytes unseen");
		close_link(&l);
	}
}

static int order_cases(int protocol, int agent)
{
	CASE("%s: what is sent behind a held statement stays behind it, another connection does not wait", names[protocol]);
	struct link l = logins[protocol](), other = logins[protocol]();
	struct bytes first = query(protocol, "select waits, 1 from a"), second = query(protocol, "select follows, 2 from a, b");
	struct bytes known = query(protocol, "select fine, 1 from users"), quick = query(protocol, "select quick from q");

	agent_policy(agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
	give(&l, first);
	struct picket_keeper_held h = held(agent, &l);

	give(&l, known);
	give(&l, second);
	struct picket_keeper_held h2 = held(agent, &l);

	give(&l, known);
	give(&other, quick);
	struct picket_keeper_held h3 = held(agent, &other);

	agent_answer(agent, h3.hold, ANSWER_RELEASE, "");
	check_same(arrived(&other, quick.size), quick);
	agent_answer(agent, h2.hold, ANSWER_RELEASE, "");
	usleep(10000);
	check(!arrived_now(&l).size, "bytes overtook");
	agent_answer(agent, h.hold, ANSWER_DENY, "first");
	struct bytes want = join(4, denied_frame(protocol, false, "", "first", h.held.incident), known, second, known);
	check_same(arrived(&l, want.size), want);
	usleep(5000);
	check(hold_of(l.cookie).released == first.size + second.size + 2 * known.size, "released");
	struct picket_slot_counters before = counters(&stable);

	give(&l, known);
	check_same(arrived(&l, known.size), known);
	check(counters(&stable).known == before.known + 1 && hold_of(l.cookie).released == first.size + second.size + 2 * known.size,
	      "still diverted");

	CASE("%s: a send of several statements, its first one given back while the others are read, arrives whole", names[protocol]);
	struct bytes long_one = query(protocol, (char *)join(3, text("select longer, '"), repeat("abcdefgh", 300 << 10), text("' from a")).at);
	struct bytes both = join(2, raw(first.at, first.size), long_one);

	agent_policy(agent, 5000, CONSULT_NEVER, FAIL_OPEN);
	for (int i = 0; i < 100; i++) {
		give(&l, both);
		if (!check_same(arrived(&l, both.size), both))
			break;
	}
	agent_policy(agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
	close(agent); // told of more than it ever read

	CASE("%s: a known-bad statement behind a held one is replaced in its place", names[protocol]);
	agent = agent_connect();
	struct bytes bad = query(protocol, "select evil, 3 from users");

	give(&l, bad);
	h = held(agent, &l);
	agent_answer(agent, h.hold, ANSWER_RELEASE, "");
	arrived(&l, bad.size);
	set_verdict(&stable, h.held.fingerprint, VERDICT_ATTACK, ACTION_BLOCK, 3);
	give(&l, first);
	h = held(agent, &l);
	drain();
	give(&l, bad);
	agent_answer(agent, h.hold, ANSWER_RELEASE, "");
	struct bytes got = arrived(&l, first.size + 133);

	drain();
	struct picket_statement_event *e = last_statement();

	if (check(e && e->substituted && e->guarantee == GUARANTEE_PREVENTED, "not told"))
		check_same(got, join(2, first, denied_frame(protocol, false, "", "known-bad", e->incident)));

	CASE("%s: a swap while a statement is held: the next one is judged by the new version, behind it", names[protocol]);
	struct slot candidate = load_slot(1, 2);

	use_slot(&candidate);
	give(&l, first);
	h = held(agent, &l);
	set_dispatch(1, 1, 0);
	give(&l, second);
	h2 = held(agent, &l);
	set_dispatch(0, 0, 0);
	check(h.held.version == 1 && h2.held.version == 2 && h2.held.slot == 1, "versions %u, %u", h.held.version, h2.held.version);
	agent_answer(agent, h2.hold, ANSWER_RELEASE, "");
	agent_answer(agent, h.hold, ANSWER_RELEASE, "");
	check_same(arrived(&l, first.size + second.size), join(2, first, second));
	close_slot(&candidate);

	CASE("%s: a slot that is emptied keeps the order of what is held", names[protocol]);
	give(&l, first);
	h = held(agent, &l);
	clear_slot(0);
	give(&l, known);
	use_slot(&stable);
	give(&l, second);
	agent_answer(agent, h.hold, ANSWER_RELEASE, "");
	// Bytes that no slot saw: it finds its feet at the statement after them, which is a new one to it.
	h2 = held(agent, &l);
	agent_answer(agent, h2.hold, ANSWER_RELEASE, "");
	want = join(3, first, known, second);
	check_same(arrived(&l, want.size), want);
	close_link(&l);
	close_link(&other);
	return agent;
}

static void deadline_cases(int protocol, int agent)
{
	static const struct {
		const char *sql;
		uint8_t on_failure;
		bool denied;
	} table[] = {
		{ "select late, 1 from a", FAIL_OPEN, false },
		{ "select late, 1 from a union select 2, 3", FAIL_OPEN, true },
		{ "select late, 1 from a where b = 2", FAIL_CLOSED, true },
	};
	for (int absent = 0; absent < 2; absent++)
		for (int i = 0; i < 3; i++) {
			CASE("%s: %s, fail %s%s: %s", names[protocol], absent ? "no agent" : "no answer in time",
			     table[i].on_failure ? "closed" : "open", i == 1 ? ", serious" : "", table[i].denied ? "replaced" : "given back");
			struct link l = logins[protocol]();
			struct bytes q = query(protocol, table[i].sql);
			int one = absent ? agent_connect() : agent; // replaces the other, which connects again

			agent_policy(one, 20, CONSULT_ALWAYS, table[i].on_failure);
			if (absent)
				agent_hang_up(one);
			give(&l, q);
			if (table[i].denied) {
				struct bytes got = arrived(&l, 133);

				check(memmem(got.at, got.size, "Picket blocked: picket:unjudged", 31), "%.60s", got.at + 5);
				check(got.size == (protocol ? 134 : 133), "%zu bytes", got.size);
			} else {
				check_same(arrived(&l, q.size), q);
			}
			if (!absent) {
				struct picket_keeper_held h = held(agent, &l);
				struct picket_keeper_result r = result(agent, h.hold);

				check(r.because == BECAUSE_DEADLINE, "because %d", r.because);
				check(r.outcome == (table[i].denied ? OUTCOME_SUBSTITUTED : OUTCOME_RELEASED), "outcome");
			}
			close_link(&l);
		}
}

// Once the keeper was told of the whole frame, of which a part had been sent, and ended.
static void attributes_case(int agent)
{
	CASE("mysql: a statement whose query attributes a send cuts is held as what nobody can read, and arrives unchanged");
	struct link l = open_link();
	struct bytes login = mysql_login(1u << 27, 0);
	struct bytes q = mysql_packet(0, join(3, raw("\3\1\1\0\1\xfd\0\0\xc8", 9), repeat("v", 200), text("select cut, 1 from a")));
	struct bytes next = mysql_packet(0, join(2, raw("\3\0\1", 3), text("select whole, 1 from a")));

	give(&l, login);
	arrived(&l, login.size);
	agent_policy(agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
	give(&l, slice(q, 0, 100));
	struct picket_keeper_held h = held(agent, &l);

	check(!h.held.fingerprint && h.held.flags & HELD_TORN && h.held.bytes == 100, "flags %d, %u bytes", h.held.flags, h.held.bytes);
	agent_answer(agent, h.hold, ANSWER_RELEASE, "");
	check_same(arrived(&l, 100), slice(q, 0, 100));
	give(&l, slice(q, 100, q.size));
	check_same(arrived(&l, q.size - 100), slice(q, 100, q.size));
	give(&l, next);
	h = held(agent, &l);
	check(h.held.fingerprint && h.held.statement == 2, "statement %llu", (unsigned long long)h.held.statement);
	agent_answer(agent, h.hold, ANSWER_RELEASE, "");
	check_same(arrived(&l, next.size), next);
	close_link(&l);
	keeper_lives();
}

static void split_cases(int protocol, int agent)
{
	if (!protocol)
		attributes_case(agent);

	struct bytes sql = join(3, text("select long, '"), repeat("abcdefgh", 200000), text("' from a"));
	struct bytes q = query(protocol, (char *)sql.at);

	CASE("%s: of a statement over several sends only the end is held, and it arrives unchanged", names[protocol]);
	struct link l = logins[protocol]();

	agent_policy(agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
	give(&l, q);
	struct picket_keeper_held h = held(agent, &l);

	check(h.held.flags & HELD_TAIL && h.held.statement_bytes == sql.size, "flags %d, %u bytes", h.held.flags, h.held.statement_bytes);
	check(h.held.text_offset + h.held.sql_bytes == sql.size && h.held.fragment > 1, "its place");
	agent_answer(agent, h.hold, ANSWER_RELEASE, "");
	check_same(arrived(&l, q.size), q);

	CASE("%s: a statement that is denied at its end never ends: the connection is killed", names[protocol]);
	give(&l, q);
	h = held(agent, &l);
	agent_answer(agent, h.hold, ANSWER_DENY, "late");
	check(dies(&l), "it lives");
	check(result(agent, h.hold).outcome == OUTCOME_KILLED, "outcome");
	struct bytes got = arrived(&l, q.size - h.held.bytes);

	check(got.size < q.size && !memcmp(got.at, q.at, got.size), "%zu bytes of %zu", got.size, q.size);
	close_link(&l);
}

// True once the server has read the end of the stream.
static bool ended(struct link *l)
{
	char byte;

	setsockopt(l->server, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 5, 0 }, sizeof(struct timeval));
	return recv(l->server, &byte, 1, 0) == 0;
}

static void closing_cases(int protocol, int agent)
{
	CASE("%s: a statement that is sent right before its connection is closed arrives, and the end behind it", names[protocol]);
	struct bytes last = query(protocol, "select farewell, 1 from a");
	uint64_t cut = loss(LOSS_HOLD_CLOSED);
	int whole = 0;

	agent_policy(agent, 5000, CONSULT_NEVER, FAIL_OPEN);
	for (int i = 0; i < 50; i++) {
		struct link l = logins[protocol]();

		give(&l, last);
		close(l.client);
		l.client = -1;
		// An emulated processor may take longer than a close waits: then it is counted.
		while (l.waiting.size < last.size && receive_more(&l))
			;
		whole += l.waiting.size == last.size && !memcmp(l.waiting.at, last.at, last.size) && ended(&l);
		free(l.waiting.at);
		l.waiting = (struct bytes){ 0 };
		close_link(&l);
	}
	check(whole > 25 && whole + loss(LOSS_HOLD_CLOSED) - cut == 50, "%d of 50 arrived, %llu were counted", whole,
	      (unsigned long long)(loss(LOSS_HOLD_CLOSED) - cut));
	cut = loss(LOSS_HOLD_CLOSED);

	CASE("%s: where nobody decides in time the close goes on, and what is lost is counted", names[protocol]);
	struct link l = logins[protocol]();

	agent_policy(agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
	give(&l, last);
	struct picket_keeper_held h = held(agent, &l);

	while (h.outcome != OUTCOME_WAITING)
		h = held(agent, &l);
	close_link(&l);
	check(result(agent, h.hold).outcome == OUTCOME_GONE, "outcome");
	check(loss(LOSS_HOLD_CLOSED) == cut + 1, "not counted");

	CASE("%s: a writing half that is shut down before what is held has left is counted", names[protocol]);
	l = logins[protocol]();
	give(&l, last);
	h = held(agent, &l);
	shutdown(l.client, SHUT_WR);
	check(loss(LOSS_HOLD_CLOSED) == cut + 2, "not counted");
	close_link(&l);
}

// The keeper is stopped, killed and told to retire with a statement in its hands.
static void fault_cases(int protocol, int *keeper, int *agent)
{
	struct bytes first = query(protocol, "select waits, 1 from a"), serious = query(protocol, "select 1 union select 2");
	struct picket_keeper_held h;

	CASE("%s: a connection that closes while it is held is forgotten", names[protocol]);
	struct link l = logins[protocol]();

	agent_policy(*agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
	give(&l, first);
	h = held(*agent, &l);
	close_link(&l);
	check(result(*agent, h.hold).outcome == OUTCOME_GONE, "outcome");
	check(hold_of(l.cookie).released == ~0ull, "its entry stays");
	agent_answer(*agent, h.hold, ANSWER_RELEASE, ""); // too late

	CASE("%s: a stopped keeper holds nothing new: passed, serious ones replaced; what it has goes on when it does", names[protocol]);
	l = logins[protocol]();
	struct link other = logins[protocol](), third = logins[protocol]();

	give(&l, first);
	h = held(*agent, &l);
	keeper_kill(*keeper, SIGSTOP);
	usleep(150000);
	uint64_t absent = loss(LOSS_HOLD_ABSENT);

	give(&other, first);
	check_same(arrived(&other, first.size), first);
	drain();
	check(last_statement() && last_statement()->cookie == other.cookie, "not on the ring");
	give(&third, serious);
	struct bytes got = arrived(&third, 133);

	check(memmem(got.at, got.size, "Picket blocked: picket:unjudged", 31), "%.60s", got.at + 5);
	drain();
	struct picket_statement_event *e = last_statement();

	check(e && e->rule == PICKET_NO_RULE && e->substituted && e->action == ACTION_BLOCK, "not told");
	check(loss(LOSS_HOLD_ABSENT) == absent + 2, "not counted");
	give(&l, first);
	check(!arrived_now(&l).size, "overtaken");
	kill(*keeper, SIGCONT);
	agent_answer(*agent, h.hold, ANSWER_RELEASE, "");
	agent_answer(*agent, held(*agent, &l).hold, ANSWER_RELEASE, "");
	check_same(arrived(&l, 2 * first.size), join(2, first, raw(first.at, first.size)));
	close_link(&other);
	close_link(&third);

	CASE("%s: a killed keeper: what it had is lost, so the next one ends those connections and no other", names[protocol]);
	other = logins[protocol]();
	give(&l, first);
	h = held(*agent, &l);
	keeper_kill(*keeper, SIGKILL);
	close(*agent);
	give(&other, first);
	check_same(arrived(&other, first.size), first);
	*keeper = keeper_start();
	check(dies(&l), "it waits for ever");
	*agent = agent_connect();
	agent_policy(*agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
	give(&other, first);
	agent_answer(*agent, held(*agent, &other).hold, ANSWER_RELEASE, "");
	check_same(arrived(&other, first.size), first);
	close_link(&l);

	CASE("%s: a keeper that retires gives back what it has, takes no more, and ends", names[protocol]);
	give(&other, first);
	h = held(*agent, &other);
	agent_send(*agent, KEEPER_RETIRE, text(""));
	usleep(50000);
	check(!heartbeat(), "its heart beats");
	l = logins[protocol]();
	give(&l, first);
	check_same(arrived(&l, first.size), first);
	agent_answer(*agent, h.hold, ANSWER_RELEASE, "");
	check_same(arrived(&other, first.size), first);
	check(keeper_ends(*keeper) == 0, "how it ended");
	close(*agent);
	*keeper = keeper_start();
	*agent = agent_connect();
	close_link(&l);

	CASE("%s: SIGTERM is no reason to lose what is held: it is given back, then the keeper ends", names[protocol]);
	agent_policy(*agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
	give(&other, first);
	h = held(*agent, &other);
	keeper_kill(*keeper, SIGTERM);
	usleep(50000);
	agent_answer(*agent, h.hold, ANSWER_RELEASE, "");
	check_same(arrived(&other, first.size), first);
	check(keeper_ends(*keeper) == 0, "how it ended");
	close(*agent);
	*keeper = keeper_start();
	*agent = agent_connect();

	CASE("%s: a keeper that a signal ends, ends by that signal", names[protocol]);
	kill(*keeper, SIGSEGV);
	check(keeper_ends(*keeper) == 256 + SIGSEGV, "how it ended");
	close(*agent);
	*keeper = keeper_start();
	*agent = agent_connect();
	close_link(&other);
}

// True once nothing is counted as held: what was given back is settled right after.
static bool settles(void)
{
	for (int i = 0; i < 3000; i++, usleep(1000))
		if (keeper_now().settled == keeper_now().diverted)
			return true;
	return false;
}

// All connections together may have so much in the keeper's hands, and no more.
static void room_case(int protocol, int agent)
{
	CASE("%s: what is held of all connections together is bounded: beyond it nothing new is held, and order is kept",
	     names[protocol]);
	struct link a = logins[protocol](), b = logins[protocol](), c = logins[protocol](), d = logins[protocol]();
	struct bytes filling = repeat("abcdefgh", 56 << 10);
	struct bytes big = query(protocol, (char *)join(3, text("select big, '"), filling, text("' from a")).at);
	struct bytes serious = query(protocol, (char *)join(3, text("select 1 union select '"), repeat("abcdefgh", 56 << 10), text("'")).at);
	struct bytes small = query(protocol, "select waits, 1 from a");

	check(settles(), "something is held");
	keeper_bytes_max = 256 << 10;
	agent_policy(agent, 10000, CONSULT_ALWAYS, FAIL_OPEN);
	uint64_t full = loss(LOSS_HOLD_FULL), overrun = loss(LOSS_HOLD_OVERRUN);
	struct picket_keeper_held h[3];

	give(&a, big);
	h[0] = held(agent, &a);
	give(&b, big);
	h[1] = held(agent, &b);
	give(&b, big);
	h[2] = held(agent, &b);
	check(loss(LOSS_HOLD_FULL) == full, "full too early");
	// Three quarters are used up.
	give(&c, big);
	check_same(arrived(&c, big.size), big);
	check(loss(LOSS_HOLD_FULL) == full + 1, "not counted");
	give(&d, serious);
	struct bytes got = arrived(&d, 133);

	check(memmem(got.at, got.size, "Picket blocked: picket:unjudged", 31), "%.60s", got.at + 5);
	// The last quarter is for what has to follow.
	give(&a, small);
	check(!arrived_now(&a).size, "overtaken");
	int error = 0;

	for (int i = 0; i < 2 && !error; i++)
		if (send(b.client, big.at, big.size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
			error = errno;
	check(error == EACCES && loss(LOSS_HOLD_OVERRUN) > overrun, "error %d", error);
	struct picket_keeper k = keeper_now();

	check(k.diverted - k.settled <= k.bytes_max, "%llu bytes are held", (unsigned long long)(k.diverted - k.settled));
	agent_answer(agent, h[0].hold, ANSWER_RELEASE, "");
	agent_answer(agent, held(agent, &a).hold, ANSWER_RELEASE, "");
	check_same(arrived(&a, big.size + small.size), join(2, big, raw(small.at, small.size)));
	close_link(&b);
	agent_answer(agent, h[1].hold, ANSWER_RELEASE, "");
	agent_answer(agent, h[2].hold, ANSWER_RELEASE, "");
	check(settles(), "it is not settled");
	give(&c, small);
	h[0] = held(agent, &c);
	agent_answer(agent, h[0].hold, ANSWER_RELEASE, "");
	check_same(arrived(&c, small.size), small);
	close_link(&a);
	close_link(&c);
	close_link(&d);
	keeper_bytes_max = 256 << 20;
	agent_policy(agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
}

// Bounds: of one connection's bytes, of its statements within a second, and a server that does not read.
static int bound_cases(int protocol, int agent)
{
	CASE("%s: a server that does not read stalls its own connection only, and what it gets is whole", names[protocol]);
	struct link l = logins[protocol](), other = logins[protocol]();
	struct bytes big = join(3, text("select big, '"), repeat("abcdefgh", 7000 * 8), text("' from a"));
	struct bytes q = query(protocol, (char *)big.at), quick = query(protocol, "select quick from q");
	struct bytes want = { calloc(1, 1), 0 };
	int small = 65536;

	agent_policy(agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
	setsockopt(l.server, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(l.client, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int i = 0; i < 40; i++) {
		check(send(l.client, q.at, q.size, MSG_NOSIGNAL) == (ssize_t)q.size, "send %d", i);
		append(&want, raw(q.at, q.size));
	}
	for (int i = 0; i < 40; i++)
		agent_answer(agent, held(agent, &l).hold, ANSWER_RELEASE, "");
	give(&other, quick);
	agent_answer(agent, held(agent, &other).hold, ANSWER_RELEASE, "");
	check_same(arrived(&other, quick.size), quick);
	usleep(50000);
	check(hold_of(l.cookie).released < want.size, "it was read");
	int large = 1 << 20;

	setsockopt(l.server, SOL_SOCKET, SO_RCVBUF, &large, sizeof(large));
	check_same(arrived(&l, want.size), want);

	CASE("%s: a connection that sends more behind a held statement than may be held is killed, and told", names[protocol]);
	struct bytes first = query(protocol, "select waits, 1 from a");
	uint64_t overrun = loss(LOSS_HOLD_OVERRUN) + loss(LOSS_HOLD_FAILED);
	int error = 0;

	agent_policy(agent, 60000, CONSULT_ALWAYS, FAIL_OPEN); // an emulated processor sends so much in more than five seconds

	give(&other, first);
	struct picket_keeper_held h = held(agent, &other);

	for (int i = 0; i < 2000 && !error; i++)
		if (send(other.client, q.at, q.size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
			error = errno;
	check(error == EACCES && loss(LOSS_HOLD_OVERRUN) + loss(LOSS_HOLD_FAILED) > overrun, "error %d", error);
	drain();
	check(connection_event(CONNECTION_KILLED), "not told");
	close_link(&other);
	agent_answer(agent, h.hold, ANSWER_RELEASE, "");
	close_link(&l);
	close(agent); // told of more than it ever read
	agent = agent_connect();
	room_case(protocol, agent);
	return agent;
}

#define CONNECTIONS 1000

static void many_case(int agent)
{
	CASE("a thousand connections: each gets back its own, whatever order they are answered in");
	struct link *l = calloc(CONNECTIONS, sizeof(*l));
	uint64_t *hold = calloc(CONNECTIONS, sizeof(*hold));
	int wrong = 0;
	char sql[64];

	agent_policy(agent, 60000, CONSULT_ALWAYS, FAIL_OPEN);
	for (int i = 0; i < CONNECTIONS; i++)
		l[i] = open_link();
	for (int i = 0; i < CONNECTIONS; i++) {
		snprintf(sql, sizeof(sql), "select n%d, %d from many", i, i);
		keeper_settles();
		give(&l[i], i % 2 ? join(2, postgresql_startup(), postgresql_query(sql)) :
				    join(2, mysql_login(0, 0), mysql_command(COM_QUERY, sql)));
		hold[i] = held(agent, &l[i]).hold;
	}
	for (int i = CONNECTIONS - 1; i >= 0; i--)
		agent_answer(agent, hold[i * 7 % CONNECTIONS], ANSWER_RELEASE, "");
	for (int i = 0; i < CONNECTIONS; i++) {
		snprintf(sql, sizeof(sql), "select n%d, %d from many", i, i);
		struct bytes want = i % 2 ? join(2, postgresql_startup(), postgresql_query(sql)) :
					    join(2, mysql_login(0, 0), mysql_command(COM_QUERY, sql));
		while (l[i].waiting.size < want.size && receive_more(&l[i]))
			;
		wrong += l[i].waiting.size != want.size || memcmp(l[i].waiting.at, want.at, want.size);
		free(l[i].waiting.at);
		free(want.at);
		close_link(&l[i]);
	}
	check(!wrong, "%d of %d", wrong, CONNECTIONS);
}

/*
 * Integrity: threads that send statements of all sizes, each new to the slot or not, as fast as the window lets
 * them, and readers that make the same bytes once more and compare.
 */
#define THREADS 8
#define WINDOW_BYTES (24u << 20)
#define DISTURBED_WINDOW_BYTES (4u << 20) // what a stopped keeper does not take stays within what may be held
#define DISTURBED_MIN (100ull << 20)      // small guests have no memory for it
#define STATEMENT_MAX (16000000u)

struct stream {
	struct link l;
	int protocol;
	uint64_t seed, budget;
	uint32_t largest, window;
	volatile uint64_t sent, received, wrong_at;
	uint64_t statements;
};

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

// The nth message: small ones mostly, up to 16 MB; every third one has a shape that is known.
static struct bytes message(const struct stream *s, uint64_t n, uint8_t *scratch)
{
	uint64_t x = s->seed * 1000003 + n * 0x9e3779b97f4a7c15ull + 1;
	uint32_t magnitude = 5 + next(&x) % (n % 8 ? 10 : 19), size = (1u << magnitude) + next(&x) % (1u << magnitude);

	if (size > s->largest)
		size = s->largest;
	int head = n % 3 ? sprintf((char *)scratch, "select x%llu, '", (unsigned long long)(next(&x) % 100000)) :
			   sprintf((char *)scratch, "select known, '");

	for (uint32_t i = head; i < head + size; i += 8) {
		uint64_t v = next(&x);

		for (int k = 0; k < 8; k++)
			scratch[i + k] = 'a' + (v >> 8 * k & 15);
	}
	memcpy(scratch + head + size, "'", 2);
	if (n % 5 == 4) // no SQL: what follows is diverted in as large pieces as the kernel makes
		return s->protocol ? postgresql_message('d', raw(scratch, size)) : mysql_command(0x18, (char *)scratch);
	return query(s->protocol, (char *)scratch);
}

static void *write_stream(void *context)
{
	struct stream *s = context;
	uint8_t *scratch = malloc(s->largest + 4096);

	for (uint64_t n = 0; s->sent < s->budget; n++) {
		struct bytes b = message(s, n, scratch);

		s->statements++;
		while (s->sent > s->received && s->sent + b.size > s->received + s->window && !s->wrong_at)
			usleep(200);
		for (size_t done = 0; done < b.size;) {
			ssize_t sent = send(s->l.client, b.at + done, b.size - done, MSG_NOSIGNAL);

			if (sent <= 0) {
				printf("#   %s: send: %s\n", names[s->protocol], strerror(errno));
				s->wrong_at = s->sent + 1;
				return 0;
			}
			done += sent;
			s->sent += sent;
		}
		free(b.at);
	}
	free(scratch);
	return 0;
}

static void *read_stream(void *context)
{
	struct stream *s = context;
	uint8_t *scratch = malloc(s->largest + 4096), *chunk = malloc(1 << 20);
	struct bytes want = { 0 };
	uint64_t at = 0;

	// To the end of the last message, which goes beyond the budget: its writer waits until all of it is taken.
	for (uint64_t n = 0; (s->received < s->budget || at < want.size) && !s->wrong_at;) {
		ssize_t got = recv(s->l.server, chunk, 1 << 20, 0);

		if (got <= 0) {
			s->wrong_at = s->received + 1; // lets its writer go
			break;
		}
		for (ssize_t done = 0; done < got && !s->wrong_at;) {
			if (at == want.size) {
				free(want.at);
				want = message(s, n++, scratch);
				at = 0;
			}
			size_t part = want.size - at < (size_t)(got - done) ? want.size - at : (size_t)(got - done);

			if (memcmp(want.at + at, chunk + done, part))
				s->wrong_at = s->received + 1;
			at += part;
			done += part;
		}
		s->received += got;
	}
	free(want.at);
	free(chunk);
	free(scratch);
	return 0;
}

struct unrest {
	int keeper;
	volatile bool done;
	int slowed, killed, stopped;
};

// Judges that are asked and never answer, die with what they were asked, and a keeper that stands still.
static void *disturb(void *context)
{
	struct unrest *u = context;

	while (!u->done) {
		int agent = agent_connect();

		agent_policy(agent, 10, CONSULT_ALWAYS, FAIL_OPEN);
		usleep(50000);
		u->slowed++;
		close(agent);
		u->killed++;
		usleep(20000);
		kill(u->keeper, SIGSTOP);
		usleep(u->stopped++ % 3 ? 30000 : 150000); // past the heartbeat: nothing new is held
		kill(u->keeper, SIGCONT);
		usleep(50000);
	}
	return 0;
}

// With a keeper's pid: while its judges come and go, and it is stopped now and then.
static void integrity_case(int agent, uint64_t bytes, int keeper)
{
	CASE("%llu MB from %d connections at once, 32 bytes to %llu MB a statement%s: nothing lost, changed or out of order",
	     (unsigned long long)(bytes >> 20), THREADS,
	     (unsigned long long)(bytes / THREADS < STATEMENT_MAX ? bytes / THREADS : STATEMENT_MAX) >> 20,
	     keeper ? ", disturbed" : "");
	struct unrest unrest = { .keeper = keeper };
	pthread_t disturber;
	struct stream s[THREADS] = { 0 };
	pthread_t writers[THREADS], readers[THREADS];
	struct picket_slot_counters before = counters(&stable);
	uint64_t total = 0, statements = 0;
	struct timeval silent = { .tv_sec = case_s() / 4 }; // it hangs

	agent_policy(agent, 1000, CONSULT_NEVER, FAIL_OPEN);
	for (int i = 0; i < THREADS; i++) {
		s[i] = (struct stream){ .protocol = i % 2, .seed = i + 1, .budget = bytes / THREADS };
		s[i].largest = s[i].budget < STATEMENT_MAX ? s[i].budget : STATEMENT_MAX;
		s[i].window = keeper ? DISTURBED_WINDOW_BYTES : WINDOW_BYTES;
		s[i].l = logins[i % 2]();
		setsockopt(s[i].l.client, SOL_SOCKET, SO_SNDTIMEO, &silent, sizeof(silent));
		setsockopt(s[i].l.server, SOL_SOCKET, SO_RCVTIMEO, &silent, sizeof(silent));
		struct bytes q = query(i % 2, "select known, 'a'");

		give(&s[i].l, q);
		if (i < 2 && counters(&stable).held > before.held + i)
			set_verdict(&stable, held(agent, &s[i].l).held.fingerprint, VERDICT_BENIGN, ACTION_OBSERVE, PICKET_NO_RULE);
		arrived(&s[i].l, q.size);
	}
	if (keeper && pthread_create(&disturber, 0, disturb, &unrest))
		check(false, "thread");
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&writers[i], 0, write_stream, &s[i]) || pthread_create(&readers[i], 0, read_stream, &s[i]))
			check(false, "thread");
	for (int i = 0; i < THREADS; i++) {
		pthread_join(writers[i], 0);
		pthread_join(readers[i], 0);
		struct picket_hold h = hold_of(s[i].l.cookie);

		check(!s[i].wrong_at && s[i].received >= s[i].budget, "%s: wrong at %llu, %llu of %llu bytes; %llu given back, flags %x",
		      names[i % 2], (unsigned long long)s[i].wrong_at, (unsigned long long)s[i].received,
		      (unsigned long long)s[i].sent, (unsigned long long)h.released, h.flags);
		total += s[i].received;
		statements += s[i].statements;
		close_link(&s[i].l);
	}
	unrest.done = true;
	if (keeper) {
		pthread_join(disturber, 0);
		printf("#   judges slowed %d and killed %d times, the keeper stopped %d times\n", unrest.slowed, unrest.killed,
		       unrest.stopped);
		check(unrest.stopped, "it was over before anything went wrong");
	}
	printf("#   %llu statements, %llu of them held\n", (unsigned long long)statements,
	       (unsigned long long)(counters(&stable).held - before.held));
	check(counters(&stable).held > before.held, "nothing was held");
}

// Whatever comes by the control socket: the keeper says no, and goes on.
static int control_cases(int agent)
{
	static const struct {
		const char *what;
		uint32_t bytes, kind;
	} table[] = {
		{ "a frame of unknown kind", 0, 99 },
		{ "a frame longer than any", 0xffffffff, KEEPER_RULES },
		{ "rules that are cut", 7, KEEPER_RULES },
		{ "rules whose lengths do not add up", 64, KEEPER_RULES },
		{ "a policy that is cut", 3, KEEPER_POLICY },
		{ "an answer that is cut", 5, KEEPER_ANSWER },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		CASE("control: %s ends that agent's connection and nothing else", table[i].what);
		struct picket_keeper_frame frame = { .bytes = table[i].bytes, .kind = table[i].kind };
		uint8_t junk[64];
		char byte;

		memset(junk, 0xa5, sizeof(junk));
		check(send(agent, &frame, sizeof(frame), MSG_NOSIGNAL) == sizeof(frame), "send");
		if (table[i].bytes && table[i].bytes <= sizeof(junk))
			check(send(agent, junk, table[i].bytes, MSG_NOSIGNAL) == table[i].bytes, "send");
		setsockopt(agent, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 5, 0 }, sizeof(struct timeval));
		ssize_t n;

		while ((n = recv(agent, &byte, 1, 0)) == 1)
			;
		check(n == 0 || errno == ECONNRESET, "it stays: %s", strerror(errno));
		close(agent);
		agent = agent_connect();
		struct link l = mysql_link();
		struct bytes q = query(0, "select still, 1 from a");

		agent_policy(agent, 5000, CONSULT_ALWAYS, FAIL_OPEN);
		give(&l, q);
		agent_answer(agent, held(agent, &l).hold, ANSWER_RELEASE, "");
		check_same(arrived(&l, q.size), q);
		close_link(&l);
	}
	return agent;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: hold <dispatcher.bpf.o> <slot.bpf.o> <cgroup2 mount> <picket-keeper>\n");
		return 2;
	}
	setvbuf(stdout, 0, _IOLBF, 0);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 4 * CONNECTIONS, 4 * CONNECTIONS });
	more_settings = (struct picket_slot_settings){
		.hold_bytes_max = 48 << 20,
		.hold_burst = 100000,
		.fail_mask = SQL_DANGER_UNION | SQL_DANGER_DELAY,
	};
	set_up(argv[1], argv[2], argv[3]);
	keeper_set_up(argv[4]);
	int keeper = keeper_start(), agent = agent_connect();

	set_rule(&stable, 3, "known-bad");
	uint64_t bytes = (uint64_t)(getenv("HOLD_MB") ? atoi(getenv("HOLD_MB")) : 100) << 20;

	// By hand, to find what happens once in many times: HOLD_ROUNDS of it and nothing else.
	for (int round = getenv("HOLD_ROUNDS") ? atoi(getenv("HOLD_ROUNDS")) : 0; round > 0; round--) {
		integrity_case(agent, bytes, 0);
		keeper_lives();
		close(agent);
		agent = agent_connect();
		if (round == 1)
			goto out;
	}
	integrity_case(agent, bytes, 0);
	if (bytes >= DISTURBED_MIN)
		integrity_case(agent, bytes, keeper);
	close(agent); // told of more than it ever read
	agent = agent_connect();
	many_case(agent);
	agent = control_cases(agent);
	for (int protocol = 0; protocol < 2; protocol++) {
		agent = bound_cases(protocol, agent);
		closing_cases(protocol, agent);
		fault_cases(protocol, &keeper, &agent);
		release_cases(protocol, agent);
		denial_cases(protocol, agent);
		agent = order_cases(protocol, agent);
		split_cases(protocol, agent);
		deadline_cases(protocol, agent);
		agent = agent_connect(); // the last cases took its place
	}
out:
	keeper_lives();
	keeper_kill(keeper, SIGKILL);
	int status = report_results();

	keeper_tear_down();
	tear_down();
	return status;
}
