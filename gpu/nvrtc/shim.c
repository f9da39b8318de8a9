#include "shim.h"

#include <stdlib.h>

static const struct {
	const char *name;
	int since;
} entries[] = {
#define X(name, result, since, parameters) { #name, since },
	NVRTC_ENTRIES(X)
#undef X
};

const char *nvrtc_entry_name(int i) { return entries[i].name; }
int nvrtc_entry_since(int i) { return entries[i].since; }

const char *nvrtc_text(const struct nvrtc *api, int code) { return api->nvrtcGetErrorString(code); }

int nvrtc_version(const struct nvrtc *api, int *major, int *minor)
{
	return api->nvrtcVersion(major, minor);
}

static char *log_of(const struct nvrtc *api, nvrtcProgram p)
{
	size_t n = 0;
	if (api->nvrtcGetProgramLogSize(p, &n) != NVRTC_SUCCESS || n == 0)
		return NULL;
	char *log = calloc(1, n + 1);
	if (log != NULL && api->nvrtcGetProgramLog(p, log) != NVRTC_SUCCESS) {
		free(log);
		return NULL;
	}
	return log;
}

static int cubin_of(const struct nvrtc *api, nvrtcProgram p, char **cubin, size_t *size)
{
	int code = api->nvrtcGetCUBINSize(p, size);
	if (code != NVRTC_SUCCESS)
		return code;
	if (*size == 0)
		return NVRTC_ERROR_INTERNAL_ERROR;
	*cubin = malloc(*size);
	if (*cubin == NULL)
		return NVRTC_ERROR_INTERNAL_ERROR;
	code = api->nvrtcGetCUBIN(p, *cubin);
	if (code != NVRTC_SUCCESS) {
		free(*cubin);
		*cubin = NULL;
	}
	return code;
}

int nvrtc_compile(const struct nvrtc *api, const char *name, const char *source, int options,
		  const char *const *option, char **cubin, size_t *size, char **log)
{
	nvrtcProgram p;
	*cubin = *log = NULL;
	int code = api->nvrtcCreateProgram(&p, source, name, 0, NULL, NULL);
	if (code != NVRTC_SUCCESS)
		return code;
	code = api->nvrtcCompileProgram(p, options, option);
	*log = log_of(api, p);
	if (code == NVRTC_SUCCESS)
		code = cubin_of(api, p, cubin, size);
	api->nvrtcDestroyProgram(&p);
	return code;
}
