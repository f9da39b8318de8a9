"""PyTorch's side of `make bench-ranks`: a step of data-parallel training over Gloo, each rank a
process bound to cores of its own.

    bench_ddp.py '{"hidden": .., "batch": .., "micro": .., "world": 2, "threads": 1, "steps": 1, ..}'

batch is the global one, in sequences; a rank takes its part whole or micro sequences at a time,
whichever is faster in a first step, or as "way" and "at_a_time" say. Prints one JSON object:
seconds (of the slowest rank) and cpu_seconds (of all) for the timed steps of the fastest way, which
one that was, and the version.

Ways: ddp, DistributedDataParallel with whole weights on every rank, and, for a sharding of zero2 or
zero3, fsdp, fully_shard of every block. Both reduce while they still compute.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time


def rank_main(q, rank, store):
    import torch
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    from bench_torch import Llama, batch

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    world = q["world"]
    dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=world)
    tokens, targets = (x[rank::world].contiguous() for x in batch(q))

    def build(way):
        torch.manual_seed(1)
        model = Llama(q, True)
        if way == "ddp":
            model = DistributedDataParallel(model, gradient_as_bucket_view=True)
        else:
            mesh = init_device_mesh("cpu", (world,))
            for block in model.blocks:
                fully_shard(block, mesh=mesh)
            fully_shard(model, mesh=mesh)
        return model, torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), eps=1e-8,
                                        weight_decay=0.1, fused=True)

    def step(way, model, optimizer, micro):
        parts = len(tokens) // micro
        for i in range(parts):
            last = i == parts - 1
            if way == "ddp":
                model.require_backward_grad_sync = last
            else:
                model.set_requires_gradient_sync(last)
            part = slice(i * micro, (i + 1) * micro)
            (model(tokens[part], targets[part]) / parts).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def cpu():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    def timed(steps, *what):
        dist.barrier()
        began, used = time.perf_counter(), cpu()
        for _ in range(steps):
            step(*what)
        mine = torch.tensor([time.perf_counter() - began, cpu() - used], dtype=torch.float64)
        slowest, total = mine[:1].clone(), mine[1:].clone()
        dist.all_reduce(slowest, dist.ReduceOp.MAX)
        dist.all_reduce(total)
        return slowest.item(), total.item()

    ways = [(way, micro) for way in (["ddp"] if q["sharding"] == "ZERO1" else ["ddp", "fsdp"])
            for micro in sorted({q["micro"], len(tokens)})]
    if q.get("way"):
        ways = [(q["way"], q["at_a_time"])]
    best = None
    for way, micro in ways:
        what = (way, *build(way), micro)
        timed(2, *what)  # DDP sorts its buckets after the first step
        first = timed(1, *what)[0] if len(ways) > 1 else 0
        if best is None or first < best[0]:
            best = (first, what)
    seconds, total = timed(q["steps"], *best[1])
    if rank == 0:
        print(json.dumps({"seconds": seconds, "cpu_seconds": total, "version": torch.__version__,
                          "way": best[1][0], "at_a_time": best[1][3]}), flush=True)
    dist.destroy_process_group()


def main():
    if len(sys.argv) > 2:
        rank_main(json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
        return
    q = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "OMP_NUM_THREADS": str(q["threads"]),
               "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=2147483648:"
                                 "glibc.malloc.trim_threshold=4294967296"}
        ranks = [subprocess.Popen(
            ["taskset", "-c", f"{r * q['threads']}-{(r + 1) * q['threads'] - 1}", sys.executable,
             os.path.abspath(__file__), sys.argv[1], str(r), os.path.join(folder, "store")], env=env)
            for r in range(q["world"])]
        sys.exit(max(abs(p.wait()) for p in ranks))


if __name__ == "__main__":
    main()
