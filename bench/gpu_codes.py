#!/usr/bin/env python3
"""Fill a folder of --base.cache with random NF4 codes: a base of a true size without its 16-bit checkpoint.

usage: bench/gpu_codes.py SHAPE FOLDER
  FOLDER  the checkpoint's own, inside that of --base.cache; every block gets the same numbers
The weights that the codes stand for have a standard deviation of about 1 / sqrt(in).
"""
import os
import pathlib
import struct
import sys

from gpu_model import SHAPES, header_of, tensors_of

BLOCK, CUT = 64, 64 * 256  # weights of an absmax, and of a scale


def pieces_of(name, shape):
    """The tensors of one projection: name, type, length and bytes; None for random bytes."""
    out, size_in = shape
    size, mean = out * size_in, 2 * size_in**-0.5
    scales = -(-size // CUT)
    return [(name + ".absmax_mean", "F32", 1, struct.pack("<f", mean)),
            (name + ".2", "U8", 4 * scales, struct.pack("<f", mean / 5) * scales),
            (name + ".0", "U8", size // 2, None), (name + ".1", "U8", size // BLOCK, None)]


def main():
    shape, folder = SHAPES[sys.argv[1]], pathlib.Path(sys.argv[2])
    body = None
    for layer, tensors in enumerate(list(tensors_of(shape))[1:]):
        pieces = [piece for name, dims in tensors.items() if len(dims) == 2 for piece in pieces_of(name, dims)]
        pieces.sort(key=lambda piece: piece[3] is None)  # what is read as floats comes first
        header, end = header_of([(name, dtype, [length]) for name, dtype, length, _ in pieces])
        if body is None:
            known = b"".join(data for *_, data in pieces if data is not None)
            body = known + os.urandom(end - len(known))
        with open(folder / f"block-{layer:04}.safetensors", "wb") as file:
            file.write(header)
            file.write(body)
    print(f"{layer + 1} blocks of {end / 2**20:.1f} MiB in {folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
