// Prints what Banyan believes of NCCL: compiled once with abi.h and once with the real nccl.h
// (-DREAL), it must print the same. With the real one the functions of table.h are checked too:
// a declaration that differs does not compile.
#include <stddef.h>
#include <stdio.h>

#ifdef REAL
#include <nccl.h>
#else
#include "abi.h"
#endif
#include "table.h"

#define SIZE(type) printf("sizeof " #type " = %zu\n", sizeof(type))
#define VALUE(name) printf(#name " = %lld\n", (long long)(name))
#define FIELD(name) \
	printf("ncclConfig_t." #name " at %zu, %zu bytes\n", offsetof(ncclConfig_t, name), \
	       sizeof(((ncclConfig_t *)0)->name))

#ifdef REAL
#if NCCL_VERSION_CODE < NCCL_ALLTOALL
ncclResult_t ncclAlltoAll NCCL_MOVE;
#endif
#define CHECK(since, result, name, arguments) \
	_Static_assert(__builtin_types_compatible_p(__typeof__(&name), result(*) arguments), #name);
NCCL_FUNCTIONS(CHECK)
#endif

int main(void)
{
	SIZE(ncclUniqueId);
	SIZE(ncclComm_t);
	SIZE(ncclResult_t);
	SIZE(ncclRedOp_t);
	SIZE(ncclDataType_t);
	VALUE(ncclSuccess);
	VALUE(ncclUnhandledCudaError);
	VALUE(ncclSystemError);
	VALUE(ncclInternalError);
	VALUE(ncclInvalidArgument);
	VALUE(ncclInvalidUsage);
	VALUE(ncclRemoteError);
	VALUE(ncclInProgress);
	VALUE(ncclSum);
	VALUE(ncclProd);
	VALUE(ncclMax);
	VALUE(ncclMin);
	VALUE(ncclUint8);
	VALUE(ncclFloat32);
	VALUE(ncclFloat64);
	VALUE(ncclBfloat16);
	VALUE(NCCL_CONFIG_UNDEF_INT);
	FIELD(size);
	FIELD(magic);
	FIELD(version);
	FIELD(blocking);
	FIELD(cgaClusterSize);
	FIELD(minCTAs);
	FIELD(maxCTAs);
	FIELD(netName);
	FIELD(splitShare);
#ifdef REAL
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	printf("NCCL_API_MAGIC = %u\n", config.magic);
#else
	printf("NCCL_API_MAGIC = %u\n", NCCL_API_MAGIC);
#endif
	return 0;
}
