"""Weights that are 0 or a signed power of two: add the inputs of each exponent, shift once.

Two tables are possible and the smaller one is taken: lists of input numbers grouped by exponent
and sign, good for sparse rows, or one code per weight, good for dense ones.
"""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.c.storage import dtype_of
from bitwright.ir.graph import Array

_BYTE = 255
_NIBBLE_CODES = 16


@dataclass(frozen=True, slots=True)
class PowersView:
    """What power_lists.h.j2 and power_codes.h.j2 show."""

    name: str
    x_t: str
    w_t: str
    sum_t: str
    inputs: int
    exponents: int
    nibbles: bool


@dataclass(frozen=True, slots=True)
class Powers:
    """The chosen table and the function that reads it; all exponents are relative to `least`."""

    template: str
    view: PowersView
    table: Array
    ctype: str
    note: str
    step: int
    least: int
    stream: bool


def choose_powers(w: Array, x_t: str, sum_t: str) -> Powers:
    """Return the smaller of the two tables for the weights `w` (outputs, inputs)."""
    exponent = np.where(w == 0, 0, np.log2(np.maximum(np.abs(w), 1)).round().astype(np.int64))
    used = exponent[w != 0]
    least = int(used.min()) if used.size else 0
    count = int(used.max()) - least + 1 if used.size else 1
    lists = _lists(w, exponent - least, count)
    codes, nibbles = _codes(w, exponent - least, count)
    list_t = "uint8_t" if w.shape[1] <= _BYTE else "uint16_t"
    stream = lists.size * dtype_of(list_t).itemsize < codes.size
    view = PowersView(
        name=f"powers_{w.shape[1]}",
        x_t=x_t,
        w_t=list_t if stream else "uint8_t",
        sum_t=sum_t,
        inputs=w.shape[1],
        exponents=count,
        nibbles=nibbles and not stream,
    )
    if stream:
        note = "for each output and exponent: +count, inputs, -count, inputs"
        return Powers("c/power_lists.h.j2", view, lists, list_t, note, 0, least, stream=True)
    note = f"codes of {4 if nibbles else 8} bits: 0 is 0, 1 + 2e is +2^e, 2 + 2e is -2^e"
    step = codes.size // w.shape[0]
    return Powers("c/power_codes.h.j2", view, codes, "uint8_t", note, step, least, stream=False)


def _lists(w: Array, exponent: Array, count: int) -> Array:
    out: list[int] = []
    for row, powers in zip(w, exponent, strict=True):
        for e in range(count - 1, -1, -1):
            for chosen in (row > 0, row < 0):
                inputs = np.flatnonzero(chosen & (powers == e))
                out += [inputs.size, *inputs.tolist()]
    return np.array(out, np.int64)


def _codes(w: Array, exponent: Array, count: int) -> tuple[Array, bool]:
    code = np.where(w == 0, 0, 1 + 2 * exponent + (w < 0))
    if 2 * count + 1 > _NIBBLE_CODES:
        return code, False
    padded = np.pad(code, [(0, 0), (0, w.shape[1] % 2)])
    return padded[:, ::2] | (padded[:, 1::2] << 4), True
