// The natural logarithm, for the few places that need one value a row (lse, loss). Ours, and
// without FMA: the C library's picks its instructions by CPUID, so its bits differ between hosts.
//
//   x = 2^e * m, m in [sqrt(1/2), sqrt(2)),  s = (m-1)/(m+1),  log x = e log 2 + 2 atanh s
//
// The series of atanh is cut where its next term is below 2^-50 (|s| <= 0.1716).

#ifndef BANYAN_SCALAR_H
#define BANYAN_SCALAR_H

#include <stdint.h>
#include <string.h>

static inline double scalar_log(double x)
{
	if (!(x > 0)) // zero, negative or NaN
		return x == 0 ? -__builtin_inf() : __builtin_nan("");
	if (x > 0x1p1023)
		return x + x; // infinity; no finite argument here comes near
	uint64_t bits;
	int e = 0;
	if (x < 0x1p-1022) { // subnormal
		x *= 0x1p54;
		e = -54;
	}
	memcpy(&bits, &x, sizeof bits);
	e += (int)(bits >> 52) - 1023;
	bits = (bits & 0x000fffffffffffff) | 0x3ff0000000000000;
	double m;
	memcpy(&m, &bits, sizeof m);
	if (m > 0x1.6a09e667f3bcdp0) {
		m *= 0.5;
		e++;
	}
	double s = (m - 1) / (m + 1), z = s * s, sum = 0;
	for (int k = 19; k >= 3; k -= 2)
		sum = z * (1.0 / k + sum);
	return e * 0x1.62e42fefa39efp-1 + 2 * (s + s * sum);
}

#endif
