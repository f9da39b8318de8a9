#!/bin/sh
# Checks a host with a GPU, in less than ten minutes: libraries, our kernels against their twins,
# their speed against the driver's own copy, and NCCL. One table, and JSON.
#
#   scripts/gpu-check.sh [JSON] [CUDA_PATH]
#
# JSON is the file for the results (gpu-check.json); CUDA_PATH, folders with NVIDIA's libraries, as
# of banyan doctor. Where there is no Go, bin/gpucheck is used as it is (make gpucheck).
#
# Exit codes: 0 all is well, 1 something is not, 3 there is no GPU here.
set -eu
cd "$(dirname "$0")/.."

json=${1:-gpu-check.json}
if command -v go >/dev/null; then
	go build -trimpath -o bin/gpucheck ./internal/gpucheck
elif [ ! -x bin/gpucheck ]; then
	echo 'gpu-check: neither go nor bin/gpucheck; run make gpucheck where there is Go' >&2
	exit 1
fi
bin/gpucheck -json "$json" ${2:+-cuda-path "$2"}
