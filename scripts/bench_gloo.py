"""Gloo's side of scripts/bench_collective.py: one rank, one request a line on standard input, one
answer a line on standard output. The twin of the ranks of internal/bench."""

import json
import os
import resource
import sys
import time

import torch
import torch.distributed as dist

torch.set_num_threads(1)


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Rank:
    def __init__(self):
        self.vector = self.out = None

    def join(self, rank, world, store):
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=world)
        return {"version": torch.__version__}

    def prepare(self, n):
        if self.vector is None or self.vector.numel() != n:
            self.vector = (torch.arange(n) % 1000 + dist.get_rank()) / 1024
            self.out = torch.zeros(n)

    def operation(self, do, n):
        world, rank = dist.get_world_size(), dist.get_rank()
        self.prepare(n)
        part = self.vector.view(world, -1)
        if do == "all_gather":
            own = self.out.view(world, -1)[rank]
            return lambda: dist.all_gather_into_tensor(self.out, own)
        if do == "reduce_scatter":
            own = self.out[:n // world]
            return lambda: dist.reduce_scatter_tensor(own, self.vector)
        came = self.out.view(world, -1)
        own = torch.empty(n // world)

        def exchange_and_add():
            dist.all_to_all_single(self.out, self.vector)
            torch.sum(came, 0, out=own)
        return exchange_and_add

    def run(self, do, bytes, repeat=1):
        world = dist.get_world_size()
        act = self.operation(do, bytes // 4 // world * world)
        act()
        dist.barrier()
        began, used = time.perf_counter(), cpu()
        for _ in range(repeat):
            act()
        return {"seconds": (time.perf_counter() - began) / repeat,
                "cpu_seconds": (cpu() - used) / repeat}


def main():
    rank = Rank()
    for line in sys.stdin:
        q = json.loads(line)
        try:
            answer = rank.join(**{k: q[k] for k in ("rank", "world", "store")}) \
                if q["do"] == "join" else rank.run(q["do"], q["bytes"], q.get("repeat", 1))
        except Exception as e:  # told to the driver
            answer = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
