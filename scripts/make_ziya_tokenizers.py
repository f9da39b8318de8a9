"""Trains the two tokenizers of examples/ziya on the example corpora.

Usage: python scripts/make_ziya_tokenizers.py     (needs sentencepiece)

base.model is made as Llama 2's was: BPE over English with byte fallback, digits apart, nothing
normalized. chinese.model has the pieces of the Chinese texts, to be added to it.
"""

import glob
import json
import pathlib
import tempfile

import sentencepiece as sp

OUT = pathlib.Path("examples/ziya")
COMMON = dict(model_type="bpe", num_threads=1, minloglevel=2, max_sentence_length=20000,
              normalization_rule_name="identity", remove_extra_whitespaces=False,
              split_digits=True, byte_fallback=True, hard_vocab_limit=False)


def train(name, pattern, size, **options):
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder) / "text"
        with open(text, "w", encoding="utf-8") as f:
            for path in sorted(glob.glob(f"examples/corpora/{pattern}.jsonl")):
                with open(path, encoding="utf-8") as corpus:
                    f.writelines(line + "\n" for row in corpus
                                 for line in json.loads(row)["text"].splitlines() if line)
        prefix = str(pathlib.Path(folder) / name)
        sp.SentencePieceTrainer.train(input=str(text), model_prefix=prefix, vocab_size=size,
                                      **{**COMMON, **options})
        (OUT / f"{name}.model").write_bytes(pathlib.Path(prefix + ".model").read_bytes())


OUT.mkdir(exist_ok=True)
train("base", "en-*", 2000)
train("chinese", "zh-*", 2500, character_coverage=1.0)
