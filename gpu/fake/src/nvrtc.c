// An NVRTC for tests: it compiles kernels of ours for this host (emu.h), with the C compiler that
// built it. What it makes only the fake libcuda loads.

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nvrtc_types.h"
#include "nvrtc_entries.h"

#define EXPORT __attribute__((visibility("default")))
#define X(name, result, since, parameters) EXPORT result name parameters;
NVRTC_ENTRIES(X)
#undef X

struct _nvrtcProgram {
	char *source, *image, *log;
	size_t image_size;
};

// An odd version: what this makes must never be taken for a real NVRTC's.
nvrtcResult nvrtcVersion(int *major, int *minor)
{
	*major = 12;
	*minor = 99;
	return 0;
}

const char *nvrtcGetErrorString(nvrtcResult result)
{
	switch (result) {
	case NVRTC_SUCCESS:
		return "NVRTC_SUCCESS";
	case NVRTC_ERROR_INVALID_OPTION:
		return "NVRTC_ERROR_INVALID_OPTION";
	case NVRTC_ERROR_COMPILATION:
		return "NVRTC_ERROR_COMPILATION";
	}
	return "NVRTC_ERROR unknown";
}

nvrtcResult nvrtcCreateProgram(nvrtcProgram *program, const char *source, const char *name,
			       int headers, const char *const *header, const char *const *include)
{
	(void)name;
	(void)header;
	(void)include;
	if (headers != 0)
		return NVRTC_ERROR_INVALID_INPUT; // ours need none
	nvrtcProgram p = calloc(1, sizeof *p);
	p->source = strdup(source);
	p->log = strdup("");
	*program = p;
	return 0;
}

nvrtcResult nvrtcDestroyProgram(nvrtcProgram *program)
{
	nvrtcProgram p = *program;
	free(p->source);
	free(p->image);
	free(p->log);
	free(p);
	*program = NULL;
	return 0;
}

static char *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		return NULL;
	fseek(f, 0, SEEK_END);
	*n = (size_t)ftell(f);
	rewind(f);
	char *b = calloc(1, *n + 1);
	if (b != NULL && fread(b, 1, *n, f) != *n) {
		free(b);
		b = NULL;
	}
	fclose(f);
	return b;
}

// compile runs the compiler in a folder of its own.
static int compile(nvrtcProgram p, const char *folder)
{
	char path[4096], command[8192 + 1024];
	snprintf(path, sizeof path, "%s/kernels.c", folder);
	FILE *f = fopen(path, "w");
	if (f == NULL)
		return NVRTC_ERROR_PROGRAM_CREATION_FAILURE;
	fputs(p->source, f);
	fclose(f);
	snprintf(command, sizeof command,
		 "cd '%s' && %s -std=c11 -O2 -ffp-contract=off -U_FORTIFY_SOURCE -Wall -Werror "
		 "-Wno-unused-function -shared -fPIC -fvisibility=hidden -DBANYAN_EMULATED "
		 "-include '%s/emu.h' -o kernels.so kernels.c -lm 2>log",
		 folder, FAKE_CC, folder);
	int status = system(command);
	size_t n;
	snprintf(path, sizeof path, "%s/log", folder);
	char *log = read_file(path, &n);
	if (log != NULL) {
		free(p->log);
		p->log = log;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return NVRTC_ERROR_COMPILATION;
	snprintf(path, sizeof path, "%s/kernels.so", folder);
	p->image = read_file(path, &p->image_size);
	return p->image == NULL ? NVRTC_ERROR_INTERNAL_ERROR : 0;
}

static const char emu_header[] = {
#include "emu_text.h"
};

nvrtcResult nvrtcCompileProgram(nvrtcProgram p, int options, const char *const *option)
{
	int arch = 0;
	for (int i = 0; i < options; i++) {
		if (strncmp(option[i], "--", 2) != 0)
			return NVRTC_ERROR_INVALID_OPTION;
		arch |= strncmp(option[i], "--gpu-architecture=sm_", 22) == 0;
	}
	if (!arch)
		return NVRTC_ERROR_INVALID_OPTION;
	char folder[] = FAKE_TMP "/banyan-fake-XXXXXX", path[sizeof folder + 16];
	if (mkdtemp(folder) == NULL)
		return NVRTC_ERROR_PROGRAM_CREATION_FAILURE;
	snprintf(path, sizeof path, "%s/emu.h", folder);
	FILE *f = fopen(path, "w");
	int code = NVRTC_ERROR_PROGRAM_CREATION_FAILURE;
	if (f != NULL) {
		fwrite(emu_header, 1, sizeof emu_header, f);
		fclose(f);
		code = compile(p, folder);
	}
	static const char *const made[] = { "emu.h", "kernels.c", "kernels.so", "log" };
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, made[i]);
		unlink(path);
	}
	rmdir(folder);
	return code;
}

nvrtcResult nvrtcGetCUBINSize(nvrtcProgram p, size_t *n)
{
	*n = p->image_size;
	return 0;
}

nvrtcResult nvrtcGetCUBIN(nvrtcProgram p, char *to)
{
	memcpy(to, p->image, p->image_size);
	return 0;
}

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram p, size_t *n)
{
	*n = strlen(p->log) + 1;
	return 0;
}

nvrtcResult nvrtcGetProgramLog(nvrtcProgram p, char *to)
{
	strcpy(to, p->log);
	return 0;
}
