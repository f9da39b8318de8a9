#!/bin/sh
# Holds what collective/nccl declares of NCCL against the real thing, which PyTorch brings as a
# wheel: the header (sizes, offsets, values, and the type of every function), and the library
# (version, unique id, error strings). Needs no GPU.
#
#   scripts/nccl_headers.sh PYTHON
set -eu

site=$("$1" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

source=collective/nccl/testdata/headers.c
set -- -std=gnu11 -Wall -Werror -Wno-deprecated-declarations -Icollective/nccl
${CC:-cc} "$@" "$source" -o "$tmp/ours"
# Of CUDA's headers nccl.h needs one type; the wheels lack what those include themselves.
mkdir "$tmp/cuda"
echo 'typedef struct CUstream_st *cudaStream_t;' >"$tmp/cuda/cuda_runtime.h"
: >"$tmp/cuda/cuda_fp16.h"
# The functions are not called, so nothing needs to be linked.
${CC:-cc} "$@" -DREAL -isystem "$site/nvidia/nccl/include" -isystem "$tmp/cuda" "$source" \
	-o "$tmp/real"
"$tmp/ours" >"$tmp/ours.txt"
"$tmp/real" >"$tmp/real.txt"
diff "$tmp/ours.txt" "$tmp/real.txt" || {
	echo "collective/nccl/abi.h (<) differs from the real nccl.h (>)" >&2
	exit 1
}
echo "nccl.h: $(wc -l <"$tmp/ours.txt") values and the types of all functions agree"

BANYAN_NCCL=$site/nvidia/nccl/lib go test -count=1 -v -run TestRealLibrary ./collective/nccl
