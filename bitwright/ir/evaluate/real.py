"""Real operations in numpy, in the float type of their operands.

Axis 0 of every data array counts samples; constants have no such axis and broadcast.
"""

from collections.abc import Callable
from functools import singledispatch
from math import prod

import numpy as np

from bitwright.errors import VerifyError
from bitwright.ir.evaluate.scalar import in_type_of, scalar_function
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Activation,
    ArgMax,
    Arith,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    CountThresholds,
    Dequantize,
    Linear,
    Op,
    PRelu,
    Quantize,
    Rounding,
    Sign,
    Softmax,
)
from bitwright.ir.ops.base import channel_shape

_ARITH = {
    Arith.ADD: np.add,
    Arith.SUB: np.subtract,
    Arith.MUL: np.multiply,
    Arith.DIV: np.divide,
    Arith.POW: np.power,
    Arith.MIN: np.minimum,
    Arith.MAX: np.maximum,
}


@singledispatch
def real(op: Op, *args: Array) -> Array:
    """Return what `op`, a real operation, computes."""
    del args
    raise VerifyError(f"{op.loc}: {type(op).__name__} is no real operation")


def along(op: Op, parameter: Array, axis: int) -> Array:
    """Shape a per-channel parameter so that it broadcasts along `axis` of the first operand."""
    rank = len(op.inputs[0].shape)
    return parameter.reshape(channel_shape(parameter.size, axis, rank))


def align(x: Array, rank: int) -> Array:
    """Give a data array of shape (samples, *shape) as many tensor axes as `rank`."""
    return x.reshape(x.shape[0], *(1,) * (rank - x.ndim + 1), *x.shape[1:])


@real.register
def _(_op: Linear, x: Array, w: Array, *bias: Array) -> Array:
    y = x @ w.T
    return np.asarray(y + bias[0] if bias else y)


@real.register
def _(op: Arithmetic, a: Array, b: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(_ARITH[op.kind](a, b))


@real.register
def _(op: Activation, x: Array) -> Array:
    return scalar_function(op.kind, x, op.alpha, op.beta)


@real.register
def _(_op: PRelu, x: Array, slope: Array) -> Array:
    return np.where(x < 0, x * slope, x)


@real.register
def _(op: Clip, x: Array) -> Array:
    return np.asarray(np.minimum(np.maximum(x, in_type_of(x, op.lo)), in_type_of(x, op.hi)))


@real.register
def _(op: BatchNorm, x: Array, gamma: Array, beta: Array, mean: Array, var: Array) -> Array:
    gamma, beta, mean, var = (along(op, p, op.axis) for p in (gamma, beta, mean, var))
    with np.errstate(all="ignore"):
        return np.asarray((x - mean) / np.sqrt(var + x.dtype.type(op.epsilon)) * gamma + beta)


@real.register
def _(op: Softmax, x: Array) -> Array:
    shape = op.inputs[0].shape
    middle = prod(shape[op.axis : op.end])
    block = x.reshape(x.shape[0], prod(shape[: op.axis]), middle, prod(shape[op.end :]))
    shifted = block - block.max(axis=2, keepdims=True, initial=-np.inf)
    total = np.exp(shifted).sum(axis=2, keepdims=True)
    y = shifted - np.log(total) if op.log else np.exp(shifted) / total
    return np.asarray(y.reshape(x.shape))


def round_real(x: Array, rounding: Rounding) -> Array:
    """Round to integers (still floats) in one of QONNX's modes."""
    away = np.sign(x) * np.ceil(np.abs(x))
    table: dict[Rounding, Callable[[], Array]] = {
        Rounding.HALF_EVEN: lambda: np.rint(x),
        Rounding.FLOOR: lambda: np.floor(x),
        Rounding.CEIL: lambda: np.ceil(x),
        Rounding.UP: lambda: away,
        Rounding.DOWN: lambda: np.trunc(x),
        Rounding.HALF_UP: lambda: np.sign(x) * np.floor(np.abs(x) + 0.5),
        Rounding.HALF_DOWN: lambda: np.sign(x) * np.ceil(np.abs(x) - 0.5),
    }
    return np.asarray(table[rounding]())


@real.register
def _(op: Quantize, x: Array, scale: Array, zero: Array) -> Array:
    zero = along(op, zero, op.axis)
    with np.errstate(all="ignore"):
        v = x / along(op, scale, op.axis)
    if op.zero_after:
        v = np.clip(v, op.elem.lo - zero, op.elem.hi - zero)
        return np.asarray(round_real(v, op.rounding) + zero).astype(np.int64)
    v = np.clip(v + zero.astype(x.dtype), op.elem.lo, op.elem.hi)
    return round_real(v, op.rounding).astype(np.int64)


@real.register
def _(_op: Binarize, x: Array) -> Array:
    return np.where(x >= 0, 1, -1).astype(np.int64)


@real.register
def _(_op: Sign, x: Array) -> Array:
    return np.sign(x).astype(np.int64)


@real.register
def _(op: CountThresholds, x: Array, thresholds: Array) -> Array:
    moved = np.moveaxis(x, op.axis + 1, -1)
    count = np.zeros(moved.shape, np.int64)
    for t in range(thresholds.shape[1]):
        count += moved >= thresholds[:, t]
    return np.moveaxis(count, -1, op.axis + 1)


@real.register
def _(op: Dequantize, q: Array, scale: Array, zero: Array) -> Array:
    scale = along(op, scale, op.axis)
    return np.asarray((q - along(op, zero, op.axis)).astype(scale.dtype) * scale)


@real.register
def _(op: ArgMax, x: Array) -> Array:
    return np.asarray(np.argmax(x, axis=op.axis + 1, keepdims=True)).astype(np.int64)
