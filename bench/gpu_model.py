#!/usr/bin/env python3
"""Write a checkpoint of a true shape with random bf16 weights, and rows to train on, for bench/gpu.sh.

usage: bench/gpu_model.py SHAPE TOKENIZER OUT ROWS.jsonl
  SHAPE      8b (Llama-3.1-8B) or tiny (for a trial on a CPU)
  TOKENIZER  folder of a checkpoint whose tokenizer and chat template are taken; ids above its own
             vocabulary never occur
"""
import json
import pathlib
import random
import shutil
import sys

import torch
from safetensors.torch import save_file

SHAPES = {
    "8b": dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
               num_key_value_heads=8, head_dim=128, vocab_size=128256),
    "tiny": dict(hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, head_dim=32, vocab_size=2048),
}


def tensors_of(c):
    """Names and shapes: outside of the blocks, then block by block."""
    hidden, inner = c["hidden_size"], c["intermediate_size"]
    q, kv = c["num_attention_heads"] * c["head_dim"], c["num_key_value_heads"] * c["head_dim"]
    yield {"model.embed_tokens.weight": (c["vocab_size"], hidden), "model.norm.weight": (hidden,),
           "lm_head.weight": (c["vocab_size"], hidden)}
    for layer in range(c["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        yield {name + "input_layernorm.weight": (hidden,),
               name + "post_attention_layernorm.weight": (hidden,),
               name + "self_attn.q_proj.weight": (q, hidden), name + "self_attn.k_proj.weight": (kv, hidden),
               name + "self_attn.v_proj.weight": (kv, hidden), name + "self_attn.o_proj.weight": (hidden, q),
               name + "mlp.gate_proj.weight": (inner, hidden), name + "mlp.up_proj.weight": (inner, hidden),
               name + "mlp.down_proj.weight": (hidden, inner)}


def random_tensor(shape, device):
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    spread = shape[1] ** -0.5
    return (torch.randn(shape, device=device, dtype=torch.bfloat16) * spread).cpu()


def main():
    shape, tokenizer, out, rows = sys.argv[1:]
    config = SHAPES[shape] | dict(
        architectures=["LlamaForCausalLM"], model_type="llama", max_position_embeddings=131072,
        rms_norm_eps=1e-5, rope_theta=500000.0, hidden_act="silu", attention_bias=False, mlp_bias=False,
        tie_word_embeddings=False, bos_token_id=0, eos_token_id=1, torch_dtype="bfloat16")
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parts = list(tensors_of(config))
    files, size = {}, 0
    for i, part in enumerate(parts):
        name = f"model-{i + 1:05}-of-{len(parts):05}.safetensors"
        tensors = {key: random_tensor(shape, device) for key, shape in part.items()}
        save_file(tensors, out / name, metadata={"format": "pt"})
        files |= dict.fromkeys(part, name)
        size += sum(t.nbytes for t in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": files}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    (out / "config.json").write_text(json.dumps(config, indent=2))
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(pathlib.Path(tokenizer) / name, out)

    numbers = random.Random(0)
    with open(rows, "w", encoding="utf-8") as file:
        for _ in range(400):
            sums = [f"{numbers.randrange(100)} + {numbers.randrange(100)}" for _ in range(120)]
            answer = "\n".join(f"{s} = {eval(s)}" for s in sums)
            file.write(json.dumps({"instruction": sums[0] + " = ?", "input": "", "output": answer}) + "\n")


if __name__ == "__main__":
    main()
