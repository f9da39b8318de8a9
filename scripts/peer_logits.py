"""Checks that transformers loads an exported folder and computes the logits that banyan computes.

usage: python scripts/peer_logits.py EXPORT_DIR LOGITS_JSON IDS

LOGITS_JSON holds {"shape": [T, V], "logits": [T*V numbers, row by row]}, as written by
`banyan model logits --ids IDS`. Fails, saying why, if loading the model or the tokenizer gives a
warning, if a weight is missing, left over or of another shape, or if a logit is off by more than
1e-5 of the largest.
"""

import json
import logging
import os
import sys
import warnings

TOLERANCE = 1e-5
CLASSES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM",
           "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}


class Collector(logging.Handler):
    """Keeps what the libraries log at level warning or above."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.seen = []

    def emit(self, record):
        self.seen.append(f"{record.name}: {record.getMessage()}")


def load(folder, dtype=None):
    """The model in float32 (or in the given type: "auto" is the folder's own), with all reasons
    why the folder is not as transformers wants it."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    collector = Collector()
    logging.getLogger("transformers").addHandler(collector)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype or torch.float32, attn_implementation="eager",
            output_loading_info=True)
        if os.path.exists(os.path.join(folder, "tokenizer.json")):
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            if len(tokenizer) > model.config.vocab_size:
                collector.seen.append(f"tokenizer has {len(tokenizer)} tokens, the model only "
                                      f"{model.config.vocab_size}")
    logging.getLogger("transformers").removeHandler(collector)
    problems = collector.seen + [f"{w.category.__name__}: {w.message}" for w in caught]
    problems += [f"{kind}: {keys}" for kind, keys in info.items() if keys]
    if type(model).__name__ != CLASSES.get(model.config.model_type):
        problems.append(f"loaded as {type(model).__name__}")
    return model.eval(), problems


def logits(model, ids):
    """The logits of one sequence: [T, V] in float64."""
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()


def read(path, ids, vocab):
    """The logits that banyan printed: [T, V] in float64."""
    import torch

    with open(path) as f:
        record = json.load(f)
    if sorted(record) != ["logits", "shape"] or record["shape"] != [len(ids), vocab]:
        sys.exit(f"{path}: keys {sorted(record)}, shape {record.get('shape')}; want logits and "
                 f"shape, {[len(ids), vocab]}")
    return torch.tensor(record["logits"], dtype=torch.float64).reshape(record["shape"])


def distance(a, b):
    """The largest difference, relative to b's largest magnitude; infinite if anything is NaN."""
    d = float((a - b).abs().max() / b.abs().max())
    return d if d == d else float("inf")


def main(folder, path, ids):
    ids = [int(i) for i in ids.split(",")]
    model, problems = load(folder)
    d = distance(read(path, ids, model.config.vocab_size), logits(model, ids))
    if d > TOLERANCE:
        problems.append(f"logits differ by up to {d:.2e} of the largest")
    for p in problems:
        print(f"peer_logits: {folder}: {p}", file=sys.stderr)
    if problems:
        return 1
    print(f"peer_logits: {folder}: {len(ids)} positions agree to {d:.2e} of the largest logit")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
