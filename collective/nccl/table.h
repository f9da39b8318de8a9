// The functions of NCCL that Banyan calls: X(since, result, name, arguments). One with a version
// after NCCL_OLDEST may be missing. The types come from abi.h, or from the real nccl.h in
// headers.c, where each line is checked against the real declaration.
#ifndef BANYAN_NCCL_TABLE_H
#define BANYAN_NCCL_TABLE_H

#define NCCL_OLDEST 21800 // 2.18.0
#define NCCL_ALLTOALL 22800

#define NCCL_MOVE (const void *, void *, size_t, ncclDataType_t, ncclComm_t, cudaStream_t)
#define NCCL_REDUCE \
	(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t, cudaStream_t)

#define NCCL_FUNCTIONS(X) \
	X(NCCL_OLDEST, ncclResult_t, ncclGetVersion, (int *)) \
	X(NCCL_OLDEST, ncclResult_t, ncclGetUniqueId, (ncclUniqueId *)) \
	X(NCCL_OLDEST, const char *, ncclGetErrorString, (ncclResult_t)) \
	X(NCCL_OLDEST, const char *, ncclGetLastError, (ncclComm_t)) \
	X(NCCL_OLDEST, ncclResult_t, ncclCommInitRankConfig, \
	  (ncclComm_t *, int, ncclUniqueId, int, ncclConfig_t *)) \
	X(NCCL_OLDEST, ncclResult_t, ncclCommGetAsyncError, (ncclComm_t, ncclResult_t *)) \
	X(NCCL_OLDEST, ncclResult_t, ncclCommFinalize, (ncclComm_t)) \
	X(NCCL_OLDEST, ncclResult_t, ncclCommDestroy, (ncclComm_t)) \
	X(NCCL_OLDEST, ncclResult_t, ncclCommAbort, (ncclComm_t)) \
	X(NCCL_OLDEST, ncclResult_t, ncclGroupStart, (void)) \
	X(NCCL_OLDEST, ncclResult_t, ncclGroupEnd, (void)) \
	X(NCCL_OLDEST, ncclResult_t, ncclAllGather, NCCL_MOVE) \
	X(NCCL_OLDEST, ncclResult_t, ncclAllReduce, NCCL_REDUCE) \
	X(NCCL_OLDEST, ncclResult_t, ncclReduceScatter, NCCL_REDUCE) \
	X(NCCL_OLDEST, ncclResult_t, ncclBroadcast, \
	  (const void *, void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t)) \
	X(NCCL_OLDEST, ncclResult_t, ncclSend, \
	  (const void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t)) \
	X(NCCL_OLDEST, ncclResult_t, ncclRecv, \
	  (void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t)) \
	X(NCCL_ALLTOALL, ncclResult_t, ncclAlltoAll, NCCL_MOVE)

#endif
