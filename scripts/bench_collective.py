"""Holds Banyan's collectives over TCP against plain sockets and against Gloo, on loopback, in this
run.

    bench_collective.py BENCH [--quick] [--pairs N] [--worlds 2,4] [--mib 1,16,64,256] [--bare]

BENCH is the program of internal/bench. Prints one JSON object a line: bench, shape, banyan, peer,
peer_name, ratio (Banyan's rate by the peer's: above 1 is faster). Rates are of the bytes that a
rank receives. All ranks of a side are processes of their own, and run only while the other side
waits: A B A B, the ratio is the median of the pairs. The time of an operation is that of its
slowest rank.

Ranks of one host share memory; a second line, named "over sockets", is for the same operation as
it goes between hosts. Plain sockets move the same bytes between the same processes, without
headers, checksums or sums.
Gloo's best of two is taken for the reduce-scatter: its own, and its all-to-all with a sum behind.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile

from bench_peers import HERE, Peer

TARGET_S = 0.3  # a timing takes about this long


class World:
    """The ranks of one side."""

    def __init__(self, ranks):
        self.ranks = ranks

    def all(self, **fields):
        """Every rank is asked before the first is heard: they work together."""
        for p in self.ranks:
            p.process.stdin.write(json.dumps(fields) + "\n")
            p.process.stdin.flush()
        return self.hear()

    def each(self, fields):
        for p, f in zip(self.ranks, fields):
            p.process.stdin.write(json.dumps(f) + "\n")
            p.process.stdin.flush()
        return self.hear()

    def hear(self):
        answers = []
        for rank, p in enumerate(self.ranks):
            line = p.process.stdout.readline()
            answer = json.loads(line) if line else {"error": "died"}
            if "error" in answer:
                raise RuntimeError(f"rank {rank}: {answer['error']}")
            answers.append(answer)
        return answers

    def time(self, do, size, repeat):
        answers = self.all(do=do, bytes=size, repeat=repeat)
        return {"seconds": max(a["seconds"] for a in answers),
                "cpu_seconds": sum(a["cpu_seconds"] for a in answers)}

    def close(self):
        for p in self.ranks:
            p.process.stdin.close()
        for p in self.ranks:
            p.close()


def banyan(bench, world, sockets):
    w = World([Peer([bench]) for _ in range(world)])
    w.all(do="open", threads=1)
    heard = w.all(do="listen")
    peers, bare = [a["address"] for a in heard], [a["bare"] for a in heard]
    w.each([{"do": "join", "rank": r, "peers": peers, "bare": bare, "sockets": sockets}
            for r in range(world)])
    return w


def gloo(world, folder):
    w = World([Peer([sys.executable, os.path.join(HERE, "bench_gloo.py")]) for _ in range(world)])
    store = os.path.join(folder, f"store-{world}")
    w.version = w.each([{"do": "join", "rank": r, "world": world, "store": store}
                        for r in range(world)])[0]["version"]
    return w


def compare(op, world, size, pairs, ours, theirs, peer_name):
    """ours and theirs answer a timing of repeat operations."""
    repeats = [max(1, int(TARGET_S / side(1)["seconds"])) for side in (ours, theirs)]
    a, b = [], []
    for _ in range(pairs):
        a.append(ours(repeats[0]))
        b.append(theirs(repeats[1]))
    ratios = sorted(y["seconds"] / x["seconds"] for x, y in zip(a, b))
    moved = size / world * (world - 1) / 1e9
    median = lambda side, key: statistics.median(x[key] for x in side)
    line = {"bench": op, "shape": f"W={world} {size >> 20} MiB",
            "banyan": moved / median(a, "seconds"), "peer": moved / median(b, "seconds"),
            "peer_name": peer_name, "ratio": statistics.median(ratios), "unit": "GB/s",
            "ratio_least": ratios[0], "ratio_most": ratios[-1], "pairs": pairs,
            "ratio_cpu": statistics.median(y["cpu_seconds"] / x["cpu_seconds"]
                                           for x, y in zip(a, b))}
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}),
          flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("bench")
    p.add_argument("--quick", action="store_true", help="two ranks, 1 and 16 MiB, three pairs")
    p.add_argument("--pairs", type=int)
    p.add_argument("--worlds")
    p.add_argument("--mib")
    p.add_argument("--bare", action="store_true", help="against plain sockets alone")
    args = p.parse_args()
    pairs = args.pairs or (3 if args.quick else 7)
    worlds = [int(x) for x in (args.worlds or ("2" if args.quick else "2,4")).split(",")]
    sizes = [int(x) << 20 for x in (args.mib or ("1,16" if args.quick else "1,16,64,256")).split(",")]
    with tempfile.TemporaryDirectory() as folder:
        for world in worlds:
            ours = {way: banyan(args.bench, world, bool(way)) for way in ("", " over sockets")}
            theirs = None if args.bare else gloo(world, folder)
            for size in sizes:
                for op in ("all_gather", "reduce_scatter"):
                    best = op
                    if theirs and op == "reduce_scatter":
                        best = min((op, "exchange_and_add"),
                                   key=lambda do: theirs.time(do, size, 3)["seconds"])
                    for way, side in ours.items():
                        mine = lambda n: side.time(op, size, n)
                        compare(op + way, world, size, pairs, mine,
                                lambda n: side.time("bare", size, n), "plain sockets")
                        if theirs:
                            compare(op + way, world, size, pairs, mine,
                                    lambda n: theirs.time(best, size, n),
                                    f"Gloo {best}, PyTorch {theirs.version}")
            for side in (*ours.values(), theirs):
                if side:
                    side.close()


if __name__ == "__main__":
    main()
