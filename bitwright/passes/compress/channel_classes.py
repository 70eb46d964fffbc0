"""Find the places of a float graph that hold the same channel, and so must be removed together.

Every value gets an array of classes, one for each element, cut to one element along the axes that
do not matter. Layers open new classes; elementwise ops join those of their operands; index maps
move them. What no rule here understands can never be removed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from bitwright.ir.evaluate.index import index_map
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Activation,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Binarize,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    CountThresholds,
    Dequantize,
    Linear,
    MaxPool,
    MinPool,
    Normalize,
    Op,
    Pad,
    Permute,
    PRelu,
    Quantize,
    Reduce,
    Resample,
    Reshape,
    Sign,
    Softmax,
    Take,
    Transpose,
    Value,
)
from bitwright.passes.compress.channel_groups import tie_groups
from bitwright.passes.compress.channel_ties import STAYS, Ties, compact, long_axes

WeightedLayer = Linear | Conv | ConvTranspose


@dataclass(frozen=True, slots=True)
class Channels:
    """The class of each element of every value, by name; `STAYS` is that of what cannot go.

    An array has as many axes as its value and at most one of them is longer than 1: the axis
    along which channels lie.
    """

    classes: Mapping[str, Array]

    @property
    def count(self) -> int:
        """One more than the greatest class."""
        return 1 + max((int(a.max()) for a in self.classes.values() if a.size), default=STAYS)

    def axis(self, v: Value) -> int:
        """Return the axis along which the channels of `v` lie; the last one where all are tied."""
        return next(iter(long_axes(self.classes[v.name])), len(v.shape) - 1)

    def along(self, v: Value) -> Array:
        """Return the class of each channel of `v`, (channels,)."""
        if not v.shape:
            return self.classes[v.name].reshape(1)
        return np.broadcast_to(self.classes[v.name].reshape(-1), (v.shape[self.axis(v)],))


def constant_layer(graph: Graph, op: Op) -> bool:
    """Tell whether `op` is a layer whose weights and bias are plain constants."""
    return isinstance(op, WeightedLayer) and all(graph.is_constant(v) for v in op.inputs[1:])


def depthwise(op: Op) -> bool:
    """Tell whether each input channel has filters of its own."""
    return isinstance(op, Conv | ConvTranspose) and op.groups == op.inputs[0].shape[-1] > 1


def sources(graph: Graph) -> tuple[WeightedLayer, ...]:
    """Return the layers that make channels of their own: all but the depthwise ones."""
    return tuple(
        op
        for op in graph.ops
        if isinstance(op, WeightedLayer) and constant_layer(graph, op) and not depthwise(op)
    )


def find_channels(graph: Graph) -> Channels:
    """Return the classes of all values of a float graph whose spatial ops have channels last."""
    walk = _Walk(graph)
    for op in graph.ops:
        fixed = all(graph.is_constant(v) for v in op.inputs)
        labels = _unknown(op, walk) if fixed else _labels(op, walk)
        walk.labels[op.name] = walk.ties.settle(labels)
    for v in graph.outputs:
        walk.stay(v)
    tie_groups(walk.ties, walk.grouped)
    values = graph.values().values()
    return Channels({v.name: walk.ties.resolve(walk.of(v)) for v in values})


class _Walk:
    """The labels found so far."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ties = Ties()
        self.labels: dict[str, Array] = {}
        self.grouped: list[Array] = []  # what grouped convolutions read and make, by group

    def of(self, v: Value) -> Array:
        """Return the classes of `v`, compact; inputs and constants stay."""
        found = self.labels.get(v.name)
        return _staying(len(v.shape)) if found is None else self.ties.resolve(found)

    def whole(self, v: Value) -> Array:
        """Return the class of every element."""
        return np.broadcast_to(self.of(v), v.shape)

    def stay(self, v: Value) -> None:
        self.ties.keep(self.of(v))

    def across(self, v: Value, axes: tuple[int, ...]) -> Array:
        """Return the classes of `v`, which stays if they change along one of `axes`."""
        if set(long_axes(self.of(v))) & set(axes):
            self.stay(v)
        return self.of(v)

    def last(self, v: Value) -> Array:
        """Return the class of each element of the last axis, (C,); `v` stays if others matter."""
        rank = len(v.shape)
        found = self.across(v, tuple(range(rank - 1)))
        return np.broadcast_to(found.reshape(-1), (v.shape[-1],))

    def plain(self, op: Op) -> bool:
        """Tell whether all operands but the first are constants."""
        return all(self.graph.is_constant(v) for v in op.inputs[1:])


def _staying(rank: int) -> Array:
    return np.full((1,) * rank, STAYS)


def _unknown(op: Op, walk: _Walk) -> Array:
    for v in op.inputs:
        walk.stay(v)
    return _staying(len(op.output.shape))


@singledispatch
def _labels(op: Op, walk: _Walk) -> Array:
    """Return the labels of what `op` gives, having joined those of what it reads."""
    return _unknown(op, walk)


def _of_last(labels: Array, op: Op) -> Array:
    return labels.reshape(*(1,) * (len(op.output.shape) - 1), -1)


@_labels.register
def _(op: Linear, walk: _Walk) -> Array:
    if not walk.plain(op):
        return _unknown(op, walk)
    walk.last(op.inputs[0])
    return _of_last(walk.ties.fresh(op.output.shape[-1]), op)


@_labels.register
def _(op: Conv | ConvTranspose, walk: _Walk) -> Array:
    """Open new classes; the groups of a grouped convolution are tied at the end."""
    if not walk.plain(op):
        return _unknown(op, walk)
    x, filters = walk.last(op.inputs[0]), op.output.shape[-1]
    if depthwise(op):
        return _of_last(np.repeat(x, filters // op.groups), op)
    made = walk.ties.fresh(filters)
    if op.groups > 1:
        walk.grouped += [x.reshape(op.groups, -1), made.reshape(op.groups, -1)]
    return _of_last(made, op)


@_labels.register
def _(op: Activation | Clip | Binarize | Sign, walk: _Walk) -> Array:
    return walk.of(op.inputs[0])


@_labels.register
def _(op: BatchNorm | Quantize | Dequantize | CountThresholds, walk: _Walk) -> Array:
    return walk.of(op.inputs[0]) if walk.plain(op) else _unknown(op, walk)


@_labels.register
def _(op: MaxPool | MinPool | AveragePool, walk: _Walk) -> Array:
    return _of_last(walk.last(op.inputs[0]), op)


@_labels.register
def _(op: Arithmetic | PRelu, walk: _Walk) -> Array:
    """Join the computed operands; one that is stretched over channels of another stays."""
    rank = len(op.output.shape)
    shapes: list[tuple[int, ...]] = []
    parts: list[Array] = []
    for v in op.inputs:
        if not walk.graph.is_constant(v):
            lead = (1,) * (rank - len(v.shape))
            shapes.append(lead + v.shape)
            parts.append(walk.of(v).reshape(lead + walk.of(v).shape))
    matter = {a for part in parts for a in long_axes(part)}
    whole = []
    for shape, part in zip(shapes, parts, strict=True):
        stretched = {a for a in range(rank) if shape[a] != op.output.shape[a]}
        if stretched & matter:
            walk.ties.keep(part)
        else:
            whole.append(part)
    for part in whole[1:]:
        walk.ties.join(part, whole[0])
    return np.broadcast_arrays(*whole)[0] if whole else _staying(rank)


@_labels.register
def _(op: Softmax, walk: _Walk) -> Array:
    return walk.across(op.inputs[0], tuple(range(op.axis, op.end)))


@_labels.register
def _(op: Normalize, walk: _Walk) -> Array:
    return walk.across(op.inputs[0], op.axes)


@_labels.register
def _(op: Reduce, walk: _Walk) -> Array:
    found = walk.across(op.inputs[0], op.axes)
    return found if op.keep else found.squeeze(op.axes)


@_labels.register
def _(op: Resample, walk: _Walk) -> Array:
    return walk.across(op.inputs[0], (op.axis,)) if walk.plain(op) else _unknown(op, walk)


@_labels.register
def _(op: Reshape | Permute, walk: _Walk) -> Array:
    if not walk.plain(op):
        return _unknown(op, walk)
    orders = [walk.graph.constant(v) for v in op.inputs[1:]]
    return np.asarray(index_map(op, walk.whole(op.inputs[0])[None], *orders)[0])


@_labels.register
def _(op: Transpose, walk: _Walk) -> Array:
    return walk.of(op.inputs[0]).transpose(op.perm)


@_labels.register
def _(op: Take, walk: _Walk) -> Array:
    if not walk.plain(op):
        return _unknown(op, walk)
    found, indices = walk.of(op.inputs[0]), walk.graph.constant(op.inputs[1])
    if found.shape[op.axis] == 1:
        return found
    return np.asarray(np.take(found, indices.astype(np.int64), axis=op.axis))


@_labels.register
def _(op: Pad, walk: _Walk) -> Array:
    """Give padding between channels classes of its own, and padding beside them theirs."""
    found = walk.of(op.inputs[0])
    for axis in long_axes(found):
        column = tuple(-1 if i == axis else 1 for i in range(found.ndim))
        ends = (walk.ties.fresh(n).reshape(column) for n in (op.before[axis], op.after[axis]))
        before, after = ends
        found = np.concatenate([before, found, after], axis=axis)
    return found


@_labels.register
def _(op: Concat, walk: _Walk) -> Array:
    parts = [walk.of(v) for v in op.inputs]
    size = np.broadcast_shapes(*(_without(p.shape, op.axis) for p in parts))
    wide = []
    for v, part in zip(op.inputs, parts, strict=True):
        shape = tuple(v.shape[i] if i == op.axis else d for i, d in enumerate(size))
        wide.append(np.broadcast_to(part, shape))
    return compact(np.concatenate(wide, axis=op.axis))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(1 if i == axis else d for i, d in enumerate(shape))
