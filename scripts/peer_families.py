"""Compares banyan with transformers on a random model of every family, both ways.

usage: python scripts/peer_families.py BANYAN TMP_DIR [NAME...]

For each model (or the NAMEd ones):
  - transformers makes it and saves it; banyan reads the folder: its logits are transformers' in
    fp32, and in bf16 as close as TOLERANCES says;
  - banyan writes a folder from transformers' config.json, in fp32 and in bf16, in one file and in
    several: transformers loads it without any warning, and both compute the same logits;
  - `banyan model loss` over the first documents of examples/corpora is transformers' loss.
Prints a line for each model, and fails if anything differs.
"""

import json
import os
import subprocess
import sys

import peer_logits

IDS = [(i * 613 + 11) % 4096 for i in range(96)]
SEQ_LEN = 48
DOCUMENTS = 3  # of each corpus

# Largest difference of logits, relative to the largest magnitude. fp32: rounding in another order.
# bf16: of the activations' 8 bits; and no more than twice what transformers' own bf16 is off.
TOLERANCES = {"fp32": 1e-5, "bf16": 3e-2}
LOSS_TOLERANCE = 1e-5

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64, "rope_theta": 10000.0}
# Every family, and every choice that changes its mathematics.
MODELS = {
    "llama": {},
    "llama-tied": {"tie_word_embeddings": True, "num_key_value_heads": 4},
    "llama-linear": {"rope_parameters": {"rope_type": "linear", "factor": 4.0,
                                         "rope_theta": 10000.0}},
    "llama-llama3": {"rope_parameters": LLAMA3, "head_dim": 32},
    "mistral": {"sliding_window": None, "head_dim": 32},
    "mistral-window": {"sliding_window": 17},
    "qwen2": {},
    "qwen2-tied": {"tie_word_embeddings": True, "use_sliding_window": True, "sliding_window": 17,
                   "max_window_layers": 0},
    "qwen3": {"head_dim": 32},
    "qwen3-tied": {"head_dim": 16, "tie_word_embeddings": True},
}


def make(name, changes, folder):
    """A small model with weights that leave nothing at its neutral value, norms and biases too."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    sizes = dict(vocab_size=4096, hidden_size=64, intermediate_size=176, num_hidden_layers=3,
                 num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
                 rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)
    config = transformers.AutoConfig.for_model(name.split("-")[0], **(sizes | changes))
    torch.manual_seed(len(name))
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    model.save_pretrained(folder)


def banyan(args):
    result = subprocess.run(args, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(args[:3])}: {result.stderr.strip()}")
    return result.stdout


def banyan_logits(binary, folder, precision, tmp):
    path = os.path.join(tmp, "logits.json")
    with open(path, "w") as f:
        f.write(banyan([binary, "model", "logits", "--model", folder, "--precision", precision,
                        "--ids", ",".join(map(str, IDS))]))
    return peer_logits.read(path, IDS, 4096)


def check_logits(binary, folder, tmp, dtypes):
    """Problems of one folder, and the distances by precision."""
    import torch

    exact, problems = peer_logits.load(folder)
    want = peer_logits.logits(exact, IDS)
    seen = {}
    for dtype in dtypes:
        mine = banyan_logits(binary, folder, dtype, tmp)
        if dtype == "bf16":  # the weights are rounded: what is exact then is fp32 of those
            rounded = exact.to(torch.bfloat16)
            theirs = peer_logits.logits(rounded, IDS)
            want = peer_logits.logits(rounded.float(), IDS)
            seen["peer"] = peer_logits.distance(theirs, want)
        seen[dtype] = peer_logits.distance(mine, want)
        if not seen[dtype] <= TOLERANCES[dtype]:
            problems.append(f"{dtype} logits differ by {seen[dtype]:.2e} of the largest")
        elif dtype == "bf16" and seen[dtype] > 2 * seen["peer"]:
            problems.append(f"bf16 logits are off by {seen[dtype]:.2e} of the largest, "
                            f"transformers' by {seen['peer']:.2e}")
    return problems, seen


def documents():
    """Texts of the shared corpora, and their tokens."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file("examples/tokenizer/tokenizer.json")
    for name in sorted(os.listdir("examples/corpora")):
        with open(os.path.join("examples/corpora", name), encoding="utf-8") as f:
            for _ in range(DOCUMENTS):
                text = json.loads(f.readline())["text"]
                yield text, tokenizer.encode(text, add_special_tokens=False).ids


def check_loss(binary, folder, tmp):
    """Problems of `banyan model loss`, by its definition in worker/probe, and its distance."""
    import torch

    model, _ = peer_logits.load(folder)
    total, targets, size = 0.0, 0, 0
    with open(os.path.join(tmp, "texts.jsonl"), "w", encoding="utf-8") as f:
        for text, ids in documents():
            f.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            size += len(text.encode())
            for lo in range(0, len(ids) - 1, SEQ_LEN):
                window = ids[lo:lo + SEQ_LEN + 1]
                rows = peer_logits.logits(model, window[:-1])
                total += float(torch.nn.functional.cross_entropy(
                    rows, torch.tensor(window[1:]), reduction="sum"))
                targets += len(window) - 1
    mine = json.loads(banyan([binary, "model", "loss", "--model", folder, "--jsonl", f.name,
                              "--seq-len", str(SEQ_LEN), "--tokenizer", "examples/tokenizer"]))
    loss = total / targets
    bits = total / 0.6931471805599453 / size
    d = max(abs(mine["loss"] / loss - 1), abs(mine["bits_per_byte"] / bits - 1))
    if mine["targets"] != targets or not d <= LOSS_TOLERANCE:
        return [f"loss is {mine}, want {loss} over {targets} targets, {bits} bits per byte"], d
    return [], d


def check(binary, name, changes, tmp):
    """Problems of one model, and what to say of it if there are none."""
    folder = os.path.join(tmp, name)
    make(name, changes, folder)
    problems, seen = check_logits(binary, folder, tmp, ["fp32", "bf16"])
    more, loss = check_loss(binary, folder, tmp)
    problems += more
    for dtype, extra in [("fp32", []), ("bf16", []), ("bf16", ["--shard-bytes", "100000"])]:
        export = os.path.join(tmp, f"{name}-{dtype}-{len(extra)}")
        banyan([binary, "model", "init", export, "--config", os.path.join(folder, "config.json"),
                "--dtype", dtype, "--seed", "7"] + extra)
        model, more = peer_logits.load(export, "auto")
        if str(model.dtype) != {"fp32": "torch.float32", "bf16": "torch.bfloat16"}[dtype]:
            more.append(f"loads as {model.dtype}")
        for kind in (check_logits(binary, export, tmp, ["fp32"])[0], more):
            problems += [f"export in {dtype} {' '.join(extra)}: {p}" for p in kind]
    return problems, (f"fp32 {seen['fp32']:.1e}, bf16 {seen['bf16']:.1e} (transformers "
                      f"{seen['peer']:.1e}), loss {loss:.1e}")


def main(binary, tmp, names):
    failed = False
    for name in names or MODELS:
        try:
            problems, summary = check(binary, name, MODELS[name], tmp)
        except RuntimeError as e:
            problems, summary = [str(e)], ""
        for p in problems:
            print(f"peer_families: {name}: {p}", file=sys.stderr)
        if not problems:
            print(f"peer_families: {name} agrees: {summary}")
        failed = failed or bool(problems)
    return int(failed)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
