"""Chains of scalar ops, each with what it computes in plain Python: fractions, or floats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, sqrt

import numpy as np

from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    CountThresholds,
    Dequantize,
    Function,
    PRelu,
    Quantize,
    Rounding,
    Sign,
    Value,
)
from bitwright.ir.types import Element, Int, TensorType
from bitwright.passes.chain import Chain
from bitwright.passes.region import cut
from bitwright.passes.step_function import Lattice, StepFunction

Number = Fraction | float
Numbers = Sequence[float]


@dataclass(frozen=True)
class Link:
    """One op: how to append it, and what it computes of a number in a channel."""

    append: Callable[[Builder, Value], Value]
    compute: Callable[[Number, int], Number]
    rational: bool = True


def _pick(numbers: Numbers, channel: int, like: Number) -> Number:
    v = float(numbers[channel % len(numbers)])
    return Fraction(v) if isinstance(like, Fraction) else v


def _number(v: float, like: Number) -> Number:
    return Fraction(v) if isinstance(like, Fraction) else v


def arith(kind: Arith, numbers: Numbers, *, constant_first: bool = False) -> Link:
    """`x kind c`, or `c kind x`."""
    functions: dict[Arith, Callable[[Number, Number], Number]] = {
        Arith.ADD: lambda a, c: a + c,
        Arith.SUB: lambda a, c: a - c,
        Arith.MUL: lambda a, c: a * c,
        Arith.DIV: lambda a, c: a / c,
        Arith.MAX: max,
        Arith.MIN: min,
    }

    def append(b: Builder, x: Value) -> Value:
        c = b.constant("c", np.array(numbers, np.float64))
        return b.op(Arithmetic, (c, x) if constant_first else (x, c), "v", "arith", kind=kind)

    def compute(v: Number, channel: int) -> Number:
        c = _pick(numbers, channel, v)
        return functions[kind](c, v) if constant_first else functions[kind](v, c)

    return Link(append, compute)


def activation(kind: Function, alpha: float = 0.0) -> Link:
    """ReLU, LeakyReLU, Neg or HardSwish."""
    functions: dict[Function, Callable[[Number], Number]] = {
        Function.RELU: lambda v: max(v, _number(0, v)),
        Function.NEG: lambda v: -v,
        Function.LEAKY_RELU: lambda v: v * _number(alpha, v) if v < 0 else v,
        Function.HARD_SWISH: lambda v: v * min(max(v * (1 / 6) + 0.5, 0.0), 1.0),
    }
    return Link(
        lambda b, x: b.op(Activation, (x,), "v", "activation", kind=kind, alpha=alpha),
        lambda v, _c: functions[kind](v),
        kind is not Function.HARD_SWISH,
    )


def prelu(slopes: Numbers) -> Link:
    """PReLU with one slope per channel."""
    return Link(
        lambda b, x: b.op(PRelu, (x, b.constant("c", np.array(slopes, np.float64))), "v", "prelu"),
        lambda v, c: v * _pick(slopes, c, v) if v < 0 else v,
    )


def clip(lo: float, hi: float) -> Link:
    """Clip to [lo, hi]."""
    return Link(
        lambda b, x: b.op(Clip, (x,), "v", "clip", lo=lo, hi=hi),
        lambda v, _c: min(max(v, _number(lo, v)), _number(hi, v)),
    )


def batch_norm(gamma: Numbers, beta: Numbers, mean: Numbers, var: Numbers, eps: float) -> Link:
    """Batch norm; one number per channel each."""

    def append(b: Builder, x: Value) -> Value:
        parameters = [b.constant("c", np.array(p, np.float64)) for p in (gamma, beta, mean, var)]
        return b.op(BatchNorm, (x, *parameters), "v", "bn", epsilon=eps)

    def compute(v: Number, c: int) -> Number:
        return (float(v) - mean[c]) / sqrt(var[c] + eps) * gamma[c] + beta[c]

    return Link(append, compute, rational=False)


@dataclass(frozen=True)
class End:
    """A quantizer: how to append it, and the code of a number in a channel."""

    append: Callable[[Builder, Value], Value]
    code: Callable[[Number, int], int]


def _half(v: Number, *, up: bool) -> int:
    f, sign = abs(Fraction(v)), -1 if v < 0 else 1
    half = Fraction(1, 2)
    return sign * (floor(f + half) if up else ceil(f - half))


ROUND: dict[Rounding, Callable[[Number], int]] = {
    Rounding.HALF_EVEN: round,
    Rounding.FLOOR: floor,
    Rounding.CEIL: ceil,
    Rounding.UP: lambda v: ceil(v) if v > 0 else floor(v),
    Rounding.DOWN: int,
    Rounding.HALF_UP: lambda v: _half(v, up=True),
    Rounding.HALF_DOWN: lambda v: _half(v, up=False),
}


def quantize(
    scale: float,
    elem: Int,
    zero: int = 0,
    rounding: Rounding = Rounding.HALF_EVEN,
    *,
    zero_after: bool = False,
) -> End:
    """Quantize, with the zero point inside or outside the rounding."""

    def append(b: Builder, x: Value) -> Value:
        s, z = b.constant("qs", np.array([scale])), b.constant("qz", np.array([float(zero)]))
        return b.op(
            Quantize, (x, s, z), "q", "quant", elem=elem, rounding=rounding, zero_after=zero_after
        )

    def code(v: Number, _c: int) -> int:
        scaled = v / _number(scale, v)
        low, high = elem.lo - zero, elem.hi - zero
        if zero_after:
            return ROUND[rounding](min(max(scaled, low), high)) + zero
        return ROUND[rounding](min(max(scaled + zero, elem.lo), elem.hi))

    return End(append, code)


BINARIZE = End(lambda b, x: b.op(Binarize, (x,), "q", "sign"), lambda v, _c: 1 if v >= 0 else -1)
SIGN = End(lambda b, x: b.op(Sign, (x,), "q", "sign"), lambda v, _c: (v > 0) - (v < 0))


def thresholds(rows: Sequence[Numbers]) -> End:
    """Count the thresholds that are reached, one row for all channels or one each."""
    return End(
        lambda b, x: b.op(
            CountThresholds, (x, b.constant("t", np.array(rows, np.float64))), "q", "count", axis=1
        ),
        lambda v, c: sum(v >= t for t in rows[c % len(rows)]),
    )


def graph_of(
    links: Sequence[Link], end: End, elem: Element, channels: int, scale: float = 1.0
) -> Graph:
    """Return the graph from codes `x` (1, channels) through `links` to the codes of `end`."""
    b = Builder(["x"])
    x = Value("x", TensorType(elem, (1, channels)))
    one, zero = b.constant("scale", np.array([scale])), b.constant("zero", np.array([0.0]))
    y = b.op(Dequantize, (x, one, zero), "v", "dequant")
    for link in links:
        y = link.append(b, y)
    return b.graph("chain", [x], [end.append(b, y)])


def chain_of(graph: Graph) -> Chain:
    """Return the chain of `graph_of`."""
    graph.verify()
    (target,) = graph.outputs
    region = cut((target,), graph.producers(), graph.constants)
    return Chain(region, graph.constants, target)


def oracle(
    links: Sequence[Link], end: End, integers: Sequence[int], channel: int, scale: float = 1.0
) -> list[int]:
    """Return the code of each integer, in fractions where every link is rational."""
    exact = all(link.rational for link in links)
    out = []
    for a in integers:
        v: Number = Fraction(a) * Fraction(scale) if exact else a * scale
        for link in links:
            v = link.compute(v, channel)
        out.append(end.code(v, channel))
    return out


def lattice_of(lo: Sequence[int], hi: Sequence[int], step: Sequence[int]) -> Lattice:
    """Return the lattice of each channel."""
    return Lattice(*(np.array(a, np.int64) for a in (lo, hi, step)))


def integers_of(lattice: Lattice, channel: int) -> Array:
    """Return the integers that a channel can take."""
    lo, hi, step = (int(a[channel]) for a in (lattice.lo, lattice.hi, lattice.step))
    return np.arange(lo, hi + 1, step)


def codes_of(steps: StepFunction, channel: int) -> list[int]:
    """Return the code of every integer that a channel can take."""
    n = int(steps.count[channel])
    a = integers_of(steps.lattice, channel)
    place = np.searchsorted(steps.right[channel, :n], a, side="right")
    left = np.searchsorted(steps.left[channel, :n], a, side="left")
    assert np.array_equal(place, left), "left and right are neighbours"
    return [int(v) for v in steps.codes[channel, place]]
