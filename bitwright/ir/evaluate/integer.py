"""Integer operations in numpy: int64 throughout, exact, asserted to stay in their intervals.

Axis 0 of every data array counts samples; constants have no such axis.
"""

from functools import singledispatch

import numpy as np

from bitwright.errors import VerifyError
from bitwright.ir.graph import Array
from bitwright.ir.ops import AddInt, IntLinear, Lookup, Op, Requantize, Round, Steps
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


@integer.register
def _(op: Steps, x: Array, thresholds: Array, codes: Array) -> Array:
    flat = x.reshape(-1, x.shape[-1] if op.inputs[0].shape else 1)
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
    y = shift_round(x * mul + add, op.shift, op.rounding) + op.zero
    return np.asarray(np.clip(y, op.elem.lo, op.elem.hi))


@integer.register
def _(op: Lookup, x: Array, table: Array) -> Array:
    return check_range(op, table[x - op.inputs[0].type.integer.lo], op.elem)


@integer.register
def _(op: AddInt, a: Array, b: Array) -> Array:
    t = a * op.mul_a + b * op.mul_b + op.add
    y = shift_round(t, op.shift, op.rounding) + op.zero
    return np.asarray(np.clip(y, op.elem.lo, op.elem.hi))
