"""Holds Banyan's reader against those of PyPI, from S3 to packed sequences: tokens/s.

    bench_reader.py BENCH S3SERVER SHARED [--pairs N] [--sequences N] [--only SHAPE,...]

BENCH is the program of internal/bench, S3SERVER that of tools/s3server, SHARED the folder of shared
data. Prints one JSON object a line: bench, shape (texts/compression), banyan, peer (tokens a second
of processor time), peer_name, ratio; wall and peer_wall are tokens a second on the clock, and cold
is the ratio of the first passes of fresh processes, over as many tokens on both sides.

Each reads the same texts in its own best form from one S3 server on loopback, decompresses and
parses them, tokenizes with the vocabulary of Qwen2, mixes two sources in equal parts, and cuts
sequences of 2048. All may use two threads. A peer's tokenizer gets batches, as it is faster so; it
neither shuffles nor masks documents nor keeps a ledger, and starts with an empty disk in every
pass. They take turns, A B A B, each in a process of its own; the ratio is the median of the pairs.
Times do not count the server. datasets 5.2.0 fails on compressed files on S3 (it gives s3fs an
option of aiohttp), so its zstd files are local, which only helps it.
"""

import argparse
import glob
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import types

SEQ_LEN = 2048
BATCH = 32     # Banyan's global batch
DOCUMENTS = 128  # a peer's tokenizer gets at a time
MORE = 10      # Banyan reads so many times what a peer reads, once caches are warm
ENV = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret",
       "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
PROCESS = {**ENV, "TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "2", "GOMAXPROCS": "2",
           "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
BUCKET = "bench"

# Two sources for each kind of text, by the files of shared corpora.
SHAPES = {
    "en": [["en_rust-book"], ["en_austen-pride", "en_doyle-sherlock", "en_tinyshakespeare"]],
    "zh": [["zh_cmrc2018-wiki", "zh_chinese-poetry"], ["zh_laws-civil", "zh_trpl-zh-cn"]],
    "mixed": [["en_rust-book", "en_austen-pride", "en_doyle-sherlock", "en_tinyshakespeare"],
              ["zh_cmrc2018-wiki", "zh_chinese-poetry", "zh_laws-civil", "zh_trpl-zh-cn"]],
}
COMPRESSIONS = ["plain", "zstd"]
COPIES = 32  # files of the same texts in each source


# What a peer is, in its own process: a function of the request that gives its name and a function
# which yields texts of the sources, mixed.

def mosaic(q):
    import logging
    logging.disable(logging.WARNING)
    streaming = import_streaming()

    def texts():
        with tempfile.TemporaryDirectory() as local:
            streams = [streaming.Stream(remote=uri, local=os.path.join(local, str(i)), proportion=0.5)
                       for i, uri in enumerate(q["sources"])]
            data = streaming.StreamingDataset(streams=streams, batch_size=1, shuffle=False)
            while True:
                for row in data:
                    yield row["text"]
    return "mosaicml-streaming " + streaming.__version__, texts


def import_streaming():
    """mosaicml-streaming without its datasets of pictures, which need torchvision."""
    sys.modules["streaming.vision"] = types.ModuleType("streaming.vision")
    import streaming
    return streaming


def hf(q):
    import datasets

    def texts():
        parts = [datasets.load_dataset("json", data_files=files, split="train",
                                       streaming=True).select_columns("text")
                 for files in q["sources"]]
        while True:
            mixed = datasets.interleave_datasets(parts, probabilities=[0.5, 0.5], seed=7,
                                                 stopping_strategy="all_exhausted")
            for row in mixed:
                yield row["text"]
    return "datasets " + datasets.__version__, texts


PEERS = {"mosaic": mosaic, "datasets": hf}


def serve(kind):
    """The peer's side of internal/bench: reader and read."""
    import numpy as np
    for line in sys.stdin:
        q = json.loads(line)
        if q["do"] == "reader":
            name, texts = PEERS[kind](q)
            from transformers import AutoTokenizer
            full = AutoTokenizer.from_pretrained(q["tokenizer"])
            tok, eos = full.backend_tokenizer, full.eos_token_id
            answer = {"name": name}
        else:
            began, used = time.perf_counter(), time.process_time()
            source, tokens = texts(), 0
            for sequence in pack(np, source, tok, eos, q["repeat"]):
                tokens += len(sequence) - 1
            seconds = time.perf_counter() - began
            source.close()
            answer = {"tokens": tokens, "seconds": seconds,
                      "cpu_seconds": time.process_time() - used}
        print(json.dumps(answer), flush=True)


def pack(np, texts, tok, eos, sequences):
    """Cuts the texts' tokens into sequences with one token of overlap."""
    rest = np.empty(0, np.int32)
    while True:
        batch = [next(texts) for _ in range(DOCUMENTS)]
        parts = [rest]
        for encoded in tok.encode_batch_fast(batch, add_special_tokens=False):
            parts += [np.array(encoded.ids, np.int32), np.array([eos], np.int32)]
        rest = np.concatenate(parts)
        while len(rest) > SEQ_LEN:
            yield rest[:SEQ_LEN + 1]
            rest = rest[SEQ_LEN:]
            if (sequences := sequences - 1) == 0:
                return


# The store, and the texts as each side reads them best.

class Store:
    def __init__(self, program, folder):
        self.process = subprocess.Popen(
            [program, "-listen", "127.0.0.1:0", "-dir", folder, "-die-with-parent"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **ENV})
        self.endpoint = self.process.stdout.readline().split()[1]
        import boto3
        self.s3 = boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1",
                               aws_access_key_id=ENV["AWS_ACCESS_KEY_ID"],
                               aws_secret_access_key=ENV["AWS_SECRET_ACCESS_KEY"])
        self.s3.create_bucket(Bucket=BUCKET)

    def put(self, key, data):
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}"

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def read_lines(shared, names):
    lines = []
    for name in names:
        with open(os.path.join(shared, "data", "corpora", name + ".jsonl"), "rb") as f:
            lines += f.readlines()
    return lines


def framed(lines, room=64 << 10):
    """The lines as frames of zstd, of some 64 KiB of text each, so that the file can be cut."""
    import zstandard
    out, part = io.BytesIO(), b""
    for line in [*lines, None]:
        if part and (line is None or len(part) + len(line) > room):
            out.write(zstandard.compress(part))
            part = b""
        part += line or b""
    return out.getvalue()


def upload(store, shared, shape, compression, folder):
    """What each side reads: the sources of Banyan, mosaicml-streaming and datasets."""
    import zstandard
    streaming = import_streaming()
    sources = {"banyan": [], "mosaic": [], "datasets": []}
    for i, names in enumerate(SHAPES[shape]):
        lines = read_lines(shared, names)
        place = f"{shape}/{compression}/{i}"
        ours, theirs = b"".join(lines), b"".join(lines)
        ending = "jsonl"
        if compression == "zstd":
            ours, theirs, ending = framed(lines), zstandard.compress(theirs), "jsonl.zst"
        for n in range(COPIES):
            store.put(f"{place}/banyan/{n}.{ending}", ours)
        sources["banyan"].append(f"s3://{BUCKET}/{place}/banyan/*.{ending}")
        sources["datasets"].append([])
        for n in range(COPIES):
            if compression == "plain":
                uri = store.put(f"{place}/datasets/{n}.{ending}", theirs)
            else:
                uri = os.path.join(folder, f"{shape}-{i}-{n}.{ending}")
                with open(uri, "wb") as f:
                    f.write(theirs)
            sources["datasets"][i].append(uri)
        with tempfile.TemporaryDirectory() as tmp:
            how = {"compression": "zstd"} if compression == "zstd" else {}
            with streaming.MDSWriter(out=os.path.join(tmp, "mds"), columns={"text": "str"},
                                     size_limit=1 << 20, **how) as out:
                for line in lines * COPIES:
                    out.write({"text": json.loads(line)["text"]})
            for path in glob.glob(os.path.join(tmp, "mds", "*")):
                with open(path, "rb") as f:
                    store.put(f"{place}/mds/{os.path.basename(path)}", f.read())
        sources["mosaic"].append(f"s3://{BUCKET}/{place}/mds")
    return sources


def compare(args, store, shape, compression, sources, kind):
    from bench_peers import Peer
    tokenizer = os.path.join(os.path.abspath(args.shared), "data", "tokenizers", "qwen2")
    env = {**PROCESS, "S3_ENDPOINT_URL": store.endpoint, "AWS_ENDPOINT_URL_S3": store.endpoint}
    ours = Peer([args.bench], env)
    theirs = Peer([sys.executable, __file__, "--serve", kind], env)
    same = {"tokenizer": tokenizer, "endpoint": store.endpoint, "seq_len": SEQ_LEN, "batch": BATCH}
    try:
        ours.must("reader", sources=sources["banyan"], **same)
        name = theirs.must("reader", sources=sources[kind], **same)["name"]
        steps = args.sequences // BATCH
        cold = [ours.must("read", repeat=steps), theirs.must("read", repeat=steps * BATCH)]
        times = [(ours.must("read", repeat=MORE * steps),
                  theirs.must("read", repeat=steps * BATCH)) for _ in range(args.pairs)]
    except RuntimeError as err:
        line = {"bench": "reader", "shape": f"{shape}/{compression}", "peer_name": kind,
                "error": str(err)}
        print(json.dumps(line), flush=True)
        return
    finally:
        ours.close()
        theirs.close()

    def ratio(pair, clock):
        return rate(pair[0], clock) / rate(pair[1], clock)

    def median(side, clock):
        return statistics.median(rate(pair[side], clock) for pair in times)
    ratios = [ratio(pair, "cpu_seconds") for pair in times]
    line = {"bench": "reader", "shape": f"{shape}/{compression}",
            "banyan": median(0, "cpu_seconds"), "peer": median(1, "cpu_seconds"),
            "peer_name": name, "ratio": statistics.median(ratios), "least": min(ratios),
            "unit": "tokens/s", "wall": median(0, "seconds"), "peer_wall": median(1, "seconds"),
            "wall_ratio": statistics.median(ratio(pair, "seconds") for pair in times),
            "cold": ratio(cold, "cpu_seconds"), "cold_wall": ratio(cold, "seconds"),
            "banyan_cold": rate(cold[0], "cpu_seconds")}
    print(json.dumps({k: round(v, 2) if isinstance(v, float) else v for k, v in line.items()}),
          flush=True)


def rate(answer, clock):
    return answer["tokens"] / answer[clock]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("bench")
    p.add_argument("s3server")
    p.add_argument("shared")
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--sequences", type=int, default=384, help="that a peer cuts in one pass")
    p.add_argument("--only", default="", help="shapes, such as en/plain,zh/zstd")
    p.add_argument("--peers", default=",".join(PEERS))
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as tmp, tempfile.TemporaryDirectory() as local:
        store = Store(args.s3server, tmp)
        try:
            for shape in SHAPES:
                for compression in COMPRESSIONS:
                    if args.only and f"{shape}/{compression}" not in args.only.split(","):
                        continue
                    sources = upload(store, args.shared, shape, compression, local)
                    for kind in args.peers.split(","):
                        compare(args, store, shape, compression, sources, kind)
        finally:
            store.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main()
