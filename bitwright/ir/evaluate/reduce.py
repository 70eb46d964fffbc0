"""Reductions, normalizations and resampling in numpy, in the float type of their operand."""

from collections.abc import Callable

import numpy as np

from bitwright.ir.evaluate.real import real
from bitwright.ir.graph import Array
from bitwright.ir.ops import LocalResponseNorm, Normalize, Reduce, Reduction, Resample

Axes = tuple[int, ...]


def _log_sum_exp(x: Array, axes: Axes) -> Array:
    most = x.max(axis=axes, keepdims=True)
    most = np.where(np.isfinite(most), most, 0)
    return np.asarray(np.log(np.exp(x - most).sum(axis=axes, keepdims=True)) + most)


_REDUCE: dict[Reduction, Callable[[Array, Axes], Array]] = {
    Reduction.MEAN: lambda x, a: x.mean(axis=a, keepdims=True),
    Reduction.SUM: lambda x, a: x.sum(axis=a, keepdims=True),
    Reduction.MAX: lambda x, a: x.max(axis=a, keepdims=True),
    Reduction.MIN: lambda x, a: x.min(axis=a, keepdims=True),
    Reduction.PROD: lambda x, a: x.prod(axis=a, keepdims=True),
    Reduction.L1: lambda x, a: np.abs(x).sum(axis=a, keepdims=True),
    Reduction.L2: lambda x, a: np.sqrt((x * x).sum(axis=a, keepdims=True)),
    Reduction.SUM_SQUARE: lambda x, a: (x * x).sum(axis=a, keepdims=True),
    Reduction.LOG_SUM: lambda x, a: np.log(x.sum(axis=a, keepdims=True)),
    Reduction.LOG_SUM_EXP: _log_sum_exp,
}


def _axes(op: Reduce | Normalize) -> Axes:
    return tuple(a + 1 for a in op.axes)  # axis 0 of every array counts samples


@real.register
def _(op: Reduce, x: Array) -> Array:
    with np.errstate(all="ignore"):
        y = np.asarray(_REDUCE[op.kind](x, _axes(op))).astype(x.dtype)
    return y.reshape(x.shape[0], *op.output.shape)


@real.register
def _(op: Normalize, x: Array) -> Array:
    centred = x - x.mean(axis=_axes(op), keepdims=True)
    variance = (centred * centred).mean(axis=_axes(op), keepdims=True)
    return np.asarray(centred / np.sqrt(variance + x.dtype.type(op.epsilon)))


@real.register
def _(op: LocalResponseNorm, x: Array) -> Array:
    squares, channels = x * x, x.shape[-1]
    total = np.zeros_like(x)
    first, last = max(-((op.size - 1) // 2), 1 - channels), min(op.size // 2, channels - 1)
    for shift in range(first, last + 1):
        lo, hi = max(0, -shift), min(channels, channels - shift)
        total[..., lo:hi] += squares[..., lo + shift : hi + shift]
    scale = x.dtype.type(op.bias) + x.dtype.type(op.alpha / op.size) * total
    return np.asarray(x / scale ** x.dtype.type(op.beta))


@real.register
def _(op: Resample, x: Array, positions: Array, weights: Array) -> Array:
    axis = op.axis + 1
    shape = (-1, *(1,) * (x.ndim - axis - 1))
    y = np.zeros(op.output.shape, x.dtype)
    for t in range(weights.shape[1]):
        seen = np.take(x, positions[:, t].astype(np.int64), axis=axis)
        y = y + seen * weights[:, t].reshape(shape).astype(x.dtype)
    return np.asarray(y)
