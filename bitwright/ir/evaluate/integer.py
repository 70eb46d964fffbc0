"""Integer operations in numpy: int64 throughout, exact, asserted to stay in their intervals.

Axis 0 of every data array counts samples; constants have no such axis.
"""

from functools import singledispatch

import numpy as np

from bitwright.errors import VerifyError
from bitwright.ir.graph import Array
from bitwright.ir.ops import AddInt, IntLinear, Lookup, MulInt, Op, Requantize, Round, Steps
from bitwright.ir.ops.integer import Classes, class_count
from bitwright.ir.types import Integral

_FLOAT_EXACT = 1 << 53  # float64 adds integers exactly below this
_CHUNK = 1 << 22  # comparisons at once, so that memory stays bounded


@singledispatch
def integer(op: Op, *args: Array) -> Array:
    """Return what `op`, an integer operation, computes."""
    del args
    raise VerifyError(f"{op.loc}: {type(op).__name__} is no integer operation")


def check_range(op: Op, y: Array, elem: Integral) -> Array:
    """Return `y`; VerifyError when it leaves the interval that the compiler proved."""
    if y.size and (y.min() < elem.lo or y.max() > elem.hi):
        raise VerifyError(f"{op.loc}: result [{y.min()}, {y.max()}] leaves {elem}")
    return y


@integer.register
def _(op: IntLinear, x: Array, w: Array, *bias: Array) -> Array:
    a = matmul(x, w)
    if bias:
        a = a + bias[0]
    return check_range(op, a, op.elem)


def matmul(x: Array, w: Array) -> Array:
    """Return `x @ w.T` in exact integers; through float64 BLAS where every sum is below 2^53."""
    largest = int(np.abs(x).max(initial=0)) * int(np.abs(w).sum(axis=-1).max(initial=0))
    if largest < _FLOAT_EXACT:
        return np.asarray(np.rint(x.astype(np.float64) @ w.T.astype(np.float64))).astype(np.int64)
    return np.asarray(x @ w.T)


def by_class(x: Array, classes: Classes, *parameters: Array) -> tuple[Array, ...]:
    """Return `x` as (rows, columns) and each parameter so that its axis 0 is 1 or the columns.

    Columns are channels, or with border classes the elements of one batch item.
    """
    channels = x.shape[-1] if x.ndim > 1 else 1
    if not classes:
        return (x.reshape(-1, channels), *parameters)
    place = np.zeros((1,) * len(classes), np.int64)
    for axis, of_axis in enumerate(classes):
        column = np.array(of_axis).reshape(-1, *(1,) * (len(classes) - axis - 1))
        place = place * (max(of_axis) + 1) + column
    row = (place.reshape(-1, 1) * channels + np.arange(channels)).reshape(-1)
    count = class_count(classes)
    wide = [_rows_of(p, row, row % channels, channels, count) for p in parameters]
    return (x.reshape(-1, row.size), *wide)


def _rows_of(p: Array, row: Array, channel: Array, channels: int, count: int) -> Array:
    if p.shape[0] == 1:
        return p
    return np.asarray(p[row if p.shape[0] == channels * count else channel])


@integer.register
def _(op: Steps, x: Array, thresholds: Array, codes: Array) -> Array:
    flat, thresholds, codes = by_class(x, op.classes, thresholds, codes)
    count = np.zeros(flat.shape, np.int64)
    rows = max(_CHUNK // max(flat.shape[1], 1), 1)
    for t in range(thresholds.shape[1]):
        for start in range(0, flat.shape[0], rows):
            part = slice(start, start + rows)
            count[part] += flat[part] >= thresholds[:, t]
    channel = np.arange(flat.shape[1]) if codes.shape[0] > 1 else np.zeros(flat.shape[1], np.int64)
    return check_range(op, codes[channel, count].reshape(x.shape), op.elem)


def shift_round(t: Array, shift: int, rounding: Round) -> Array:
    """Return t / 2^shift, floored or rounded half to even, in exact integers."""
    if rounding is Round.FLOOR:
        return np.asarray(t >> shift)
    return np.asarray((t + (1 << (shift - 1)) - 1 + ((t >> shift) & 1)) >> shift)


@integer.register
def _(op: Requantize, x: Array, mul: Array, add: Array) -> Array:
    flat, mul, add = by_class(x, op.classes, mul, add)
    y = shift_round(flat * mul + add, op.shift, op.rounding) + op.zero
    return np.asarray(np.clip(y, op.elem.lo, op.elem.hi)).reshape(x.shape)


@integer.register
def _(op: Lookup, x: Array, table: Array) -> Array:
    return check_range(op, table[x - op.inputs[0].type.integer.lo], op.elem)


@integer.register
def _(op: AddInt, a: Array, b: Array) -> Array:
    t = a * op.mul_a + b * op.mul_b + op.add
    y = shift_round(t, op.shift, op.rounding) + op.zero
    return np.asarray(np.clip(y, op.elem.lo, op.elem.hi))


@integer.register
def _(op: MulInt, a: Array, b: Array) -> Array:
    return check_range(op, (a - op.zero_a) * (b - op.zero_b), op.elem)
