"""Trains the small SentencePiece models of dataset/tokenize/sentencepiece/testdata on the example
corpora, and writes what the library makes of texts with them.

Usage: python scripts/make_sentencepiece_goldens.py

Each NAME.model has a NAME.jsonl: {"text", "ids", "decoded"} a line, the text as base64 where it is
not UTF-8 ("bytes"). `types.model` has its pieces' types changed after training: some are unused.
"""

import base64
import glob
import json
import pathlib
import tempfile

import sentencepiece as sp
from sentencepiece import sentencepiece_model_pb2 as pb

import hostile

OUT = pathlib.Path("dataset/tokenize/sentencepiece/testdata")
COMMON = dict(vocab_size=1300, character_coverage=0.98, num_threads=1, hard_vocab_limit=False,
              minloglevel=2, max_sentence_length=20000, input_sentence_size=2000,
              shuffle_input_sentence=False)
RULES = [("\uff21", "A"), ("\uff0c", ","), ("\u3000", " "), ("\u2460", "1"), ("\u2462", "1 2"),
         ("e\u0301", "\u00e9"), ("\ufeff", ""), ("\t", " "), ("\u00bd", "1/2"), ("fi", "\ufb01")]
INVALID = [b"\xff", b"a\x80b", b"\xe6\xa6", b"\xed\xa0\x80x", b"\xf5\x90\x80\x80", b"\xc0\xaf ",
           b" \xe2\x96\x81\xe2\x96 ", b"\xf0\x9f\x91"]


def rules(folder):
    path = pathlib.Path(folder) / "rules.tsv"
    rows = (" ".join(f"{ord(c):X}" for c in s) + "\t" + " ".join(f"{ord(c):X}" for c in t)
            for s, t in RULES)
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def models(folder, text):
    """Name and trainer options: what differs between them is what the format can say."""
    tsv = rules(folder)
    return {
        "bpe": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
                    remove_extra_whitespaces=False, allow_whitespace_only_pieces=True),
        "bpe_user": dict(model_type="bpe", normalization_rule_tsv=tsv, split_digits=True,
                         user_defined_symbols=["<tree>", "榕树", "\u2581\u2581", "aa"],
                         control_symbols=["<ctl>"], unk_surface="?"),
        "unigram": dict(model_type="unigram", normalization_rule_tsv=tsv,
                        user_defined_symbols=["<tree>", "榕树"], control_symbols=["<ctl>"]),
        "unigram_bytes": dict(model_type="unigram", byte_fallback=True, add_dummy_prefix=False,
                              normalization_rule_name="identity", remove_extra_whitespaces=False,
                              split_by_whitespace=False, bos_id=-1),
        "suffix": dict(model_type="bpe", treat_whitespace_as_suffix=True,
                       normalization_rule_name="identity", eos_id=-1),
    }


def unused(data):
    """Makes every seventh longer piece of a model unused."""
    m = pb.ModelProto()
    m.ParseFromString(data)
    longer = [p for p in m.pieces if p.type == p.NORMAL and len(p.piece) > 1]
    for p in longer[::7]:
        p.type = p.UNUSED
    return m.SerializeToString()


def texts():
    for path in sorted(glob.glob("examples/corpora/*.jsonl")):
        with open(path, encoding="utf-8") as f:
            yield from (json.loads(line)["text"][:200] for line in list(f)[::60])
    yield from hostile.texts(400, specials=["<tree>", "<ctl>", "榕树", "</s>"])
    yield from ("", " ", "  ", "a", " a ", "\u2581", "\u2581a\u2581", "x" * 300, "榕树榕树aa aaa")


def write(name, data):
    (OUT / f"{name}.model").write_bytes(data)
    s = sp.SentencePieceProcessor(model_proto=data)
    with open(OUT / f"{name}.jsonl", "w", encoding="utf-8") as f:
        for t in texts():
            ids = s.encode(t)
            print(json.dumps({"text": t, "ids": ids, "decoded": s.decode(ids)},
                             ensure_ascii=False), file=f)
        for t in INVALID:
            ids = s.encode(t)
            print(json.dumps({"bytes": base64.b64encode(t).decode(), "ids": ids,
                              "decoded": s.decode(ids)}), file=f)


def main():
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder) / "text"
        with open(text, "w", encoding="utf-8") as f:
            for path in sorted(glob.glob("examples/corpora/*.jsonl")):
                with open(path, encoding="utf-8") as corpus:
                    f.writelines(json.loads(line)["text"].replace("\n", " ") + "\n"
                                 for line in corpus)
        made = {}
        for name, options in models(folder, text).items():
            prefix = str(pathlib.Path(folder) / name)
            sp.SentencePieceTrainer.train(input=str(text), model_prefix=prefix,
                                          **{**COMMON, **options})
            made[name] = pathlib.Path(prefix + ".model").read_bytes()
        made["types"] = unused(made["bpe"])
        made["types_unigram"] = unused(made["unigram"])
    for name, data in made.items():
        write(name, data)


main()
