#!/usr/bin/env python3
"""Writes the demo model's tokenizer: byte-level BPE whose merges are built, not trained.

Usage: make_demo_tokenizer.py FOLDER      writes tokenizer.json and tokenizer_config.json

Any text can be encoded (all 256 bytes are tokens). Text of the graph family (problems modulo 7 over
14 letters, see docs/demo.md) gets one token for each thing that the model looks up as a whole: a name
with its value " a=7", a name with its first operand " c:a", an operand pair " c+b,", an expression
" 4+6", a tag. A small plain Llama learns the family only in such a form: a token that carries key and
value is copied by one attention head, and an expression in one token makes its result one look-up.
"""
import json
import os
import sys

MODULUS, OPERATORS, LETTERS = 7, "+-", "abcdefghijklmn"
BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
TAGS = ["<thinking>", "</thinking>", "<reflection>", "</reflection>", "<output>", "</output>"]
SPLIT = (r"Mod [0-9]+:|</?[a-z]+>| [a-z]=[0-9]+| [a-z]:[a-z]| [a-z][+*\-][a-z],| [a-z]\?|"
         r" [0-9]+[+*\-][0-9]+| unknown|\n")


def byte_symbols():
    """GPT-2's printable stand-ins for the 256 bytes, in its order."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {**{b: chr(b) for b in shown}, **{b: chr(256 + i) for i, b in enumerate(hidden)}}


def whole_tokens():
    """Texts that shall be one token each."""
    yield from TAGS
    yield f"Mod {MODULUS}:"
    yield " unknown"
    for a in LETTERS:
        yield f" {a}?"
        yield from (f" {a}={value}" for value in range(MODULUS))
        yield from (f" {a}:{b}" for b in LETTERS if b != a)
    for sign in OPERATORS:
        yield from (f" {a}{sign}{b}," for a in LETTERS for b in LETTERS if a != b)
    for x in range(MODULUS):
        yield from (f" {x}{sign}{y}" for sign in OPERATORS for y in range(MODULUS))


def build():
    symbols = byte_symbols()
    vocab = {BOS: 0, EOS: 1}
    for symbol in symbols.values():
        vocab[symbol] = len(vocab)
    merges = []
    for text in whole_tokens():  # every prefix is a token, so that merges build it from the left
        chars = [symbols[b] for b in text.encode()]
        for i in range(1, len(chars)):
            prefix, token = "".join(chars[:i]), "".join(chars[:i + 1])
            if token not in vocab:
                vocab[token] = len(vocab)
                merges.append([prefix, chars[i]])
    return vocab, merges


def special(token, token_id):
    return {"id": token_id, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True}


def main():
    vocab, merges = build()
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [special(BOS, 0), special(EOS, 1)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        "post_processor": {"type": "TemplateProcessing",
                           "single": [{"SpecialToken": {"id": BOS, "type_id": 0}},
                                      {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                                    {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {BOS: {"id": BOS, "ids": [0], "tokens": [BOS]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": False, "vocab": vocab, "merges": merges},
    }
    with open(os.path.join(sys.argv[1], "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(tokenizer, f, ensure_ascii=False, separators=(",", ":"))
    with open(os.path.join(sys.argv[1], "tokenizer_config.json"), "w", encoding="utf-8") as f:
        json.dump({"bos_token": BOS, "eos_token": EOS, "tokenizer_class": "PreTrainedTokenizerFast"}, f, indent=2)
        f.write("\n")
    print(f"{len(vocab)} tokens")


if __name__ == "__main__":
    main()
