#!/usr/bin/env python3
"""Causal attention with gradients through libtorch's packed flash kernel and through cuDNN, for bench/gpu.sh.

usage: bench/gpu_attention.py SHAPE TOKENS
Times the calls that the model makes (flash) and could make (cuDNN) on one row of TOKENS and on rows of a quarter,
an eighth, an eighth and a half of it. Prints rows of a Markdown table: milliseconds forward, forward + backward,
and the largest difference from the flash kernel's result. Needs a GPU.
"""
import sys

import torch
from gpu_model import SHAPES

ops = torch.ops.aten


def flash(q, k, v, offsets, longest):
    return ops._flash_attention_forward(q, k, v, offsets, offsets, longest, longest, 0.0, True, False)[0]


def cudnn(q, k, v, offsets, longest):
    return ops._cudnn_attention_forward(q, k, v, None, offsets, offsets, longest, longest, True, 0.0, True, False)[0]


def cudnn_dense(q, k, v, offsets, longest):
    """One row as [1, heads, T, d]."""
    if len(offsets) != 2:
        raise RuntimeError("takes one row")
    heads = [x.transpose(0, 1).unsqueeze(0) for x in (q, k, v)]
    repeat = q.shape[1] // k.shape[1]
    heads[1:] = [x.repeat_interleave(repeat, 1) for x in heads[1:]]
    out = ops._scaled_dot_product_cudnn_attention(*heads, None, True, 0.0, True, False)[0]
    return out.squeeze(0).transpose(0, 1)


def milliseconds(work, times=20):
    for _ in range(3):
        work()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(times):
        work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / times


def main():
    shape, tokens = SHAPES[sys.argv[1]], int(sys.argv[2])
    torch.manual_seed(0)

    def numbers(heads):
        values = torch.randn(tokens, heads, shape["head_dim"], device="cuda", dtype=torch.bfloat16)
        return values.requires_grad_(True)

    q, k, v = numbers(shape["num_attention_heads"]), *(numbers(shape["num_key_value_heads"]) for _ in range(2))
    dy = torch.randn_like(q)
    parts = [tokens // 4, tokens // 8, tokens // 8, tokens // 2]
    for lengths in ([tokens], parts):
        offsets = torch.tensor([0, *lengths], device="cuda").cumsum(0).int()
        expected = flash(q, k, v, offsets, max(lengths)).detach()
        for name, kernel in (("flash, packed", flash), ("cuDNN, packed", cudnn), ("cuDNN, one row", cudnn_dense)):
            label = f"| {name} | {len(lengths)} row{'s' * (len(lengths) > 1)} |"
            try:
                difference = (kernel(q, k, v, offsets, max(lengths)).detach() - expected).abs().max().item()
                with torch.no_grad():
                    forward = milliseconds(lambda: kernel(q, k, v, offsets, max(lengths)))
                both = milliseconds(lambda: kernel(q, k, v, offsets, max(lengths)).backward(dy))
                print(f"{label} {forward:.3f} | {both:.3f} | {difference:.3g} |", flush=True)
            except (AttributeError, RuntimeError, TypeError) as error:  # the others go on
                print(f"{label} none: {str(error).splitlines()[0][:80]} | | |", flush=True)


if __name__ == "__main__":
    main()
