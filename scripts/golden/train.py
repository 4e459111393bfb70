#!/usr/bin/env python3
"""Golden files of the trainer: ten fp32 steps with transformers and peft, and learning rates.

Writes into OUT (tests/golden/train), for the model and the adapter in ../model/llama3:
  lora.json, full.json   hyper-parameters, batches (ids and loss weight of each token, by row) and per
                         step the learning rate, loss, gradient norm before clipping
  lora_final.safetensors the adapter after the last step
  dora.json, dora_adapter/, dora_final.safetensors   the same with DoRA, from an adapter of its own
  rslora.json, rslora_adapter/   the same with rsLoRA
  lora_plus.json         as lora.json, by peft's LoRA+ optimizer
  schedule.json          learning-rate factors of transformers' schedules

Steps 0-3 are padded batches, 4-6 packs with restarting positions, 7-9 two packs each, accumulated. The
loss of a step is sum(w * nll) / sum(w) over all of its tokens. Weight decay applies to matrices only.
"""
import json
import os
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, get_constant_schedule_with_warmup,
                          get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup)

STEPS, WARMUP = 10, 3


def rows_of(generator, count, vocab):
    """Random rows: a prompt of weight 0, then tokens of weight 0, 0.5, 1 or 2."""
    rows = []
    for _ in range(count):
        length = int(torch.randint(12, 60, (1,), generator=generator))
        prompt = int(torch.randint(2, length // 2, (1,), generator=generator))
        ids = torch.randint(0, vocab, (length,), generator=generator).tolist()
        choices = torch.tensor([0.0, 0.5, 1.0, 1.0, 2.0])
        weight = choices[torch.randint(0, 5, (length,), generator=generator)]
        weight[:prompt], weight[-1] = 0, 1
        rows.append({"ids": ids, "weight": weight.tolist()})
    return rows


def padded(rows):
    width = max(len(r["ids"]) for r in rows)
    fill = lambda key: torch.tensor([r[key] + [0] * (width - len(r[key])) for r in rows])
    mask = torch.tensor([[1] * len(r["ids"]) + [0] * (width - len(r["ids"])) for r in rows])
    return {"input_ids": fill("ids"), "attention_mask": mask}, fill("weight")


def packed(rows):
    ids = torch.tensor([[i for r in rows for i in r["ids"]]])
    positions = torch.tensor([[p for r in rows for p in range(len(r["ids"]))]])
    weight = torch.tensor([[w for r in rows for w in r["weight"]]])
    return {"input_ids": ids, "position_ids": positions}, weight


def weighted_sum(model, inputs, weight):
    """sum(w * nll); a token's weight is that of predicting it, and first tokens have 0."""
    logits = model(**inputs, use_cache=False).logits
    log_p = torch.log_softmax(logits[:, :-1].float(), -1)
    nll = -log_p.gather(-1, inputs["input_ids"][:, 1:, None]).squeeze(-1)
    return (nll * weight[:, 1:]).sum()


def run(model, steps, hyper):
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [{"params": [p for _, p in named if p.dim() >= 2], "weight_decay": hyper["weight_decay"]},
              {"params": [p for _, p in named if p.dim() < 2], "weight_decay": 0.0}]
    shared = {"lr": hyper["lr"], "eps": hyper["eps"], "betas": (hyper["beta1"], hyper["beta2"])}
    if "plus_ratio" in hyper:
        optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, loraplus_lr_ratio=hyper["plus_ratio"],
                                              loraplus_weight_decay=hyper["weight_decay"], **shared)
    else:
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], **shared)
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP, STEPS)
    curve = []
    for step in steps:
        batches = [(padded if step["kind"] == "padded" else packed)(rows) for rows in step["batches"]]
        total = sum(float(weight[:, 1:].sum()) for _, weight in batches)
        loss = 0.0
        for inputs, weight in batches:
            part = weighted_sum(model, inputs, weight) / total
            part.backward()
            loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named], hyper["clip"]).item()
        curve.append({"lr": optimizer.param_groups[0]["lr"], "loss": loss, "grad_norm": norm})
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return curve


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=None, separators=(",", ":"))
        f.write("\n")


def save_trained(model, path):
    final = {n.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector"):
             p.detach().contiguous() for n, p in model.named_parameters() if p.requires_grad}
    save_file(final, path)


def fresh_adapter(base, generator, folder, **kind):
    """An adapter of a kind of LoRA with random A, B and magnitudes, saved by peft into `folder`."""
    model = get_peft_model(base, LoraConfig(
        r=4, lora_alpha=6, lora_dropout=0.0, task_type="CAUSAL_LM", **kind,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_magnitude" in name:
                p.mul_(torch.rand(p.shape, generator=generator) * 0.4 + 0.8)
            elif "lora_" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.1)
    config = model.peft_config["default"]
    config.base_model_name_or_path, config.target_modules = "", sorted(config.target_modules)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    return model


def make_steps(generator, vocab):
    counts = [[4]] * 4 + [[6]] * 3 + [[5, 3]] * 3
    kinds = ["padded"] * 4 + ["packed"] * 6
    return [{"kind": kind, "batches": [rows_of(generator, n, vocab) for n in sizes]}
            for kind, sizes in zip(kinds, counts)]


def schedules():
    makers = {"cosine": get_cosine_schedule_with_warmup, "linear": get_linear_schedule_with_warmup,
              "constant": lambda o, w, t: get_constant_schedule_with_warmup(o, w)}
    cases = []
    for name, make in makers.items():
        for warmup, total in ((0, 7), (4, 23)):
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
            schedule = make(optimizer, warmup, total)
            factors = []
            for _ in range(total):
                factors.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                schedule.step()
            cases.append({"type": name, "warmup_steps": warmup, "total_steps": total, "factors": factors})
    return cases


def main():
    out = sys.argv[1]
    base = os.path.join(out, "..", "model", "llama3")
    os.makedirs(out, exist_ok=True)
    generator = torch.Generator().manual_seed(5)
    load = lambda: AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)

    hyper = {"lr": 2e-3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.05, "clip": 3.5,
             "warmup_steps": WARMUP}
    model = PeftModel.from_pretrained(load(), os.path.join(base, "adapter"), is_trainable=True)
    steps = make_steps(generator, model.config.vocab_size)
    curve = run(model, steps, hyper)
    write_json(os.path.join(out, "lora.json"), {"hyper": hyper, "steps": steps, "curve": curve})
    save_trained(model, os.path.join(out, "lora_final.safetensors"))

    plus = PeftModel.from_pretrained(load(), os.path.join(base, "adapter"), is_trainable=True)
    curve = run(plus, steps, hyper | {"plus_ratio": 4})
    write_json(os.path.join(out, "lora_plus.json"), {"plus_ratio": 4, "curve": curve})
    dora = fresh_adapter(load(), torch.Generator().manual_seed(6), os.path.join(out, "dora_adapter"), use_dora=True)
    curve = run(dora, steps, hyper)
    write_json(os.path.join(out, "dora.json"), {"curve": curve})
    save_trained(dora, os.path.join(out, "dora_final.safetensors"))
    rslora = fresh_adapter(load(), torch.Generator().manual_seed(7), os.path.join(out, "rslora_adapter"),
                           use_rslora=True)
    write_json(os.path.join(out, "rslora.json"), {"curve": run(rslora, steps, hyper)})

    hyper |= {"clip": 9.0, "lr": 5e-4}
    model = load()
    steps = make_steps(generator, model.config.vocab_size)
    curve = run(model, steps, hyper)
    write_json(os.path.join(out, "full.json"), {"hyper": hyper, "steps": steps, "curve": curve})
    write_json(os.path.join(out, "schedule.json"), schedules())


if __name__ == "__main__":
    main()
