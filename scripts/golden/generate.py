"""Golden files of tests/generate: what transformers' logits processors keep, and what its
generate() writes on the small golden model.
"""
import json
import pathlib

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


def main(golden: pathlib.Path):
    folder = golden / "generate"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sampling.json").write_text(
        json.dumps({"transformers": transformers.__version__, "rows": sampling_cases()}) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden")
