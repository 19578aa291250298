// SPDX-License-Identifier: Apache-2.0
// The keeper: a process of its own between the kernel programs and the agent, so that a crash or a pause of the agent
// loses no statement. The slot diverts what nobody has judged to one of its sockets (packages/bpf/src/hold.h); it runs
// the token rules, asks the agent where the policy says so, and gives the bytes back in order, or what stands in for
// them. One thread turns: nothing in it waits but epoll.
//
//   last-words.c   whatever ends it says why, in one line
//   kernel.c       maps, judge sockets, heartbeat, giving back
//   connections.c  a queue for each connection: what is held, and what has to follow it
//   judge.c        what becomes of a statement
//   agent.c        the control socket
//   sever.c        ending connections, on a thread of its own: it walks sockets
#ifndef PICKET_KEEPER_H
#define PICKET_KEEPER_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

#define JUDGES 4
#define HEARTBEAT_NS 40000000ull // the slots wait for 100 ms
// Of one send: with its header it always fits one message of the kernel, whatever pages that is made of.
#define RELEASE_MAX (48u << 10)

extern uint32_t magic; // drawn at the start: no application can write a header
uint64_t now_ns(void); // CLOCK_MONOTONIC

extern struct picket_keeper_stats stats;

// last-words.c
enum ending {
	ENDED = 0,         // told to, or alone for a minute
	ENDED_START = 1,   // what it needs is not there
	ENDED_USAGE = 2,
	ENDED_MEMORY = 3,
	ENDED_STREAM = 4,  // what the kernel redirected to it cannot be read any more
};
void last_words_open(void);
extern volatile int asked_to_end; // the number of the signal, or 0
_Noreturn void end(enum ending how, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define die(...) end(ENDED_START, __VA_ARGS__)
#define no_memory(bytes) end(ENDED_MEMORY, "no memory for %zu bytes", (size_t)(bytes))
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

// kernel.c
struct judge_socket {
	int fd;      // in the judges map: what is held is read here, and given back here
	int drain;   // the other end: nothing should come out of it
	uint8_t *at; // received, not yet a whole record
	size_t bytes, room;
};
extern struct judge_socket judges[JUDGES];
void kernel_open(const char *pins);
void kernel_join(void); // from now on the slots may divert to it
void kernel_heartbeat(uint64_t now);
void kernel_sweep(bool on);
void kernel_bound(uint64_t bytes_max);
void kernel_settle(uint64_t bytes); // a record of so many bytes is nobody's here any more
void kernel_recount(uint64_t now, bool idle);
bool kernel_released(uint64_t cookie, uint64_t released); // false: the connection is gone
bool kernel_killed(uint64_t cookie, uint64_t released);
bool kernel_alive(uint64_t cookie);
uint64_t kernel_given_back(uint64_t cookie); // ~0: the connection is gone
int kernel_iterator(void); // a walk of sever_held in this thread's network namespace, or -1
// Gives up to RELEASE_MAX bytes back; how many went, 0 for none just now.
size_t kernel_give_back(const struct picket_held *held, uint32_t judge, const uint8_t *at, size_t bytes);
// Reads all that waits at a judge socket and hands each record to connections.c.
void kernel_read(uint32_t judge);
void kernel_drain(uint32_t judge); // `release` passed on what it should not have

// connections.c
struct record {
	struct record *next;       // of its connection
	struct record *next_asked; // of those that wait for the agent
	struct connection *connection;
	struct picket_held held;
	uint64_t hold;     // 0: nothing to judge
	uint64_t deadline; // while the agent is asked
	bool waiting;
	size_t bytes, sent;
	uint8_t *data; // to be freed where it is owned
	bool owned;
};
// False: nothing of it is kept.
bool connections_take(const struct picket_held *held, uint32_t judge, const uint8_t *data);
void connections_stray(const struct picket_release *header);
void connections_answer(const struct picket_keeper_answer *answer);
// Sends again what found no room, decides what is overdue. Milliseconds until it wants to be called again.
int connections_turn(uint64_t now, int most_ms);
bool connections_idle(void);

// judge.c
struct decision {
	uint8_t outcome; // enum picket_outcome: waiting, released or substituted
	uint8_t because;
	uint32_t rule;
	uint32_t met;
	const struct picket_rule_text *text; // of a denial
};
const char *judge_set_rules(const uint8_t *payload, size_t bytes); // NULL or what is wrong
void judge_drop_rules(uint32_t version);
const char *judge_set_policy(const uint8_t *payload, size_t bytes);
struct decision judge(const struct picket_held *held, const uint8_t *sql, bool agent);
// The agent was asked and did not answer.
struct decision judge_unanswered(const struct picket_held *held, const uint8_t *sql, uint8_t because);
uint64_t judge_deadline_ns(void);
// The bytes with the frame replaced, allocated; NULL without memory.
uint8_t *judge_substitute(const struct picket_held *held, const uint8_t *data, const struct picket_rule_text *text,
			  size_t *bytes);

// agent.c
void agent_listen(const char *path, int epoll);
bool agent_owns(int fd);
void agent_ready(int fd, uint32_t events);
bool agent_connected(void);
void agent_tell(uint32_t kind, const void *head, size_t head_bytes, const void *tail, size_t tail_bytes);
void agent_hurry(void); // somebody waits for its answer
int agent_flush(uint64_t now); // milliseconds until there is more to send
void agent_hello(uint32_t severed, uint32_t not_severed);
extern bool retiring;

// sever.c
void sever_start(void);
void sever_one(const struct picket_held *held);
void sever_all(uint32_t *severed, uint32_t *not_severed);

#endif
