#!/usr/bin/env python3
"""Golden files of the weight codecs: NF4 by bitsandbytes, FP8 e4m3 by torch.

Writes OUT/quant.safetensors (tests/golden/quant). For each NF4 case: weights, codes, absmax codes,
absmax scales, mean absmax and the values in fp32; for FP8: weights, codes (as bytes), scales, values.

bitsandbytes runs on its plain torch backend, without its CPU library: that library overwrites the
lowest value of the absmax map (-0.993 becomes -1), which the GPU library does not do.
"""
import ctypes
import os
import sys

import torch
from safetensors.torch import save_file


def no_native_library(*_):
    raise OSError("not wanted here")


ctypes.cdll.LoadLibrary = no_native_library
import bitsandbytes.functional as bnb  # noqa: E402


def nf4_cases(generator):
    normal = 0.02 * torch.randn(96, 192, generator=generator)
    heavy = 0.05 * torch.randn(40, 64, generator=generator) ** 3
    ragged = torch.randn(3, 70, generator=generator)
    ragged.view(-1)[64:128] = 0  # a block of zeros
    # Blocks of a few large weights and of many small ones, so that the largest distance from the mean
    # absmax is below it as well as above it.
    uneven = torch.randn(288, 64, generator=generator) * 0.5
    uneven[:200] = uneven[:200].sign() * 3
    uneven[:5] *= 1e-3
    return {"normal": normal.bfloat16(), "half": normal[:16].half(), "heavy": heavy, "ragged": ragged,
            "uneven": uneven}


def nf4(weights):
    codes, state = bnb.quantize_4bit(weights, blocksize=64, compress_statistics=True, quant_type="nf4")
    state.dtype = torch.float32  # of the values
    return {"weights": weights, "codes": codes.view(-1), "absmax": state.absmax,
            "absmax_scale": state.state2.absmax, "absmax_mean": state.offset.view(1),
            "values": bnb.dequantize_4bit(codes, state)}


def fp8_weights(generator):
    weights = 0.02 * torch.randn(6, 253, generator=generator)
    weights[1] = 0
    # Rows of scale 1: every positive number of the format, and the middle between each two.
    numbers = torch.arange(127, dtype=torch.uint8).view(torch.float8_e4m3fn).float()
    weights[2], weights[3] = 0, 0
    weights[2, :127] = numbers
    weights[3, :126] = -(numbers[:-1] + numbers[1:]) / 2
    weights[3, 126] = 448
    return weights


def fp8(weights):
    largest = weights.abs().amax(1)
    scale = torch.where(largest > 0, largest / 448, torch.ones_like(largest))
    codes = (weights / scale[:, None]).clamp(-448, 448).to(torch.float8_e4m3fn)
    return {"weights": weights, "codes": codes.view(torch.uint8), "scale": scale,
            "values": codes.float() * scale[:, None]}


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    generator = torch.Generator().manual_seed(11)
    tensors = {"absmax_values": bnb.create_dynamic_map()}
    for name, weights in nf4_cases(generator).items():
        tensors |= {f"nf4.{name}.{key}": t.contiguous() for key, t in nf4(weights).items()}
    tensors |= {f"fp8.{key}": t.contiguous() for key, t in fp8(fp8_weights(generator)).items()}
    save_file(tensors, os.path.join(out, "quant.safetensors"))


if __name__ == "__main__":
    main()
