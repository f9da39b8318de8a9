// Packing: the operands of a matrix product as panels of floats, for the micro-kernel.
//
//   a panel: [kc+1][width], of `width` rows of c (for a) or columns (for b)
//   all panels of a side: block of K after block, in a block panel after panel
//
// Panels are written in whole vectors and ascending k: what is beyond the width is overwritten by
// the next row, and that of the last one lies in the row that nobody reads.

#define GROUP 8 // panels that are copied side by side

// side is one operand. "Rows" are those of c for a, and its columns for b.
struct side {
	const void *from; // floats or halves
	int half;
	long ld;          // floats between stored rows
	int along;        // a stored row lies along K
	long rows;        // M or N
	long width;       // of a panel
	long high;        // of a panel: kc + 1
	float *packed;    // all panels of rows [first, first+count), block after block
	long first, count;
};

// pack_across copies [k][count] to panels, all of them side by side, so that a stored row is read
// in one run. Rows that follow in storage fill the rest of a panel; they are never used.
INLINE void pack_across(const struct side *s, const int half, const long width, float *to,
			long from, long count, long p, long k)
{
	const void *row = x_at(s->from, half, p * s->ld + from);
	long rows = s->rows - from, whole = parts(width, VW) * VW;
	for (long q = 0; q < k; q++, row = x_at(row, half, s->ld), to += width) {
		float *at = to;
		long i = 0;
		for (; i < count && i + whole <= rows; i += width, at += width * s->high) {
			__builtin_prefetch(x_at(row, half, 8 * s->ld + i));
#pragma GCC unroll 4
			for (long w = 0; w < width; w += VW)
				v_store(at + w, x_load(row, half, i + w));
		}
		for (; i < count; i += width, at += width * s->high)
			for (long w = 0; w < width; w += VW)
				v_store(at + w, x_get(row, half, i + w, rows, 0));
	}
}

// pack copies rows [from, from+count) of block [p, p+k) to panels.
static void pack(const struct side *s, float *to, long from, long count, long p, long k)
{
	if (s->along) {
		for (long i = 0; i < count; i += s->width, to += s->width * s->high)
			(s->half ? transpose_halves : transpose)(
				to, s->width, x_at(s->from, s->half, (from + i) * s->ld + p), s->ld,
				least(s->width, count - i), k);
	} else if (s->half) {
		if (s->width == MR)
			pack_across(s, 1, MR, to, from, count, p, k);
		else
			pack_across(s, 1, NR, to, from, count, p, k);
	} else {
		if (s->width == MR)
			pack_across(s, 0, MR, to, from, count, p, k);
		else
			pack_across(s, 0, NR, to, from, count, p, k);
	}
}

INLINE long panels_of(const struct side *s) { return parts(s->count, s->width); }

// packed is where panel i of a block of K lies.
INLINE float *packed(const struct side *s, long i, long block)
{
	return s->packed + (block * panels_of(s) + i) * s->high * s->width;
}

// packed_floats is the size of all panels of that many blocks.
INLINE long packed_floats(const struct side *s, long blocks)
{
	return blocks * panels_of(s) * s->high * s->width;
}

