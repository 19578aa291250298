// SPDX-License-Identifier: Apache-2.0
// What the cases in loader.c stand on: the objects loaded and attached to a
// cgroup of their own, a raw loopback connection, the wire's messages, and the
// events that came out of the ring.
#ifndef HARNESS_H
#define HARNESS_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

struct bytes {
	uint8_t *at;
	size_t size;
};

// Growing buffer; released by the next case.
struct bytes join(int count, ...);
void append(struct bytes *whole, struct bytes part); // uses part up
struct bytes text(const char *string);
struct bytes raw(const void *data, size_t size);
struct bytes repeat(const char *unit, size_t size);
struct bytes slice(struct bytes whole, size_t from, size_t to);

// MySQL and PostgreSQL messages as a client sends them.
struct bytes mysql_login(uint32_t more_capabilities, int ssl_request);
struct bytes mysql_packet(uint8_t sequence, struct bytes payload);
struct bytes mysql_command(uint8_t command, const char *sql);
struct bytes postgresql_startup(void);
struct bytes postgresql_request(uint32_t code);
struct bytes postgresql_message(char type, struct bytes body);
struct bytes postgresql_query(const char *sql);
struct bytes postgresql_parse(const char *name, const char *sql);

// One connection through the kernel: `client` is enrolled, `server` reads what arrives.
struct link {
	int client, server;
	uint64_t cookie;
	struct bytes waiting; // arrived, not asked for yet
};
struct link open_link(void);
struct link open_listened_link(void); // its listener stays open; the cookie is the accepted end's
bool receive_more(struct link *l);                      // some of it, if it comes
struct bytes arrived_now(struct link *l);              // without waiting
void close_link(struct link *l);
void give(struct link *l, struct bytes b);          // one send()
int try_give(struct link *l, struct bytes b);       // 0 or errno
void answer(struct link *l, struct bytes b);           // the server sends, the client reads
struct bytes arrived(struct link *l, size_t at_least); // everything that came, waiting for at_least bytes
struct link postgresql_link(void);                  // past the login
struct link mysql_link(void);

// Events since the last call, oldest first.
struct events {
	int count;
	void *at[4096];
};
void drain(void);
struct picket_statement_event *statement_event(int nth); // nth of the current drain, from 0
struct picket_connection_event *connection_event(uint8_t reason);
struct picket_statement_event *last_statement(void);
struct picket_login_event *login_event(void);
struct picket_connection_event *connection_event_nth(uint8_t reason, int nth);
int refused(void);                       // a socket whose connect was refused
void run_iterator(const char *program);
bool condemn(uint64_t cookie);           // false where the kernel cannot destroy sockets
int share_child(struct bytes frame);     // in a process of its own: bit 0 denied, bit 1 treated unlike before
void squeeze(struct link *l);            // small buffers, non-blocking
// Sends against a slow reader until `until` bytes have arrived in all; how often the buffer was full.
int press(struct link *l, struct bytes b, struct bytes *received, size_t until);

// Slots and verdicts.
struct slot {
	struct bpf_object *object;
	int program, verdicts, counters, rules;
	uint32_t index;
};
extern struct picket_slot_settings more_settings; // what load_slot sets besides its own: holding
struct slot load_slot(uint32_t index, uint32_t version);
void close_slot(struct slot *s);
void use_slot(struct slot *s);
void clear_slot(uint32_t index);
void set_dispatch(uint32_t stable, uint32_t candidate, uint32_t share);
void set_workload(uint8_t mode, uint8_t sockets); // sockets: enum picket_sockets
void set_mode(uint8_t mode);
void set_verdict(struct slot *s, uint64_t fingerprint, uint8_t verdict, uint8_t action, uint32_t rule);
void set_rule(struct slot *s, uint32_t index, const char *text);
struct picket_slot_counters counters(struct slot *s);
struct picket_responses responses(uint32_t slot);
uint64_t loss(uint32_t kind);
uint64_t losses_total(void);

extern struct bpf_object *dispatcher;
extern struct slot stable;
int map_fd(struct bpf_object *o, const char *name);
uint64_t cgroup_id(void);

void set_up(const char *dispatcher_path, const char *slot_path, const char *cgroup_root);
void tear_down(void);

// Results.
void begin_case(const char *name); // one that hangs for case_s() fails, and what would follow is left out
int case_s(void);
extern void (*at_a_hang)(void);
#define check(condition, ...) check_at(__LINE__, (condition), #condition, __VA_ARGS__)
bool check_at(int line, bool ok, const char *what, const char *format, ...) __attribute__((format(printf, 4, 5)));
bool same(int line, struct bytes got, struct bytes want);
#define check_same(got, want) same(__LINE__, got, want)
int report_results(void);

#endif
