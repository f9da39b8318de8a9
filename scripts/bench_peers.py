"""Holds Banyan's CPU engine against PyTorch and OpenBLAS on this machine, in this run.

    bench_peers.py BENCH [--quick] [--threads N] [--pairs N] [--shapes S,M,L] [--only PART,...]
                   [--precisions fp32,bf16] [--eager]

BENCH is the program of internal/bench. Prints one JSON object a line: bench, shape, banyan, peer,
peer_name, ratio (Banyan's rate by the peer's: above 1 is faster; for memory the peer's bytes by
Banyan's), and what else belongs to the figure. Every program computes in a process of its own and
only while the others wait: A B A B, the ratio is the median of the pairs. A variant of the peer
that dies or fails is a line too.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ["gemm", "step", "memory"]
VOCAB = 32000
SHAPES = {
    "S": {"hidden": 288, "layers": 6, "heads": 6, "kv_heads": 6, "ffn": 768, "seq_len": 256,
          "batch": 8},
    "M": {"hidden": 768, "layers": 12, "heads": 12, "kv_heads": 12, "ffn": 2048, "seq_len": 512,
          "batch": 4},
    "L": {"hidden": 2048, "layers": 4, "heads": 16, "kv_heads": 4, "ffn": 5632, "seq_len": 1024,
          "batch": 1},
}
# [m, n, k] with the operands' layout: forward nt, gradient of the input nn, of the weights tn.
GEMMS = [
    (2048, 768, 288, "nt"), (2048, 288, 768, "nn"), (768, 288, 2048, "tn"),
    (2048, 768, 768, "nt"), (2048, 2048, 768, "nt"), (2048, 768, 2048, "nn"),
    (2048, 768, 2048, "tn"), (1024, 5632, 2048, "nt"), (5632, 2048, 1024, "tn"),
    (2048, 1024, 4096, "nt"), (2048, 1024, 4096, "nn"), (1024, 1024, 4096, "tn"),
]
PAUSE_S = 0.05  # idle threads of OpenMP and OpenBLAS spin for some milliseconds after their work
SLOW = 3        # times the peer's own step in fp32: a variant in bf16 that takes longer is not raced
COMPILE_S = 90  # what torch.compile may add to a first step
GEMM_S = 0.15   # a timing of products takes about this long


class Peer:
    """A program that answers requests, one JSON object a line."""

    def __init__(self, argv, env=None):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True,
                                        env={**os.environ, **(env or {})})

    def ask(self, do, **fields):
        try:
            self.process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.process.wait()
            name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            return {"error": "died: " + name}
        return json.loads(line)

    def must(self, do, **fields):
        answer = self.ask(do, **fields)
        if "error" in answer:
            raise RuntimeError(f"{do}: {answer['error']}")
        return answer

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Run:
    def __init__(self, args):
        self.args = args
        self.common = {}
        banyan = self.banyan()
        self.isa = banyan.must("open", threads=args.threads)["isa"]
        self.ceiling = banyan.must("probe")
        banyan.close()
        torch = self.torch()
        version = torch.must("open")
        self.torch_name = "PyTorch " + version["version"]
        self.common = {"threads": args.threads, "isa": self.isa, "peer_isa": version["isa"]}
        torch.close()
        for name, unit, value in (("FMA loop", "GFLOP/s", self.ceiling["gflops"]),
                                  ("triad", "GB/s", self.ceiling["gbs"])):
            self.print("ceiling", name, value, None, None, None, unit=unit)

    def print(self, bench, shape, banyan, peer, peer_name, ratio, **extra):
        line = {"bench": bench, "shape": shape, "banyan": banyan, "peer": peer,
                "peer_name": peer_name, "ratio": ratio, **self.common, **extra}
        print(json.dumps({k: round(v, 4) if isinstance(v, float) else v
                          for k, v in line.items()}), flush=True)

    def banyan(self):
        return Peer([self.args.bench])

    def torch(self, tuned=True):
        env = {"OMP_NUM_THREADS": str(self.args.threads)}
        if tuned:  # memory that is not given back and comes in huge pages: faster, and its best
            env["GLIBC_TUNABLES"] = ("glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=2147483648:"
                                     "glibc.malloc.trim_threshold=4294967296")
        return Peer([sys.executable, os.path.join(HERE, "bench_torch.py")], env)

    def blas(self):
        with open("/proc/cpuinfo") as f:
            amd = "AuthenticAMD" in f.read()
        core = "SkylakeX" if self.isa in ("avx512", "amx") else "Zen" if amd else "Haswell"
        return Peer([sys.executable, os.path.join(HERE, "bench_blas.py")],
                    {"OPENBLAS_CORETYPE": core, "OPENBLAS_NUM_THREADS": str(self.args.threads),
                     # Idle threads sleep after 2^20 cycles: 2^26 would reach into our turn.
                     "OPENBLAS_THREAD_TIMEOUT": "20"})

    # Matrix products.

    def gemms(self):
        shapes = GEMMS[:1] if self.args.quick else GEMMS
        banyan, torch, blas = self.banyan(), self.torch(), self.blas()
        banyan.must("open", threads=self.args.threads)
        core = blas.must("open")
        peers = [("fp32", blas, f"OpenBLAS {core['version']} {core['core']}"),
                 ("fp32", torch, self.torch_name)]
        if "bf16" in self.args.precisions:
            peers.append(("bf16", torch, self.torch_name))
        for m, n, k, layout in shapes:
            for dtype, peer, name in peers:
                self.gemm(banyan, peer, name, dict(m=m, n=n, k=k, layout=layout, dtype=dtype))
                if peer.process.poll() is not None:
                    peers = [p for p in peers if p[1] is not peer]
        for p in (banyan, torch, blas):
            p.close()

    def gemm(self, banyan, peer, name, q):
        flops = 2 * q["m"] * q["n"] * q["k"]
        shape = f"{q['m']}x{q['n']}x{q['k']} {q['layout']}"
        repeats = []
        for side in (banyan, peer):
            side.ask("matmul", **q)
            once = side.ask("matmul", **q)
            if "error" in once:
                self.print("gemm " + q["dtype"], shape, None, None, name, None,
                           error=once["error"])
                return
            repeats.append(max(1, int(GEMM_S / max(once["seconds"], 1e-6))))
        ours, theirs = self.interleave(
            lambda: banyan.must("matmul", repeat=repeats[0], **q)["seconds"],
            lambda: peer.must("matmul", repeat=repeats[1], **q)["seconds"])
        self.compare("gemm " + q["dtype"], shape, flops / 1e9, ours, theirs, name, unit="GFLOP/s",
                     of_fma_ceiling=flops / 1e9 / statistics.median(ours) / self.ceiling["gflops"])

    def interleave(self, a, b):
        ours, theirs = [], []
        for _ in range(self.args.pairs):
            time.sleep(PAUSE_S)
            ours.append(a())
            time.sleep(PAUSE_S)
            theirs.append(b())
        return ours, theirs

    def compare(self, bench, shape, work, ours, theirs, name, **extra):
        ratios = sorted(t / o for o, t in zip(ours, theirs))
        self.print(bench, shape, work / statistics.median(ours), work / statistics.median(theirs),
                   name, statistics.median(ratios), ratio_least=ratios[0], ratio_most=ratios[-1],
                   ratio_of_bests=min(theirs) / min(ours), pairs=len(ours), **extra)

    # Training steps.

    def variants(self, precision):
        if self.args.quick or self.args.eager:
            return [{"precision": precision}]
        if precision == "bf16" and self.args.fp32_peers:
            return []
        if precision == "fp32":
            return [{"precision": "fp32", "compile": c, "head": h} for c, h in
                    ((False, "full"), (True, "full"), (False, "chunked"))]
        return [{"precision": "bf16"}, {"precision": "bf16", "compile": True},
                {"precision": "bf16-weights"}]

    def steps(self, shape):
        best = {}
        for precision in self.args.precisions:
            fp32 = best.get("fp32")
            best[precision] = self.fastest(shape, precision, SLOW * fp32["seconds"] if fp32 else 0)
        for precision, chosen in best.items():
            if chosen is None:
                continue
            self.race(shape, precision, precision, chosen)
        fp32, bf16 = best.get("fp32"), best.get("bf16")
        if fp32 and "bf16" in best and (bf16 is None or fp32["seconds"] < bf16["seconds"]):
            self.race(shape, "bf16", "any precision", fp32)

    def start(self, shape, variant, tuned=True):
        peer = self.torch(tuned)
        answer = peer.ask("model", vocab=VOCAB, **SHAPES[shape], **variant)
        if "error" not in answer:
            answer = peer.ask("step")
        return peer, answer

    def fastest(self, shape, precision, limit):
        """Each variant in a process of its own: two steps, the first of which warms up. One that
        takes longer than the limit (0: none) is on a slow path, and is not raced."""
        tried, variants = [], self.variants(precision)
        if len(variants) == 1:
            return {**variants[0], "seconds": 0, "tried": variants}
        for variant in variants:
            peer, answer = self.start(shape, variant)
            slow = limit + (COMPILE_S if variant.get("compile") else 0)
            if "error" not in answer and not 0 < slow < answer["seconds"]:
                answer = peer.ask("step")
            peer.close()
            tried.append({**variant, **{k: round(answer[k], 3) if k == "seconds" else answer[k]
                                        for k in ("seconds", "error") if k in answer}})
            if "error" in answer or 0 < limit < answer["seconds"]:
                self.print("train step " + precision, shape, None, None,
                           f"{self.torch_name} {variant}", None, error=answer.get("error") or
                           f"not raced: {answer['seconds']:.1f} s a step, a slow path")
        alive = [t for t in tried if "seconds" in t and not 0 < limit < t["seconds"]]
        if not alive:
            return None
        return {**min(alive, key=lambda t: t["seconds"]), "tried": tried}

    def race(self, shape, precision, against, chosen):
        banyan = self.banyan()
        banyan.must("open", threads=self.args.threads)
        q = {"vocab": VOCAB, **SHAPES[shape]}
        answer = banyan.ask("model", precision=precision, **q)
        if "error" in answer:
            self.print("train step " + precision, shape, None, None, self.torch_name, None,
                       error="banyan: " + answer["error"])
            banyan.close()
            return
        variant = {k: v for k, v in chosen.items() if k not in ("seconds", "tried")}
        peer, first = self.start(shape, variant)
        losses = [banyan.must("step")["loss"], first["loss"]]
        cpu = ([], [])

        def step(side, used):
            answer = side.must("step")
            used.append(answer["cpu_seconds"])
            return answer["seconds"]
        ours, theirs = self.interleave(lambda: step(banyan, cpu[0]), lambda: step(peer, cpu[1]))
        how = ["compiled" if variant.get("compile") else "eager", variant["precision"]]
        self.compare("train step " + precision, shape, q["batch"] * q["seq_len"], ours, theirs,
                     " ".join([self.torch_name, *how]), unit="tokens/s", precision=precision,
                     against="best in " + against, peer_best_of=chosen["tried"],
                     ratio_cpu=statistics.median(t / o for o, t in zip(*cpu)), first_losses=losses)
        banyan.close()
        peer.close()

    # Memory: the peak of a step that is not the first, less what the process had before the model.

    def memory(self, shape):
        for precision in self.args.precisions:
            used = [self.footprint(*x) for x in self.footprints(shape, precision)]
            errors = [u for u in used if isinstance(u, str)]
            if errors:
                self.print("memory " + precision, shape, None, None, self.torch_name, None,
                           error="; ".join(errors))
                continue
            self.print("memory " + precision, shape, used[0], used[1], self.torch_name,
                       used[1] / used[0], unit="bytes")

    def footprints(self, shape, precision):
        q = {"vocab": VOCAB, "precision": precision, **SHAPES[shape]}
        banyan = self.banyan()
        banyan.must("open", threads=self.args.threads)
        return (banyan, q), (self.torch(tuned=False), q)

    def footprint(self, peer, q):
        before = peer.must("memory")
        answer = peer.ask("model", **q)
        for _ in range(2):
            if "error" not in answer:
                answer = peer.ask("step")
                reset = peer.ask("memory", reset=True)
        if "error" not in answer:
            answer = peer.ask("step")
        after = peer.ask("memory")
        peer.close()
        if "error" in answer:
            return answer["error"]
        return max(after["peak_bytes"], reset["resident_bytes"]) - before["resident_bytes"]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("bench")
    p.add_argument("--quick", action="store_true", help="one product, S in fp32, three pairs")
    p.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    p.add_argument("--pairs", type=int)
    p.add_argument("--shapes", default="")
    p.add_argument("--only", default="", help=f"some of {','.join(PARTS)}")
    p.add_argument("--precisions", default="")
    p.add_argument("--eager", action="store_true", help="PyTorch's eager mode alone, unchosen")
    p.add_argument("--fp32-peers", action="store_true",
                   help="race bf16 against the peer's fp32 alone: where its bf16 is a slow path")
    args = p.parse_args()
    args.pairs = args.pairs or (3 if args.quick else 7)
    shapes = args.shapes.split(",") if args.shapes else ["S"] if args.quick else list(SHAPES)
    only = args.only.split(",") if args.only else PARTS
    args.precisions = (args.precisions.split(",") if args.precisions else
                       ["fp32"] if args.quick else ["fp32", "bf16"])
    run = Run(args)
    if "gemm" in only:
        run.gemms()
    for shape in shapes:
        if "memory" in only:
            run.memory(shape)
        if "step" in only:
            run.steps(shape)


if __name__ == "__main__":
    main()
