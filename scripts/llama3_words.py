"""Writes a tokenizer.json with the vocabulary of a folder of Qwen2 and the words of Llama 3.

Usage: python scripts/llama3_words.py QWEN2_FOLDER OUT_FOLDER     (needs: pip install tokenizers)

No tokenizer of Llama 3 may be given away, but its pattern may be held against the peers with any
vocabulary: digits by threes, no normalizer, ignore_merges.
"""

import os
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models
from tokenizers import pre_tokenizers as pre

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write(folder, out):
    files = [os.path.join(folder, name) for name in ("vocab.json", "merges.txt")]
    vocab, merges = models.BPE.read_file(*files)
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    tok.pre_tokenizer = pre.Sequence([
        pre.Split(Regex(PATTERN), "isolated"),
        pre.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([AddedToken("<|begin_of_text|>"), AddedToken("<|eot_id|>")])
    os.makedirs(out, exist_ok=True)
    tok.save(os.path.join(out, "tokenizer.json"))
    return out


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write(*sys.argv[1:])
