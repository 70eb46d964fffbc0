"""Convolutions and pools in numpy, real and integer.

Arrays are (samples, batch, *spatial, channels): axis 0 counts samples. A convolution is a sum over
the taps of the kernel, each a matrix product.
"""

from collections.abc import Iterator

import numpy as np

from bitwright.ir.evaluate.integer import check_range, integer, matmul
from bitwright.ir.evaluate.real import real
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    AveragePool,
    Conv,
    ConvTranspose,
    IntConv,
    MaxPool,
    MinPool,
    SumPool,
    Window,
)

_LEAD = 2  # axes before the spatial ones: samples and batch
_FLOAT_EXACT = 1 << 53


def padded(x: Array, window: Window, value: float) -> Array:
    """Return `x` with the window's padding around its spatial axes."""
    if not window.padded:
        return x
    width = list(zip(window.before, window.after, strict=True))
    ends = [(0, 0)] * _LEAD + width + [(0, 0)]
    return np.pad(x, ends, constant_values=x.dtype.type(value) if x.dtype != object else value)


def taps(x: Array, window: Window, value: float) -> Iterator[Array]:
    """Yield what each tap of the kernel sees, in row-major order: (samples, batch, *output, C)."""
    out = window.output(x.shape[_LEAD:-1], "window")
    wide = padded(x, window, value)
    for offset in window.offsets():
        slices = [
            slice(o, o + (n - 1) * s + 1, s)
            for o, n, s in zip(offset, out, window.strides, strict=True)
        ]
        yield wide[(slice(None), slice(None), *slices)]


def grouped_product(x: Array, w: Array, groups: int) -> Array:
    """Return x (..., C) times w (O, C / groups) in groups: (..., O)."""
    if groups == 1:
        return matmul(x, w) if x.dtype == np.int64 else np.asarray(x @ w.T)
    filters, depth = w.shape
    if depth == 1 and filters == groups:
        return np.asarray(x * w[:, 0])
    split = x.reshape(*x.shape[:-1], groups, depth)
    blocks = w.reshape(groups, filters // groups, depth)
    y = np.einsum("...gc,goc->...go", split, blocks)
    return np.asarray(y.reshape(*x.shape[:-1], filters))


def convolve(x: Array, w: Array, window: Window, groups: int, pad: float) -> Array:
    """Return the convolution of x (samples, N, *S, C) with w (O, *K, C / groups)."""
    kernels = w.reshape(w.shape[0], window.taps, w.shape[-1])
    total: Array | None = None
    for k, seen in enumerate(taps(x, window, pad)):
        part = grouped_product(seen, kernels[:, k], groups)
        total = part if total is None else total + part
    return np.asarray(total)


@real.register
def _(op: Conv, x: Array, w: Array, *bias: Array) -> Array:
    y = convolve(x, w, op.window, op.groups, 0)
    return y + bias[0] if bias else y


@real.register
def _(op: ConvTranspose, x: Array, w: Array, *bias: Array) -> Array:
    window, out = op.window, op.output.shape[1:-1]
    pairs = zip(out, window.before, window.after, strict=True)
    extra = op.extra or (0,) * window.rank
    wide = [n + b + a for (n, b, a) in pairs]
    size = tuple(n + e for n, e in zip(wide, extra, strict=True))
    y = np.zeros((*x.shape[:_LEAD], *size, w.shape[0]), x.dtype)
    kernels = w.reshape(w.shape[0], window.taps, w.shape[-1])
    for k, offset in enumerate(window.offsets()):
        places = [
            slice(o, o + (n - 1) * s + 1, s)
            for o, n, s in zip(offset, x.shape[_LEAD:-1], window.strides, strict=True)
        ]
        y[(slice(None), slice(None), *places)] += grouped_product(x, kernels[:, k], op.groups)
    crop = [slice(b, b + n) for b, n in zip(window.before, out, strict=True)]
    y = y[(slice(None), slice(None), *crop)]
    return y + bias[0] if bias else y


def _least(x: Array) -> float:
    return float(-np.inf) if x.dtype.kind == "f" else int(np.iinfo(np.int64).min)


@real.register
def _(op: MaxPool, x: Array) -> Array:
    return np.asarray(np.maximum.reduce(list(taps(x, op.window, _least(x)))))


@real.register
def _(op: MinPool, x: Array) -> Array:
    most = np.inf if x.dtype.kind == "f" else int(np.iinfo(np.int64).max)
    return np.asarray(np.minimum.reduce(list(taps(x, op.window, most))))


def total(x: Array, window: Window) -> Array:
    """Return the sum of the taps that lie inside."""
    return np.asarray(sum(taps(x, window, 0)))


@real.register
def _(op: AveragePool, x: Array) -> Array:
    y = total(x, op.window)
    for axis, counts in enumerate(op.divisors()):
        column = np.array(counts, np.int64).reshape(-1, *(1,) * (op.window.rank - axis))
        y = y / column.astype(x.dtype)
    return y


@integer.register
def _(op: SumPool, x: Array) -> Array:
    return check_range(op, total(x, op.window), op.elem)


@integer.register
def _(op: IntConv, x: Array, w: Array, *bias: Array) -> Array:
    filters = np.abs(w).reshape(w.shape[0], -1).sum(axis=1).max(initial=0)
    largest = max(int(np.abs(x).max(initial=0)), abs(op.pad)) * int(filters)
    if largest < _FLOAT_EXACT:
        a = convolve(x.astype(np.float64), w.astype(np.float64), op.window, op.groups, op.pad)
        a = np.asarray(np.rint(a)).astype(np.int64)
    else:
        a = convolve(x, w, op.window, op.groups, op.pad)
    return check_range(op, a + bias[0] if bias else a, op.elem)
