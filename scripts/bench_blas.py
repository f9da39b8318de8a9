"""OpenBLAS's side of `make bench-peers`: times cblas_sgemm of the library inside numpy's wheel, one
request a line on standard input. OPENBLAS_CORETYPE and OPENBLAS_NUM_THREADS are the caller's."""

import ctypes
import glob
import json
import os
import sys
import time

import numpy as np

ROW_MAJOR, NO_TRANS, TRANS = 101, 111, 112


def library():
    folder = os.path.join(os.path.dirname(os.path.dirname(np.__file__)), "numpy.libs")
    found = glob.glob(os.path.join(folder, "libscipy_openblas64_*"))
    if not found:
        raise FileNotFoundError(f"no OpenBLAS in {folder}")
    lib = ctypes.CDLL(found[0])
    lib.scipy_openblas_get_config64_.restype = ctypes.c_char_p
    lib.scipy_openblas_get_corename64_.restype = ctypes.c_char_p
    return lib


class Blas:
    def __init__(self):
        self.lib, self.operands = library(), {}

    def matmul(self, q):
        m, n, k = q["m"], q["n"], q["k"]
        if (m, n, k) not in self.operands:
            rng = np.random.default_rng(1)
            self.operands[m, n, k] = [rng.standard_normal(s, dtype=np.float32)
                                      for s in (m * k, k * n, m * n)]
        i64, ptr, f32 = ctypes.c_int64, ctypes.c_void_p, ctypes.c_float
        a, b, c = (ptr(x.ctypes.data) for x in self.operands[m, n, k])
        ta, tb = (TRANS if x == "t" else NO_TRANS for x in q["layout"])
        args = (ROW_MAJOR, ta, tb, i64(m), i64(n), i64(k), f32(1), a,
                i64(m if ta == TRANS else k), b, i64(k if tb == TRANS else n), f32(0), c, i64(n))
        began = time.perf_counter()
        for _ in range(q.get("repeat", 1)):
            self.lib.scipy_cblas_sgemm64_(*args)
        return {"seconds": (time.perf_counter() - began) / q.get("repeat", 1)}

    def serve(self, q):
        if q["do"] == "open":
            return {"core": self.lib.scipy_openblas_get_corename64_().decode(),
                    "version": self.lib.scipy_openblas_get_config64_().decode().split()[1]}
        return self.matmul(q)


def main():
    blas = Blas()
    for line in sys.stdin:
        print(json.dumps(blas.serve(json.loads(line))), flush=True)


main()
