// What every kernel builds on, over the vector type of the class (vec_<class>.h).
//
// Rows have any length: v_get and v_put read and write the last, partial vector by way of a
// buffer, so that an element's bits never depend on where in a row it stands.
//
// No product and sum may be contracted behind our back. GCC keeps to that under -std=c11 (and
// not under gnu11; cgo does not let -ffp-contract=off through), Clang by the pragma. A test on
// the bits of AdamW watches over it.
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

#define NV 2         // vectors across the matrix micro-kernel
#define NR (NV * VW) // its columns
#define INLINE static inline __attribute__((always_inline))

INLINE vf v_load(const float *p) { return *(const vfu *)p; }
INLINE void v_store(float *p, vf x) { *(vfu *)p = x; }

// v_get is elements [i, i+VW) of p[n]; those at n and beyond are `beyond`.
INLINE vf v_get(const float *p, long i, long n, float beyond)
{
	if (__builtin_expect(i + VW <= n, 1))
		return v_load(p + i);
	float buffer[VW];
	for (int j = 0; j < VW; j++)
		buffer[j] = i + j < n ? p[i + j] : beyond;
	return v_load(buffer);
}

// v_put stores elements [i, i+VW) of p[n].
INLINE void v_put(float *p, long i, long n, vf x)
{
	if (__builtin_expect(i + VW <= n, 1)) {
		v_store(p + i, x);
		return;
	}
	for (int j = 0; j < VW && i + j < n; j++)
		p[i + j] = x[j];
}

// v_select is yes where the mask is all ones, no where it is zero.
#ifndef V_SELECT
INLINE vf v_select(vi mask, vf yes, vf no)
{
	return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}
#endif

// v_greater is a > b ? a : b, and v_lesser a < b ? a : b: b, if one of them is a NaN.
#ifndef V_GREATER
INLINE vf v_greater(vf a, vf b) { return v_select(a > b, a, b); }
INLINE vf v_lesser(vf a, vf b) { return v_select(a < b, a, b); }
#endif

// A half is a bfloat16: the upper half of a float. x_get and x_put are v_get and v_put of an
// operand that holds halves or floats; `half` is a constant wherever speed matters.

typedef uint32_t vu __attribute__((vector_size(4 * VW)));
typedef uint16_t vh __attribute__((vector_size(2 * VW)));
typedef uint16_t vhu __attribute__((vector_size(2 * VW), aligned(2), may_alias));

INLINE vf v_widen(vh x) { return (vf)(__builtin_convertvector(x, vu) << 16); }

// V_LOW is the lower halves of integers whose upper halves are zero.
#ifndef V_LOW
#define V_LOW(u) __builtin_convertvector(u, vh)
#endif

// v_narrow rounds to nearest even, by integers: all classes agree on the bits. A NaN stays one.
INLINE vh v_narrow(vf x)
{
	vu u = (vu)x, near = u + 0x7fff + ((u >> 16) & 1);
	u = (vu)v_select(x != x, (vf)(u | 0x400000), (vf)near) >> 16;
	return (vh)V_LOW(u);
}

INLINE vf x_load(const void *p, const int half, long i)
{
	if (half)
		return v_widen(*(const vhu *)((const uint16_t *)p + i));
	return v_load((const float *)p + i);
}

// x_one is element i of p.
INLINE float x_one(const void *p, const int half, long i)
{
	if (!half)
		return ((const float *)p)[i];
	uint32_t u = (uint32_t)((const uint16_t *)p)[i] << 16;
	float x;
	memcpy(&x, &u, sizeof x);
	return x;
}

INLINE vf x_get(const void *p, const int half, long i, long n, float beyond)
{
	if (!half)
		return v_get(p, i, n, beyond);
	if (__builtin_expect(i + VW <= n, 1))
		return x_load(p, 1, i);
	float buffer[VW];
	for (int j = 0; j < VW; j++)
		buffer[j] = i + j < n ? x_one(p, 1, i + j) : beyond;
	return v_load(buffer);
}

INLINE void x_put(void *p, const int half, long i, long n, vf x)
{
	if (!half) {
		v_put(p, i, n, x);
		return;
	}
	uint16_t *to = (uint16_t *)p + i;
	vh y = v_narrow(x);
	if (__builtin_expect(i + VW <= n, 1)) {
		*(vhu *)to = y;
		return;
	}
	for (int j = 0; j < VW && i + j < n; j++)
		to[j] = y[j];
}

// x_at is element i of p.
INLINE void *x_at(const void *p, const int half, long i)
{
	return (char *)p + i * (half ? 2 : 4);
}

// v_max ignores a NaN in x: the exponentials that follow bring it back.
INLINE vf v_max(vf top, vf x) { return v_greater(x, top); }

// v_iota is start, start+1, ...
INLINE vi v_iota(int32_t start)
{
	vi r;
	for (int i = 0; i < VW; i++)
		r[i] = start + i;
	return r;
}

INLINE vi v_seti(int32_t x)
{
	vi r;
	for (int i = 0; i < VW; i++)
		r[i] = x;
	return r;
}

// v_transpose transposes a square of VW vectors. One round deals the rows like two hands of cards;
// after log2(VW) rounds every element is in its place.
#ifndef V_TRANSPOSE
INLINE void v_transpose(vf r[VW])
{
#pragma GCC unroll 4
	for (int w = 1; w < VW; w *= 2) {
		vf next[VW];
#pragma GCC unroll 8
		for (int i = 0; i < VW / 2; i++) {
			next[2 * i] = V_LOWER(r[i], r[i + VW / 2]);
			next[2 * i + 1] = V_UPPER(r[i], r[i + VW / 2]);
		}
#pragma GCC unroll 16
		for (int i = 0; i < VW; i++)
			r[i] = next[i];
	}
}
#endif

// v_sum adds the lanes in double precision, by halves.
INLINE double v_sum(vf x)
{
	double s[VW];
	for (int i = 0; i < VW; i++)
		s[i] = x[i];
	for (int w = VW / 2; w > 0; w /= 2)
		for (int i = 0; i < w; i++)
			s[i] += s[i + w];
	return s[0];
}

INLINE float v_top(vf x)
{
	float top = x[0];
	for (int i = 1; i < VW; i++)
		top = x[i] > top ? x[i] : top;
	return top;
}

// exp_of is e^x / 2^k, k an integer: x = k log 2 + r, |r| <= log(2)/2, and the Taylor series of e^r
// to r^7 (the next term is below 2^-27).
INLINE vf exp_of(vf x, vi *k)
{
	const vf magic = v_set(0x1.8p23f); // adding it rounds to an integer
	vf shifted = v_fma(x, v_set(0x1.715476p0f), magic);
	vf n = shifted - magic;
	*k = (vi)shifted - (vi)magic;
	vf r = v_fma(n, v_set(-0x1.63p-1f), x); // log 2 in two parts; the first product is exact
	r = v_fma(n, v_set(0x1.bd0106p-13f), r);
	vf q = v_set(1.0f / 5040);
	q = v_fma(q, r, v_set(1.0f / 720));
	q = v_fma(q, r, v_set(1.0f / 120));
	q = v_fma(q, r, v_set(1.0f / 24));
	q = v_fma(q, r, v_set(1.0f / 6));
	q = v_fma(q, r, v_set(0.5f));
	return v_fma(r * r, q, r) + 1.0f;
}

// v_exp is e^x within 1 ulp. 2^k goes in as two factors, so that subnormal results and overflow to
// infinity come out right. exp(-inf) = 0, exp(NaN) = NaN.
INLINE vf v_exp(vf x)
{
	vi k;
	vf y = exp_of(v_greater(v_set(-105.0f), v_lesser(v_set(89.0f), x)), &k);
	vi half = k >> 1;
	y *= (vf)((half + 127) << 23);
	return y * (vf)((k - half + 127) << 23);
}

// v_weight is e^x for x <= 88, such as the difference to a maximum: within 1 ulp, and zero from
// e^-87 down, which no float32 sum beside e^0 could tell from it. weight(NaN) = NaN.
INLINE vf v_weight(vf x)
{
	vi k, tiny = x < -87.0f;
	vf y = exp_of(v_greater(v_set(-87.0f), x), &k);
	return (vf)(~tiny & (vi)(y * (vf)((k + 127) << 23)));
}
