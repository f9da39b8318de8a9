// What every kernel of this folder begins with: no header of CUDA is needed to compile one.
//
// A kernel is C that CUDA's C++ understands too, so that tests compile the same text for the host
// (gpu/fake/src/emu.h says KERNEL and the rest again). It has one argument, `a`, a struct that Go
// fills (argument.go): addresses and numbers of 8 bytes first, smaller ones last.
//
// No product and sum is contracted (--fmad=false), no atomics: every element has one writer and
// every sum one order.

typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#ifndef BANYAN_EMULATED
#define KERNEL(name, most, args) \
	extern "C" __global__ void __launch_bounds__(most) name(const args a)
#define INLINE static __device__ __forceinline__
#else
#define INLINE static inline
#endif

// The elements that a thread takes: of its own number, and then every STRIDE-th.
#define FIRST ((i64)blockIdx.x * blockDim.x + threadIdx.x)
#define STRIDE ((i64)gridDim.x * blockDim.x)

// A half is a bfloat16: the upper half of a float.
INLINE float widen(u16 x) { return __uint_as_float((u32)x << 16); }

// narrow rounds to nearest even, by integers, as the CPU's kernels do. A NaN stays one.
INLINE u16 narrow(float x)
{
	u32 u = __float_as_uint(x), near = u + 0x7fff + ((u >> 16) & 1);
	return (u16)((x != x ? u | 0x400000 : near) >> 16);
}

// add is a + b with the NaN that x86 gives: that of a, else of b, quiet; else its own. A GPU has
// one NaN for all, and the bits of a reduction should not tell who computed it. (Which of two NaNs
// an x86 keeps depends on which operand the compiler put first.)
INLINE float add(float a, float b)
{
	float sum = a + b;
	u32 nan = a != a ? __float_as_uint(a) | 0x400000 :
		  b != b ? __float_as_uint(b) | 0x400000 :
			   0xffc00000;
	return sum == sum ? sum : __uint_as_float(nan);
}

INLINE float4 add4(float4 a, float4 b)
{
	float4 y;
	y.x = add(a.x, b.x);
	y.y = add(a.y, b.y);
	y.z = add(a.z, b.z);
	y.w = add(a.w, b.w);
	return y;
}

// aligned reports whether 16 bytes can be read at once at each of the addresses that were ored.
INLINE int aligned(u64 addresses) { return (addresses & 15) == 0; }
