"""Writes dataset/tokenize/testdata: small tokenizers, hostile texts and the ids of the peer.

Usage: python scripts/make_tokenizer_goldens.py     (needs: pip install tokenizers)

The peer is the Hugging Face `tokenizers` library. Five tokenizers of 400 entries each, one for
each pre-tokenizer that dataset/tokenize supports, are trained on the text below; then every text
is encoded and decoded by each. The Go tests compare ids one by one.
"""

import hashlib
import json
import os
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as pre
from tokenizers import processors, trainers

OUT = os.path.join(os.path.dirname(__file__), "..", "dataset", "tokenize", "testdata")

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

TRAIN = [
    "The lamp on the hill burned all night, and the sailors said they'd seen it from the island.",
    "I'm sure you've heard: we'll count 1234567 stars, he's late, they're not, it's 3:45 o'clock.",
    "\tif (x == 10) {\n\t\treturn  y;\r\n\t}\n\n    // done...\n",
    "夜里下起了小雨，河水慢慢涨高。船夫说：“明天再走吧！”大家都点了点头。",
    "一共有三百二十五本书，价格是４５元；她买了两本，还剩１０元。",
    "Crème brûlée, naïve café; ÅNGSTRÖM; Привет, мир; שלום; 한국어 👩‍🚀🚀",
] * 3

HOSTILE = [
    "", " ", "  ", "   a", "a   ", "a  b", "\n", "\r\n", "\n\n\n", " \n", "\n ", " \n \n  x",
    "x \n\n y", "a\r\nb\r\n\r\nc", "\t\tx", "\t x", " \tx", "a\t\t\tb", "a\u00a0b", "a\u3000b",
    "\u3000\u3000中文", "\u2028x\u2029 y", "\u0085next", "a\u200bb", "\ufeffbom", "\x00",
    "a\x00b", "\x7f\x1b[0m", "it's", "IT'S", "It'S we'RE I'LL you'Ve he'D I'M don'T", "'s", "'S",
    "'re'RE'r're", "'l'll'lll", "'\u017f x'\u017fe", "rock'n'roll", "''''s", "' s", "can't've",
    "o'clock", "’s it’s", "0", "12", "123", "1234", "12345678901", "3.14159", "1,000,000",
    "x1y22z333", "½ ⅓ Ⅷ ④ ١٢٣٤ ４５６７", "a1", "1a", " 1", "  1", "-1", "$100",
    "100%", "1\n2", "²³¹", "!", "!!", " !", "  !", "!\n", "!\n\n x", "...\r\n", " ...\n\n\n",
    "?!\t?!", "(a)(b)", "#include <x>", "a=b;c", "é", "e\u0301", "e\u0301\u0323", "\u0301",
    " \u0301a", "a\u0301b", "Å\u212bA\u030a", "ﬁ ﬃ", "ẛ̣", "\u1100\u1161\u11a8", "각",
    "a\u07fd\u0301", "a\u0301\u07fd\u0323\u0301e\u0301", "\U00011935\U00011930e\u0301",
    "a\u0345\u0898\u0301", "नमस्ते दुनिया", "สวัสดี",
    "עִבְרִית", "العَرَبِيَّة", "中文字符",
    "中文，标点。“引号”", "日本語テスト", "한국어", "𠮷野家",
    "𠀀𠀁𪚥", "\U0002ebf0\U0002ee5d", "\U00013460", "\ua7cb", "\U00010d40",
    "𝒜𝓑𝟘𝟙", "👍🏽", "👩‍👩‍👧‍👦", "👩‍🚀 x",
    "🇨🇳🇫🇷", "☃\ufe0f", "a👍b", " 👍", "👍\n",
    "ＦＵＬＬ　ｗｉｄｔｈ１２", "\ufffd", "\ud7ff\ue000\U0010ffff", "<|endoftext|>",
    "a<|endoftext|>b", " <|endoftext|> ", "<|endoftext|><|endoftext|>", "<|endoftext",
    "<|endoftext|", "<<|endoftext|>>", "<|ENDOFTEXT|>", "<mask>", "a <mask> b", "a   <mask>   b",
    "  <mask>  <mask>  ", "<mask>s", "<mask", "<rs>  x", "x <rs>\n\n<mask> y", "<rs> <rs>",
    "banyan", "banyantree", "banyan tree", "abanyan", "BANYAN", "cafe\u0301!", "café!",
    "un café!e", "lone", "alone", "lone lone", "lonelone lone", "lone.", "lone_", "lone1", "lone½",
    "中lone", "lone\u0301", "lone\u200d", "\u200blone", "-lone-", "\ufffdlone", "<w>", "a <w> b",
    "a<w>b", "a <w>", "<w> b", "!  <w>  !", " <mask><w><mask> ", "<w><w>", "<s>", "</s>", "[UNK]", "▁", "Ġ", "Ċ", "ĠhelloĊ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a" * 200, "ab" * 150, "=" * 300, " " * 150 + "x",
    "the" * 100, "中" * 100, "夜里下起了小雨" * 30, "\n" * 150, " \n" * 90 + "  z",
    "'" * 131,
]


def random_texts(count):
    """Strings that put the pieces the patterns tell apart next to each other."""
    pieces = ["'", "s", "S", "ll", "re", "ve", "t", "D", " ", "  ", "\t", "\n", "\r", "\r\n"]
    pieces += ["\u00a0", "\u3000", "a", "word", "The", "é", "e\u0301", "中", "夜里", "1", "22"]
    pieces += ["４", "½", "!", "...", "，", "👍", "\u200d", "\u0301"]
    pieces += ["<|endoftext|>", "<mask>", "<rs>", "banyan", "<", "|>", "𠮷", "\u017f"]
    rng = random.Random(7)
    return ["".join(rng.choice(pieces) for _ in range(rng.randint(2, 14))) for _ in range(count)]


# As the files of models that had a SentencePiece model write it: what goes before a text, and
# whether words are cut.
SPACED = {
    "prepend": {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}},
    "metaspace": {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁",
                                    "prepend_scheme": "first", "split": True}},
    "nosplit": {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁",
                                  "prepend_scheme": "always", "split": False}},
}


def build_spaced(name):
    """BPE over characters, with tokens for all bytes."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre.Metaspace(prepend_scheme="always", split=name != "nosplit")
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"],
                                  show_progress=False)
    tok.train_from_iterator(TRAIN, trainer)
    data = json.loads(tok.to_str())
    vocab = data["model"]["vocab"]
    for b in range(256):
        vocab[f"<0x{b:02X}>"] = len(vocab)
    data["model"].update(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    data.update(normalizer=None, pre_tokenizer=None)
    data.update(SPACED[name])
    data["decoder"] = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}]}
    if name != "nosplit":
        data["decoder"]["decoders"].append(
            {"type": "Strip", "content": " ", "start": 1, "stop": 0})
    if name == "metaspace":
        data["added_tokens"].append({"id": len(vocab), "content": "banyan", "single_word": False,
                                     "lstrip": True, "rstrip": False, "normalized": True,
                                     "special": False})
    return Tokenizer.from_str(json.dumps(data))


def build(name):
    if name in SPACED:
        return build_spaced(name)
    tok = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    use_regex = name in ("gpt2", "prefix", "digits")
    byte_level = pre.ByteLevel(add_prefix_space=name == "prefix", use_regex=use_regex)
    first = {
        "llama3": pre.Split(Regex(LLAMA3), "isolated"),
        "qwen2": pre.Split(Regex(QWEN2), "removed", invert=True),
        "digits": pre.Digits(individual_digits=True),
    }.get(name)
    tok.pre_tokenizer = pre.Sequence([first, byte_level]) if first else byte_level
    if name == "qwen2":
        tok.normalizer = normalizers.NFC()
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre.ByteLevel.alphabet()),
        show_progress=False,
    )
    tok.train_from_iterator(TRAIN, trainer)
    if name == "prefix":
        tok.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<rs>", rstrip=True)])
        tok.add_tokens([AddedToken("lone", single_word=True)])
        tok.add_tokens([AddedToken("<w>", single_word=True, lstrip=True, rstrip=True)])
    if name == "qwen2":
        tok.add_tokens([AddedToken("café!", normalized=True)])
        tok.add_tokens([AddedToken("banyan", normalized=True)])
        tok.add_tokens([AddedToken("banyantree", normalized=False)])
    if name == "llama3":
        template = processors.TemplateProcessing(
            single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
        )
        byte_level = processors.ByteLevel(trim_offsets=False)
        tok.post_processor = processors.Sequence([byte_level, template])
    return tok


def class_digest():
    """sha256 over one byte a code point: 0 other, 1 letter, 2 number, 3 white space."""
    table = bytearray(0x110000)
    for mark, pattern in ((1, r"\p{L}"), (2, r"\p{N}"), (3, r"\s")):
        split = pre.Split(Regex(pattern), "removed", invert=True)
        for lo in range(0, 0x110000, 4096):
            text = "".join(chr(c) for c in range(lo, lo + 4096) if not 0xD800 <= c <= 0xDFFF)
            for piece, _ in split.pre_tokenize_str(text):
                for ch in piece:
                    table[ord(ch)] = mark
    return hashlib.sha256(table).hexdigest()


def word_digest():
    """sha256 over one byte a code point: 1 where it touches an added token of single_word."""
    tok = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(pre.ByteLevel.alphabet())}, merges=[]))
    tok.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
    tok.add_tokens([AddedToken("Q!", single_word=True)])
    found = tok.token_to_id("Q!")
    table = bytearray(0x110000)
    for lo in range(0, 0x110000, 8192):
        codes = [c for c in range(lo, lo + 8192) if not 0xD800 <= c <= 0xDFFF]
        for code, e in zip(codes, tok.encode_batch_fast([chr(c) + "Q!" for c in codes])):
            table[code] = e.ids[-1] != found
    return hashlib.sha256(table).hexdigest()


def main():
    os.makedirs(OUT, exist_ok=True)
    texts = HOSTILE + random_texts(150)
    with open(os.path.join(OUT, "goldens.jsonl"), "w", encoding="utf-8") as out:
        for name in ("gpt2", "prefix", "llama3", "qwen2", "digits", *SPACED):
            tok = build(name)
            data = json.loads(tok.to_str())
            with open(os.path.join(OUT, name + ".json"), "w", encoding="utf-8") as f:
                json.dump(data, f, ensure_ascii=False, separators=(",", ":"))
                f.write("\n")
            for text in texts:
                ids = tok.encode(text, add_special_tokens=False).ids
                row = {"tokenizer": name, "text": text, "ids": ids}
                if name in SPACED:
                    row["decoded"] = tok.decode(ids, skip_special_tokens=False)
                out.write(json.dumps(row, separators=(",", ":")) + "\n")
    with open(os.path.join(OUT, "classes.sha256"), "w", encoding="utf-8") as f:
        f.write(class_digest() + "\n")
    with open(os.path.join(OUT, "words.sha256"), "w", encoding="utf-8") as f:
        f.write(word_digest() + "\n")


if __name__ == "__main__":
    main()
