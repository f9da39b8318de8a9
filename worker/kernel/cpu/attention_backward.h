// The gradient, by recomputation (Dao et al. 2022, arXiv 2205.14135). With P = exp(scores - lse),
// delta = sum over D of dy * y:
//
//   dv += P^T dy     dP = dy v^T     dS = P * (dP - delta) * scale     dk += dS^T q     dq += dS k
//
// The scale of dS is in q, for dk, and multiplied into dq at the end.
//
// A task is one sequence and one kv head with all query heads that read it: it owns its part of
// every output. Scores are [query][key]. For dk and dv the order of the sum is: query heads of the
// group, then blocks of queries, ascending; for dq: blocks of keys, ascending.

struct backward {
	float *kd, *vd;       // columns of keys, over D
	float *kt, *qt, *dyt; // columns, over T
	float *q, *dy;        // rows: queries of the head
	float *p, *ds;        // [TILE queries][SIDE keys]
	float *dst;           // [TILE keys][SIDE queries]
	float *dk, *dv, *dq;  // [padded][wide] sums
	float *delta;         // [padded]
	float *plain;         // [TILE][D]
};

static float *backward_carve(const struct attention *a, struct backward *w, float *at)
{
	long over_d = a->padded * a->d, over_t = a->padded * a->wide;
	long rows = a->padded / TILE * a->d * SIDE;
	w->kd = at, at += over_d;
	w->vd = at, at += over_d;
	w->kt = at, at += over_t;
	w->qt = at, at += over_t;
	w->dyt = at, at += over_t;
	w->q = at, at += rows;
	w->dy = at, at += rows;
	w->p = at, at += TILE * SIDE;
	w->ds = at, at += TILE * SIDE;
	w->dst = at, at += TILE * SIDE;
	w->dk = at, at += over_t;
	w->dv = at, at += over_t;
	w->dq = at, at += over_t;
	w->delta = at, at += a->padded;
	w->plain = at, at += TILE * a->d;
	return at;
}

static size_t backward_floats(const struct attention *a)
{
	struct backward w;
	return (size_t)(backward_carve(a, &w, NULL) - (float *)NULL);
}

// gradient_tile turns scores into P and dP into dS / scale, [n][SIDE] each. masked: some query does
// not see all keys.
INLINE void gradient_tile(const struct attention *a, struct backward *w, struct head h, long t0,
			  long n, long k0, const int masked)
{
	const vf zero = v_set(0), high = v_set(88);
	for (long i = 0; i < n; i++) {
		const vf lse = v_set(a->lse[h.lse + t0 + i]), delta = v_set(w->delta[t0 + i]);
		const vi query = v_seti((int32_t)(t0 + i)), first = v_seti(h.first[t0 + i]);
		for (long j = 0; j < TILE; j += VW) {
			float *p = w->p + i * SIDE + j, *ds = w->ds + i * SIDE + j;
			if (masked && k0 + j > t0 + i) {
				v_store(p, zero);
				v_store(ds, zero);
				continue;
			}
			vf x = v_weight(v_lesser(high, v_load(p) - lse));
			vf dx = x * (v_load(ds) - delta);
			if (masked) {
				vi key = v_iota((int32_t)(k0 + j));
				vi seen = (key <= query) & (key >= first);
				x = v_select(seen, x, zero);
				dx = v_select(seen, dx, zero);
			}
			v_store(p, x);
			v_store(ds, dx);
		}
	}
}

static void gradient_part(const struct attention *a, struct backward *w, struct head h, long t0,
			  long n, long k0)
{
	gradient_tile(a, w, h, t0, n, k0, 1);
}

static void gradient_whole(const struct attention *a, struct backward *w, struct head h, long t0,
			   long n, long k0)
{
	gradient_tile(a, w, h, t0, n, k0, 0);
}

static void backward_pair(const struct attention *a, struct backward *w, struct head h, long t0,
			  long k0)
{
	long n = least(TILE, a->t - t0), nk = least(TILE, a->t - k0), d = a->d;
	long apart = a->padded * NR, panels = a->wide / NR;
	if (least_first(h.first, t0, n) >= k0 + nk)
		return;
	int diagonal = t0 == k0;
	enum cut scores = diagonal ? COLUMNS_TO : WHOLE;
	product(w->p, SIDE, n, TILE / NR, d, w->q + t0 / TILE * d * SIDE, w->kd + k0 * d, NR * d, 0,
		scores);
	product(w->ds, SIDE, n, TILE / NR, d, w->dy + t0 / TILE * d * SIDE, w->vd + k0 * d, NR * d,
		0, scores);
	if (diagonal || most_first(h.first, t0, n) > k0)
		gradient_part(a, w, h, t0, n, k0);
	else
		gradient_whole(a, w, h, t0, n, k0);
	enum cut keys = diagonal ? K_FROM : WHOLE;
	product(w->dv + k0 * a->wide, a->wide, nk, panels, n, w->p, w->dyt + t0 * NR, apart, 1, keys);
	product(w->dk + k0 * a->wide, a->wide, nk, panels, n, w->ds, w->qt + t0 * NR, apart, 1, keys);
	transpose(w->dst, SIDE, w->ds, SIDE, n, TILE);
	product(w->dq + t0 * a->wide, a->wide, n, panels, nk, w->dst, w->kt + k0 * NR, apart, 1,
		diagonal ? K_TO : WHOLE);
}

// delta_of is the dot product of dy and y, and of their rows.
static void delta_of(const struct attention *a, struct backward *w, struct head h)
{
	const int half = a->half;
	for (long t = 0; t < a->t; t++) {
		const void *dy = x_at(a->dy, half, h.q + t * h.qs);
		const void *y = x_at(a->y_in, half, h.q + t * h.qs);
		w->delta[t] = (float)row_dot(dy, half, y, half, NULL, 0, a->d);
	}
}

static void backward_head(const struct attention *a, struct backward *w, struct head h)
{
	memset(w->dq, 0, (size_t)(a->padded * a->wide) * sizeof(float));
	for (long t0 = 0; t0 < a->t; t0 += TILE) {
		long n = least(TILE, a->t - t0), at = t0 / TILE * a->d * SIDE;
		read_rows(a, w->plain, x_at(a->q, a->half, h.q + t0 * h.qs), h.qs, n);
		scale_rows(w->plain, n * a->d, a->scale);
		row_form(a, w->q + at, w->plain, n);
		column_form_t(a, w->qt, t0, w->plain, n);
		read_rows(a, w->plain, x_at(a->dy, a->half, h.q + t0 * h.qs), h.qs, n);
		row_form(a, w->dy + at, w->plain, n);
		column_form_t(a, w->dyt, t0, w->plain, n);
	}
	delta_of(a, w, h);
	for (long k0 = 0; k0 < a->t; k0 += TILE)
		for (long t0 = k0; t0 < a->t; t0 += TILE)
			backward_pair(a, w, h, t0, k0);
	scale_rows(w->dq, a->t * a->wide, a->scale);
	write_rows(a, x_at(a->dq, a->half, h.q), h.qs, w->dq, a->t);
}

static void backward_task(const void *ctx, long task, float *scratch)
{
	const struct attention *a = ctx;
	long b = task / a->kv, kv = task % a->kv, size = a->padded * a->wide;
	struct backward w;
	backward_carve(a, &w, scratch);
	struct head h = head_of(a, b, kv, 0);
	memset(w.dk, 0, (size_t)size * sizeof(float));
	memset(w.dv, 0, (size_t)size * sizeof(float));
	for (long t0 = 0; t0 < a->t; t0 += TILE) {
		long n = least(TILE, a->t - t0);
		read_rows(a, w.plain, x_at(a->k, a->half, h.k + t0 * h.ks), h.ks, n);
		column_form_d(a, w.kd + t0 * a->d, w.plain, n);
		column_form_t(a, w.kt, t0, w.plain, n);
		read_rows(a, w.plain, x_at(a->v, a->half, h.k + t0 * h.ks), h.ks, n);
		column_form_d(a, w.vd + t0 * a->d, w.plain, n);
	}
	for (long i = 0; i < a->h / a->kv; i++)
		backward_head(a, &w, head_of(a, b, kv, i));
	write_rows(a, x_at(a->dk, a->half, h.k), h.ks, w.dk, a->t);
	write_rows(a, x_at(a->dv, a->half, h.k), h.ks, w.dv, a->t);
}
