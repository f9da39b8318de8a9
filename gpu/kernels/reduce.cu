// Sums in a fixed order: of partial sums that came from other ranks, and of squares.

// The sum of several vectors, in the order that a program of pushes and adds says: bit 0 first, a
// 0 pushes the next part, a 1 adds the two on top, the lower one to the left. So every part is read
// once, whatever the tree, and nothing in between is written.
//
// The stack lies in shared memory, a column a thread: registers cannot be indexed.
#define MAX_PARTS 32
#define MAX_DEPTH 8
#define SUM_THREADS 256

struct sum_args {
	u64 y;
	u64 part[MAX_PARTS];
	u64 program;
	i64 n;
	u64 steps;
};

KERNEL(sum_parts_f32, SUM_THREADS, struct sum_args)
{
	__shared__ float4 stack[MAX_DEPTH][SUM_THREADS];
	u32 t = threadIdx.x;
	u64 addresses = a.y;
	for (u32 k = 0; 2 * k < a.steps; k++)
		addresses |= a.part[k];
	i64 quads = aligned(addresses) ? a.n / 4 : 0;
	for (i64 i = FIRST; i < quads; i += STRIDE) {
		u32 depth = 0, next = 0;
		for (u32 s = 0; s < a.steps; s++) {
			if (a.program >> s & 1) {
				depth--;
				stack[depth - 1][t] = add4(stack[depth - 1][t], stack[depth][t]);
			} else {
				stack[depth++][t] = ((const float4 *)a.part[next++])[i];
			}
		}
		((float4 *)a.y)[i] = stack[0][t];
	}
	for (i64 i = 4 * quads + FIRST; i < a.n; i += STRIDE) {
		u32 depth = 0, next = 0;
		for (u32 s = 0; s < a.steps; s++) {
			if (a.program >> s & 1) {
				depth--;
				stack[depth - 1][t].x =
					add(stack[depth - 1][t].x, stack[depth][t].x);
			} else {
				stack[depth++][t].x = ((const float *)a.part[next++])[i];
			}
		}
		((float *)a.y)[i] = stack[0][t].x;
	}
}

// Sums of squares of chunks, in the order of the CPU's kernels of 16 lanes (classes avx512 and amx
// of worker/kernel/cpu): rows of 512 elements; in a row lane l takes elements l, l + 16, .. by
// fused multiply-adds; then the lanes are added in double precision by halves, and the rows in
// order.
//
// A block is a chunk: 32 rows at a time, 16 threads each.
#define LANES 16
#define ROW 512
#define ROWS 32

struct squares_args {
	u64 sums, x;
	i64 n, chunk;
};

KERNEL(sum_squares_f32, LANES *ROWS, struct squares_args)
{
	__shared__ double row[ROWS];
	u32 t = threadIdx.x, lane = t % LANES, r = t / LANES;
	i64 start = (i64)blockIdx.x * a.chunk;
	i64 n = a.n - start < a.chunk ? a.n - start : a.chunk;
	const float *x = (const float *)a.x + start;
	double total = 0;
	for (i64 from = 0; from < n; from += ROW * ROWS) {
		float sum = 0;
		i64 at = from + r * ROW + lane, end = at - lane + ROW < n ? at - lane + ROW : n;
		for (; at < end; at += LANES)
			sum = __fmaf_rn(x[at], x[at], sum);
		double d = sum;
		for (u32 w = LANES / 2; w > 0; w /= 2)
			d += __shfl_down_sync(0xffffffff, d, w, LANES);
		if (lane == 0)
			row[r] = d;
		__syncthreads();
		if (t == 0)
			for (u32 k = 0; k < ROWS; k++) // those beyond the end are zero
				total += row[k];
		__syncthreads();
	}
	if (t == 0)
		((float *)a.sums)[blockIdx.x] = (float)total;
}
