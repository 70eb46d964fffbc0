"""Weights as the matrix-vector unit stores them: its kind, bits a weight, and the bits."""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.verilog.formats import Format, signed_bits, to_raw
from bitwright.errors import VerifyError
from bitwright.ir.graph import Array
from bitwright.ir.ops import Encoding, IntConv, IntLinear

XNOR, TERNARY, SHIFT, INTEGER, BINARY = range(5)  # KIND of bw_mvu
KIND_NAMES = ("xnor", "ternary", "shift", "integer", "binary")


@dataclass(frozen=True, slots=True)
class WeightCode:
    """KIND of bw_mvu, bits of a weight, and every weight as an unsigned integer."""

    kind: int
    bits: int
    raw: Array

    @property
    def name(self) -> str:
        """The name of the kind."""
        return KIND_NAMES[self.kind]


def weight_code(op: IntLinear | IntConv, w: Array, x: Format) -> WeightCode:
    """Return the weights of `op` in the cheapest kind for their encoding and activations."""
    if op.encoding is Encoding.BIPOLAR:
        _check(op, w, bool((np.abs(w) == 1).all()))
        kind = XNOR if x.bipolar else BINARY
        return WeightCode(kind, 1, (w > 0).astype(np.uint64))
    if op.encoding is Encoding.TERNARY:
        _check(op, w, bool((np.abs(w) <= 1).all()))
        return WeightCode(TERNARY, 2, ((w != 0) + 2 * (w < 0)).astype(np.uint64))
    if op.encoding is Encoding.POWER_OF_TWO:
        return _power_of_two(op, w)
    bits = max(signed_bits(int(w.min()), int(w.max())), 2)
    return WeightCode(INTEGER, bits, to_raw(Format(bits, signed=True), w))


def _power_of_two(op: IntLinear | IntConv, w: Array) -> WeightCode:
    """Encode {negative, nonzero, exponent}."""
    size = np.abs(w)
    _check(op, w, bool(((size & (size - 1)) == 0).all()))
    exponent = np.zeros_like(size)
    for e in range(1, int(size.max(initial=1)).bit_length()):
        exponent[size == 1 << e] = e
    bits = int(exponent.max(initial=0)).bit_length()
    raw = exponent + ((w != 0).astype(np.int64) << bits) + ((w < 0).astype(np.int64) << (bits + 1))
    return WeightCode(SHIFT, bits + 2, raw.astype(np.uint64))


def _check(op: IntLinear | IntConv, w: Array, fits: bool) -> None:
    if not fits:
        ends = f"[{w.min()}, {w.max()}]"
        raise VerifyError(f"{op.loc}: weights in {ends} are not {op.encoding.value}")
