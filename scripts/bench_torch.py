"""PyTorch's side of `make bench-peers`: trains a LLaMA and times matrix products, one request a
line on standard input, one answer a line on standard output. The twin of internal/bench: the same
model, batch, optimizer and requests. Threads come from OMP_NUM_THREADS."""

import contextlib
import json
import os
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

THREADS = int(os.environ["OMP_NUM_THREADS"])
torch.set_num_threads(THREADS)
torch.set_num_interop_threads(1)


def rotate(x, cos, sin):  # x [B,H,T,D]
    lo, hi = x.chunk(2, -1)
    return x * cos + torch.cat((-hi, lo), -1) * sin


class Block(nn.Module):
    """Projections that read the same input are one product: the fastest way to write it."""

    def __init__(self, c, h, k, f):
        super().__init__()
        self.h, self.k, self.d = h, k, c // h
        self.norm1, self.norm2 = nn.RMSNorm(c, 1e-5), nn.RMSNorm(c, 1e-5)
        self.qkv = nn.Linear(c, (h + 2 * k) * self.d, bias=False)
        self.o = nn.Linear(c, c, bias=False)
        self.gate_up = nn.Linear(c, 2 * f, bias=False)
        self.down = nn.Linear(f, c, bias=False)

    def forward(self, x, cos, sin):
        b, t, c = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, t, self.h + 2 * self.k, self.d).transpose(1, 2)
        q, k, v = qkv.split((self.h, self.k, self.k), 1)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if self.k != self.h:
            k, v = (z.repeat_interleave(self.h // self.k, 1) for z in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(b, t, c))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self, size, chunked):
        super().__init__()
        c, d, t = size["hidden"], size["hidden"] // size["heads"], size["seq_len"]
        self.chunked = chunked
        self.embed = nn.Embedding(size["vocab"], c)
        self.blocks = nn.ModuleList(Block(c, size["heads"], size["kv_heads"], size["ffn"])
                                    for _ in range(size["layers"]))
        self.norm, self.head = nn.RMSNorm(c, 1e-5), nn.Linear(c, size["vocab"], bias=False)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)
        angle = torch.outer(torch.arange(t), 10000.0 ** (-torch.arange(0, d, 2) / d))
        self.register_buffer("cos", torch.cat((angle, angle), -1).cos())
        self.register_buffer("sin", torch.cat((angle, angle), -1).sin())

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        for block in self.blocks:
            x = block(x, cos, sin)
        x = self.norm(x).flatten(0, 1)
        if self.chunked:  # the fused head of PyTorch 2.15: no full logits
            return F.linear_cross_entropy(x, self.head.weight, targets.flatten())
        return F.cross_entropy(self.head(x).float(), targets.flatten())


def batch(size):
    """The tokens of internal/bench/train.go: numbers of ranqd1 (Numerical Recipes)."""
    x, rows = 1, []
    for _ in range(size["batch"]):
        row = []
        for _ in range(size["seq_len"] + 1):
            x = (x * 1664525 + 1013904223) % 2**32
            row.append((x >> 8) % size["vocab"])
        rows.append(row)
    both = torch.tensor(rows)
    return both[:, :-1].contiguous(), both[:, 1:].contiguous()


class Trainer:
    """precision: fp32, bf16 (autocast) or bf16-weights (bf16 model, fp32 masters)."""

    def __init__(self, size):
        torch.manual_seed(1)
        self.rows = size["batch"] * size["seq_len"]
        model = Llama(size, size.get("head") == "chunked")
        self.masters = [p for p in model.parameters()]
        self.halves = None
        if size["precision"] == "bf16-weights":
            self.masters = [p.detach().clone().requires_grad_() for p in model.parameters()]
            model = model.to(torch.bfloat16)
            self.halves = list(model.parameters())
        self.autocast = size["precision"] == "bf16"
        self.optimizer = torch.optim.AdamW(self.masters, lr=1e-4, betas=(0.9, 0.95), eps=1e-8,
                                           weight_decay=0.1, fused=True)
        self.model = torch.compile(model) if size.get("compile") else model
        self.tokens, self.targets = batch(size)

    def step(self):
        with (torch.autocast("cpu", torch.bfloat16) if self.autocast
              else contextlib.nullcontext()):
            loss = self.model(self.tokens, self.targets)
        loss.backward()
        if self.halves:
            for m, h in zip(self.masters, self.halves):
                m.grad, h.grad = h.grad.float(), None
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.halves:
            with torch.no_grad():
                torch._foreach_copy_(self.halves, self.masters)
        return loss.item()

    def steps(self, repeat):
        began, used = time.perf_counter(), cpu_time()
        for _ in range(repeat):
            loss = self.step()
        took = (time.perf_counter() - began) / repeat
        return {"seconds": took, "cpu_seconds": (cpu_time() - used) / repeat, "loss": loss,
                "tokens_per_s": self.rows / took}


def cpu_time():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
operands = {}


def matmul(q):
    key = (q["m"], q["n"], q["k"], q["layout"], q["dtype"])
    if key not in operands:
        a, b = torch.randn(q["m"], q["k"]), torch.randn(q["k"], q["n"])
        a, b = a.to(DTYPES[q["dtype"]]), b.to(DTYPES[q["dtype"]])
        if q["layout"][0] == "t":  # stored [k,m], as a view
            a = a.t().contiguous().t()
        if q["layout"][1] == "t":
            b = b.t().contiguous().t()
        operands[key] = a, b, torch.empty(q["m"], q["n"], dtype=DTYPES[q["dtype"]])
    a, b, c = operands[key]
    began = time.perf_counter()
    for _ in range(q.get("repeat", 1)):
        torch.matmul(a, b, out=c)
    return {"seconds": (time.perf_counter() - began) / q.get("repeat", 1)}


def memory(reset):
    if reset:
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")
    with open("/proc/self/status") as f:
        lines = dict(line.split(":", 1) for line in f)
    return {"peak_bytes": int(lines["VmHWM"].split()[0]) << 10,
            "resident_bytes": int(lines["VmRSS"].split()[0]) << 10}


def serve(q, state):
    if q["do"] == "open":
        return {"version": torch.__version__.split("+")[0],
                "isa": torch.backends.cpu.get_cpu_capability()}
    if q["do"] == "model":
        state["trainer"] = Trainer(q)
        return {"parameters": sum(p.numel() for p in state["trainer"].masters)}
    if q["do"] == "step":
        return state["trainer"].steps(q.get("repeat", 1))
    if q["do"] == "matmul":
        with torch.no_grad():
            return matmul(q)
    if q["do"] == "memory":
        return memory(q.get("reset"))
    raise ValueError("unknown request " + q["do"])


def main():
    state = {}
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not end up between answers
    for line in sys.stdin:
        try:
            answer = serve(json.loads(line), state)
        except Exception as e:  # a variant that fails is a result
            answer = {"error": f"{type(e).__name__}: {e}"[:300]}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
