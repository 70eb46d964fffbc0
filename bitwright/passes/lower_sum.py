"""Lower the sum of two quantized tensors whose scales are small multiples of a common one."""

from fractions import Fraction
from math import gcd, lcm

import numpy as np

from bitwright.ir.graph import Builder
from bitwright.ir.ops import AddInt, Arith, Arithmetic, Dequantize, Round, Value, build
from bitwright.ir.types import Int
from bitwright.passes.lower_linear import Line, Lowered
from bitwright.passes.step_function import Lattice

_MOST = 1 << 12  # times the common scale that either scale may be


def lower_sum(
    b: Builder, op: Arithmetic, lines: tuple[Line, Line], codes: tuple[Value, Value]
) -> Lowered | None:
    """Append the exact sum of two tensors of codes on a common grid, and return what it means.

    None where the scales have no common grid of small multiples, a zero point is no integer, or the
    shapes differ.
    """
    factors = _factors(lines[0].scale, lines[1].scale)
    whole = all(line.zero == round(line.zero) for line in lines)
    if factors is None or not whole or codes[0].shape != codes[1].shape:
        return None
    left, right, unit = factors
    right = -right if op.kind is Arith.SUB else right
    zeros = [int(line.zero) for line in lines]
    add = -(left * zeros[0] + right * zeros[1])
    ends = [
        (mul * v.type.integer.lo, mul * v.type.integer.hi)
        for mul, v in zip((left, right), codes, strict=True)
    ]
    elem = Int(sum(map(min, ends)) + add, sum(map(max, ends)) + add)
    acc = b.op(
        AddInt, codes, f"{op.name}:acc", op.loc, elem=elem, mul_a=left, mul_b=right, add=add,
        shift=0, zero=0, rounding=Round.FLOOR,
    )  # fmt: skip
    one = np.ones(acc.shape[-1] if acc.shape else 1, np.int64)
    scale = b.constant(f"{op.name}:scale", np.array([unit]))
    zero = b.constant(f"{op.name}:zero", np.zeros(1))
    meaning = build(Dequantize, (acc, scale, zero), op.name, op.loc, axis=-1)
    return Lowered(acc, Lattice(one * elem.lo, one * elem.hi, one), (meaning,))


def _factors(first: float, second: float) -> tuple[int, int, float] | None:
    """Return p, q and u with first = p * u and second = q * u, exactly; None when too large."""
    a, b = Fraction(first), Fraction(second)
    denominator = lcm(a.denominator, b.denominator)
    p, q = int(a * denominator), int(b * denominator)
    common = gcd(p, q)
    p, q, unit = p // common, q // common, Fraction(common, denominator)
    if max(abs(p), abs(q)) > _MOST or Fraction(float(unit)) != unit:
        return None
    return p, q, float(unit)
