#!/usr/bin/env python3
"""LoRA training with transformers + PEFT on random ids: tokens a second and memory, for bench/gpu.sh.

usage: bench/gpu_peer.py MODEL LENGTH STEPS [--device cuda]
r = 16 on the seven projections, bf16, packs of LENGTH tokens as one document, gradient checkpointing,
fused AdamW. The first two steps are dropped. Prints tokens/s, seconds a step and peak GiB.
"""
import argparse
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("length", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    cuda = args.device == "cuda"
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16).to(args.device)
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=LINEAR))
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, fused=cuda)
    seconds = []
    for step in range(args.steps):
        ids = torch.randint(2, 1000, (1, args.length), device=args.device)
        start = time.perf_counter()
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if cuda:
            torch.cuda.synchronize()
        if step >= 2:
            seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0
    mean = sum(seconds) / len(seconds)
    print(f"{args.length / mean:.0f} {mean:.2f} {peak:.1f}")


if __name__ == "__main__":
    main()
