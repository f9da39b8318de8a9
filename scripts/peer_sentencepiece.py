"""Compares `banyan tokenizer encode` and `decode` with SentencePiece on a tokenizer.model, in bulk.

Usage: python scripts/peer_sentencepiece.py BANYAN MODEL [--texts FILE.jsonl ...] [--hostile N]

Every text of the files, N hostile texts (scripts/hostile.py, the same each time), and each file as
one long text, must get the ids that the peer gives, and these must decode to the peer's text, as
must ids drawn at random. Prints the first differences and a summary; exits with 1 if any differs or
if there was none.
"""

import argparse
import itertools
import random
import sys

import sentencepiece

import hostile
from peer_tokenizer import CHUNK, Tally, ask, file_texts


def compare(banyan, path, peer, texts, tally):
    wanted = peer.encode(texts)
    spelled = [peer.decode(ids) for ids in wanted]
    ours = ask(banyan, "encode", path, [{"text": t} for t in texts])
    back = ask(banyan, "decode", path, [{"ids": ids} for ids in wanted])
    for text, want, spell, enc, dec in zip(texts, wanted, spelled, ours, back):
        tally.texts += 1
        tally.tokens += len(want)
        if enc["ids"] != want:
            tally.differ("encode", text, enc["ids"], want)
        elif dec["text"] != spell:
            tally.differ("decode", text, dec["text"], spell)


def compare_random(banyan, path, peer, count, tally):
    rng = random.Random(20261126)
    low = min(300, peer.get_piece_size())  # where control and byte pieces are
    rows = [[rng.randrange(rng.choice((low, peer.get_piece_size())))
             for _ in range(rng.randint(1, 12))] for _ in range(count)]
    for ids, dec in zip(rows, ask(banyan, "decode", path, [{"ids": ids} for ids in rows])):
        tally.texts += 1
        want = peer.decode(ids)
        if dec["text"] != want:
            tally.differ("decode", str(ids), dec["text"], want)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("banyan")
    parser.add_argument("model")
    parser.add_argument("--texts", nargs="*", default=[])
    parser.add_argument("--hostile", type=int, default=0)
    args = parser.parse_args()
    peer = sentencepiece.SentencePieceProcessor(model_file=args.model)
    specials = [peer.id_to_piece(i) for i in range(min(300, peer.get_piece_size()))]
    whole = ("\n".join(file_texts([path])) for path in args.texts)
    texts = itertools.chain(file_texts(args.texts), whole, hostile.texts(args.hostile, specials))
    tally = Tally()
    while chunk := list(itertools.islice(texts, CHUNK)):
        compare(args.banyan, args.model, peer, chunk, tally)
    compare_random(args.banyan, args.model, peer, min(args.hostile, 100_000), tally)
    print(f"{args.model}: {tally.texts} texts, {tally.tokens} tokens, {tally.wrong} differ")
    sys.exit(1 if tally.wrong or not tally.texts else 0)


if __name__ == "__main__":
    main()
