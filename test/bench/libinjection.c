// SPDX-License-Identifier: Apache-2.0
// libinjection's word on texts: reads frames of a 32-bit length (this machine's order) and as many bytes, writes
// '1' or '0' for each, and at the end the nanoseconds of processor time that the calls took, on standard error.
//   libinjection <libinjection.so> < frames
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	int (*sqli)(const char *, size_t, char *) = library ? dlsym(library, "libinjection_sqli") : NULL;
	uint32_t bytes;
	uint64_t ns = 0;

	if (!sqli) {
		fprintf(stderr, "cannot load libinjection: %s\n", dlerror());
		return 1;
	}
	while (fread(&bytes, sizeof(bytes), 1, stdin) == 1) {
		char fingerprint[8] = "", *text = malloc(bytes + 1);

		if (!text || fread(text, 1, bytes, stdin) != bytes)
			return 1;
		text[bytes] = 0;
		uint64_t start = now();
		int attack = sqli(text, bytes, fingerprint);

		ns += now() - start;
		putchar(attack ? '1' : '0');
		free(text);
	}
	fprintf(stderr, "%llu\n", (unsigned long long)ns);
	return 0;
}
