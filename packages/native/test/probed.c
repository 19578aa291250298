/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program to put uprobes on: calls one function as often as it is told. */
#include <stdlib.h>

__attribute__((noinline)) int picket_probe_me(int n)
{
	return n + 1;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0, sum = 0;

	for (int i = 0; i < n; i++)
		sum = picket_probe_me(sum);
	return sum == n ? 0 : 1;
}
