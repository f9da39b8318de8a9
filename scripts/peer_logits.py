"""Checks that transformers loads an exported folder and computes the logits that banyan computes.

usage: python scripts/peer_logits.py EXPORT_DIR LOGITS_JSON

LOGITS_JSON holds {"ids": [...], "shape": [T, V], "logits": [T*V numbers, row by row]}, as written
by `banyan model logits`. Fails, saying why, if loading the model or the tokenizer gives a warning,
if a weight is missing, left over or of another shape, or if a logit is off by more than
1e-4 + 1e-4 * |logit|.
"""

import json
import logging
import sys
import warnings

TOLERANCE = 1e-4


class Collector(logging.Handler):
    """Keeps what the libraries log at level warning or above."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.seen = []

    def emit(self, record):
        self.seen.append(f"{record.name}: {record.getMessage()}")


def load(folder, collector):
    """The model, with all reasons why the folder is not as transformers wants it."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").addHandler(collector)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    problems = collector.seen + [f"{w.category.__name__}: {w.message}" for w in caught]
    problems += [f"{kind}: {keys}" for kind, keys in info.items() if keys]
    if type(model).__name__ != "LlamaForCausalLM":
        problems.append(f"loaded as {type(model).__name__}")
    if len(tokenizer) > model.config.vocab_size:
        problems.append(f"tokenizer has {len(tokenizer)} tokens, the model only "
                        f"{model.config.vocab_size}")
    return model, problems


def compare(model, record):
    """Problems of the logits, and their largest absolute and relative differences."""
    import torch

    ids, shape = record["ids"], record["shape"]
    mine = torch.tensor(record["logits"], dtype=torch.float64)
    if shape != [len(ids), model.config.vocab_size] or mine.numel() != shape[0] * shape[1]:
        return [f"shape {shape} with {mine.numel()} logits for {len(ids)} tokens and a vocabulary "
                f"of {model.config.vocab_size}"], 0.0, 0.0
    with torch.no_grad():
        theirs = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
    diff = (mine.reshape(shape) - theirs).abs()
    problems = []
    if not bool((diff <= TOLERANCE * (1 + theirs.abs())).all()):  # also refuses NaN
        row = int(diff.max(dim=1).values.argmax())
        problems.append(f"logits differ by up to {diff.max():.2e}, most at position {row}")
    return problems, float(diff.max()), float(diff.max() / theirs.abs().max())


def main(folder, path):
    with open(path) as f:
        record = json.load(f)
    model, problems = load(folder, Collector())
    more, absolute, relative = compare(model, record)
    for p in problems + more:
        print(f"peer_logits: {folder}: {p}", file=sys.stderr)
    if problems + more:
        return 1
    print(f"peer_logits: {folder}: {len(record['ids'])} positions agree; largest difference "
          f"{absolute:.2e}, relative to the largest logit {relative:.2e}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
