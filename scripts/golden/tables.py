#!/usr/bin/env python3
"""Golden files of adapters on the token tables: LoRA on lm_head and trained token rows, by peft.

Writes into OUT (tests/golden/tables), for the models ../model/llama3 (untied) and llama2 (tied):
  CASE/               the adapter as peft saves it, with random values
  CASE.json           the ten steps of ../train/lora.json: learning rate, loss, gradient norm
  CASE.safetensors    ids [1, T], logits [1, T, V] before the first step, and the trained tensors after the
                      last one under their names in the folder
CASE: head (LoRA on lm_head), rows (rows of both tables), dora (DoRA on lm_head, rows of the embedding),
tied_rows (rows of a table that is both), tied_head (LoRA on the output side of such a table).
"""
import json
import os
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from train import run, write_json

TOKENS = [7, 300, 12, 5, 311, 42]
BOTH = {"embed_tokens": TOKENS, "lm_head": TOKENS}
CASES = {
    "head": ("llama3", dict(target_modules=["down_proj", "lm_head", "q_proj"])),
    "rows": ("llama3", dict(target_modules=["down_proj", "q_proj"], trainable_token_indices=BOTH)),
    "dora": ("llama3", dict(target_modules=["lm_head", "q_proj"], use_dora=True,
                            trainable_token_indices=TOKENS)),
    "tied_rows": ("llama2", dict(target_modules=["q_proj"], trainable_token_indices=TOKENS)),
    "tied_head": ("llama2", dict(target_modules=["lm_head", "q_proj"])),
}


def short(name):
    return name.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector")


def make(out, case, models, golden, generator):
    base, settings = CASES[case]
    model = AutoModelForCausalLM.from_pretrained(os.path.join(models, base), dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", **settings))
    trained = {short(n): p for n, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, p in trained.items():
            noise = torch.randn(p.shape, generator=generator) * 0.1
            p.copy_(noise if "lora_A" in name or "lora_B" in name else p * (1 + noise))
    config = model.peft_config["default"]
    config.base_model_name_or_path, config.target_modules = "", sorted(config.target_modules)
    folder = os.path.join(out, case)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    ids = torch.randint(0, model.config.vocab_size, (1, 40), generator=generator)
    ids[0, ::7] = torch.tensor(TOKENS)
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits
    write_json(os.path.join(out, case + ".json"), {"curve": run(model, golden["steps"], golden["hyper"])})
    final = {n: p.detach().contiguous() for n, p in trained.items()}
    save_file({"ids": ids, "logits": logits.contiguous()} | final, os.path.join(out, case + ".safetensors"))


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "..", "train", "lora.json"), encoding="utf-8") as f:
        golden = json.load(f)
    generator = torch.Generator().manual_seed(8)
    for case in CASES:
        make(out, case, os.path.join(out, "..", "model"), golden, generator)


if __name__ == "__main__":
    main()
