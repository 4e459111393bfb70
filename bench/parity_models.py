#!/usr/bin/env python3
"""Three small random Llama checkpoints with tokenizers of two families, for score_parity_all.sh.

Usage: parity_models.py PEERS TRAIN.jsonl OUT

OUT/bpe    byte-level BPE as Llama 3 has it (make_model.py of PEERS, trained on TRAIN)
OUT/colon  the same with tokens across a colon (":The"), as Llama 3's own vocabulary has them
OUT/spm    SentencePiece-style BPE with byte fallback as Llama 2 has it, Llama 2's chat template,
           and the weights of OUT/bpe (tests/golden/tokenizer/llama2; its 800 ids fit in 1024)
"""
import json
import pathlib
import shutil
import subprocess
import sys

from transformers import PreTrainedTokenizerFast

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"


def sentencepiece_style(source, out):
    tok = PreTrainedTokenizerFast(tokenizer_file=str(GOLDEN / "tokenizer" / "llama2" / "tokenizer.json"),
                                  bos_token="<s>", eos_token="</s>")
    chats = json.loads((GOLDEN / "chat" / "chat.json").read_text())
    tok.chat_template = chats["templates"]["llama2"]["jinja"]
    out.mkdir(parents=True, exist_ok=True)
    tok.save_pretrained(out)
    config = json.loads((source / "config.json").read_text())
    config.update(bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, pad_token_id=None)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    shutil.copy(source / "model.safetensors", out)


def main():
    peers, train, out = sys.argv[1:4]
    out = pathlib.Path(out)
    for name, flags in ("bpe", []), ("colon", ["--colon-merges"]):
        if not (out / name / "model.safetensors").exists():
            subprocess.run([sys.executable, f"{peers}/make_model.py", str(out / name), "--text", train, "--size", "tiny",
                            "--seed", "1", *flags], check=True)
    sentencepiece_style(out / "bpe", out / "spm")


if __name__ == "__main__":
    main()
