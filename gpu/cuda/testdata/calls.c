// Functions for List.Call and List.Host.

#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int answer(void *arg) { return *(int *)arg; }
EXPORT void mark(void *arg) { ++*(volatile int *)arg; }

EXPORT int hold_call(void *arg)
{
	while (*(volatile int *)arg == 0)
		usleep(100);
	return 0;
}

EXPORT void hold(void *arg) { hold_call(arg); }
