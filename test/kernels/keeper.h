// SPDX-License-Identifier: Apache-2.0
// A keeper of its own for the cases in hold.c, and the agent's end of its control socket.
#ifndef KEEPER_TEST_H
#define KEEPER_TEST_H

#include "harness.h"

void keeper_set_up(const char *binary); // pins what a keeper opens; starts none
void keeper_tear_down(void);
int keeper_start(void);                 // its pid, once it is ready
void keeper_kill(int pid, int signal);  // and waits for its end where the signal ends it
int keeper_ends(int pid);               // its exit code, 256 + the signal that ended it, -1 where it stays
void keeper_lives(void);                // fails the case where the keeper ended by itself
extern uint64_t keeper_bytes_max;       // in the next policy
struct picket_keeper keeper_now(void);
int agent_connect(void);
void agent_hang_up(int fd);
void agent_send(int fd, uint32_t kind, struct bytes payload);
void agent_policy(int fd, uint64_t deadline_ms, uint8_t consult, uint8_t on_failure);
void agent_answer(int fd, uint64_t hold, uint8_t answer, const char *rule);
// The next frame of that kind; others are skipped. An empty one where none comes.
struct bytes agent_frame(int fd, uint32_t kind);
struct picket_hold hold_of(uint64_t cookie); // released and flags; released is ~0 where there is none
uint64_t heartbeat(void);
void keeper_settles(void); // waits until its heart beats, on a busy machine

#endif
