// The command that Go and C share: kernel.Op of worker/kernel/ops.go, field for field. A static
// assertion here and a test in Go (layout_test.go) fail if the two drift apart.

#ifndef BANYAN_OPS_H
#define BANYAN_OPS_H

#include <stddef.h>
#include <stdint.h>

enum code {
	OP_FILL = 1,
	OP_COPY,
	OP_ADD,
	OP_SCALE,
	OP_MATMUL,
	OP_EMBED,
	OP_EMBED_GRAD,
	OP_RMS_NORM,
	OP_RMS_NORM_GRAD,
	OP_ROPE,
	OP_ATTENTION,
	OP_ATTENTION_GRAD,
	OP_SWIGLU,
	OP_SWIGLU_GRAD,
	OP_CROSS_ENTROPY,
	OP_SUM_SQUARES,
	OP_ADAMW,
	OP_SUM_ROWS
};

struct op {
	int32_t code;
	int32_t flag;
	uintptr_t p[12];
	int64_t n[8];
	float x[8];
};

_Static_assert(sizeof(uintptr_t) == 8, "only 64-bit hosts are supported");
_Static_assert(sizeof(struct op) == 200, "struct op and kernel.Op differ");
_Static_assert(offsetof(struct op, p) == 8, "struct op and kernel.Op differ");
_Static_assert(offsetof(struct op, n) == 104, "struct op and kernel.Op differ");
_Static_assert(offsetof(struct op, x) == 168, "struct op and kernel.Op differ");

#endif
