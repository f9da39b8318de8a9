"""Compares token ids with the Hugging Face `tokenizers` library.

Usage: PROGRAM | python scripts/peer_tokenizer.py FOLDER     (needs: pip install tokenizers)

FOLDER holds a tokenizer.json. Standard input has one JSON object a line: {"text": ..., "ids":
[...]}, the ids without BOS and EOS. Prints the first differences and a summary; exits with 1 if
any text differs or if there was none.
"""

import json
import os
import sys

from tokenizers import Tokenizer

SHOWN = 5


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    peer = Tokenizer.from_file(os.path.join(sys.argv[1], "tokenizer.json"))
    texts = tokens = wrong = 0
    for line in sys.stdin:
        row = json.loads(line)
        want = peer.encode(row["text"], add_special_tokens=False).ids
        texts += 1
        tokens += len(want)
        ids = row["ids"] or []  # null: no tokens
        if ids == want:
            continue
        wrong += 1
        if wrong <= SHOWN:
            print(f"differs: {row['text'][:200]!r}\n  ours {ids[:50]}\n  peer {want[:50]}")
    print(f"{texts} texts, {tokens} tokens, {wrong} texts differ")
    sys.exit(1 if wrong or not texts else 0)


if __name__ == "__main__":
    main()
