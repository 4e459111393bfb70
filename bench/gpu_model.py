#!/usr/bin/env python3
"""Write a checkpoint of a true shape with random bf16 weights, and rows to train on, for bench/gpu.sh.

usage: bench/gpu_model.py SHAPE TOKENIZER OUT ROWS.jsonl [--sparse]
  SHAPE      8b, 70b (Llama-3.1) or tiny (for a trial on a CPU)
  TOKENIZER  folder of a checkpoint whose tokenizer and chat template are taken; ids above its own
             vocabulary never occur
  --sparse   projections are zeros that take no disk: for a base whose codes bench/gpu_codes.py makes
Needs torch alone.
"""
import ctypes
import json
import math
import pathlib
import random
import shutil
import struct
import sys

import torch

SHAPES = {
    "70b": dict(hidden_size=8192, intermediate_size=28672, num_hidden_layers=80, num_attention_heads=64,
                num_key_value_heads=8, head_dim=128, vocab_size=128256),
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


def header_of(tensors):
    """The header of a safetensors file and the bytes of data behind it, for (name, type, shape) in their order."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, dtype, shape in tensors:
        size = {"BF16": 2, "F32": 4, "U8": 1}[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, end


def random_numbers(shape, device):
    """bf16 with a standard deviation of 1 / sqrt(in), in host memory."""
    return (torch.randn(shape, device=device, dtype=torch.bfloat16) * shape[1] ** -0.5).cpu()


def save(shapes, path, device, sparse):
    """bf16 tensors: norms are ones; the others, which follow them, are random or a hole in the file."""
    tensors = sorted(((name, "BF16", shape) for name, shape in shapes.items()), key=lambda tensor: len(tensor[2]))
    header, end = header_of(tensors)
    with open(path, "wb") as file:
        file.write(header)
        for _, _, shape in tensors:
            if len(shape) == 1:
                file.write(b"\x80\x3f" * shape[0])
            elif not sparse:
                numbers = random_numbers(shape, device)
                file.write((ctypes.c_char * numbers.nbytes).from_address(numbers.data_ptr()))
        file.truncate(len(header) + end)


def main():
    sparse = "--sparse" in sys.argv
    shape, tokenizer, out, rows = [argument for argument in sys.argv[1:] if argument != "--sparse"]
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
        save(part, out / name, device, sparse and i > 0)
        files |= dict.fromkeys(part, name)
        size += sum(2 * math.prod(shape) for shape in part.values())
    index = {"metadata": {"total_size": size}, "weight_map": files}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    (out / "config.json").write_text(json.dumps(config, indent=2))
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(pathlib.Path(tokenizer) / name, out)

    numbers = random.Random(0)
    with open(rows, "w", encoding="utf-8") as file:
        for _ in range(400):
            # Three rows fill 4096 tokens.
            sums = [f"{numbers.randrange(100)} + {numbers.randrange(100)}" for _ in range(112)]
            answer = "\n".join(f"{s} = {eval(s)}" for s in sums)
            file.write(json.dumps({"instruction": sums[0] + " = ?", "input": "", "output": answer}) + "\n")


if __name__ == "__main__":
    main()
