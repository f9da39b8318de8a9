"""Trains what banyan has trained, in PyTorch, and compares the two loss curves step by step.

usage: python scripts/peer_curve.py CURVE_DIR

CURVE_DIR holds base/, a Hugging Face folder, and curve.json, as TestPeerCurve writes them (see
worker/train/peer_test.go): the batches as ids with the document mask, the settings, and banyan's
losses. Same start, data, AdamW, clipping and schedule; transformers' model in fp32. Fails if the
fp32 loss of any step is off by more than 0.5 %. Other precisions are printed, not judged.
"""

import json
import math
import sys

import torch
import transformers

TOLERANCE = 0.005


def rate(step, run):
    """Learning rate of a step, 1 to the last: linear warm-up, then cosine."""
    peak, floor, warmup = run["optimizer"]["lr"], run["min_lr"], run["warmup"]
    if step <= warmup:
        return peak * step / warmup
    x = (step - warmup) / (run["steps"] - warmup)
    return floor + (peak - floor) * (1 + math.cos(math.pi * x)) / 2


def mask(first):
    """Additive attention mask [B,1,T,T]: position t sees first[t] to t."""
    t = first.shape[1]
    key = torch.arange(t)
    seen = (key[None, None, :] <= key[None, :, None]) & (key[None, None, :] >= first[:, :, None])
    return torch.where(seen, 0.0, torch.finfo(torch.float32).min)[:, None]


def train(folder, run):
    """The peer's losses, gradient norms and rates."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager")
    model.train()
    o = run["optimizer"]
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() == 1]
    adamw = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": o["weight_decay"]},
         {"params": others, "weight_decay": 0.0}],
        lr=o["lr"], betas=tuple(o["betas"]), eps=o["eps"])
    curve = []
    for step, batch in enumerate(run["batches"], 1):
        x = {name: torch.tensor(rows) for name, rows in batch.items()}
        logits = model(input_ids=x["tokens"], position_ids=x["pos"],
                       attention_mask=mask(x["first"]), use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), x["targets"].flatten().long(), ignore_index=-1)
        adamw.zero_grad()
        loss.backward()
        norm = math.sqrt(sum(p.grad.double().square().sum().item() for p in model.parameters()))
        if norm > o["clip"]:
            for p in model.parameters():
                p.grad.mul_(o["clip"] / norm)
        for group in adamw.param_groups:
            group["lr"] = rate(step, run)
        adamw.step()
        curve.append({"loss": loss.item(), "norm": norm, "lr": rate(step, run)})
    return curve


def worst(ours, peer, field):
    """Largest relative difference of a field, and its step."""
    return max((abs(a[field] - b[field]) / abs(b[field]), step)
               for step, (a, b) in enumerate(zip(ours, peer), 1))


def main():
    folder = sys.argv[1]
    with open(f"{folder}/curve.json") as f:
        run = json.load(f)
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)  # the matrices are too small for more
    peer = train(f"{folder}/base", run)
    failed = False
    for precision, ours in sorted(run["curves"].items()):
        if len(ours) != len(peer):
            sys.exit(f"peer_curve: {len(ours)} steps in {precision}, the peer made {len(peer)}")
        off, step = worst(ours, peer, "loss")
        print(f"peer_curve: {precision}, {len(peer)} steps, loss {peer[0]['loss']:.4f} to "
              f"{peer[-1]['loss']:.4f}: worst loss off by {100 * off:.4f} % (step {step}), "
              f"worst norm by {100 * worst(ours, peer, 'norm')[0]:.3f} %")
        if worst(ours, peer, "lr")[0] > 1e-12:
            failed = True
            print("peer_curve: the learning rates differ")
        if precision == "FP32" and not off <= TOLERANCE:
            failed = True
            print(f"peer_curve: more than {100 * TOLERANCE} %")
    if "FP32" not in run["curves"] or failed:
        sys.exit("peer_curve: FAIL")
    print("peer_curve: PASS")


if __name__ == "__main__":
    main()
