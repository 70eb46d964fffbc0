"""The check value of one layer's result, the same from numpy, C and Verilog."""

import zlib

import numpy as np

from bitwright.ir.graph import Array


def layer_crc(values: Array) -> int:
    """Return zlib's CRC-32 over the values in flat order, each as a little-endian int32.

    Reals go in by the bits of their float32.
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    word = flat.astype("<f4") if flat.dtype.kind == "f" else flat.astype("<i8").astype("<i4")
    return zlib.crc32(word.tobytes())
