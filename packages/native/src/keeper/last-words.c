// SPDX-License-Identifier: Apache-2.0
// Whatever ends the keeper says why: one line on stderr and an exit code of its own, also where a signal does. What is
// held is lost with it, so the agent has to be able to tell of each end. SIGTERM and its like are no reason to lose
// anything: they retire it, as the agent does.
#include "keeper.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WARNINGS_MAX 100

volatile int asked_to_end;

static void say(const char *format, va_list details)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "picket-keeper: ");

	n += vsnprintf(line + n, sizeof(line) - n - 1, format, details);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(2, line, n) < 0)
		return; // Nobody listens.
}

// Bounded: whatever reads it may keep all of it.
void warn(const char *format, ...)
{
	static int warned;
	va_list details;

	if (++warned > WARNINGS_MAX)
		return;
	va_start(details, format);
	say(format, details);
	va_end(details);
}

void end(enum ending how, const char *format, ...)
{
	va_list details;

	va_start(details, format);
	say(format, details);
	va_end(details);
	exit(how);
}

// Only what a signal handler may call.
static void fatal(int number, siginfo_t *info, void *unused)
{
	static const char digits[] = "0123456789abcdef";
	char line[] = "picket-keeper: fatal signal ?? at address 0x????????????????, from process ???????\n";
	char *two = strstr(line, "??"), *address = strstr(line, "0x") + 2, *process = strstr(line, "process ") + 8;
	uint64_t at = (uint64_t)info->si_addr;
	uint32_t pid = info->si_code <= 0 ? info->si_pid : 0; // 0: nobody sent it

	two[0] = digits[number / 10];
	two[1] = digits[number % 10];
	for (int i = 15; i >= 0; i--, at >>= 4)
		address[i] = digits[info->si_code <= 0 ? 0 : at & 15];
	for (int i = 6; i >= 0; i--, pid /= 10)
		process[i] = digits[pid % 10];
	if (write(2, line, sizeof(line) - 1) < 0)
		unused = 0;
	(void)unused;
	raise(number); // SA_RESETHAND: this time it ends the process, with this signal
}

static void retire(int number) { asked_to_end = number; }

void last_words_open(void)
{
	static const int fatals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ };
	static const int asking[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	static char stack[16384];
	stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = fatal, .sa_flags = SA_SIGINFO | SA_RESETHAND | SA_ONSTACK | SA_NODEFER };
	struct sigaction ask = { .sa_handler = retire, .sa_flags = SA_RESTART };
	int score;

	signal(SIGPIPE, SIG_IGN);
	sigaltstack(&other, 0);
	for (size_t i = 0; i < sizeof(fatals) / sizeof(*fatals); i++)
		sigaction(fatals[i], &action, 0);
	for (size_t i = 0; i < sizeof(asking) / sizeof(*asking); i++)
		sigaction(asking[i], &ask, 0);
	// Its memory is bounded, and an application waits for each byte of it: others are to be ended first.
	// Where that is not allowed (a container without CAP_SYS_RESOURCE) it takes its turn.
	score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (score >= 0) {
		(void)!write(score, "-900", 4);
		close(score);
	}
	// Freed records go back to the system, also after large ones.
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	mallopt(M_TRIM_THRESHOLD, 1 << 20);
}
