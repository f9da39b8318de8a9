// What Go and C share: the table of NVRTC's functions.

#ifndef BANYAN_NVRTC_SHIM_H
#define BANYAN_NVRTC_SHIM_H

#include "nvrtc_types.h"
#include "nvrtc_entries.h"

struct nvrtc {
#define X(name, result, since, parameters) result(*name) parameters;
	NVRTC_ENTRIES(X)
#undef X
};

enum { NVRTC_ENTRY_COUNT = sizeof(struct nvrtc) / sizeof(void *) };

const char *nvrtc_entry_name(int i);
int nvrtc_entry_since(int i);

const char *nvrtc_text(const struct nvrtc *api, int code);
int nvrtc_version(const struct nvrtc *api, int *major, int *minor);

// nvrtc_compile makes a cubin. *cubin (on success) and *log (which may be NULL) are the caller's to
// free.
int nvrtc_compile(const struct nvrtc *api, const char *name, const char *source, int options,
		  const char *const *option, char **cubin, size_t *size, char **log);

#endif
