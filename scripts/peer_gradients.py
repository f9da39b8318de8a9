"""Makes what TestPeerGradients of worker/model compares with: a random model of each family, of
middle size, and its losses and gradients by transformers in float32.

usage: python scripts/peer_gradients.py DIR

Each family is a folder of DIR, laid out as make_goldens.py does. The weights are stored in
bfloat16, so that float32 and bfloat16 start from the same numbers.
"""

import os
import sys

import torch
from make_goldens import LLAMA3, case, make_case

SIZES = dict(vocab_size=8000, hidden_size=512, intermediate_size=1376, num_hidden_layers=6,
             num_attention_heads=8)
STD = 0.05  # about 1 / sqrt(hidden_size): no activation grows or dies with the layers

CASES = {
    "llama": case("llama", False, 2, torch.bfloat16, rope_parameters=LLAMA3),
    "mistral": case("mistral", False, 4, torch.bfloat16, sliding_window=50),
    "qwen2": case("qwen2", True, 2, torch.bfloat16, rope_theta=1000000.0),
    "qwen3": case("qwen3", True, 4, torch.bfloat16, head_dim=96, rope_theta=1000000.0),
}

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(2)
    for name, (options, dtype, shard) in CASES.items():
        make_case(os.path.join(sys.argv[1], name), options, dtype, shard, SIZES, STD)
