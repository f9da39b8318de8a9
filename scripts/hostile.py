"""Texts on which tokenizers go wrong, the same for the same seed.

    for text in hostile.texts(1_000_000, specials=["<s>", "</s>"]): ...

A text is a few pieces end to end: words and clauses of many scripts, emoji with joiners, full-width
forms, marks in any order, every kind of white space, control characters, numbers, contractions,
and things that look like the special tokens. One piece in eight is random characters of one block
of Unicode. Lone surrogates stand as U+FFFD, which is what every reader of UTF-8 makes of them.
"""

import random

WORDS = """the The THE lamp on hill sailors Straße naïve café cafe\u0301 it's IT'S we'RE I'll don't
'tis rock'n'roll o'clock x y2k HTTPServer snake_case camelCase don\u2019t résumé Привет мир שלום
العربية नमस्ते สวัสดี 한국어 ชื่อ ខ្មែរ ქართული Ελληνικά İstanbul ıI ſtraſſe Ǆ ŉ""".split()
HAN = """夜里下起了小雨 河水慢慢涨高 中华人民共和国 第一百二十三条 人工智能 的 了 是 一 龍 𠮷野家
𠀀𠀁𪚥 日本語テスト カタカナ ひらがな ㈱ 〇 々 臺灣 里\U0002f88e 文字\ufe00 \U0002ebf0
\U00030000""".split()
MARKS = """\u0301 \u0323 \u0327 \u0345 \u0300\u0316 \u0316\u0300 e\u0323\u0301 e\u0301\u0323
\u1100\u1161 \u11a8 \uac00\u11a8 \u0b47\u0b57 \u0dd9\u0dca A\u030a \u212b \u2126 ﬁ ẛ\u0323
a\u07fd\u0301 a\u0898\u0301 \u0f71\u0f72 \u05b0\u05b9 \u0e38\u0e48 \u3099 か\u3099
\U0001d157\U0001d165 \U00011935\U00011930 \u093c\u0915\u093c \u200d\u0301""".split()
EMOJI = """👍 👍🏽 👩\u200d🚀 👩\u200d👩\u200d👧\u200d👦 🏳\ufe0f\u200d🌈 🇨🇳 🇫🇷🇩 ☃\ufe0f ☃ 1\ufe0f\u20e3
🫠 \u200d \ufe0f 🧑🏿\u200d🤝\u200d🧑🏻 ©\ufe0f ™""".split()
WIDE = """ＦＵＬＬ ｗｉｄｔｈ １２３ ｶﾞ ！？ ，。 “引号” 《书》 ——…… 、 ： ￥ ％""".split() + ["Ａ\u3000Ｂ"]
DIGITS = """0 12 123 1234 1234567890 3.14 1,000 -5 1e9 ½ Ⅷ ④ ١٢٣ ४५६ ４５６７ 𝟘𝟙 ²³
2024年5月6日""".split()
SIGNS = """! ... ?! $ % && || == != // /* */ <!-- --> #! @ \\ ` ~ ^ _ __ ' '' \" \u2019 ( ) [] {} «»
¿ § · • → ∑ ≠ ░ € '\u017f 'll 'S 'Re' ﹏""".split()
SPACES = [" ", "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\r", "\r\n", "\r\n\r\n", "\u00a0",
          "\u3000", "\u2003", "\u2028", "\u2029", "\u0085", "\u000b", "\u000c", "\u1680",
          "\u202f", "\u205f", " \n", "\n ", " \t \n", "\u200b", "\u2060", "\ufeff", "\u180e",
          "\u001c"]
ODD = ["\x00", "\x01", "\x1b[0m", "\x7f", "\x80", "\xad", "\ufffd", "\ufffd\ufffd", "\ufffe",
       "\uffff", "\ue000", "\U0010ffff", "\U000e0041", "\u202e", "\u2066", "▁", "▁▁", "Ġ", "Ċ",
       "Ġthe", "<0x0A>", "##ing", "@@"]
LOOKS = ["<", "<|", "|>", "<|endoftext", "<|endoftext|", "<|endoftext|>", "<|EndOfText|>",
         "<｜end｜>", "<s>", "</s>", "<unk>", "<pad>", "[CLS]", "<|im_start|>", "<|im_end|>",
         "<mask>", "<0x41>", "<0xE4>"]
POOLS = [WORDS, WORDS, HAN, HAN, MARKS, EMOJI, WIDE, DIGITS, SIGNS, SPACES, SPACES, ODD]
BLOCKS = [(0x20, 0x7F), (0x80, 0x250), (0x250, 0x370), (0x300, 0x370), (0x370, 0x600),
          (0x590, 0x900), (0x900, 0x1100), (0x1100, 0x1200), (0x1200, 0x2000), (0x2000, 0x2C00),
          (0x2C00, 0x3400), (0x3400, 0x4E00), (0x4E00, 0xA000), (0xA000, 0xD800),
          (0xAC00, 0xD7A4), (0xE000, 0x10000), (0x10000, 0x12000), (0x12000, 0x1F000),
          (0x1F000, 0x20000), (0x20000, 0x32000), (0xE0000, 0x10FFFF)]


def texts(count, specials=(), seed=20261126):
    """Yields count texts. specials are the tokenizer's own special tokens, whole and cut."""
    rng = random.Random(seed)
    looks = LOOKS + [s for s in specials for s in (s, s, s[:-1], s[1:], s.upper())]
    pools = POOLS + [looks]
    for _ in range(count):
        pieces = []
        for _ in range(rng.randint(1, 12)):
            pieces.append(piece(rng, pools))
        yield "".join(pieces)


def piece(rng, pools):
    roll = rng.random()
    if roll < 0.125:
        low, high = rng.choice(BLOCKS)
        chars = (chr(rng.randrange(low, high)) for _ in range(rng.randint(1, 6)))
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in chars)
    one = rng.choice(rng.choice(pools))
    if roll < 0.15:  # runs, some longer than any table or buffer
        return one * rng.choice((2, 3, 4, 7, 15, 16, 17, 31, 33, 64, 130))
    if roll < 0.2:
        return " " + one
    if roll < 0.22:
        return "".join(rng.sample(one, len(one)))
    return one
