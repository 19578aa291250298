// SPDX-License-Identifier: Apache-2.0
// What becomes of a held statement: the rules of its version, then the policy. No clock.
#include "keeper.h"

#include <stdlib.h>
#include <string.h>

#include "../lexer/core/token_rules.h"
#include "denial.h"
#include "sql_lexer.h"

#define VERSIONS_MAX 16
#define DANGER_SERIOUS                                                                                       \
	(SQL_DANGER_UNION | SQL_DANGER_SECOND_STATEMENT | SQL_DANGER_DELAY | SQL_DANGER_FILE |               \
	 SQL_DANGER_CATALOGUE | SQL_DANGER_ERROR_FUNCTION)

struct version {
	bool used;
	uint32_t version;
	uint32_t count;
	void *table;
	struct picket_rules rules;
	struct picket_rules_scratch *scratch;
	struct picket_rules_span *spans;
	struct picket_keeper_rule *each;
};

static struct version versions[VERSIONS_MAX];
static struct picket_keeper_policy policy = {
	.deadline_ns = 50000000,
	.steps_max = 20000000,
	.fail_mask = DANGER_SERIOUS,
};
static struct picket_keeper_workload *workloads;
static const struct picket_rule_text not_judged = { .bytes = sizeof(UNJUDGED) - 1, .text = UNJUDGED };

uint64_t judge_deadline_ns(void) { return policy.deadline_ns; }

static struct version *find(uint32_t version)
{
	for (int i = 0; i < VERSIONS_MAX; i++)
		if (versions[i].used && versions[i].version == version)
			return &versions[i];
	return 0;
}

void judge_drop_rules(uint32_t version)
{
	struct version *v = find(version);

	if (!v)
		return;
	free(v->table);
	free(v->scratch);
	free(v->spans);
	free(v->each);
	memset(v, 0, sizeof(*v));
}

const char *judge_set_rules(const uint8_t *payload, size_t bytes)
{
	const struct picket_keeper_rules *head = (const void *)payload;
	struct version v = { .used = true };

	if (bytes < sizeof(*head) ||
	    bytes - sizeof(*head) != head->table_bytes + (uint64_t)head->rules * sizeof(struct picket_keeper_rule))
		return "RULES: lengths do not add up";
	v.version = head->version;
	v.count = head->rules;
	v.table = malloc(head->table_bytes + 1);
	v.each = calloc(v.count + 1, sizeof(*v.each));
	v.spans = calloc(v.count + 1, sizeof(*v.spans));
	if (!v.table || !v.each || !v.spans)
		no_memory(head->table_bytes);
	memcpy(v.table, payload + sizeof(*head), head->table_bytes);
	memcpy(v.each, payload + sizeof(*head) + head->table_bytes, v.count * sizeof(*v.each));
	if (picket_rules_open(&v.rules, v.table, head->table_bytes) || v.rules.header->rules != v.count) {
		free(v.table);
		free(v.each);
		free(v.spans);
		return "RULES: the table is not whole";
	}
	v.scratch = calloc(1, picket_rules_scratch_bytes(&v.rules));
	if (!v.scratch)
		no_memory(picket_rules_scratch_bytes(&v.rules));
	judge_drop_rules(v.version);
	for (int i = 0; i < VERSIONS_MAX; i++)
		if (!versions[i].used) {
			versions[i] = v;
			return 0;
		}
	free(v.table);
	free(v.each);
	free(v.spans);
	free(v.scratch);
	return "RULES: more versions than slots; drop one first";
}

const char *judge_set_policy(const uint8_t *payload, size_t bytes)
{
	const struct picket_keeper_policy *p = (const void *)payload;

	if (bytes < sizeof(*p) ||
	    bytes - sizeof(*p) != (uint64_t)p->workloads * sizeof(struct picket_keeper_workload))
		return "POLICY: lengths do not add up";
	free(workloads);
	workloads = malloc(bytes - sizeof(*p) + 1);
	if (!workloads)
		no_memory(bytes);
	memcpy(workloads, payload + sizeof(*p), bytes - sizeof(*p));
	policy = *p;
	kernel_bound(p->bytes_max);
	return 0;
}

static struct picket_keeper_workload policy_of(uint32_t workload)
{
	for (uint32_t i = 0; i < policy.workloads; i++)
		if (workloads[i].id == workload)
			return workloads[i];
	return (struct picket_keeper_workload){ .consult = policy.consult, .on_failure = policy.on_failure };
}

static struct decision fail(const struct picket_held *held, uint32_t danger, struct decision d, uint8_t because)
{
	bool deny = policy_of(held->workload).on_failure == FAIL_CLOSED || danger & policy.fail_mask;

	d.outcome = deny ? OUTCOME_SUBSTITUTED : OUTCOME_RELEASED;
	d.because = because;
	d.text = &not_judged;
	return d;
}

struct decision judge(const struct picket_held *held, const uint8_t *sql, bool agent)
{
	struct version *v = find(held->version);
	struct decision d = { .outcome = OUTCOME_RELEASED, .because = BECAUSE_NO_SIGNAL, .rule = PICKET_NO_RULE };
	struct picket_rules_result met = { .first = -1 };
	uint8_t consult = policy_of(held->workload).consult;
	// Only the agent has all of its text, or the rules.
	bool partial = !v || held->flags & (HELD_TAIL | HELD_TORN);

	if (!partial) {
		struct picket_lexing how = {
			.dialect = held->protocol == PROTOCOL_MYSQL ? SQL_MYSQL : SQL_POSTGRESQL,
			.session = held->session,
		};

		met = picket_rules_run(&v->rules, v->scratch, &how, sql, held->sql_bytes, policy.steps_max, v->spans);
	}
	d.met = met.met;
	if (met.met) {
		d.rule = met.first;
		for (uint32_t i = 0; i < v->count; i++)
			if (v->spans[i].end && v->each[i].action == ACTION_BLOCK) {
				d.rule = i;
				d.text = &v->each[i].text;
				// The agent knows the statement's connection, and what else speaks for it.
				d.outcome = agent && consult != CONSULT_NEVER ? OUTCOME_WAITING : OUTCOME_SUBSTITUTED;
				d.because = d.outcome == OUTCOME_WAITING ? 0 : BECAUSE_RULE;
				return d;
			}
	}
	uint32_t danger = held->danger | met.danger;
	bool grey = danger || met.met || met.exhausted || partial;
	// What the rules have read whole and would not block is not refused for what it might have been.
	uint32_t unread = partial || met.exhausted ? danger : 0;

	if (consult == CONSULT_ALWAYS || (consult == CONSULT_GREY && grey)) {
		if (!agent)
			return fail(held, unread, d, BECAUSE_NO_AGENT);
		d.outcome = OUTCOME_WAITING;
		d.because = 0;
		return d;
	}
	if (!v)
		return fail(held, unread, d, BECAUSE_NO_RULES);
	return met.exhausted ? fail(held, unread, d, BECAUSE_EXHAUSTED) : d;
}

struct decision judge_unanswered(const struct picket_held *held, const uint8_t *sql, uint8_t because)
{
	struct decision d = judge(held, sql, false);

	if (d.because == BECAUSE_NO_AGENT)
		d.because = because;
	return d;
}

uint8_t *judge_substitute(const struct picket_held *held, const uint8_t *data, const struct picket_rule_text *text,
			  size_t *bytes)
{
	struct picket_rule_text rule = *text;
	uint32_t tail = denial_tail(held->protocol, held->message);
	uint32_t frame = held->sql_at + TEXT_BYTES + tail, rest = held->bytes - held->frame_bytes;
	uint8_t *with = malloc(frame + rest);
	struct replacement made;

	if (!with)
		return 0;
	compose(&made, held->protocol, held->message, &rule, held->incident);
	memcpy(with, data, held->sql_at);
	memcpy(with + held->sql_at, made.text, TEXT_BYTES);
	memset(with + held->sql_at + TEXT_BYTES, 0, tail);
	memcpy(with + frame, data + held->frame_bytes, rest);
	if (held->protocol == PROTOCOL_MYSQL) {
		uint32_t length = frame - 4;

		with[0] = length;
		with[1] = length >> 8;
		with[2] = length >> 16;
	} else {
		uint32_t length = __builtin_bswap32(frame - 1);

		memcpy(with + 1, &length, 4);
	}
	*bytes = frame + rest;
	return with;
}
