"""Remove channels from a float graph: from the layer that makes them to every layer that reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np

from bitwright.errors import CompileError, VerifyError
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Arithmetic,
    BatchNorm,
    Conv,
    ConvTranspose,
    CountThresholds,
    Dequantize,
    Linear,
    Op,
    Pad,
    Permute,
    PRelu,
    Quantize,
    Reshape,
    Take,
    Value,
)
from bitwright.ir.types import Real, TensorType
from bitwright.passes.compress.channel_classes import (
    Channels,
    constant_layer,
    depthwise,
    find_channels,
    sources,
)
from bitwright.passes.compress.channel_ties import STAYS
from bitwright.passes.compress.fixed_channels import FixedChannels
from bitwright.passes.dead_code import remove_dead_code

Dead = Mapping[str, Array]


def remove_channels(graph: Graph, dead: Dead) -> Graph:
    """Return `graph` without the output channels `dead`: layer name -> indices.

    A channel goes only together with all that it is tied to: the channels that a sum adds up, for
    example, must be dead in every layer that the sum reads. Depthwise layers follow their input
    and need not be named. What a channel that holds a fixed number adds to the next layer goes
    into that layer's bias; where padding forbids that, the channel stays, as does the last one of
    a tensor. CompileError when a name or an index does not exist.
    """
    return apply_cut(graph, find_cut(graph, dead))


@dataclass(frozen=True, slots=True)
class Cut:
    """What is removed: the classes, and the numbers that removed channels held."""

    channels: Channels
    gone: Array  # bool, by class
    fixed: FixedChannels

    def kept(self, v: Value) -> Array | None:
        """Return the indices of the channels of `v` that are left; None when all are."""
        if v.name not in self.channels.classes:
            return None
        stays = ~self.gone[self.channels.along(v)]
        return None if stays.all() else np.flatnonzero(stays)


def find_cut(graph: Graph, dead: Dead) -> Cut:
    """Return what can be removed of the output channels `dead`."""
    channels, fixed = find_channels(graph), FixedChannels(graph)
    named, made = np.zeros(channels.count, np.int64), np.zeros(channels.count, np.int64)
    layers = {op.name: op for op in graph.ops if isinstance(op, Linear | Conv | ConvTranspose)}
    for name in dead:
        if name not in layers:
            raise CompileError(f"no layer with weights is called {name!r}; cannot remove channels")
    for op in sources(graph):
        classes = channels.along(op.output)
        which = np.unique(np.asarray(dead.get(op.name, ()), np.int64))
        if which.size and not 0 <= which[0] <= which[-1] < op.output.shape[-1]:
            raise CompileError(
                f"{op.loc}: it has {op.output.shape[-1]} output channels; channel "
                f"{which[-1] if which[0] >= 0 else which[0]} cannot be removed"
            )
        np.add.at(made, classes, 1)
        np.add.at(named, classes[which], 1)
    gone = (made > 0) & (named == made)
    gone[STAYS] = False
    cut = Cut(channels, gone & ~_unfoldable(graph, channels, fixed), fixed)
    _never_empty(graph, cut)
    return cut


def _unfoldable(graph: Graph, channels: Channels, fixed: FixedChannels) -> Array:
    """Return the classes that hold fixed numbers that no bias can stand for, (classes,) bool."""
    varies, blocked = np.zeros(channels.count, bool), np.zeros(channels.count, bool)
    for op in graph.ops:
        if constant_layer(graph, op) and not depthwise(op):
            x = op.inputs[0]
            classes, numbers = channels.along(x), fixed.last(x)
            varies[classes[np.isnan(numbers)]] = True
            edges = isinstance(op, ConvTranspose) or (isinstance(op, Conv) and op.window.padded)
            blocked[classes[np.isinf(numbers) | (edges & (np.abs(numbers) > 0))]] = True
    return np.asarray(blocked & ~varies)


def _never_empty(graph: Graph, cut: Cut) -> None:
    """Let the first class of every tensor stay that would have none left."""
    again = True
    while again:
        again = False
        for v in graph.values().values():
            classes = cut.channels.along(v)
            if classes.size and cut.gone[classes].all():
                cut.gone[classes[0]] = False
                again = True


def apply_cut(graph: Graph, cut: Cut) -> Graph:
    """Return `graph` with all that `cut` names sliced away; every op keeps its name."""
    knife = _Knife(graph, cut)
    for op in graph.ops:
        knife.step(op)
    return remove_dead_code(knife.b.graph(graph.name, graph.inputs, graph.outputs))


class _Knife:
    """The new graph under construction."""

    def __init__(self, graph: Graph, cut: Cut) -> None:
        self.graph, self.cut = graph, cut
        self.b = Builder([*graph.values(), *graph.constants])
        self.b.constants = dict(graph.constants)
        self.new: dict[str, Value] = {}  # computed values whose shape changed

    def step(self, op: Op) -> None:
        """Append what becomes of `op`; VerifyError when its channels do not come out as planned."""
        if all(self.cut.kept(v) is None for v in (*op.inputs, op.output)):
            self.b.add(op)
            return
        moved = _sliced(op, tuple(self.new.get(v.name, v) for v in op.inputs), self)
        made = TensorType(op.output.elem, moved.infer().shape)
        if made.shape != self.shape(op.output):
            raise VerifyError(f"{op.loc}: {made} after channels were removed")
        self.new[op.name] = self.b.add(replace(moved, output=Value(op.name, made)))

    def shape(self, v: Value) -> tuple[int, ...]:
        """Return the shape of `v` without the channels that go."""
        kept = self.cut.kept(v)
        if kept is None:
            return v.shape
        axis = self.cut.channels.axis(v)
        return tuple(kept.size if i == axis else d for i, d in enumerate(v.shape))

    def constant(self, v: Value, array: Array) -> Value:
        """Add another form of the constant `v`."""
        elem = v.elem if isinstance(v.elem, Real) else None
        return self.b.constant(f"{v.name}:kept", np.ascontiguousarray(array), elem)

    def slices(self, v: Value, axis: int, kept: Array) -> Value:
        """Return the constant `v` without what goes along `axis`; itself where it is broadcast."""
        if axis < 0 or v.shape[axis] == 1:
            return v
        return self.constant(v, np.take(self.graph.constant(v), kept, axis=axis))

    def beside(self, op: Op) -> tuple[Array | None, int]:
        """Return what is left of the channels of the result, and their axis."""
        return self.cut.kept(op.output), self.cut.channels.axis(op.output)


@singledispatch
def _sliced(op: Op, inputs: tuple[Value, ...], knife: _Knife) -> Op:
    """Return `op` on its new operands, with what else must change; its result is still the old one."""
    del knife
    return replace(op, inputs=inputs)


@_sliced.register
def _(op: Linear | Conv | ConvTranspose, inputs: tuple[Value, ...], knife: _Knife) -> Op:
    rows, columns = knife.cut.kept(op.output), knife.cut.kept(op.inputs[0])
    w = np.asarray(knife.graph.constant(op.inputs[1]))
    bias = np.asarray(knife.graph.constant(op.inputs[2])) if op.inputs[2:] else None
    if columns is not None and not depthwise(op):
        bias = _folded(op, w, bias, knife)
        w = _columns(w, columns, 1 if isinstance(op, Linear) else op.groups)
    if rows is not None:
        w = w[rows]
        bias = None if bias is None else bias[rows]
    operands = [knife.constant(op.inputs[1], w)]
    if bias is not None:
        operands.append(knife.b.constant(f"{op.name}:bias", bias))
    if isinstance(op, Conv | ConvTranspose) and depthwise(op):
        return replace(op, inputs=(inputs[0], *operands), groups=inputs[0].shape[-1])
    return replace(op, inputs=(inputs[0], *operands))


def _columns(w: Array, kept: Array, groups: int) -> Array:
    """Return the weights (O, ..., C / groups) of the input channels that are left."""
    depth, filters = w.shape[-1], w.shape[0] // groups
    blocks = (
        w[g * filters : (g + 1) * filters][..., kept[kept // depth == g] % depth]
        for g in range(groups)
    )
    return np.concatenate(list(blocks))


def _folded(op: Linear | Conv | ConvTranspose, w: Array, bias: Array | None, knife: _Knife) -> (
    Array | None
):  # fmt: skip
    """Return the bias plus what the removed channels that hold a fixed number added."""
    x = op.inputs[0]
    numbers = knife.cut.fixed.last(x)
    lost = knife.cut.gone[knife.cut.channels.along(x)] & np.isfinite(numbers) & (numbers != 0)
    if not lost.any():
        return bias
    groups = 1 if isinstance(op, Linear) else op.groups
    rows = w.astype(np.float64).reshape(groups, w.shape[0] // groups, -1, w.shape[-1])
    added = (rows * np.where(lost, numbers, 0).reshape(groups, 1, 1, -1)).sum(axis=(2, 3))
    return np.asarray(added.reshape(-1) + (0 if bias is None else bias))


@_sliced.register
def _(op: BatchNorm | Quantize | Dequantize, inputs: tuple[Value, ...], knife: _Knife) -> Op:
    kept, axis = knife.beside(op)
    if kept is None or op.axis % len(op.output.shape) != axis:
        return replace(op, inputs=inputs)
    parameters = (
        v if v.type.size == 1 else knife.constant(v, knife.graph.constant(v).reshape(-1)[kept])
        for v in op.inputs[1:]
    )
    return replace(op, inputs=(inputs[0], *parameters))


@_sliced.register
def _(op: CountThresholds, inputs: tuple[Value, ...], knife: _Knife) -> Op:
    kept, axis = knife.beside(op)
    if kept is None or op.axis != axis:
        return replace(op, inputs=inputs)
    return replace(op, inputs=(inputs[0], knife.slices(op.inputs[1], 0, kept)))


@_sliced.register
def _(op: Arithmetic | PRelu, inputs: tuple[Value, ...], knife: _Knife) -> Op:
    kept, axis = knife.beside(op)
    if kept is None:
        return replace(op, inputs=inputs)
    rank = len(op.output.shape)
    operands = (
        knife.slices(v, axis - (rank - len(v.shape)), kept) if knife.graph.is_constant(v) else v
        for v in inputs
    )
    return replace(op, inputs=tuple(operands))


@_sliced.register
def _(op: Reshape, inputs: tuple[Value, ...], knife: _Knife) -> Op:
    return replace(op, inputs=inputs, shape=knife.shape(op.output))


@_sliced.register
def _(op: Permute, inputs: tuple[Value, ...], knife: _Knife) -> Op:
    """Give the elements that are left new numbers, and list those of the new shape."""
    x = op.inputs[0]
    order = knife.graph.constant(op.inputs[1]).reshape(op.shape)
    kept, axis = knife.beside(op)
    order = order if kept is None else np.take(order, kept, axis=axis)
    left = knife.cut.kept(x)
    new = np.full(x.shape, -1)
    where = tuple(
        left if left is not None and i == knife.cut.channels.axis(x) else np.arange(d)
        for i, d in enumerate(x.shape)
    )
    new[np.ix_(*where)] = np.arange(inputs[0].type.size).reshape(inputs[0].shape)
    places = knife.constant(op.inputs[1], new.reshape(-1)[order.reshape(-1)])
    return replace(op, inputs=(inputs[0], places), shape=order.shape)


@_sliced.register
def _(op: Take, inputs: tuple[Value, ...], knife: _Knife) -> Op:
    x = op.inputs[0]
    left, (kept, axis) = knife.cut.kept(x), knife.beside(op)
    indices = knife.graph.constant(op.inputs[1]).astype(np.int64)
    if kept is not None and axis == op.axis:
        indices = indices[kept]
    if left is not None and knife.cut.channels.axis(x) == op.axis:
        new = np.full(x.shape[op.axis], -1)
        new[left] = np.arange(left.size)
        indices = new[indices]
    return replace(op, inputs=(inputs[0], knife.constant(op.inputs[1], indices)))


@_sliced.register
def _(op: Pad, inputs: tuple[Value, ...], knife: _Knife) -> Op:
    """Count the padding that is left at each end."""
    kept, axis = knife.beside(op)
    if kept is None:
        return replace(op, inputs=inputs)
    end = op.output.shape[axis] - op.after[axis]
    counts = int((kept < op.before[axis]).sum()), int((kept >= end).sum())
    ends = (
        tuple(count if i == axis else n for i, n in enumerate(sizes))
        for count, sizes in zip(counts, (op.before, op.after), strict=True)
    )
    before, after = ends
    return replace(op, inputs=inputs, before=before, after=after)
