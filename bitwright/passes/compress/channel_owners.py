"""Follow the channels of a layer through ops that treat each by itself and scale with it."""

from collections.abc import Mapping
from math import isinf

import numpy as np

from bitwright.ir.evaluate.index import index_map
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Activation,
    AveragePool,
    Clip,
    Function,
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
)

_HOMOGENEOUS = {Function.RELU, Function.LEAKY_RELU, Function.ABS, Function.NEG}
_LINEAR = {Reduction.MEAN, Reduction.SUM, Reduction.MAX, Reduction.MIN}
_MAPS = (Reshape, Transpose, Permute, Take)
_WINDOWS = (AveragePool, MaxPool, MinPool)


def channel_of_each(shape: tuple[int, ...]) -> Array:
    """Return, for a layer's output, the channel of each element: its place along the last axis."""
    return np.broadcast_to(np.arange(shape[-1]), shape)


def owners_after(graph: Graph, op: Op, owners: Array) -> Array | None:
    """Return the channel that each element of `op`'s result belongs to, None where it has no one.

    `owners` holds the channels of the first operand, shaped like it. The op must be positively
    homogeneous: when a channel is scaled by s > 0, so are its elements of the result, and no other.
    """
    if isinstance(op, Activation | Clip | PRelu):
        return owners if _homogeneous(graph, op) else None
    if isinstance(op, _MAPS):
        rest = [graph.constants.get(v.name) for v in op.inputs[1:]]
        arrays = [a for a in rest if a is not None]
        return index_map(op, owners[None], *arrays)[0] if len(arrays) == len(rest) else None
    if isinstance(op, Reduce):
        first = _first_along(owners, op.axes)
        fits = op.kind in _LINEAR and first is not None
        return first.reshape(op.output.shape) if fits and first is not None else None
    if isinstance(op, _WINDOWS) or (isinstance(op, Pad) and op.value == 0):
        channels = by_last_axis(owners)
        same = channels is not None and op.output.shape[-1] == owners.shape[-1]
        return np.broadcast_to(channels, op.output.shape) if same and channels is not None else None
    return None


def by_last_axis(owners: Array) -> Array | None:
    """Return the owner at each place of the last axis, None where it varies along others."""
    axes = tuple(range(owners.ndim - 1))
    first = _first_along(owners, axes)
    return None if first is None else first.reshape(-1)


def only_reader(op: Op, readers: Mapping[str, list[Op]], outputs: frozenset[str]) -> Op | None:
    """Return the op that alone reads the result of `op`, as its first operand."""
    after = readers.get(op.name, [])
    if op.name in outputs or len(after) != 1:
        return None
    others = [v.name for v in after[0].inputs[1:]]
    return None if op.name in others else after[0]


def _homogeneous(graph: Graph, op: Activation | Clip | PRelu) -> bool:
    if isinstance(op, Activation):
        return op.kind in _HOMOGENEOUS
    if isinstance(op, Clip):
        return all(end == 0 or isinf(end) for end in (op.lo, op.hi))
    return graph.is_constant(op.inputs[1])


def _first_along(owners: Array, axes: tuple[int, ...]) -> Array | None:
    """Return the first element along some axes, kept with size 1; None where any other differs."""
    first = owners[tuple(slice(0, 1) if i in axes else slice(None) for i in range(owners.ndim))]
    return first if (owners == first).all() else None
