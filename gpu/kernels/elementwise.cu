// Kernels that touch every element once, 16 bytes of fp32 at a time where addresses allow.
//
// Memory is the limit: what is measured is bytes a second against a copy.

struct fill_args {
	u64 y;
	i64 n;
	u32 value; // bits
};

KERNEL(fill_f32, 256, struct fill_args)
{
	float *y = (float *)a.y, v = __uint_as_float(a.value);
	i64 quads = aligned(a.y) ? a.n / 4 : 0;
	float4 v4;
	v4.x = v4.y = v4.z = v4.w = v;
	for (i64 i = FIRST; i < quads; i += STRIDE)
		((float4 *)y)[i] = v4;
	for (i64 i = 4 * quads + FIRST; i < a.n; i += STRIDE)
		y[i] = v;
}

KERNEL(fill_bf16, 256, struct fill_args)
{
	u16 *y = (u16 *)a.y, v = narrow(__uint_as_float(a.value));
	i64 quads = aligned(a.y) ? a.n / 4 : 0;
	uint2 v4;
	v4.x = v4.y = (u32)v << 16 | v;
	for (i64 i = FIRST; i < quads; i += STRIDE)
		((uint2 *)y)[i] = v4;
	for (i64 i = 4 * quads + FIRST; i < a.n; i += STRIDE)
		y[i] = v;
}

struct copy_args {
	u64 y, x;
	i64 n;
};

// As integers: a NaN keeps all its bits.
KERNEL(copy_f32, 256, struct copy_args)
{
	u32 *y = (u32 *)a.y;
	const u32 *x = (const u32 *)a.x;
	i64 quads = aligned(a.y | a.x) ? a.n / 4 : 0;
	for (i64 i = FIRST; i < quads; i += STRIDE)
		((float4 *)y)[i] = ((const float4 *)x)[i];
	for (i64 i = 4 * quads + FIRST; i < a.n; i += STRIDE)
		y[i] = x[i];
}

KERNEL(copy_bf16, 256, struct copy_args)
{
	u16 *y = (u16 *)a.y;
	const u16 *x = (const u16 *)a.x;
	i64 eights = aligned(a.y | a.x) ? a.n / 8 : 0;
	for (i64 i = FIRST; i < eights; i += STRIDE)
		((float4 *)y)[i] = ((const float4 *)x)[i];
	for (i64 i = 8 * eights + FIRST; i < a.n; i += STRIDE)
		y[i] = x[i];
}

// y of halves, x of floats.
KERNEL(narrow_f32, 256, struct copy_args)
{
	u16 *y = (u16 *)a.y;
	const float *x = (const float *)a.x;
	i64 quads = aligned(a.y | a.x) ? a.n / 4 : 0;
	for (i64 i = FIRST; i < quads; i += STRIDE) {
		float4 v = ((const float4 *)x)[i];
		uint2 h;
		h.x = (u32)narrow(v.y) << 16 | narrow(v.x);
		h.y = (u32)narrow(v.w) << 16 | narrow(v.z);
		((uint2 *)y)[i] = h;
	}
	for (i64 i = 4 * quads + FIRST; i < a.n; i += STRIDE)
		y[i] = narrow(x[i]);
}

INLINE float4 widen4(uint2 h)
{
	float4 v;
	v.x = widen((u16)h.x);
	v.y = widen((u16)(h.x >> 16));
	v.z = widen((u16)h.y);
	v.w = widen((u16)(h.y >> 16));
	return v;
}

// y of floats, x of halves.
KERNEL(widen_bf16, 256, struct copy_args)
{
	float *y = (float *)a.y;
	const u16 *x = (const u16 *)a.x;
	i64 quads = aligned(a.y | a.x) ? a.n / 4 : 0;
	for (i64 i = FIRST; i < quads; i += STRIDE)
		((float4 *)y)[i] = widen4(((const uint2 *)x)[i]);
	for (i64 i = 4 * quads + FIRST; i < a.n; i += STRIDE)
		y[i] = widen(x[i]);
}

struct add_args {
	u64 y, a, b;
	i64 n;
};

// y = a + b, one rounding an element: the step of the ordered reduction. y may be a or b.
KERNEL(add_f32, 256, struct add_args)
{
	float *y = (float *)a.y;
	const float *l = (const float *)a.a, *r = (const float *)a.b;
	i64 quads = aligned(a.y | a.a | a.b) ? a.n / 4 : 0;
	for (i64 i = FIRST; i < quads; i += STRIDE)
		((float4 *)y)[i] = add4(((const float4 *)l)[i], ((const float4 *)r)[i]);
	for (i64 i = 4 * quads + FIRST; i < a.n; i += STRIDE)
		y[i] = add(l[i], r[i]);
}

// The same of halves: the sum in fp32, rounded once more.
KERNEL(add_bf16, 256, struct add_args)
{
	u16 *y = (u16 *)a.y;
	const u16 *l = (const u16 *)a.a, *r = (const u16 *)a.b;
	i64 quads = aligned(a.y | a.a | a.b) ? a.n / 4 : 0;
	for (i64 i = FIRST; i < quads; i += STRIDE) {
		float4 v = add4(widen4(((const uint2 *)l)[i]), widen4(((const uint2 *)r)[i]));
		uint2 h;
		h.x = (u32)narrow(v.y) << 16 | narrow(v.x);
		h.y = (u32)narrow(v.w) << 16 | narrow(v.z);
		((uint2 *)y)[i] = h;
	}
	for (i64 i = 4 * quads + FIRST; i < a.n; i += STRIDE)
		y[i] = narrow(add(widen(l[i]), widen(r[i])));
}
