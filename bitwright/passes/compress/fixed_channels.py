"""Find the channels that hold one number whatever the input is, such as those of zero weights."""

from functools import singledispatch

import numpy as np

from bitwright.ir.evaluate import evaluate_op
from bitwright.ir.evaluate.index import index_map
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Activation,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Linear,
    MaxPool,
    MinPool,
    Op,
    Pad,
    Permute,
    PRelu,
    Reduce,
    Reduction,
    Reshape,
    Take,
    Transpose,
    Value,
)
from bitwright.passes.compress.channel_classes import constant_layer
from bitwright.passes.compress.channel_ties import compact

_UNKNOWN = np.nan  # depends on the input
_UNEVEN = np.inf  # fixed, but not the same number at every position


class FixedChannels:
    """The number that each element holds, by value name, cut to one element along idle axes.

    NaN stands for what depends on the input, infinity for what is fixed but changes with the
    position.
    """

    def __init__(self, graph: Graph) -> None:
        """Walk through `graph` in execution order."""
        self.graph = graph
        self.numbers: dict[str, Array] = {}
        for op in graph.ops:
            found = np.asarray(_numbers(op, self), np.float64)
            self.numbers[op.name] = compact(found)

    def of(self, v: Value) -> Array:
        """Return the numbers of `v`, compact; a constant holds its own."""
        if self.graph.is_constant(v):
            return compact(np.asarray(self.graph.constant(v), np.float64))
        return self.numbers.get(v.name, _unknown(v))

    def last(self, v: Value) -> Array:
        """Return the number of each element of the last axis, (C,)."""
        rows = self.of(v).reshape(-1, self.of(v).shape[-1])
        even = (rows == rows[:1]).all(axis=0)
        found = np.where(even, rows[0], np.where(np.isnan(rows).any(axis=0), _UNKNOWN, _UNEVEN))
        return np.broadcast_to(found, (v.shape[-1],))


def _unknown(v: Value) -> Array:
    return np.full((1,) * len(v.shape), _UNKNOWN)


@singledispatch
def _numbers(op: Op, _fixed: FixedChannels) -> Array:
    """Return the numbers of what `op` gives, in a shape that broadcasts to its own."""
    return _unknown(op.output)


@_numbers.register
def _(op: Linear, fixed: FixedChannels) -> Array:
    return _weighted(op, fixed, groups=1, edges=False)


@_numbers.register
def _(op: Conv, fixed: FixedChannels) -> Array:
    return _weighted(op, fixed, groups=op.groups, edges=op.window.padded)


@_numbers.register
def _(op: ConvTranspose, fixed: FixedChannels) -> Array:
    return _weighted(op, fixed, groups=op.groups, edges=True)


def _weighted(op: Op, fixed: FixedChannels, *, groups: int, edges: bool) -> Array:
    """Return the sums of weights times fixed numbers; with `edges` not all positions see all taps."""
    if not constant_layer(fixed.graph, op):
        return _unknown(op.output)
    w = np.asarray(fixed.graph.constant(op.inputs[1]), np.float64)
    rows = w.reshape(groups, w.shape[0] // groups, -1, w.shape[-1])  # (g, O / g, taps, C / g)
    x = fixed.last(op.inputs[0]).reshape(groups, 1, 1, -1)
    finite = np.where(np.isfinite(x), x, 0)
    total = (rows * finite).sum(axis=(2, 3))
    if op.inputs[2:]:
        total += np.asarray(fixed.graph.constant(op.inputs[2]), np.float64).reshape(total.shape)
    used = rows != 0
    uneven = used & (np.isinf(x) | ((x != 0) & edges))
    total[uneven.any(axis=(2, 3))] = _UNEVEN
    total[(used & np.isnan(x)).any(axis=(2, 3))] = _UNKNOWN
    return np.asarray(total.reshape(*(1,) * (len(op.output.shape) - 1), -1))


@_numbers.register
def _(op: Activation | Clip | BatchNorm | Arithmetic | PRelu, fixed: FixedChannels) -> Array:
    """Compute the op on the numbers, and carry over what is no number."""
    read = [v for v in op.inputs if not fixed.graph.is_constant(v)]
    known = {v.name: fixed.of(v)[None] for v in read}
    arrays = [known.get(v.name, fixed.graph.constants.get(v.name)) for v in op.inputs]
    with np.errstate(all="ignore"):
        y = np.array(evaluate_op(op, arrays, known)[0], np.float64)
    rank = len(op.output.shape)
    for v in read:
        x = fixed.of(v)
        x = x.reshape((1,) * (rank - x.ndim) + x.shape)
        y[np.broadcast_to(np.isinf(x), y.shape) & ~np.isnan(y)] = _UNEVEN
        y[np.broadcast_to(np.isnan(x), y.shape)] = _UNKNOWN
    return y


@_numbers.register
def _(op: MaxPool | MinPool, fixed: FixedChannels) -> Array:
    """Pass numbers on: every window sees an element, for padding is narrower than the kernel."""
    found = fixed.last(op.inputs[0])
    return found.reshape(*(1,) * (len(op.output.shape) - 1), -1)


@_numbers.register
def _(op: AveragePool, fixed: FixedChannels) -> Array:
    found = fixed.last(op.inputs[0])
    counted = any(op.counted_before) or any(op.counted_after)
    if counted or op.window.padded:
        found = np.where((found == 0) | np.isnan(found), found, _UNEVEN)
    return found.reshape(*(1,) * (len(op.output.shape) - 1), -1)


@_numbers.register
def _(op: Reduce, fixed: FixedChannels) -> Array:
    x = fixed.of(op.inputs[0])
    plain = op.kind in (Reduction.MEAN, Reduction.MAX, Reduction.MIN)
    if not plain or any(x.shape[a] > 1 for a in op.axes):
        return _unknown(op.output)
    return x if op.keep else x.squeeze(op.axes)


@_numbers.register
def _(op: Reshape | Transpose | Permute | Take | Pad | Concat, fixed: FixedChannels) -> Array:
    moved = op.inputs if isinstance(op, Concat) else op.inputs[:1]
    others = [v for v in op.inputs if v not in moved]
    if not all(fixed.graph.is_constant(v) for v in others):
        return _unknown(op.output)
    wide = [np.broadcast_to(fixed.of(v), v.shape)[None] for v in moved]
    return np.asarray(index_map(op, *wide, *(fixed.graph.constant(v) for v in others))[0])
