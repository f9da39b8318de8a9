"""Holds Banyan's encoders against the libraries of PyPI on this machine, in this run: MB/s a core.

    bench_encode.py BENCH SHARED [--pairs N] [--only TOKENIZER,...]

BENCH is the program of internal/bench, SHARED the folder of shared data. Prints one JSON object a
line: bench, shape (tokenizer/language), banyan, peer (MB of UTF-8 a second), peer_name, ratio, and
same_tokens, which says that both count as many tokens. Every program encodes all corpora of the
language, text by text or in one batch, whatever is the peer's best, on one thread, in a process of
its own and only while the others wait: A B A B; the ratio is the median of the pairs. Times are of
the processor, so that other programs count less. All have seen the texts once before: caches are
warm. cold has the ratio of those first passes.
"""

import argparse
import glob
import json
import os
import statistics
import sys
import tempfile
import time

ONE_THREAD = {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "GOMAXPROCS": "2"}


# What a peer is, in its own process: a function of the tokenizer's path that gives a name and a
# function which encodes all texts and counts the tokens.

def hf(path):
    import tokenizers
    from transformers import AutoTokenizer
    tok = AutoTokenizer.from_pretrained(path).backend_tokenizer

    def encode(texts):
        batch = tok.encode_batch_fast(texts, add_special_tokens=False)
        return sum(len(e) for e in batch)
    return "tokenizers " + tokenizers.__version__, encode


def tiktoken(path):
    import tiktoken
    from transformers import AutoTokenizer
    tok = AutoTokenizer.from_pretrained(path).backend_tokenizer
    state = json.loads(tok.to_str())
    byte_of = bytes_of_chars()
    ranks = {bytes(byte_of[c] for c in token): i for token, i in state["model"]["vocab"].items()}
    pattern = state["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    enc = tiktoken.Encoding("shared", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})

    def encode(texts):
        return sum(len(enc.encode_ordinary(t)) for t in texts)
    return "tiktoken " + tiktoken.__version__, encode


def spm(path):
    import sentencepiece
    tok = sentencepiece.SentencePieceProcessor(model_file=path)

    def encode(texts):
        return sum(len(tok.encode(t)) for t in texts)
    return "sentencepiece " + sentencepiece.__version__, encode


PEERS = {"hf": hf, "tiktoken": tiktoken, "spm": spm}


def bytes_of_chars():
    """The characters by which a byte-level vocabulary writes bytes (the convention of GPT-2)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in plain]
    return {**{chr(b): b for b in plain}, **{chr(256 + i): b for i, b in enumerate(hidden)}}


def tokenizers_of(shared, tmp):
    """What is compared: a name, the path, the peers."""
    from llama3_words import write
    qwen2 = os.path.join(shared, "data", "tokenizers", "qwen2")
    yield "qwen2", qwen2, ["hf", "tiktoken"]
    yield "llama3-words", write(qwen2, os.path.join(tmp, "llama3-words")), ["hf", "tiktoken"]
    llama2 = os.path.join(shared, "data", "tokenizers", "llama2", "tokenizer.model")
    chinese = os.path.join(shared, "data", "tokenizers", "chinese-llama", "chinese_sp.model")
    yield "llama2", llama2, ["spm"]
    yield "chinese-unigram", chinese, ["spm"]
    yield "chinese-llama", extend(llama2, chinese, os.path.join(tmp, "chinese-llama.model")), ["spm"]


def extend(base, added, path):
    """Writes the pieces of one tokenizer.model behind those of another: the Chinese-LLaMA recipe."""
    import sentencepiece
    old, new = (sentencepiece.SentencePieceProcessor(model_file=p) for p in (base, added))
    have = {old.id_to_piece(i) for i in range(old.get_piece_size())}
    with open(base, "rb") as f:
        model = f.read()
    for i in range(new.get_piece_size()):
        piece = new.id_to_piece(i)
        if piece not in have and not new.is_control(i) and not new.is_unknown(i):
            text = piece.encode()  # shorter than 110 bytes, so that a length is one byte
            model += b"\x0a" + bytes([len(text) + 7, 0x0a, len(text)]) + text + b"\x15" + bytes(4)
    with open(path, "wb") as f:
        f.write(model)
    return path


def serve(kind):
    """The peer's side of internal/bench: corpus and encode."""
    for line in sys.stdin:
        q = json.loads(line)
        if q["do"] == "corpus":
            name, encode = PEERS[kind](q["tokenizer"])
            texts = []
            for path in q["files"]:
                with open(path, encoding="utf-8") as f:
                    texts += [json.loads(row)["text"] for row in f]
            size = sum(len(t.encode()) for t in texts)
            answer = {"texts": len(texts), "bytes": size, "name": name}
        else:
            used = time.process_time()
            tokens = encode(texts)
            answer = {"tokens": tokens, "cpu_seconds": time.process_time() - used}
        print(json.dumps(answer), flush=True)


def compare(args, name, path, language, kind):
    from bench_peers import Peer
    files = sorted(glob.glob(os.path.join(args.shared, "data", "corpora", language + "_*.jsonl")))
    ours = Peer([args.bench], ONE_THREAD)
    theirs = Peer([sys.executable, __file__, "--serve", kind], ONE_THREAD)
    sides = (ours, theirs)
    corpus = [s.must("corpus", tokenizer=path, files=files) for s in sides]
    first = [s.must("encode") for s in sides]
    times = []
    for _ in range(args.pairs):
        times.append([s.must("encode")["cpu_seconds"] for s in sides])
    rates = [corpus[0]["bytes"] / 1e6 / statistics.median(t) for t in zip(*times)]
    line = {"bench": "encode", "shape": f"{name}/{language}", "banyan": rates[0], "peer": rates[1],
            "peer_name": corpus[1]["name"], "ratio": statistics.median(b / a for a, b in times),
            "unit": "MB/s", "cold": first[1]["cpu_seconds"] / first[0]["cpu_seconds"],
            "same_tokens": first[0]["tokens"] == first[1]["tokens"]}
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in line.items()}),
          flush=True)
    for s in sides:
        s.close()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("bench")
    p.add_argument("shared")
    p.add_argument("--pairs", type=int, default=7)
    p.add_argument("--only", default="", help="names of tokenizers")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        for name, path, peers in tokenizers_of(args.shared, tmp):
            if args.only and name not in args.only.split(","):
                continue
            for language in ("en", "zh"):
                for kind in peers:
                    compare(args, name, path, language, kind)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main()
