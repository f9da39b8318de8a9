"""Compares `banyan tokenizer encode` and `decode` with the Hugging Face libraries, in bulk.

Usage: python scripts/peer_tokenizer.py BANYAN FOLDER [--texts FILE.jsonl ...] [--hostile N]

FOLDER is what transformers loads a fast tokenizer from. Every text of the files, and N hostile
texts (scripts/hostile.py, the same each time), must get the ids that the peer gives, and these must
decode to the peer's text. Prints the first differences and a summary; exits with 1 if any text
differs or if there was none.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from transformers import AutoTokenizer  # noqa: E402

import hostile  # noqa: E402

CHUNK = 50_000
SHOWN = 5


def file_texts(paths):
    for path in paths:
        with open(path, encoding="utf-8") as f:
            for line in f:
                yield json.loads(line)["text"]


def ask(banyan, command, folder, rows):
    """One answer a row, from banyan."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row) + "\n")
        f.seek(0)
        done = subprocess.run([banyan, "tokenizer", command, "--tokenizer", folder], stdin=f,
                              stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"{banyan} tokenizer {command} ends with {done.returncode}")
    lines = done.stdout.splitlines()
    if len(lines) != len(rows):
        sys.exit(f"{banyan} tokenizer {command} answers {len(rows)} lines with {len(lines)}")
    return [json.loads(line) for line in lines]


class Tally:
    def __init__(self):
        self.texts = self.tokens = self.wrong = 0

    def differ(self, what, text, ours, peers):
        self.wrong += 1
        if self.wrong <= SHOWN:
            print(f"{what} differs: {text[:200]!r}\n  ours {ours[:80]!r}\n  peer {peers[:80]!r}")


def compare(banyan, folder, peer, texts, tally):
    wanted = [e.ids for e in peer.encode_batch(texts, add_special_tokens=False)]
    spelled = peer.decode_batch(wanted, skip_special_tokens=False)
    ours = ask(banyan, "encode", folder, [{"text": t} for t in texts])
    back = ask(banyan, "decode", folder, [{"ids": ids} for ids in wanted])
    for text, want, spell, enc, dec in zip(texts, wanted, spelled, ours, back):
        tally.texts += 1
        tally.tokens += len(want)
        if enc["ids"] != want:
            tally.differ("encode", text, enc["ids"], want)
        elif dec["text"] != spell:
            tally.differ("decode", text, dec["text"], spell)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("banyan")
    parser.add_argument("folder")
    parser.add_argument("--texts", nargs="*", default=[])
    parser.add_argument("--hostile", type=int, default=0)
    args = parser.parse_args()
    peer = AutoTokenizer.from_pretrained(args.folder).backend_tokenizer
    specials = [t.content for t in peer.get_added_tokens_decoder().values()]
    texts = itertools.chain(file_texts(args.texts), hostile.texts(args.hostile, specials))
    tally = Tally()
    while chunk := list(itertools.islice(texts, CHUNK)):
        compare(args.banyan, args.folder, peer, chunk, tally)
    print(f"{args.folder}: {tally.texts} texts, {tally.tokens} tokens, {tally.wrong} differ")
    sys.exit(1 if tally.wrong or not tally.texts else 0)


if __name__ == "__main__":
    main()
