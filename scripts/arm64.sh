#!/bin/sh
# The kernel tests on arm64 (classes neon and generic), under emulation. Needs a cross compiler and
# qemu's user mode: Debian's gcc-aarch64-linux-gnu and qemu-user.
#
#   scripts/arm64.sh [test flags]
set -eu
cd "$(dirname "$0")/.."

for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
	command -v "$tool" >/dev/null || {
		echo "arm64.sh: no $tool: install gcc-aarch64-linux-gnu and qemu-user" >&2
		exit 2
	}
done
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for part in worker/kernel/cpu:. worker/model:Golden; do # folder:which tests
	package=${part%:*}
	test=$out/$(basename "$package").test
	GOARCH=arm64 CGO_ENABLED=1 CC=aarch64-linux-gnu-gcc ${GO:-go} test -c -o "$test" "./$package"
	echo "== $package on arm64"
	(cd "$package" && qemu-aarch64 -L /usr/aarch64-linux-gnu "$test" -test.timeout 15m \
		-test.run "${part#*:}" "$@")
done
