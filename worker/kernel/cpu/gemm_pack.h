// Packing: the operands of a matrix product as panels of floats, for the micro-kernel.
//
//   a panel: [kc][width], `used` rows of c (for a) or columns (for b), then what is never used
//   all panels of a side: block of K after block, in a block panel after panel

#define AW ((MR + VW - 1) / VW * VW) // floats per k in a panel of a
#define GROUP 8                      // panels that are copied side by side

// side is one operand. "Rows" are those of c for a, and its columns for b.
struct side {
	const void *from; // floats or halves
	int half;
	long ld;          // floats between stored rows
	int along;        // a stored row lies along K
	long rows;        // M or N
	long used, width; // of a panel: rows, floats per k
	float *packed;    // all panels of rows [first, first+count), block after block
	long first, count;
};

// pack_across copies [k][count] to panels, all of them side by side, so that a stored row is read
// in one run. Rows that follow in storage fill the rest of a panel; they are never used.
INLINE void pack_across(const struct side *s, const int half, const long used, const long width,
			float *to, long from, long count, long p, long k)
{
	const void *row = x_at(s->from, half, p * s->ld + from);
	long rows = s->rows - from;
	for (long q = 0; q < k; q++, row = x_at(row, half, s->ld), to += width) {
		float *at = to;
		long i = 0;
		for (; i < count && i + width <= rows; i += used, at += width * k) {
			__builtin_prefetch(x_at(row, half, 8 * s->ld + i));
#pragma GCC unroll 4
			for (long w = 0; w < width; w += VW)
				v_store(at + w, x_load(row, half, i + w));
		}
		for (; i < count; i += used, at += width * k)
			for (long w = 0; w < width; w += VW)
				v_store(at + w, x_get(row, half, i + w, rows, 0));
	}
}

// pack copies rows [from, from+count) of block [p, p+k) to panels.
static void pack(const struct side *s, float *to, long from, long count, long p, long k)
{
	int a = s->used == MR && s->width == AW;
	if (s->along) {
		for (long i = 0; i < count; i += s->used, to += s->width * k)
			(s->half ? transpose_halves : transpose)(
				to, s->width, x_at(s->from, s->half, (from + i) * s->ld + p), s->ld,
				least(s->used, count - i), k);
	} else if (s->half) {
		if (a)
			pack_across(s, 1, MR, AW, to, from, count, p, k);
		else
			pack_across(s, 1, NR, NR, to, from, count, p, k);
	} else {
		if (a)
			pack_across(s, 0, MR, AW, to, from, count, p, k);
		else
			pack_across(s, 0, NR, NR, to, from, count, p, k);
	}
}

INLINE long panels_of(const struct side *s) { return parts(s->count, s->used); }

// packed is where panel `i` of block [p, p+k) lies.
INLINE float *packed(const struct side *s, long i, long p, long k)
{
	return s->packed + (p * panels_of(s) + i * k) * s->width;
}

