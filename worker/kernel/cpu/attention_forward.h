// The forward pass: online softmax (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al.
// 2022, arXiv 2205.14135). Scores are kept transposed, [key][query]: the queries of a block are
// the lanes, so maximum and sum over the keys need no sums across lanes, and the probabilities
// already lie as the micro-kernel wants them for the product with v.

struct forward {
	float *kt;   // [D][padded], keys transposed
	float *qt;   // [D][TILE], the block's queries transposed, zeros beyond T
	float *p;    // [TILE keys][TILE queries] scores, then probabilities
	float *sums; // [TILE][D] weighted sums of v
	float *top, *total, *shrink; // [TILE]
	int32_t *first;              // [TILE]
	float *pad;
};

static size_t forward_floats(const struct attention *a)
{
	return (size_t)(a->d * a->padded + 2 * TILE * a->d + TILE * TILE + 4 * TILE +
			most(a->d, TILE) * NR + MR * NR);
}

// softmax_tile turns scores [nk][TILE] into probabilities relative to the running maximum, and
// updates maximum and sum. shrink is the factor that corrects what was summed before.
static void softmax_tile(const struct attention *a, struct forward *f, long t0, long k0, long nk)
{
	const vf none = v_set(-__builtin_inff()), scale = v_set(a->scale);
	for (long i = 0; i < TILE; i += VW) {
		vi query = v_iota((int32_t)(t0 + i));
		vi first = (vi)v_load((const float *)f->first + i);
		vf before = v_load(f->top + i), top = before;
		for (long j = 0; j < nk; j++) {
			float *at = f->p + j * TILE + i;
			vi key = v_seti((int32_t)(k0 + j));
			vf x = v_select((key <= query) & (key >= first), v_load(at) * scale, none);
			v_store(at, x);
			top = v_max(top, x);
		}
		// A query that has seen no key yet has no maximum: any finite one serves.
		vf base = v_select(top == none, v_set(0), top), sum = v_set(0);
		for (long j = 0; j < nk; j++) {
			float *at = f->p + j * TILE + i;
			vf x = v_exp(v_load(at) - base);
			v_store(at, x);
			sum += x;
		}
		vf shrink = v_exp(before - base);
		v_store(f->shrink + i, shrink);
		v_store(f->total + i, v_fma(v_load(f->total + i), shrink, sum));
		v_store(f->top + i, top);
	}
}

static void scale_row(float *row, long n, vf by)
{
	for (long i = 0; i < n; i += VW)
		v_put(row, i, n, v_get(row, i, n, 0) * by);
}

static void forward_block(const struct attention *a, struct forward *f, struct head h, long t0)
{
	long n = least(TILE, a->t - t0);
	transpose(f->qt, TILE, a->q + h.q + t0 * h.qs, h.qs, n, a->d);
	for (long i = 0; i < TILE; i++) {
		f->top[i] = -__builtin_inff();
		f->total[i] = 0;
		f->first[i] = i < n ? h.first[t0 + i] : 0;
	}
	memset(f->sums, 0, (size_t)(n * a->d) * sizeof(float));
	for (long k0 = least_first(h.first, t0, n) / TILE * TILE; k0 <= t0; k0 += TILE) {
		long nk = least(TILE, a->t - k0);
		product(f->p, TILE, nk, TILE, a->d, f->kt + k0, a->padded, f->qt, TILE, 0, f->pad);
		softmax_tile(a, f, t0, k0, nk);
		for (long i = 0; i < n; i++)
			scale_row(f->sums + i * a->d, a->d, v_set(f->shrink[i]));
		product(f->sums, a->d, n, a->d, nk, f->p, TILE, a->v + h.k + k0 * h.ks, h.ks, 1,
			f->pad);
	}
	for (long i = 0; i < n; i++) {
		float *y = a->y + h.q + (t0 + i) * h.qs;
		memcpy(y, f->sums + i * a->d, (size_t)a->d * sizeof(float));
		scale_row(y, a->d, v_set(1 / f->total[i]));
		a->lse[h.lse + t0 + i] = (float)(scalar_log(f->total[i]) + (double)f->top[i]);
	}
}

static void forward_task(const void *ctx, long task, float *scratch)
{
	const struct attention *a = ctx;
	struct forward f = { .kt = scratch };
	f.p = f.kt + a->d * a->padded;
	f.top = f.p + TILE * TILE;
	f.total = f.top + TILE;
	f.shrink = f.total + TILE;
	f.first = (int32_t *)(f.shrink + TILE);
	f.qt = f.shrink + 2 * TILE;
	f.sums = f.qt + TILE * a->d;
	f.pad = f.sums + TILE * a->d;
	long b = task / a->kv, kv = task % a->kv;
	struct head h = head_of(a, b, kv, 0);
	transpose(f.kt, a->padded, a->k + h.k, h.ks, a->t, a->d);
	for (long i = 0; i < a->h / a->kv; i++)
		for (long t0 = 0; t0 < a->t; t0 += TILE)
			forward_block(a, &f, head_of(a, b, kv, i), t0);
}
