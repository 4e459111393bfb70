#!/usr/bin/env python3
"""Golden files of preference training: trl's DPO losses, rewards and gradients in fp32.

Writes into OUT (tests/golden/dpo), for the model and the adapter in ../model/llama3, the reference
being the base without the adapter:
  dpo.json              pairs (ids, length of the prompt) and per case the form, beta, weight of the SFT
                        term, loss and mean rewards
  gradients.safetensors "<case>.<name of the LoRA tensor>"
"""
import json
import os
import sys
import tempfile

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

CASES = {"sigmoid": ("sigmoid", 0.1, 0.0), "strong": ("sigmoid", 0.7, 0.0), "ipo": ("ipo", 0.3, 0.0),
         "normalised": ("sigmoid_norm", 2.0, 0.0), "mixed": ("sigmoid", 0.2, 0.5)}


def make_pairs(generator, count, vocab):
    draw = lambda low, high: int(torch.randint(low, high, (1,), generator=generator))
    ids = lambda n: torch.randint(0, vocab, (n,), generator=generator).tolist()
    pairs = []
    for _ in range(count):
        prompt = ids(draw(3, 20))
        pairs.append({"prompt": len(prompt), "chosen": prompt + ids(draw(4, 30)),
                      "rejected": prompt + ids(draw(4, 30))})
    return pairs


def collated(pairs):
    rows = [p["chosen"] for p in pairs] + [p["rejected"] for p in pairs]
    prompts = [p["prompt"] for p in pairs] * 2
    width = max(map(len, rows))
    pad = lambda values: torch.tensor([v + [0] * (width - len(v)) for v in values])
    return {"input_ids": pad(rows), "attention_mask": pad([[1] * len(r) for r in rows]),
            "completion_mask": pad([[0] * n + [1] * (len(r) - n) for r, n in zip(rows, prompts)])}


def make_trainer(base, form, beta, sft_weight, folder):
    mixed = sft_weight > 0
    config = DPOConfig(output_dir=folder, report_to=[], use_cpu=True, bf16=False, beta=beta,
                       gradient_checkpointing=False,
                       loss_type=[form, "sft"] if mixed else form,
                       loss_weights=[1.0, sft_weight] if mixed else None)
    adapter = os.path.join(base, "adapter")
    lora = LoraConfig.from_pretrained(adapter)
    lora.inference_mode = False
    lora.lora_dropout = 0.0
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    rows = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    trainer = DPOTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer,
                         peft_config=lora)
    values = load_file(os.path.join(adapter, "adapter_model.safetensors"))
    for name, parameter in trainer.model.named_parameters():
        if parameter.requires_grad:
            parameter.data = values[name.replace(".default", "")].float().clone()
    return trainer


def main():
    out = sys.argv[1]
    base = os.path.join(out, "..", "model", "llama3")
    os.makedirs(out, exist_ok=True)
    generator = torch.Generator().manual_seed(9)
    cases, gradients = [], {}
    with open(os.path.join(base, "config.json"), encoding="utf-8") as f:
        pairs = make_pairs(generator, 5, json.load(f)["vocab_size"])
    for name, (form, beta, sft_weight) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            trainer = make_trainer(base, form, beta, sft_weight, folder)
            trainer.model.train()
            loss = trainer._compute_loss(trainer.model, collated(pairs), return_outputs=False)
            loss.backward()
            metrics = trainer._metrics["train"]
            cases.append({"name": name, "form": form, "beta": beta, "sft_weight": sft_weight,
                          "loss": loss.item(), "chosen_reward": metrics["rewards/chosen"][0],
                          "rejected_reward": metrics["rewards/rejected"][0],
                          "accuracy": metrics["rewards/accuracies"][0]})
            for key, parameter in trainer.model.named_parameters():
                if parameter.requires_grad:
                    gradients[f"{name}.{key.replace('.default', '')}"] = parameter.grad.contiguous()
    with open(os.path.join(out, "dpo.json"), "w", encoding="utf-8") as f:
        json.dump({"pairs": pairs, "cases": cases}, f, separators=(",", ":"))
        f.write("\n")
    save_file(gradients, os.path.join(out, "gradients.safetensors"))


if __name__ == "__main__":
    main()
