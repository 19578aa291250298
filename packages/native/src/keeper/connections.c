// SPDX-License-Identifier: Apache-2.0
// A queue for each connection that has bytes here. The first record of a queue is under judgement, or on its way back;
// those behind it follow. What was decided and finds the queue empty goes straight back, without a copy.
#include "keeper.h"

#include <stdlib.h>
#include <string.h>

struct connection {
	struct connection *next; // of its bucket
	struct connection *next_blocked;
	uint64_t cookie;
	uint64_t try_at; // when it found no room
	uint64_t pause_ns;
	uint64_t expected; // offset of the next record
	struct record *first, *last;
	uint32_t judge;
	bool blocked;
	bool gone;   // freed where the list of blocked ones is walked
	bool killed; // stays until it is closed: nothing of it goes back any more
};

#define BUCKETS 4096
#define PAUSE_MIN_NS 200000ull
#define PAUSE_MAX_NS 20000000ull
#define FORGET_NS 250000000ull

static struct connection *buckets[BUCKETS];
static struct connection *blocked_list;
static struct record *asked, **asked_end = &asked;
static uint64_t holds_made;
static uint32_t killed_count;

static struct connection **place_of(uint64_t cookie)
{
	struct connection **c = &buckets[(cookie * 0x9e3779b97f4a7c15ull) >> 52];

	while (*c && (*c)->cookie != cookie)
		c = &(*c)->next;
	return c;
}

static void free_record(struct record *r)
{
	stats.queued_bytes -= r->bytes;
	kernel_settle(r->held.bytes);
	if (r->owned)
		free(r->data);
	free(r);
}

// A record that waits for the agent is in a second list: it is taken out there by `asked_turn`, which frees it.
static void drop_record(struct record *r)
{
	if (r->waiting)
		r->connection = 0;
	else
		free_record(r);
}

static void drop_records(struct connection *c)
{
	while (c->first) {
		struct record *r = c->first;

		c->first = r->next;
		drop_record(r);
	}
}

static void remove_connection(struct connection *c)
{
	struct connection **place = place_of(c->cookie);

	drop_records(c);
	*place = c->next;
	stats.connections--;
	killed_count -= c->killed;
	if (c->blocked)
		c->gone = true;
	else
		free(c);
}

static void count(const struct decision *d)
{
	if (d->outcome == OUTCOME_RELEASED)
		stats.released++;
	else if (d->outcome == OUTCOME_SUBSTITUTED)
		stats.substituted++;
	else if (d->outcome == OUTCOME_KILLED)
		stats.killed++;
	if (d->because == BECAUSE_DEADLINE)
		stats.timed_out++;
	if (d->because == BECAUSE_NO_AGENT || d->because == BECAUSE_NO_RULES)
		stats.unjudged++;
}

static uint8_t guarantee_of(uint8_t outcome)
{
	return outcome == OUTCOME_SUBSTITUTED ? GUARANTEE_PREVENTED :
	       outcome == OUTCOME_KILLED      ? GUARANTEE_SEVERED :
						GUARANTEE_OBSERVED;
}

static void tell_held(const struct picket_held *held, uint64_t hold, const struct decision *d, const uint8_t *sql)
{
	struct picket_keeper_held told = {
		.hold = hold,
		.held_ns = now_ns() - held->time_ns,
		.held = *held,
		.rule = d->rule,
		.met = d->met,
		.text_bytes = held->sql_bytes,
		.outcome = d->outcome,
		.because = d->because,
		.guarantee = guarantee_of(d->outcome),
	};

	agent_tell(KEEPER_HELD, &told, offsetof(struct picket_keeper_held, text), sql, held->sql_bytes);
	if (d->outcome == OUTCOME_WAITING)
		agent_hurry();
}

static void tell_result(const struct record *r, uint8_t outcome, uint8_t because)
{
	struct picket_keeper_result told = {
		.hold = r->hold,
		.held_ns = now_ns() - r->held.time_ns,
		.cookie = r->held.cookie,
		.statement = r->held.statement,
		.outcome = outcome,
		.because = because,
		.guarantee = guarantee_of(outcome),
	};

	agent_tell(KEEPER_RESULT, &told, sizeof(told), 0, 0);
}

// A denial of what cannot be replaced ends the connection.
static void settle_denial(const struct picket_held *held, struct decision *d)
{
	if (d->outcome == OUTCOME_SUBSTITUTED && (!held->frame_bytes || held->flags & HELD_TAIL))
		d->outcome = OUTCOME_KILLED;
}

static struct connection *connection_for(uint64_t cookie, uint32_t judge)
{
	struct connection **place = place_of(cookie);

	if (!*place) {
		*place = calloc(1, sizeof(**place));
		if (!*place)
			no_memory(sizeof(**place));
		(*place)->cookie = cookie;
		(*place)->judge = judge;
		stats.connections++;
	}
	return *place;
}

// What it sent before it learns of that is on its way here: it must not take the place of what was denied.
static void kill_connection(const struct picket_held *held, uint32_t judge_index)
{
	struct connection *c = connection_for(held->cookie, judge_index);
	struct picket_held of = *held;

	killed_count += !c->killed;
	c->killed = true;
	drop_records(c);
	kernel_killed(of.cookie, of.offset);
	sever_one(&of);
}

static void block(struct connection *c, uint64_t now)
{
	c->pause_ns = c->pause_ns ? c->pause_ns * 2 : PAUSE_MIN_NS;
	if (c->pause_ns > PAUSE_MAX_NS)
		c->pause_ns = PAUSE_MAX_NS;
	c->try_at = now + c->pause_ns;
	if (c->blocked)
		return;
	c->blocked = true;
	c->next_blocked = blocked_list;
	blocked_list = c;
}

// Gives back as much as goes. False where the connection is no more.
static bool give_back(struct connection *c)
{
	while (c->first && !c->first->waiting) {
		struct record *r = c->first;

		while (r->sent < r->bytes) {
			size_t n = kernel_give_back(&r->held, c->judge, r->data + r->sent, r->bytes - r->sent);

			r->sent += n;
			if (n) {
				c->pause_ns = 0;
				continue;
			}
			if (!kernel_alive(c->cookie)) {
				remove_connection(c);
				return false;
			}
			block(c, now_ns());
			return true;
		}
		if (!kernel_released(c->cookie, r->held.offset + r->held.bytes)) {
			remove_connection(c);
			return false;
		}
		c->first = r->next;
		free_record(r);
	}
	if (c->first)
		return true;
	remove_connection(c);
	return false;
}

static struct record *enqueue(struct connection *c, const struct picket_held *held, uint8_t *data, size_t bytes, bool own)
{
	struct record *r = calloc(1, sizeof(*r));

	if (!r)
		no_memory(sizeof(*r));
	r->held = *held;
	r->connection = c;
	r->bytes = bytes;
	r->owned = true;
	r->data = data;
	if (!own) {
		r->data = malloc(bytes ? bytes : 1);
		if (!r->data)
			no_memory(bytes);
		memcpy(r->data, data, bytes);
	}
	stats.queued_bytes += bytes;
	if (c->first)
		c->last->next = r;
	else
		c->first = r;
	c->last = r;
	return r;
}

static void ask(struct record *r, uint64_t hold)
{
	r->hold = hold;
	r->waiting = true;
	r->deadline = r->held.time_ns + judge_deadline_ns();
	*asked_end = r;
	asked_end = &r->next_asked;
	stats.waiting++;
}

bool connections_take(const struct picket_held *held, uint32_t judge_index, const uint8_t *data)
{
	struct connection *c = *place_of(held->cookie);
	struct decision d = { .outcome = OUTCOME_RELEASED };
	uint64_t hold = 0;
	uint8_t *own = 0;
	size_t bytes = held->bytes;

	if (c && c->killed)
		return false;
	uint64_t expected = c ? c->expected : kernel_given_back(held->cookie);

	if (expected == ~0ull)
		return false; // closed meanwhile
	if (expected != held->offset) {
		stats.broken++;
		kill_connection(held, judge_index);
		return false;
	}
	if (held->flags & HELD_JUDGE) {
		if (held->sql_at > held->bytes || held->sql_bytes > held->bytes - held->sql_at ||
		    held->frame_bytes > held->bytes)
			end(ENDED_STREAM, "a header that contradicts itself: text at %u, %u bytes, frame %u of %u", held->sql_at,
			    held->sql_bytes, held->frame_bytes, held->bytes);
		hold = ++holds_made;
		stats.held++;
		d = judge(held, data + held->sql_at, agent_connected());
		settle_denial(held, &d);
		count(&d);
		if (d.outcome == OUTCOME_SUBSTITUTED) {
			own = judge_substitute(held, data, d.text, &bytes);
			if (!own)
				no_memory(held->bytes);
		}
	}
	if (d.outcome == OUTCOME_KILLED) {
		tell_held(held, hold, &d, data + held->sql_at);
		kill_connection(held, judge_index);
		return false;
	}
	// Straight back, where nothing is before it.
	size_t sent = 0;

	if (!c && d.outcome != OUTCOME_WAITING) {
		for (size_t n; sent < bytes; sent += n) {
			n = kernel_give_back(held, judge_index, (own ? own : data) + sent, bytes - sent);
			if (!n)
				break;
		}
		if (sent == bytes)
			kernel_released(held->cookie, held->offset + held->bytes);
	}
	if (hold)
		tell_held(held, hold, &d, data + held->sql_at);
	if (!c && sent == bytes) {
		free(own);
		return false;
	}
	if (!c)
		c = connection_for(held->cookie, judge_index);
	c->expected = held->offset + held->bytes;
	struct record *r = enqueue(c, held, own ? own : (uint8_t *)data, bytes, own != 0);

	r->sent = sent;
	if (d.outcome == OUTCOME_WAITING)
		ask(r, hold);
	else if (c->first == r)
		block(c, now_ns());
	return true;
}

void connections_stray(const struct picket_release *header)
{
	struct connection *c = *place_of(header->cookie);
	struct picket_held held = { .cookie = header->cookie };

	stats.strays += header->bytes;
	// Closed: nobody misses them. Still open, but let go by the agent meanwhile: it would wait for ever.
	if (kernel_alive(header->cookie))
		kill_connection(c && c->first ? &c->first->held : &held, header->judge);
	else if (c)
		remove_connection(c);
}

static void conclude(struct record *r, struct decision d)
{
	if (r->connection && !kernel_alive(r->held.cookie))
		remove_connection(r->connection); // takes itself out of its records that wait
	struct connection *c = r->connection;

	r->waiting = false;
	stats.waiting--;
	if (!c) {
		tell_result(r, OUTCOME_GONE, d.because);
		free_record(r);
		return;
	}
	settle_denial(&r->held, &d);
	if (d.outcome == OUTCOME_SUBSTITUTED) {
		size_t bytes;
		uint8_t *own = judge_substitute(&r->held, r->data, d.text, &bytes);

		if (!own)
			no_memory(r->bytes);
		stats.queued_bytes += bytes - r->bytes;
		free(r->data);
		r->data = own;
		r->bytes = bytes;
	}
	count(&d);
	tell_result(r, d.outcome, d.because);
	if (d.outcome == OUTCOME_KILLED)
		kill_connection(&r->held, c->judge);
	else if (c->first == r)
		give_back(c);
}

static struct record *take_asked(struct record **place)
{
	struct record *r = *place;

	*place = r->next_asked;
	if (!*place)
		asked_end = place;
	r->next_asked = 0;
	return r;
}

void connections_answer(const struct picket_keeper_answer *answer)
{
	struct record **place = &asked;
	struct decision d = {
		.outcome = answer->answer == ANSWER_DENY ? OUTCOME_SUBSTITUTED : OUTCOME_RELEASED,
		.because = BECAUSE_ANSWERED,
		.text = &answer->text,
	};

	while (*place && (*place)->hold != answer->hold)
		place = &(*place)->next_asked;
	if (*place)
		conclude(take_asked(place), d);
}

// Connections that are closed now: what of them waits for the agent need not wait for its deadline.
static void forget_closed(uint64_t now)
{
	static uint64_t last;

	if (!stats.connections || now - last < FORGET_NS)
		return;
	last = now;
	for (int i = 0; i < BUCKETS; i++)
		for (struct connection *c = buckets[i], *next; c; c = next) {
			next = c->next;
			if (!kernel_alive(c->cookie))
				remove_connection(c);
		}
}

int connections_turn(uint64_t now, int most_ms)
{
	uint64_t next = now + (uint64_t)most_ms * 1000000;

	for (struct record **place = &asked; *place;) {
		struct record *r = *place;
		bool agent = agent_connected();

		if (agent && r->connection && r->deadline > now) {
			next = r->deadline < next ? r->deadline : next;
			place = &r->next_asked;
			continue;
		}
		take_asked(place);
		conclude(r, judge_unanswered(&r->held, r->data + r->held.sql_at, agent ? BECAUSE_DEADLINE : BECAUSE_NO_AGENT));
	}
	forget_closed(now);
	struct connection *again = blocked_list;

	blocked_list = 0;
	while (again) {
		struct connection *c = again;

		again = c->next_blocked;
		c->blocked = false;
		if (c->gone) {
			free(c);
			continue;
		}
		if (c->try_at > now) {
			next = c->try_at < next ? c->try_at : next;
			c->blocked = true;
			c->next_blocked = blocked_list;
			blocked_list = c;
			continue;
		}
		if (!c->killed && give_back(c) && c->blocked && c->try_at < next)
			next = c->try_at;
	}
	return next > now ? (next - now + 999999) / 1000000 : 0;
}

bool connections_idle(void) { return stats.connections == killed_count && !asked; }
