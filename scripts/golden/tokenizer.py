"""Trains small tokenizers of every supported form and writes the ids that the reference libraries
(tokenizers, tiktoken, sentencepiece) give for edge cases and, as hashes, for GSM8K.

Usage: tokenizer.py OUTPUT_FOLDER     (GSM8K_DIR: folder of test.jsonl and train.jsonl)
"""
import base64
import io
import json
import os
import pathlib
import random
import re
import sys

import sentencepiece
import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

LLAMA3_REGEX = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
                r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2_REGEX = LLAMA3_REGEX.replace(r"\p{N}{1,3}", r"\p{N}")

LLAMA3_SPECIALS = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>",
    "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
] + [f"<|reserved_special_token_{i}|>" for i in range(3, 248)]

SENTENCES = """
The quick brown fox jumps over the lazy dog, doesn't it? They've said we'll see what I'd do.
A pen costs 3 dollars, so 4 pens cost 3 * 4 = 12 dollars. The answer is 12.
She had 1250 apples and gave away 375; how many are left? 1250 - 375 = 875.
Let x be the number of hours. Then 2x + 15 = 45, so x = 15. Wait, that is wrong: it's 30 / 2.
def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))\t# three\r\n
吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。
我们的问题是:三个苹果加四个苹果等于几个苹果?答案是七个。
나는 오늘 학교에 갔습니다. 세 개의 사과와 네 개의 배를 샀습니다.
ฉันกินข้าวแล้ว วันนี้อากาศดีมาก ราคาสามสิบบาท
اللغة العربية جميلة جدا، وعدد التفاحات سبعة.
Привет, мир! Сколько будет дважды два? Четыре.
Où est la bibliothèque ? Ça coûte déjà trente euros, naïve façade.
Emoji: 👍 🎉 👩‍👩‍👧‍👦 ❤️ and a flag 🇯🇵.
""".strip().splitlines()

NOUNS = ["apples", "books", "pencils", "marbles", "tickets", "cookies", "stickers", "flowers"]
NAMES = ["Ann", "Ben", "Chloe", "Dmitri", "Eve", "Farid", "Grace", "Hiro"]


def corpus():
    rng = random.Random(7)
    for _ in range(60):
        yield from (s.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
                    for s in SENTENCES)
        name, other = rng.sample(NAMES, 2)
        noun, a, b = rng.choice(NOUNS), rng.randrange(2, 400), rng.randrange(2, 90)
        yield (f"{name} has {a} {noun} and {other} gives {name} {b} more {noun}. "
               f"How many {noun} does {name} have now? {a} + {b} = {a + b}.")
        yield f"Each box holds {b} {noun}, so {a} boxes hold {a} * {b} = {a * b} {noun}."


SPECIAL_TEXT = ("Ignore <|eot_id|> and <|im_end|> and <|endoftext|> and </s>, <s>[INST] hi [/INST]"
                "<|begin_of_text|> <|start_header_id|>user<|end_header_id|>\n\n<think>no</think>")

CASES = [
    "", " ", "  ", "\n", "\t", "\r\n", "a", "Hello", "Hello world", " Hello", "Hello ", "  Hello  ",
    "Hello\nworld", "Hello\r\nworld\r\n", "\n\n\n", "\n \n  \n", "a\n\n\nb", " \n", "x  \n  y",
    "tabs\t\tand\t spaces", "run of      spaces", "ends in spaces     ", "     starts in spaces",
    "0", "7", "42", "123", "1234", "12345678901234567890", "3.14159", "1,000,000", "12 345 6789",
    "½ ² ٣٤ Ⅷ 一二三", "I'm you're he's we've they'll I'd don't", "I'M YOU'RE HE'S WE'VE THEY'LL I'D DON'T",
    "'sup 'tis 'reply 've 'll'", "O'Neil's 'S 'T ſ's 'ſ '\u017f", "x'S", "rock'n'roll", "’s it’s",
    "吾輩は猫である。名前はまだ無い。", "東京都、2024年。", "カタカナ ﾊﾝｶｸ ひらがな", "が", "か\u3099",
    "三个苹果加四个苹果等于七个。", "你好，世界！", "繁體中文與简体中文", "나는 학교에 갔습니다.",
    "\u1112\u1161\u11ab\u1100\u1173\u11af", "한글 자모 ㄱㄴㄷ", "ฉันกินข้าวแล้ว", "ที่นี่ น้ำ", "اللغة العربية جميلة",
    "عَرَبِيّ ١٢٣", "עברית", "हिन्दी में कोड", "தமிழ்", "Привет, мир!", "Ελληνικά", "Ça coûte déjà",
    "e\u0301 e\u0301\u0323 \u0301", "é É", "\u212b \u2126 \u00c5", "ﬁ ﬀ ①", "\u0344", "q\u0307\u0323",
    "Z\u0335\u0321\u0322a\u0300\u0316l\u0334g\u0341o", "👍", "👍🏽", "👩‍👩‍👧‍👦", "❤️", "🇯🇵🇫🇷", "🏳️‍🌈 flag", "text👍text", "👍👍 👍",
    "\u200b", "zero\u200bwidth", "no\u00a0break", "ideographic\u3000space", "\u2028line\u2029para",
    "nel\u0085x", "mongolian\u180eseparator", "\ufeffbom", "\u00ad soft", "nul\x00byte", "\x1b[0m",
    "\U00010348 \U0001d54f \U000e0001", "\ufffd", "\uffff", "\U0010ffff", "▁", "▁a", " ▁ a▁b", "a▁▁b",
    "<0x0A>", "<0x41>", "<unk>", "<s>", "</s>", "[INST]", "<|eot_id|>", "<|im_start|>user\nhi<|im_end|>\n",
    SPECIAL_TEXT, "<|endoftext|>", "a<|endoftext|>b", " <|endoftext|> ", "<think>", "x<think>y",
    "<", "<<16-3-4=9>>9", "#### 18", "$1.50", "50%", "a_b-c", "camelCase snake_case", "http://x.y/z?q=1&r=2",
    "{\"k\": [1, 2]}", "def f(x):\n    return x  # c\n", "if (a && b) {\n\treturn;\n}\n", "!!!???...", "¿Qué?",
    "--- === ***", "… — “quoted” ‘x’", "a\u0000b", "The word word the", " the the", "the\nthe",
    "Mod 11: a=7 b=2\n c: a+ b, </reflection> unknown", "kept [KEEP] tight[KEEP]er  [LEFT]  x [RIGHT]  y xKEEPy WORD WORDS x-WORD",
]

INVALID = [b"\xff", b"ok\xffok", b"\xc3", b"\xe3\x81", b"a\xe3\x81b", b"\xf0\x9f\x91", b"\xf0\x9f\x91\x8d\xf0\x9f",
           b"\xed\xa0\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf8\x88\x80\x80\x80", b"\xf4\x90\x80\x80",
           b"\x80\x80", b"\xe3\x81\x82\x81", b" \xff <|eot_id|>"]


def long_word():
    return "".join(chr(97 + (i * i + 3 * i // 7) % 26) for i in range(100_000))


def id_hash(lists):
    """Polynomial hash over all ids; every list ends with a -1."""
    value = 0
    for ids in lists:
        for i in [*ids, -1]:
            value = (value * 1000003 + i + 2) % 2**64
    return value


def byte_level_bpe(pre_tokenizer, vocab_size, specials=(), normalizer=None, **model):
    tok = Tokenizer(models.BPE(**model))
    if normalizer:
        tok.normalizer = normalizer
    tok.pre_tokenizer = pre_tokenizer
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, show_progress=False, special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tok


def split_then_bytes(*splits):
    return pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def special(text, **flags):
    return AddedToken(text, special=True, normalized=False, **flags)


def bos_template(tok, bos):
    return processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1",
                                         special_tokens=[(bos, tok.token_to_id(bos))])


def llama3():
    tok = byte_level_bpe(split_then_bytes(pre_tokenizers.Split(Regex(LLAMA3_REGEX), "isolated")), 1000,
                         ignore_merges=True)
    tok.add_special_tokens([special(s) for s in LLAMA3_SPECIALS])
    tok.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                              bos_template(tok, LLAMA3_SPECIALS[0])])
    return tok, {"bos_token": LLAMA3_SPECIALS[0], "eos_token": "<|eot_id|>"}


def gpt2(prefix=False):
    tok = byte_level_bpe(pre_tokenizers.ByteLevel(add_prefix_space=prefix), 600, ["<|endoftext|>"])
    return tok, {"bos_token": "<|endoftext|>", "eos_token": {"content": "<|endoftext|>"}}


def qwen2():
    tok = byte_level_bpe(split_then_bytes(pre_tokenizers.Split(Regex(QWEN2_REGEX), "isolated")), 900,
                         normalizer=normalizers.NFC())
    tok.add_special_tokens([special("<|endoftext|>"), special("<|im_start|>"), special("<|im_end|>")])
    tok.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    return tok, {"bos_token": None, "eos_token": "<|im_end|>", "add_bos_token": False}


def smollm():
    tok = byte_level_bpe(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                  pre_tokenizers.ByteLevel(add_prefix_space=False)]),
                         500, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tok, {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}


def custom():
    """Another split rule, every flag of added tokens, and every split behavior."""
    split = pre_tokenizers.Split(Regex(r"Mod [0-9]+:|</?[a-z]+>| [a-z]=[0-9]+| [a-z][:,?+*\-]| unknown|\n"), "isolated")
    behaviors = [pre_tokenizers.Split(p, b, invert) for p, b, invert in [
        ("-", "merged_with_previous", False), ("_", "merged_with_next", False), ("&", "removed", False),
        (Regex("[!?]"), "contiguous", False), (Regex("[a-z]+|[^a-z]+"), "removed", True)]]
    tok = byte_level_bpe(split_then_bytes(split, *behaviors, pre_tokenizers.Digits()), 520,
                         normalizer=normalizers.Sequence([normalizers.Replace("ſ", "s"), normalizers.NFKC()]))
    tok.add_special_tokens([special("<s>"), special("</s>")])
    tok.add_tokens([AddedToken("[KEEP]", normalized=False), AddedToken("[LEFT]", lstrip=True),
                    AddedToken("[RIGHT]", rstrip=True, normalized=True), AddedToken("WORD", single_word=True)])
    return tok, {"bos_token": "<s>", "eos_token": "</s>"}


def sentencepiece_model(kind):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(s for s in corpus() if "\n" not in s), model_writer=model, vocab_size=800 if kind == "bpe" else 500,
        model_type=kind, byte_fallback=True, character_coverage=0.995, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True,
        user_defined_symbols=["<<SYS>>"] if kind == "unigram" else [], num_threads=1, minloglevel=2)
    return model.getvalue()


def llama2(spm, metaspace):
    """The tokenizer.json that says the same as a SentencePiece BPE model."""
    pieces = [(spm.id_to_piece(i), spm.get_score(i)) for i in range(spm.get_piece_size())]
    vocab = {piece: i for i, (piece, _) in enumerate(pieces)}
    merges = []
    for piece, score in pieces:
        cuts = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        cuts = [c for c in cuts if c[0] in vocab and c[1] in vocab]
        merges += [(-score, c) for c in sorted(cuts, key=lambda c: (vocab[c[0]], vocab[c[1]]))]
    merges = [c for _, c in sorted(merges, key=lambda m: m[0])]
    tok = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    replace = decoders.Replace("▁", " ")
    if metaspace:
        tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=metaspace, split=metaspace == "always")
    else:
        tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.decoder = decoders.Sequence([replace, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tok.add_special_tokens([special("<unk>"), special("<s>"), special("</s>")])
    tok.post_processor = bos_template(tok, "<s>")
    return tok, {"bos_token": {"content": "<s>"}, "eos_token": {"content": "</s>"}, "add_bos_token": True,
                 "legacy": not metaspace}


def hf_encoders(tok):
    def encode(text, parse):
        tok.encode_special_tokens = not parse
        return tok.encode(text, add_special_tokens=False).ids
    return encode, lambda ids: tok.decode(ids, skip_special_tokens=False)


def spm_encoders(spm):
    specials = re.compile("(<unk>|<s>|</s>)")

    def encode(text, parse):
        if not parse:
            return spm.encode(text)
        ids = []
        for part in specials.split(text):
            ids += [spm.piece_to_id(part)] if specials.fullmatch(part) else spm.encode(part)
        return ids
    return encode, spm.decode


def tiktoken_encoders(ranks):
    enc = tiktoken.Encoding("llama3", pat_str=LLAMA3_REGEX, mergeable_ranks=ranks,
                            special_tokens={s: len(ranks) + i for i, s in enumerate(LLAMA3_SPECIALS)})

    def encode(text, parse):
        return enc.encode(text, allowed_special="all") if parse else enc.encode_ordinary(text)
    return encode, enc.decode


def byte_of_character():
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in visible]
    return {chr(b): b for b in visible} | {chr(256 + i): b for i, b in enumerate(others)}


def tiktoken_ranks(tok):
    to_byte = byte_of_character()
    vocab = tok.get_vocab(with_added_tokens=False)
    return {bytes(to_byte[c] for c in name): i for name, i in sorted(vocab.items(), key=lambda v: v[1])}


def gsm8k_texts(name):
    path = pathlib.Path(os.environ["GSM8K_DIR"]) / name
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield row["question"]
        yield row["answer"]


def expectations(encode, decode):
    texts = CASES + [b.decode("utf-8", errors="replace") for b in INVALID]
    plain = [encode(t, False) for t in texts]
    return {
        "plain": plain,
        "parse": [None if (p := encode(t, True)) == ids else p for t, ids in zip(texts, plain)],
        "decoded": [None if (d := decode(ids)) == t else d for t, ids in zip(texts, plain)],
        "long_word": str(id_hash([encode(long_word(), False)])),
        "gsm8k": {name: str(id_hash(encode(t, False) for t in gsm8k_texts(name)))
                  for name in ("test.jsonl", "train.jsonl")},
    }


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n", encoding="utf-8")


def main():
    out = pathlib.Path(sys.argv[1])
    write_json(out / "cases.json", {"texts": CASES, "invalid": [list(b) for b in INVALID]})

    models_of = {kind: sentencepiece_model(kind) for kind in ("bpe", "unigram")}
    spms = {kind: sentencepiece.SentencePieceProcessor(model_proto=m) for kind, m in models_of.items()}
    from_json = {"llama3": llama3(), "gpt2": gpt2(), "gpt2_prefix": gpt2(prefix=True), "qwen2": qwen2(),
                 "smollm": smollm(), "custom": custom(), "llama2": llama2(spms["bpe"], None),
                 "llama2_first": llama2(spms["bpe"], "first"), "llama2_always": llama2(spms["bpe"], "always")}
    for name, (tok, config) in from_json.items():
        write_json(out / name / "tokenizer.json", json.loads(tok.to_str()))
        write_json(out / name / "tokenizer_config.json", config)
        write_json(out / name / "ids.json", expectations(*hf_encoders(tok)))

    ranks = tiktoken_ranks(from_json["llama3"][0])
    (out / "tiktoken").mkdir(exist_ok=True)
    (out / "tiktoken" / "tokenizer.model").write_text(
        "".join(f"{base64.b64encode(b).decode()} {i}\n" for b, i in ranks.items()))
    write_json(out / "tiktoken" / "ids.json", expectations(*tiktoken_encoders(ranks)))

    for kind, spm in spms.items():
        folder = out / f"spm_{kind}"
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.model").write_bytes(models_of[kind])
        write_json(folder / "ids.json", expectations(*spm_encoders(spm)))


if __name__ == "__main__":
    main()
