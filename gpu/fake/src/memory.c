// Memory: what is allocated, on which side.

#include "fake.h"

#include <stdlib.h>
#include <string.h>

struct piece {
	char *at;
	size_t size;
	int side;
	CUcontext context;
	struct piece *next;
};

static struct piece *pieces;

static struct piece *new_piece(size_t bytes, int side)
{
	struct piece *p = malloc(sizeof *p);
	size_t whole = (bytes + 511) / 512 * 512;
	char *at = aligned_alloc(512, whole);
	if (p == NULL || at == NULL) {
		free(p);
		free(at);
		return NULL;
	}
	memset(at, 0xa5, whole); // what was there before is anything
	*p = (struct piece){ at, bytes, side, fake_current, pieces };
	pieces = p;
	return p;
}

// take_piece takes the piece that begins at `at` off the list.
static struct piece *take_piece(const void *at, int side)
{
	for (struct piece **p = &pieces; *p != NULL; p = &(*p)->next)
		if ((*p)->at == at && (*p)->side == side) {
			struct piece *found = *p;
			*p = found->next;
			return found;
		}
	return NULL;
}

int fake_inside(const void *at, size_t n, int side)
{
	const char *c = at;
	for (struct piece *p = pieces; p != NULL; p = p->next)
		if (p->side == side && c >= p->at && c < p->at + p->size)
			return n <= (size_t)(p->at + p->size - c);
	return 0;
}

CUresult cuMemGetInfo_v2(size_t *available, size_t *total)
{
	ENTER(cuMemGetInfo_v2);
	*available = fake.memory - fake_current->used;
	*total = fake.memory;
	return fake_leave(0);
}

CUresult cuMemAlloc_v2(CUdeviceptr *at, size_t bytes)
{
	ENTER(cuMemAlloc_v2);
	if (bytes == 0)
		return fake_leave(CUDA_ERROR_INVALID_VALUE);
	if (bytes > fake.memory - fake_current->used)
		return fake_leave(CUDA_ERROR_OUT_OF_MEMORY);
	struct piece *p = new_piece(bytes, ON_DEVICE);
	if (p == NULL)
		return fake_leave(CUDA_ERROR_OUT_OF_MEMORY);
	fake_current->used += bytes;
	*at = (CUdeviceptr)(uintptr_t)p->at;
	return fake_leave(0);
}

static int release(const void *at, int side)
{
	struct piece *p = take_piece(at, side);
	if (p == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	if (side == ON_DEVICE)
		p->context->used -= p->size;
	memset(p->at, 0x5a, p->size);
	free(p->at);
	free(p);
	return 0;
}

CUresult cuMemFree_v2(CUdeviceptr at)
{
	ENTER(cuMemFree_v2);
	return fake_leave(release((void *)(uintptr_t)at, ON_DEVICE));
}

CUresult cuMemHostAlloc(void **at, size_t bytes, unsigned flags)
{
	ENTER(cuMemHostAlloc);
	(void)flags;
	struct piece *p = bytes == 0 ? NULL : new_piece(bytes, ON_HOST);
	if (p == NULL)
		return fake_leave(CUDA_ERROR_OUT_OF_MEMORY);
	*at = p->at;
	return fake_leave(0);
}

CUresult cuMemFreeHost(void *at)
{
	ENTER(cuMemFreeHost);
	return fake_leave(release(at, ON_HOST));
}
