#!/usr/bin/env python3
"""Golden files of decoding: what transformers' logits processors keep, and what its generate() writes.

Writes into OUT (tests/golden/generate):
  sampling.json   random logits, settings, the ids that are kept and their probabilities
  greedy.json     prompts and greedy continuations of tests/golden/model/llama3 in fp32, up to and
                  including an end token; "least_margin" is the smallest distance between the two
                  highest logits on the way

Usage: generate.py OUT
"""
import json
import pathlib
import sys

import numpy
import torch
import transformers
from transformers.generation import logits_process

SETTINGS = [
    {"temperature": 1.0},
    {"temperature": 0.7},
    {"temperature": 1.3, "top_k": 5},
    {"temperature": 1.0, "top_k": 1},
    {"temperature": 0.9, "top_p": 0.9},
    {"temperature": 1.0, "top_p": 0.05},
    {"temperature": 1.0, "top_p": 0.999},
    {"temperature": 0.8, "min_p": 0.1},
    {"temperature": 1.0, "min_p": 1.0},
    {"temperature": 0.7, "top_k": 40, "top_p": 0.8},
    {"temperature": 1.5, "top_k": 20, "top_p": 0.95, "min_p": 0.05},
    {"temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.2},
    {"temperature": 1.1, "top_k": 30, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 0.8},
]


def processors(setting):
    """In the order of GenerationMixin._get_logits_processor."""
    chain = []
    if "repetition_penalty" in setting:
        chain.append(logits_process.RepetitionPenaltyLogitsProcessor(setting["repetition_penalty"]))
    chain.append(logits_process.TemperatureLogitsWarper(setting["temperature"]))
    if "top_k" in setting:
        chain.append(logits_process.TopKLogitsWarper(setting["top_k"]))
    if "top_p" in setting:
        chain.append(logits_process.TopPLogitsWarper(setting["top_p"]))
    if "min_p" in setting:
        chain.append(logits_process.MinPLogitsWarper(setting["min_p"]))
    return logits_process.LogitsProcessorList(chain)


def sampling_cases():
    generator = numpy.random.default_rng(7)
    rows = []
    for vocabulary, spread in [(50, 2.0), (300, 4.0)]:
        logits = numpy.round(generator.normal(0, spread, vocabulary), 4).astype(numpy.float32)
        seen = generator.integers(0, vocabulary, 20).tolist()
        cases = []
        for setting in SETTINGS:
            scores = processors(setting)(torch.tensor([seen]), torch.from_numpy(logits)[None].clone())[0]
            probabilities = torch.softmax(scores.double(), -1)
            kept = torch.isfinite(scores).nonzero()[:, 0].tolist()
            cases.append({"setting": setting, "kept": kept,
                          "probabilities": [round(probabilities[i].item(), 9) for i in kept]})
        rows.append({"logits": [round(float(x), 4) for x in logits], "seen": seen, "cases": cases})
    return rows


def greedy_cases(model_folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    generator = numpy.random.default_rng(11)
    cases = []
    for penalty in (1.0, 1.3):
        for length in (1, 2, 7, 19, 40, 64, 3, 90):
            prompt = [315] + generator.integers(0, 315, length - 1).tolist()
            with torch.inference_mode():
                out = model.generate(
                    torch.tensor([prompt]), attention_mask=torch.ones(1, length, dtype=torch.long),
                    do_sample=False, max_new_tokens=60, repetition_penalty=penalty, pad_token_id=0,
                    return_dict_in_generate=True, output_scores=True)
            top = torch.cat(out.scores).topk(2).values
            cases.append({"prompt_ids": prompt, "repetition_penalty": penalty, "max_new_tokens": 60,
                          "new_ids": out.sequences[0, length:].tolist(),
                          "least_margin": round((top[:, 0] - top[:, 1]).min().item(), 6)})
    return cases


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    model = out.parent / "model" / "llama3"
    for name, rows in (("sampling", sampling_cases()), ("greedy", greedy_cases(model))):
        content = {"transformers": transformers.__version__, "rows": rows}
        (out / f"{name}.json").write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
