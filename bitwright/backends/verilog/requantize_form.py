"""The cheapest equal form of a Requantize: a common power of two leaves its factors."""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.verilog.formats import signed_bits
from bitwright.ir.graph import Array
from bitwright.ir.ops import Requantize, Round


@dataclass(frozen=True, slots=True)
class RequantizeForm:
    """round((x * mul + add) / 2^shift), mul and add for 1 or all channels."""

    mul: Array
    add: Array
    shift: int
    rounding: Round


@dataclass(frozen=True, slots=True)
class Factors:
    """How bw_requantize multiplies: USE_MUL, the bits of a ROM entry, and the entries (rows, 1)."""

    use_mul: int
    bits: int
    words: Array


def factors_of(mul: Array) -> Factors:
    """Return the cheapest way to multiply: by 1, by shifts {negative, nonzero, exponent}, or truly."""
    if (mul == 1).all():
        return Factors(0, 1, mul)
    magnitude = np.abs(mul)
    if ((magnitude & (magnitude - 1)) == 0).all():
        exponent = np.where(magnitude > 0, np.log2(np.maximum(magnitude, 1)), 0).astype(np.int64)
        width = max(int(exponent.max()).bit_length(), 1)
        words = ((mul < 0) << (width + 1)) | ((mul != 0) << width) | exponent
        return Factors(2, width + 2, words)
    return Factors(1, max(signed_bits(int(mul.min()), int(mul.max())), 2), mul)


def simplest_form(op: Requantize, mul: Array, add: Array) -> RequantizeForm:
    """Return an equal form in which 2^k, common to all factors, is taken off the shift.

    Under FLOOR, floor((m 2^k x + b) / 2^s) = floor((m x + floor(b / 2^k)) / 2^(s - k)); under
    HALF_EVEN the ties must stay, so b has to be a multiple too.
    """
    mul, add = mul.reshape(-1), add.reshape(-1)
    common = int(np.bitwise_or.reduce(mul))
    if op.rounding is Round.HALF_EVEN:
        common |= int(np.bitwise_or.reduce(add))
    k = min((common & -common).bit_length() - 1, op.shift) if common else 0
    exact = op.rounding is Round.HALF_EVEN and k == op.shift
    rounding = Round.FLOOR if exact else op.rounding  # nothing is left to round
    return RequantizeForm(mul >> k, add >> k, op.shift - k, rounding)
