// The faults that a test asks for: lines of the file `faults` in the folder of this library.
//
//   devices 2           how many there are (1)
//   version 12020       of the driver (12080)
//   arch 80             compute capability (90)
//   memory 1048576      of each device, in bytes (1 GiB)
//   fail cuInit 1 999   the first call of cuInit answers 999
//   launch 2 700        the second launch fails while it runs; nothing works after that
//   hang 3              the third command that is issued, on whatever stream, never ends

#define _GNU_SOURCE
#include "fake.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake fake = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
	.devices = 1,
	.version = 12080,
	.arch = 90,
	.memory = 1 << 30,
};

static const char *const names[] = {
#define X(name, since, optional, parameters) #name,
	CUDA_ENTRIES(X)
#undef X
};

static int function_of(const char *name)
{
	for (int i = 0; i < FN_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

// A test that misspells a fault must not pass because of it.
static void refuse(const char *line)
{
	fprintf(stderr, "fake libcuda: the file faults has the line: %s\n", line);
	abort();
}

static void read_line(const char *line)
{
	char word[64], function[64];
	long a = 0, b = 0;
	if (sscanf(line, "fail %63s %ld %ld", function, &a, &b) == 3) {
		int f = function_of(function);
		if (f < 0 || fake.fault_count == FAKE_FAULTS)
			refuse(line);
		fake.faults[fake.fault_count++] = (struct fault){ f, a, (int)b };
		return;
	}
	if (sscanf(line, "launch %ld %ld", &a, &b) == 2) {
		fake.launch_nth = a;
		fake.launch_code = (int)b;
		return;
	}
	if (sscanf(line, "%63s %ld", word, &a) != 2)
		refuse(line);
	if (strcmp(word, "devices") == 0 && a <= FAKE_DEVICES)
		fake.devices = (int)a;
	else if (strcmp(word, "version") == 0)
		fake.version = (int)a;
	else if (strcmp(word, "arch") == 0)
		fake.arch = (int)a;
	else if (strcmp(word, "memory") == 0)
		fake.memory = (size_t)a;
	else if (strcmp(word, "hang") == 0)
		fake.hang_nth = a;
	else
		refuse(line);
}

__attribute__((constructor)) void fake_read_faults(void)
{
	Dl_info here;
	char path[PATH_MAX], line[256];
	if (dladdr((void *)fake_read_faults, &here) == 0 || here.dli_fname == NULL)
		return;
	const char *slash = strrchr(here.dli_fname, '/');
	int folder = slash == NULL ? 0 : (int)(slash - here.dli_fname + 1);
	snprintf(path, sizeof path, "%.*sfaults", folder, here.dli_fname);
	FILE *f = fopen(path, "r");
	if (f == NULL)
		return;
	while (fgets(line, sizeof line, f) != NULL)
		if (line[0] != '\n')
			read_line(line);
	fclose(f);
}
