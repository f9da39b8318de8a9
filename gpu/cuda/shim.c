#include "shim.h"

static const struct {
	const char *name;
	int since, optional;
} entries[] = {
#define X(name, since, optional, parameters) { #name, since, optional },
	CUDA_ENTRIES(X)
#undef X
};

const char *cuda_entry_name(int i) { return entries[i].name; }
int cuda_entry_since(int i) { return entries[i].since; }
int cuda_entry_optional(int i) { return entries[i].optional; }

static int issue(const struct cuda *api, CUstream stream, const struct command *c)
{
	switch (c->code) {
	case CMD_UPLOAD:
		return api->cuMemcpyHtoDAsync_v2(c->a, c->p, c->n, stream);
	case CMD_DOWNLOAD:
		return api->cuMemcpyDtoHAsync_v2(c->p, c->a, c->n, stream);
	case CMD_COPY:
		return api->cuMemcpyDtoDAsync_v2(c->a, c->b, c->n, stream);
	case CMD_FILL8:
		return api->cuMemsetD8Async(c->a, (unsigned char)c->value, c->n, stream);
	case CMD_FILL16:
		return api->cuMemsetD16Async(c->a, (unsigned short)c->value, c->n, stream);
	case CMD_FILL32:
		return api->cuMemsetD32Async(c->a, c->value, c->n, stream);
	case CMD_LAUNCH: {
		void *parameters[1] = { c->arg };
		return api->cuLaunchKernel((CUfunction)c->p, c->grid[0], c->grid[1], c->grid[2],
					   c->block[0], c->block[1], c->block[2], c->shared, stream,
					   parameters, NULL);
	}
	case CMD_RECORD:
		return api->cuEventRecord((CUevent)c->p, stream);
	case CMD_WAIT:
		return api->cuStreamWaitEvent(stream, (CUevent)c->p, 0);
	case CMD_HOST:
		return api->cuLaunchHostFunc(stream, (CUhostFn)c->p, c->arg);
	}
	return CUDA_ERROR_INVALID_VALUE;
}

struct result cuda_run(const struct cuda *api, const CUstream *streams, const struct command *list,
		       int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		const struct command *c = &list[i];
		int call = c->code == CMD_CALL;
		int code = call ? ((cuda_call)c->p)(c->arg) : issue(api, streams[c->stream], c);
		if (code != 0)
			return (struct result){ i, code, call };
	}
	return (struct result){ -1, 0, 0 };
}

int cuda_query(const struct cuda *api, const CUevent *events, char *ready, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		int code = api->cuEventQuery(events[i]);
		if (code != CUDA_SUCCESS && code != CUDA_ERROR_NOT_READY)
			return code;
		ready[i] = code == CUDA_SUCCESS;
	}
	return CUDA_SUCCESS;
}
