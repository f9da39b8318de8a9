// The forward pass: online softmax (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al.
// 2022, arXiv 2205.14135). A task is one query head of one sequence. Scores are kept transposed,
// [key][query]: the queries of a block are the lanes, so maximum and sum over the keys need no sums
// across lanes, and the probabilities already lie as the micro-kernel wants them for the product
// with v.

struct forward {
	float *k;     // rows: keys
	float *v;     // columns, over T
	float *q;     // columns of the block's queries, over D
	float *p;     // [TILE keys][SIDE queries] scores, then probabilities
	float *sums;  // [TILE][wide] weighted sums of v
	float *plain; // [TILE][D]
	float *top, *total, *shrink; // [TILE]
	int32_t *first;              // [TILE]
};

static float *forward_carve(const struct attention *a, struct forward *f, float *at)
{
	f->k = at, at += a->padded / TILE * a->d * SIDE;
	f->v = at, at += a->padded * a->wide;
	f->q = at, at += TILE * a->d;
	f->p = at, at += TILE * SIDE;
	f->sums = at, at += TILE * a->wide;
	f->top = at, at += TILE;
	f->total = at, at += TILE;
	f->shrink = at, at += TILE;
	f->first = (int32_t *)at, at += TILE;
	f->plain = at, at += TILE * a->d;
	return at;
}

static size_t forward_floats(const struct attention *a)
{
	struct forward f;
	return (size_t)(forward_carve(a, &f, NULL) - (float *)NULL);
}

// softmax_tile turns scores [nk][SIDE] into probabilities relative to the running maximum, and
// updates maximum and sum. shrink is the factor that corrects what was summed before. masked: some
// query does not see all keys. On the diagonal only the keys that a query's product reads are made.
INLINE void softmax_tile(struct forward *f, long t0, long k0, long nk, const int masked)
{
	const vf none = v_set(-__builtin_inff());
	for (long i = 0; i < TILE; i += VW) {
		long keys = k0 == t0 ? least(nk, i + VW + MR) : nk;
		vi query = v_iota((int32_t)(t0 + i));
		vi first = (vi)v_load((const float *)f->first + i);
		vf before = v_load(f->top + i), top = before;
		for (long j = 0; j < keys; j++) {
			float *at = f->p + j * SIDE + i;
			vf x = v_load(at);
			if (masked) {
				vi key = v_seti((int32_t)(k0 + j));
				x = v_select((key <= query) & (key >= first), x, none);
				v_store(at, x);
			}
			top = v_max(top, x);
		}
		// A query that has seen no key yet has no maximum: any finite one serves.
		vf base = v_select(top == none, v_set(0), top), sum = v_set(0);
		for (long j = 0; j < keys; j++) {
			float *at = f->p + j * SIDE + i;
			vf x = v_weight(v_load(at) - base);
			v_store(at, x);
			sum += x;
		}
		vf shrink = v_weight(before - base);
		v_store(f->shrink + i, shrink);
		v_store(f->total + i, v_fma(v_load(f->total + i), shrink, sum));
		v_store(f->top + i, top);
	}
}

static void softmax_part(struct forward *f, long t0, long k0, long nk)
{
	softmax_tile(f, t0, k0, nk, 1);
}

static void softmax_whole(struct forward *f, long t0, long k0, long nk)
{
	softmax_tile(f, t0, k0, nk, 0);
}

// scale_row takes whole vectors; most maxima stay, and with them the row.
static void scale_row(float *row, long n, float by)
{
	if (by == 1)
		return;
	for (long i = 0; i < n; i += VW)
		v_store(row + i, v_load(row + i) * by);
}

static void forward_block(const struct attention *a, struct forward *f, struct head h, long t0)
{
	long n = least(TILE, a->t - t0), panels = a->wide / NR;
	read_rows(a, f->plain, x_at(a->q, a->half, h.q + t0 * h.qs), h.qs, n);
	scale_rows(f->plain, n * a->d, a->scale);
	column_form_d(a, f->q, f->plain, n);
	for (long i = 0; i < TILE; i++) {
		f->top[i] = -__builtin_inff();
		f->total[i] = 0;
		f->first[i] = i < n ? h.first[t0 + i] : 0;
	}
	memset(f->sums, 0, (size_t)(n * a->wide) * sizeof(float));
	long seen_by_all = most_first(h.first, t0, n);
	for (long k0 = least_first(h.first, t0, n) / TILE * TILE; k0 <= t0; k0 += TILE) {
		long nk = least(TILE, a->t - k0);
		int diagonal = k0 == t0;
		product(f->p, SIDE, nk, TILE / NR, a->d, f->k + k0 / TILE * a->d * SIDE, f->q,
			NR * a->d, 0, diagonal ? COLUMNS_FROM : WHOLE);
		(diagonal || k0 < seen_by_all ? softmax_part : softmax_whole)(f, t0, k0, nk);
		for (long i = 0; i < n; i++)
			scale_row(f->sums + i * a->wide, a->wide, f->shrink[i]);
		product(f->sums, a->wide, n, panels, nk, f->p, f->v + k0 * NR, a->padded * NR, 1,
			diagonal ? K_TO : WHOLE);
	}
	for (long i = 0; i < n; i++) {
		scale_row(f->sums + i * a->wide, a->wide, 1 / f->total[i]);
		a->lse[h.lse + t0 + i] = (float)(scalar_log(f->total[i]) + (double)f->top[i]);
	}
	write_rows(a, x_at(a->y, a->half, h.q + t0 * h.qs), h.qs, f->sums, n);
}

static void forward_task(const void *ctx, long task, float *scratch)
{
	const struct attention *a = ctx;
	struct forward f;
	forward_carve(a, &f, scratch);
	long b = task / a->h, group = a->h / a->kv, i = task % a->h;
	struct head h = head_of(a, b, i / group, i % group);
	for (long t0 = 0; t0 < a->t; t0 += TILE) {
		long n = least(TILE, a->t - t0);
		read_rows(a, f.plain, x_at(a->k, a->half, h.k + t0 * h.ks), h.ks, n);
		row_form(a, f.k + t0 / TILE * a->d * SIDE, f.plain, n);
		read_rows(a, f.plain, x_at(a->v, a->half, h.k + t0 * h.ks), h.ks, n);
		column_form_t(a, f.v, t0, f.plain, n);
	}
	for (long t0 = 0; t0 < a->t; t0 += TILE)
		forward_block(a, &f, h, t0);
}
