// Faults by the environment, read when the library is loaded: BANYAN_FAKE_NCCL is a list of
// name=value, with numbers of operations from 0:
//
//	version=N                  what ncclGetVersion says
//	init=fail|hang|oom         connecting fails, does not end, finds no memory
//	abort=hang finalize=hang   these do not end
//	issue=N                    giving operation N to its stream does not end
//	oom=N                      there is no memory for it
//	stall=N                    it does not move, and nobody is told
//	async=N                    nor does it, and an asynchronous error tells
//	die=N                      the process is killed when half of it is sent
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"

struct faults faults = {.version = 23007, .issue_at = -1, .oom_at = -1,
			.stall_at = -1, .async_at = -1, .die_at = -1};

void hang(void)
{
	for (;;)
		pause();
}

static void set(const char *name, const char *value)
{
	enum fault f = !strcmp(value, "hang") ? FAULT_HANG : FAULT_FAIL;
	long n = strtol(value, NULL, 10);
	if (!strcmp(name, "version"))
		faults.version = (int)n;
	else if (!strcmp(name, "init") && !strcmp(value, "oom"))
		faults.oom_init = 1;
	else if (!strcmp(name, "init"))
		faults.init = f;
	else if (!strcmp(name, "issue"))
		faults.issue_at = n;
	else if (!strcmp(name, "stall"))
		faults.stall_at = n;
	else if (!strcmp(name, "abort"))
		faults.abort = f;
	else if (!strcmp(name, "finalize"))
		faults.finalize = f;
	else if (!strcmp(name, "oom"))
		faults.oom_at = n;
	else if (!strcmp(name, "async"))
		faults.async_at = n;
	else if (!strcmp(name, "die"))
		faults.die_at = n;
	else {
		fprintf(stderr, "fake nccl: unknown fault %s\n", name);
		abort();
	}
}

__attribute__((constructor)) static void read_faults(void)
{
	const char *env = getenv("BANYAN_FAKE_NCCL");
	if (!env)
		return;
	char *list = strdup(env), *rest = list, *one;
	while ((one = strsep(&rest, ","))) {
		char *equals = strchr(one, '=');
		if (!equals) {
			fprintf(stderr, "fake nccl: %s is no name=value\n", one);
			abort();
		}
		*equals = 0;
		set(one, equals + 1);
	}
	free(list);
}
