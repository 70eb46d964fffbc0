"""The check value of one layer's result, the same from numpy, C and Verilog, and its name."""

import zlib
from collections.abc import Sequence

import numpy as np

from bitwright.backends.names import Names
from bitwright.ir.graph import Array
from bitwright.ir.ops import Value


def layer_crc(values: Array) -> int:
    """Return zlib's CRC-32 over the values in flat order, each as a little-endian int32.

    Reals go in by the bits of their float32.
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    word = flat.astype("<f4") if flat.dtype.kind == "f" else flat.astype("<i8").astype("<i4")
    return zlib.crc32(word.tobytes())


def input_names(inputs: Sequence[Value]) -> tuple[str, ...]:
    """Return the names under which inputs are traced: `input`, or `input.a` where there are more.

    No layer has such a name.
    """
    if len(inputs) == 1:
        return ("input",)
    names = Names()
    return tuple(f"input.{names.fresh(v.name, 't')}" for v in inputs)
