// The operations: each becomes a list of messages, and a sum where it is one.
#include <stdlib.h>
#include <string.h>

#include "fake.h"

size_t size_of(ncclDataType_t type)
{
	switch (type) {
	case ncclUint8: return 1;
	case ncclBfloat16: return 2;
	case ncclFloat32: return 4;
	case ncclFloat64: return 8;
	}
	return 0;
}

// maybe_part makes a part with room for steps, or says why not.
static part *maybe_part(ncclComm_t c, ncclDataType_t type, int steps, ncclResult_t *why)
{
	*why = ready(c);
	if (*why != ncclSuccess)
		return NULL;
	if (!size_of(type)) {
		*why = fail(c, ncclInvalidArgument, "data type %d is not built", type);
		return NULL;
	}
	part *p = calloc(1, sizeof *p);
	if (p)
		p->list = calloc((size_t)steps, sizeof *p->list);
	if (!p || !p->list) {
		free(p);
		*why = fail(c, ncclSystemError, "out of memory");
		return NULL;
	}
	return p;
}

static void add(part *p, int peer, int sends, const void *base, uint64_t at, uint64_t bytes)
{
	p->list[p->steps++] = (step){peer, sends, (char *)base + at, bytes};
}

API ncclResult_t ncclAllGather(const void *send, void *recv, size_t count, ncclDataType_t type,
			       ncclComm_t c, cudaStream_t stream)
{
	ncclResult_t why;
	part *p = maybe_part(c, type, 2 * MAX_RANKS, &why);
	if (!p)
		return why;
	uint64_t bytes = count * size_of(type);
	for (int r = 0; r < c->ranks; r++) {
		add(p, r, 1, send, 0, bytes);
		add(p, r, 0, recv, (uint64_t)r * bytes, bytes);
	}
	return group_part(c, stream, p);
}

API ncclResult_t ncclAlltoAll(const void *send, void *recv, size_t count, ncclDataType_t type,
			      ncclComm_t c, cudaStream_t stream)
{
	ncclResult_t why;
	part *p = maybe_part(c, type, 2 * MAX_RANKS, &why);
	if (!p)
		return why;
	uint64_t bytes = count * size_of(type);
	for (int r = 0; r < c->ranks; r++) {
		add(p, r, 1, send, (uint64_t)r * bytes, bytes);
		add(p, r, 0, recv, (uint64_t)r * bytes, bytes);
	}
	return group_part(c, stream, p);
}

API ncclResult_t ncclBroadcast(const void *send, void *recv, size_t count, ncclDataType_t type,
			       int root, ncclComm_t c, cudaStream_t stream)
{
	ncclResult_t why;
	part *p = maybe_part(c, type, MAX_RANKS + 1, &why);
	if (!p)
		return why;
	uint64_t bytes = count * size_of(type);
	for (int r = 0; c->rank == root && r < c->ranks; r++)
		add(p, r, 1, send, 0, bytes);
	add(p, root, 0, recv, 0, bytes);
	return group_part(c, stream, p);
}

// sums makes the scratch of a part that adds.
static ncclResult_t sums(ncclComm_t c, part *p, void *out, size_t count, ncclDataType_t type,
			 ncclRedOp_t reduction)
{
	if (!can_reduce(type, reduction))
		return fail(c, ncclInvalidArgument, "reduction %d of type %d is not built",
			    reduction, type);
	p->scratch = malloc((size_t)c->ranks * count * size_of(type) + 1);
	if (!p->scratch)
		return fail(c, ncclSystemError, "out of memory");
	p->out = out;
	p->count = count;
	p->type = type;
	p->reduction = reduction;
	return ncclSuccess;
}

static ncclResult_t reduction(const void *send, void *recv, size_t count, ncclDataType_t type,
			      ncclRedOp_t op, ncclComm_t c, cudaStream_t stream, int scatter)
{
	ncclResult_t why;
	part *p = maybe_part(c, type, 2 * MAX_RANKS, &why);
	if (!p)
		return why;
	why = sums(c, p, recv, count, type, op);
	if (why != ncclSuccess) {
		free(p->list);
		free(p);
		return why;
	}
	uint64_t bytes = count * size_of(type);
	p->blocks = scatter ? 1 : c->ranks;
	p->owner = scatter ? c->rank : 0;
	for (int r = 0; r < c->ranks; r++) {
		add(p, r, 1, send, scatter ? (uint64_t)r * bytes : 0, bytes);
		add(p, r, 0, p->scratch, (uint64_t)r * bytes, bytes);
	}
	return group_part(c, stream, p);
}

API ncclResult_t ncclAllReduce(const void *send, void *recv, size_t count, ncclDataType_t type,
			       ncclRedOp_t op, ncclComm_t c, cudaStream_t stream)
{
	return reduction(send, recv, count, type, op, c, stream, 0);
}

API ncclResult_t ncclReduceScatter(const void *send, void *recv, size_t count, ncclDataType_t type,
				   ncclRedOp_t op, ncclComm_t c, cudaStream_t stream)
{
	return reduction(send, recv, count, type, op, c, stream, 1);
}

static ncclResult_t pairwise(const void *at, size_t count, ncclDataType_t type, int peer,
			     ncclComm_t c, cudaStream_t stream, int sends)
{
	ncclResult_t why;
	part *p = maybe_part(c, type, 1, &why);
	if (!p)
		return why;
	p->pairwise = 1;
	add(p, peer, sends, at, 0, count * size_of(type));
	if (peer < 0 || peer >= c->ranks) {
		free(p->list);
		free(p);
		return fail(c, ncclInvalidArgument, "peer %d of %d", peer, c->ranks);
	}
	return group_part(c, stream, p);
}

API ncclResult_t ncclSend(const void *at, size_t count, ncclDataType_t type, int peer, ncclComm_t c,
			  cudaStream_t stream)
{
	return pairwise(at, count, type, peer, c, stream, 1);
}

API ncclResult_t ncclRecv(void *at, size_t count, ncclDataType_t type, int peer, ncclComm_t c,
			  cudaStream_t stream)
{
	return pairwise(at, count, type, peer, c, stream, 0);
}
