#!/usr/bin/env python3
"""What transformers (+ PEFT) does on the same GPU, model and rows, for bench/gpu.sh.

usage: bench/gpu_peer.py train MODEL LENGTH STEPS [--device cuda] [--checkpointing]
       bench/gpu_peer.py infer MODEL ROWS.jsonl NEW [--device cuda]
train: LoRA, r = 16 on the seven projections, bf16, packs of LENGTH random ids as one document, gradient
checkpointing if asked for, fused AdamW. The first two steps are dropped. Prints tokens/s and seconds a step.
infer: prints rows/s of IFD and r-IFD by their definition (fixed_peer.py: four texts a row, one at a time), and
tokens/s of generate() for NEW tokens a row, greedy, without a stop token, for 1 row and for 16.
"""
import argparse
import json
import time

import torch
from fixed_peer import scores
from transformers import AutoModelForCausalLM, AutoTokenizer

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# For a tokenizer without a template.
PLAIN = ("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
         "{% if add_generation_prompt %}assistant: {% endif %}")


def now(device):
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def train(args):
    from peft import LoraConfig, get_peft_model
    length, steps = int(args.arguments[0]), int(args.arguments[1])
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16).to(args.device)
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=LINEAR))
    if args.checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, fused=args.device == "cuda")
    seconds = []
    for _ in range(steps):
        ids = torch.randint(2, 1000, (1, length), device=args.device)
        start = now(args.device)
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(now(args.device) - start)
    mean = sum(seconds[2:]) / len(seconds[2:])
    print(f"{length / mean:.0f} {mean:.2f}")


@torch.inference_mode()
def infer(args):
    rows = [json.loads(line) for line in open(args.arguments[0], encoding="utf-8")]
    new = int(args.arguments[1])
    tok = AutoTokenizer.from_pretrained(args.model, padding_side="left")
    tok.pad_token = tok.pad_token or tok.eos_token
    tok.chat_template = tok.chat_template or PLAIN
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16).to(args.device).eval()
    scores(model, tok, rows[0])  # warm-up
    some = rows[:8]
    start = now(args.device)
    for row in some:
        scores(model, tok, row)
    print(f"scoring {len(some) / (now(args.device) - start):.2f}", flush=True)
    for batch in (1, 16):
        chats = [[{"role": "user", "content": row["instruction"]}] for row in rows[:batch]]
        ids = tok.apply_chat_template(chats, add_generation_prompt=True, padding=True, return_tensors="pt",
                                      return_dict=True).to(args.device)
        for count in (4, new):  # the first warms up
            start = now(args.device)
            model.generate(**ids, min_new_tokens=count, max_new_tokens=count, do_sample=False,
                           pad_token_id=tok.pad_token_id)
        print(f"decoding-{batch} {batch * new / (now(args.device) - start):.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("train", "infer"))
    parser.add_argument("model")
    parser.add_argument("arguments", nargs=2)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--checkpointing", action="store_true", help="recompute in the backward pass (train)")
    args = parser.parse_args()
    (train if args.task == "train" else infer)(args)


if __name__ == "__main__":
    main()
