"""The cheapest equal form of a Requantize: a common power of two leaves its factors."""

from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array
from bitwright.ir.ops import Requantize, Round


@dataclass(frozen=True, slots=True)
class RequantizeForm:
    """round((x * mul + add) / 2^shift), mul and add for 1 or all channels."""

    mul: Array
    add: Array
    shift: int
    rounding: Round


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
