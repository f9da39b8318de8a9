// Which ISA classes this build has and this host executes.
//
// CPUID alone is not trusted: hypervisors and emulators have been seen to advertise what then
// faults. So a class is also run once, in a forked child, whose SIGILL costs nothing; a handler
// in this process would have to share the signal with the Go runtime.

#define _GNU_SOURCE
#include "engine.h"
#include "amx_build.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if BANYAN_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#endif

#include "scalar.h"

extern const struct isa_class banyan_generic, banyan_amx_emulated;
#if BANYAN_AMX
extern const struct isa_class banyan_amx;
#endif
#if defined(__x86_64__)
extern const struct isa_class banyan_avx512, banyan_avx2;
#elif defined(__aarch64__)
extern const struct isa_class banyan_neon;
#endif

const struct isa_class *banyan_class(const char *isa)
{
#if BANYAN_AMX
	if (strcmp(isa, "amx") == 0)
		return &banyan_amx;
#endif
#if defined(__x86_64__)
	if (strcmp(isa, "avx512") == 0)
		return &banyan_avx512;
	if (strcmp(isa, "avx2") == 0)
		return &banyan_avx2;
#elif defined(__aarch64__)
	if (strcmp(isa, "neon") == 0)
		return &banyan_neon;
#endif
	if (strcmp(isa, "amx-emulated") == 0)
		return &banyan_amx_emulated;
	return strcmp(isa, "generic") == 0 ? &banyan_generic : NULL;
}

// tiles_allowed asks the kernel for tile state, for all threads of this process. Linux grants the
// 8 KiB a thread to those who ask only (arch_prctl, ARCH_REQ_XCOMP_PERM, component 18).
static int tiles_allowed(void)
{
#if BANYAN_AMX
	return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
	return 0;
#endif
}

#if defined(__x86_64__)
// tiles_advertised reads amx-bf16 and amx-tile of leaf 7. The leaves that describe tiles are not
// read: hypervisors have been seen to leave them empty where tiles work.
static int tiles_advertised(void)
{
#if BANYAN_AMX
	unsigned a, b, c, d;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1);
#else
	return 0;
#endif
}
#endif

static int advertised(const char *isa)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	if (strcmp(isa, "avx2") == 0)
		return avx2;
	if (strcmp(isa, "amx") == 0 && !tiles_advertised())
		return 0;
	if (strcmp(isa, "avx512") == 0 || strcmp(isa, "amx") == 0)
		return avx2 && __builtin_cpu_supports("avx512f") &&
		       __builtin_cpu_supports("avx512dq") &&
		       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
#elif defined(__aarch64__)
	if (strcmp(isa, "neon") == 0)
		return 1; // part of the architecture
#endif
	return strcmp(isa, "generic") == 0;
}

// executes runs a little of the class in a child. Where no child can be made (a limit on
// processes), CPUID has the last word.
static int executes(const struct isa_class *class)
{
	pid_t child = fork();
	if (child < 0)
		return 1;
	if (child == 0) {
		signal(SIGILL, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		float x[37], y[37];
		for (int i = 0; i < 37; i++)
			x[i] = (float)i / 37;
		class->exp(y, x, 37);
		_exit(class->fma_probe(2) > 0 && y[0] == 1 ? 0 : 1);
	}
	int status;
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return 1;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int banyan_probe(const char *isa)
{
	const struct isa_class *class = banyan_class(isa);
	if (class == NULL || !advertised(isa))
		return 0;
	// Before the child is made: it inherits the permission, and so do the threads made later.
	if (strcmp(isa, "amx") == 0 && !tiles_allowed())
		return 0;
	return strcmp(isa, "generic") == 0 || executes(class);
}

double banyan_fma_flops(const char *isa, long rounds)
{
	const struct isa_class *class = banyan_class(isa);
	return class == NULL ? 0 : class->fma_probe(rounds);
}

void banyan_exp(const char *isa, float *y, const float *x, long n)
{
	const struct isa_class *class = banyan_class(isa);
	if (class != NULL)
		class->exp(y, x, n);
}

float banyan_log(float x)
{
	return (float)scalar_log(x);
}
