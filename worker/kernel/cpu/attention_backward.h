// The gradient, by recomputation (Dao et al. 2022, arXiv 2205.14135). With P = exp(scores - lse),
// delta = sum over D of dy * y:
//
//   dv += P^T dy     dP = dy v^T     dS = P * (dP - delta) * scale     dk += dS^T q     dq += dS k
//
// Scores are [query][key]. For dk and dv the order of the sum is: query heads of the group, then
// blocks of queries, ascending; for dq: blocks of keys, ascending.

struct backward {
	float *kt, *vt;   // [D][padded] of the kv head, zeros beyond T
	float *qt, *dyt;  // [D][padded] of the query head
	float *p, *ds;    // [TILE queries][TILE keys]
	float *dst;       // [TILE keys][TILE queries]
	float *delta;     // [padded]
	float *pad;
};

static size_t backward_floats(const struct attention *a)
{
	return (size_t)(4 * a->d * a->padded + 3 * TILE * TILE + a->padded +
			most(a->d, TILE) * NR + MR * NR);
}

// gradient_tile turns scores into P and dP into dS, [n][TILE] each.
static void gradient_tile(const struct attention *a, struct backward *w, struct head h, long t0,
			  long n, long k0)
{
	const vf zero = v_set(0), scale = v_set(a->scale);
	for (long i = 0; i < n; i++) {
		const vf lse = v_set(a->lse[h.lse + t0 + i]), delta = v_set(w->delta[t0 + i]);
		const vi query = v_seti((int32_t)(t0 + i)), first = v_seti(h.first[t0 + i]);
		for (long j = 0; j < TILE; j += VW) {
			float *p = w->p + i * TILE + j, *ds = w->ds + i * TILE + j;
			vi key = v_iota((int32_t)(k0 + j));
			vi seen = (key <= query) & (key >= first);
			vf x = v_exp(v_load(p) * scale - lse);
			v_store(p, v_select(seen, x, zero));
			v_store(ds, v_select(seen, x * (v_load(ds) - delta) * scale, zero));
		}
	}
}

static void backward_pair(const struct attention *a, struct backward *w, struct head h, long t0,
			  long k0)
{
	long n = least(TILE, a->t - t0), nk = least(TILE, a->t - k0), d = a->d;
	if (least_first(h.first, t0, n) >= k0 + nk)
		return;
	product(w->p, TILE, n, TILE, d, w->qt + t0, a->padded, w->kt + k0, a->padded, 0, w->pad);
	product(w->ds, TILE, n, TILE, d, w->dyt + t0, a->padded, w->vt + k0, a->padded, 0, w->pad);
	gradient_tile(a, w, h, t0, n, k0);
	product(a->dv + h.k + k0 * h.ks, h.ks, nk, d, n, w->p, TILE, a->dy + h.q + t0 * h.qs, h.qs,
		1, w->pad);
	product(a->dk + h.k + k0 * h.ks, h.ks, nk, d, n, w->ds, TILE, a->q + h.q + t0 * h.qs, h.qs,
		1, w->pad);
	transpose(w->dst, TILE, w->ds, TILE, n, TILE);
	product(a->dq + h.q + t0 * h.qs, h.qs, n, d, nk, w->dst, TILE, a->k + h.k + k0 * h.ks, h.ks,
		1, w->pad);
}

static void zero_rows(float *p, long rows, long n, long stride)
{
	for (long i = 0; i < rows; i++)
		memset(p + i * stride, 0, (size_t)n * sizeof(float));
}

static void backward_head(const struct attention *a, struct backward *w, struct head h)
{
	zero_rows(a->dq + h.q, a->t, a->d, h.qs);
	transpose(w->qt, a->padded, a->q + h.q, h.qs, a->t, a->d);
	transpose(w->dyt, a->padded, a->dy + h.q, h.qs, a->t, a->d);
	for (long t = 0; t < a->t; t++)
		w->delta[t] = (float)row_dot(a->dy + h.q + t * h.qs, a->y_in + h.q + t * h.qs, NULL,
					     a->d);
	for (long k0 = 0; k0 < a->t; k0 += TILE)
		for (long t0 = k0; t0 < a->t; t0 += TILE)
			backward_pair(a, w, h, t0, k0);
}

static void backward_task(const void *ctx, long task, float *scratch)
{
	const struct attention *a = ctx;
	long side = a->d * a->padded, b = task / a->kv, kv = task % a->kv;
	struct backward w = { .kt = scratch, .vt = scratch + side, .qt = scratch + 2 * side,
			      .dyt = scratch + 3 * side, .p = scratch + 4 * side };
	w.ds = w.p + TILE * TILE;
	w.dst = w.ds + TILE * TILE;
	w.delta = w.dst + TILE * TILE;
	w.pad = w.delta + a->padded;
	struct head h = head_of(a, b, kv, 0);
	zero_rows(a->dk + h.k, a->t, a->d, h.ks);
	zero_rows(a->dv + h.k, a->t, a->d, h.ks);
	transpose(w.kt, a->padded, a->k + h.k, h.ks, a->t, a->d);
	transpose(w.vt, a->padded, a->v + h.k, h.ks, a->t, a->d);
	for (long i = 0; i < a->h / a->kv; i++)
		backward_head(a, &w, head_of(a, b, kv, i));
}
