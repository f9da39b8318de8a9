"""Compares the documents that Banyan reads from files of every format with those Python reads.

    python scripts/peer_formats.py BENCH [--texts N]

BENCH is the program of internal/bench. Writes parquet with pyarrow (codecs, versions and encodings
of pages, row groups, dictionaries, a nested column), and JSON lines plain, by gzip (one member and
several) and by zstandard (levels, one frame, many, with a seek table, with frames to be skipped).
Python reads each file back; Banyan must read the same texts in the same order, but for empty ones,
which are no documents. Prints a line for each file that differs and a summary; exits with 1 if any
does.
"""

import argparse
import gzip
import io
import json
import os
import struct
import sys
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

import hostile
from bench_peers import Peer

# Frames that are skipped: one of five bytes, and the start of a seek table.
SKIP = struct.pack("<II", 0x184D2A53, 5) + b"12345"
TABLE = struct.pack("<I", 0x184D2A5E)
SEEK_MARK = 0x8F92EAB1


def parquet_files(texts):
    """Names with what pyarrow is told."""
    for codec in ("none", "snappy", "gzip", "zstd", "brotli", "lz4"):
        yield f"codec-{codec}", {"compression": codec}
    for version in ("1.0", "2.0"):
        for dictionary in (True, False):
            yield f"pages-{version}-{dictionary}", {
                "data_page_version": version, "use_dictionary": dictionary,
                "compression": "zstd", "data_page_size": 4096}
    for encoding in ("PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"):
        yield f"encoding-{encoding}", {"use_dictionary": False,
                                       "column_encoding": {"text": encoding}}
    yield "dictionary-overflows", {"use_dictionary": True, "dictionary_pagesize_limit": 1024}
    for group in (1, 7, 100, len(texts)):
        yield f"groups-{group}", {"row_group_size": group}
    yield "index", {"write_page_index": True, "write_page_checksum": True}


def write_parquet(folder, texts):
    flat = pa.table({"id": pa.array(range(len(texts)), pa.int64()), "text": pa.array(texts)})
    for name, how in parquet_files(texts):
        path = os.path.join(folder, name + ".parquet")
        pq.write_table(flat, path, **how)
        yield path, "text", pq.read_table(path)["text"].to_pylist()
    for kind in (pa.large_string(), pa.string()):
        inner = pa.array([{"lang": "x", "body": {"text": t}} for t in texts],
                         pa.struct({"lang": pa.string(), "body": pa.struct({"text": kind})}))
        path = os.path.join(folder, f"nested-{kind}.parquet")
        pq.write_table(pa.table({"meta": inner}), path, row_group_size=33)
        rows = pq.read_table(path)["meta"].to_pylist()
        yield path, "meta.body.text", [row["body"]["text"] for row in rows]
    required = pa.schema([pa.field("text", pa.string(), nullable=False)])
    path = os.path.join(folder, "required.parquet")
    pq.write_table(pa.table({"text": texts}, schema=required), path)
    yield path, "text", pq.read_table(path)["text"].to_pylist()


def json_lines(texts):
    """The same lines written in several ways."""
    yield "ascii", [json.dumps({"text": t, "n": i}) + "\n" for i, t in enumerate(texts)]
    yield "utf8", [json.dumps({"n": [i, {}], "text": t}, ensure_ascii=False) + "\n"
                   for i, t in enumerate(texts)]
    yield "crlf", [json.dumps({"text": t}, indent=None, separators=(" , ", " : ")) + "\r\n"
                   for t in texts]


def cut(data, count):
    size = len(data) // count + 1
    return [data[i:i + size] for i in range(0, len(data), size)]


def packed(data):
    """Endings with the bytes of a file."""
    yield "jsonl", data
    yield "jsonl.gz", gzip.compress(data)
    yield "members.jsonl.gz", b"".join(gzip.compress(part) for part in cut(data, 9))
    for level in (-5, 1, 3, 19):
        yield f"level{level}.jsonl.zst", zstandard.ZstdCompressor(level).compress(data)
    plain = zstandard.ZstdCompressor(write_checksum=True)
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as w:  # no size in its head
        w.write(data)
    yield "stream.jsonl.zst", out.getvalue()
    parts = cut(data, 25)
    yield "frames.jsonl.zst", b"".join(plain.compress(part) for part in parts)
    yield "skips.jsonl.zst", SKIP + b"".join(plain.compress(part) + SKIP for part in parts)
    yield "table.jsonl.zst", with_table(plain, parts)


def with_table(compressor, parts):
    """The seekable format: frames, and their sizes in one that is skipped."""
    frames = [compressor.compress(part) for part in parts]
    sizes = b"".join(struct.pack("<II", len(f), len(p)) for f, p in zip(frames, parts))
    foot = struct.pack("<IBI", len(parts), 0, SEEK_MARK)
    size = struct.pack("<I", len(sizes) + len(foot))
    return b"".join(frames) + TABLE + size + sizes + foot


def read_lines(path):
    """Python's own way to the texts of a file."""
    if path.endswith(".gz"):
        with gzip.open(path) as f:
            data = f.read()
    elif path.endswith(".zst"):
        with open(path, "rb") as f:
            frames = f.read().replace(SKIP, b"")  # zstandard does not pass over these
        frames = frames.partition(TABLE)[0]
        out = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(frames), read_across_frames=True)
        data = out.read()
    else:
        with open(path, "rb") as f:
            data = f.read()
    return [json.loads(line)["text"] for line in data.decode().split("\n") if line.strip()]


def write_lines(folder, texts):
    for how, lines in json_lines(texts):
        for ending, data in packed("".join(lines).encode()):
            path = os.path.join(folder, f"{how}.{ending}")
            with open(path, "wb") as f:
                f.write(data)
            yield path, "text", read_lines(path)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("bench")
    p.add_argument("--texts", type=int, default=1000)
    args = p.parse_args()
    texts = [t * (i % 40 + 1) for i, t in enumerate(hostile.texts(args.texts))]
    texts[3] = ""
    banyan = Peer([args.bench])
    files = documents = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for write in (write_parquet, write_lines):
            for path, field, read in write(folder, texts):
                if read != texts:
                    sys.exit(f"{os.path.basename(path)}: Python does not read what it wrote")
                answer = banyan.ask("texts", sources=[path], text_field=field)
                want = [t for t in read if t]
                files, documents = files + 1, documents + len(want)
                if answer.get("texts") != want:
                    wrong += 1
                    print(f"{os.path.basename(path)}: {first_difference(answer, want)}")
    banyan.close()
    print(f"formats: {wrong} of {files} files are read differently from pyarrow "
          f"{pa.__version__}, zstandard {zstandard.__version__} and gzip ({documents} documents)")
    sys.exit(1 if wrong or not files else 0)


def first_difference(answer, want):
    if "error" in answer:
        return answer["error"]
    got = answer["texts"]
    for i, (a, b) in enumerate(zip(got, want)):
        if a != b:
            return f"document {i} is {a[:60]!r}, wanted {b[:60]!r}"
    return f"{len(got)} documents, wanted {len(want)}"


if __name__ == "__main__":
    main()
