"""Convolutions, pools and border classes for the tests' many-layered graphs."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np

from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Encoding,
    IntConv,
    MaxPool,
    MinPool,
    Requantize,
    Round,
    Steps,
    SumPool,
    Value,
    Window,
)
from bitwright.ir.ops.integer import class_count
from bitwright.ir.types import Bipolar, Int, Integral
from tests.backends.c.networks import S8, Many

Size = int | tuple[int, ...]
Classes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Shape:
    """A window, each number for all axes or one per axis; `pads` are before and after.

    Convolutions also take the groups, and the code that a tap outside reads.
    """

    kernel: Size
    stride: Size = 1
    pads: tuple[Size, Size] = (0, 0)
    dilation: Size = 1
    groups: int = 1
    pad: int = 0

    def window(self, rank: int) -> Window:
        numbers = (self.kernel, self.stride, *self.pads, self.dilation)
        return Window(*((n,) * rank if isinstance(n, int) else n for n in numbers))


def conv(
    m: Many,
    x: Value,
    encoding: Encoding,
    filters: int,
    shape: Shape,
    *,
    bias: bool = False,
) -> Value:
    """Append an IntConv whose interval is what its weights can reach."""
    window = shape.window(len(x.shape) - 2)
    depth = x.shape[-1] // shape.groups
    flat = m.weights(encoding, filters, window.taps * depth)
    elem = x.type.integer
    ends = flat * min(elem.lo, shape.pad), flat * max(elem.hi, shape.pad)
    lo, hi = np.minimum(*ends).sum(axis=1), np.maximum(*ends).sum(axis=1)
    weights = m.builder.constant("w", flat.reshape(filters, *window.kernel, depth))
    operands = [x, weights]
    if bias:
        b = m.rng.integers(-300, 300, filters)
        operands.append(m.builder.constant("b", b))
        lo, hi = lo + b, hi + b
    return m.builder.op(
        IntConv, tuple(operands), "acc", "conv", window=window, groups=shape.groups, encoding=encoding,
        elem=Int(int(lo.min()), int(hi.max())), pad=shape.pad,
    )  # fmt: skip


def sum_pool(m: Many, x: Value, shape: Shape) -> Value:
    """Append a SumPool."""
    window = shape.window(len(x.shape) - 2)
    e = x.type.integer
    elem = Int(min(e.lo, 0) * window.taps, max(e.hi, 0) * window.taps)
    return m.builder.op(SumPool, (x,), "sum", "sum pool", window=window, elem=elem)


def pool(m: Many, x: Value, kind: type[MaxPool | MinPool], shape: Shape) -> Value:
    """Append a MaxPool or MinPool."""
    window = shape.window(len(x.shape) - 2)
    return m.builder.op(kind, (x,), "pool", "pool", window=window)


def drawn_classes(m: Many, spatial: Sequence[int]) -> Classes:
    """Draw up to three classes for each axis."""
    return tuple(tuple(m.rng.integers(0, 3, n).tolist()) for n in spatial)


def bordered_steps(
    m: Many, x: Value, count: int, elem: Integral, codes: Array, classes: Classes
) -> Value:
    """Append Steps with thresholds by class and channel."""
    rows = class_count(classes) * x.shape[-1]
    e = x.type.integer
    middle, spread = (e.lo + e.hi) // 2, max(isqrt(e.hi - e.lo), 2)
    t = np.sort(m.rng.integers(middle - spread, middle + spread + 1, (rows, count)), axis=1)
    operands = (x, m.builder.constant("t", t), m.builder.constant("c", codes))
    return m.builder.op(Steps, operands, "s", "steps", elem=elem, classes=classes)


def bordered_requantize(m: Many, x: Value, shift: int, classes: Classes, elem: Int = S8) -> Value:
    """Append a Requantize with multipliers by channel and addends by class and channel."""
    e = x.type.integer
    most = (800 << shift) // max(abs(e.lo), abs(e.hi), 1) + 1
    mul = m.rng.integers(1, most + 1, x.shape[-1])
    add = m.rng.integers(-(50 << shift), 50 << shift, class_count(classes) * x.shape[-1])
    operands = (x, m.builder.constant("m", mul), m.builder.constant("a", add))
    return m.builder.op(
        Requantize, operands, "q", "requantize", elem=elem, shift=shift, zero=3,
        rounding=Round.FLOOR, classes=classes,
    )  # fmt: skip


BITS = np.array([[-1, 1]])
SIGN = Bipolar()
