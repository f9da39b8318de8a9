"""Makes the goldens of worker/model: tiny random models as Hugging Face folders, and what
transformers computes with them.

usage: python scripts/make_goldens.py worker/model/testdata [CASE ...]

Needs torch, transformers and safetensors. Each case is a folder with config.json, the weights,
and golden.safetensors: inputs (as float32), per-row losses, some rows of the logits, and the
gradient of the sum of the losses by every parameter ("grad." + its name). The script is
deterministic on one machine; on another the last bits may differ. peer_gradients.py makes larger
cases with it.
"""

import os
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

BATCH, SEQ_LEN = 2, 144
TINY = dict(vocab_size=96, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
            num_attention_heads=4)
LOGIT_STRIDE = 16  # rows of logits kept: 0, 16, ...


def case(family, tied, kv_heads, dtype=torch.float32, shard="1GB", **options):
    return dict(model_type=family, tie_word_embeddings=tied, num_key_value_heads=kv_heads,
                **options), dtype, shard


# With theta 10000, 4 pairs and 100 original positions, one pair is left alone, one is between,
# and two are slowed.
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=100)

# name -> configuration, storage type, shard size
CASES = {
    "gqa": case("llama", False, 2, shard="40KB", head_dim=8, rope_theta=500000.0),
    "tied": case("llama", True, 1, torch.bfloat16, head_dim=8),
    "linear": case("llama", True, 4, head_dim=8, rope_parameters=dict(
        rope_type="linear", rope_theta=10000.0, factor=3.0)),
    "llama3": case("llama", False, 2, torch.bfloat16, head_dim=8, rope_parameters=LLAMA3),
    "mistral": case("mistral", False, 2, head_dim=8, sliding_window=20),
    "qwen2": case("qwen2", True, 2, torch.bfloat16, rope_theta=1000000.0),
    "qwen3": case("qwen3", False, 1, head_dim=12, rope_theta=1000000.0),
}


def make_model(options, std):
    theta = options.pop("rope_theta", 10000.0)
    options = {"rope_parameters": {"rope_type": "default", "rope_theta": theta}, **options}
    cfg = AutoConfig.for_model(options.pop("model_type"),
                               max_position_embeddings=256, rms_norm_eps=1e-5,
                               initializer_range=0.02, **options)
    model = AutoModelForCausalLM.from_config(cfg, attn_implementation="eager")
    with torch.no_grad():  # larger than a real start, so that no gradient is negligible
        for name, p in model.named_parameters():
            p.normal_(1.0, 0.2) if "norm" in name else p.normal_(0.0, std)
    return model


def documents(generator):
    """First visible position, position and target mask of sequences cut into documents."""
    first = torch.zeros(BATCH, SEQ_LEN, dtype=torch.long)
    for b, starts in enumerate([[0], [0, 1, 30, 77, 143]]):  # one sequence is a single document
        for s in starts:
            first[b, s:] = s
    pos = torch.arange(SEQ_LEN) - first
    keep = torch.ones(BATCH, SEQ_LEN, dtype=torch.bool)
    keep[:, :-1] = first[:, :-1] == first[:, 1:]  # no target across a boundary
    keep &= torch.rand(BATCH, SEQ_LEN, generator=generator) > 0.1
    return first, pos, keep


def make_case(folder, options, dtype, shard, sizes=TINY, std=0.2):
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(2)
    model = make_model({**sizes, **options}, std)
    vocab = model.config.vocab_size
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    os.remove(os.path.join(folder, "generation_config.json"))
    # Read back rather than .float(): that would keep rotary frequencies rounded to bfloat16.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                 attn_implementation="eager")

    tokens = torch.randint(vocab, (BATCH, SEQ_LEN), generator=generator)
    first, pos, keep = documents(generator)
    targets = torch.randint(vocab, (BATCH, SEQ_LEN), generator=generator)
    targets[~keep] = -1
    t = torch.arange(SEQ_LEN)
    visible = (t[None, None, :] <= t[None, :, None]) & (t[None, None, :] >= first[:, :, None])
    window = getattr(model.config, "sliding_window", None)
    if window:
        visible &= t[None, None, :] > t[None, :, None] - window
    mask = torch.zeros(BATCH, 1, SEQ_LEN, SEQ_LEN)
    mask.masked_fill_(~visible[:, None], torch.finfo(torch.float32).min)

    logits = model(input_ids=tokens, position_ids=pos, attention_mask=mask, use_cache=False).logits
    own = model(input_ids=tokens[:1], use_cache=False).logits  # with the model's own mask
    torch.testing.assert_close(logits[:1], own, rtol=1e-5, atol=1e-5)
    losses = torch.nn.functional.cross_entropy(
        logits.reshape(-1, vocab), targets.reshape(-1), ignore_index=-1, reduction="none")
    losses.sum().backward()

    golden = {"grad." + n: p.grad.detach() for n, p in model.named_parameters()}
    golden["losses"] = losses.detach()
    golden["logits"] = logits.detach().reshape(-1, vocab)[::LOGIT_STRIDE].clone()
    for name, x in {"tokens": tokens, "pos": pos, "first": first, "targets": targets}.items():
        golden[name] = x.reshape(-1).float()
    save_file(golden, os.path.join(folder, "golden.safetensors"))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    for name in sys.argv[2:] or CASES:
        make_case(os.path.join(sys.argv[1], name), *CASES[name])
