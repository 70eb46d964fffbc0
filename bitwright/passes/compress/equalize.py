"""Cross-layer equalization: scale channels between two layers so that both use their ranges well."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Conv, Linear, Op
from bitwright.passes.compress.channel_owners import (
    by_last_axis,
    channel_of_each,
    only_reader,
    owners_after,
)
from bitwright.passes.compress.plan import Layer, float_bias, float_weights, layers_of
from bitwright.passes.dead_code import remove_dead_code
from bitwright.passes.fold_constants import constant_real

_DEAD = 1e-6  # of the layer's greatest weight: a channel below it is left as it is
_CLOSE = 1e-12  # a sweep that scales by no more than this changes nothing any more


@dataclass(frozen=True, slots=True)
class Pair:
    """Two layers with nothing between them but what scales with each channel.

    `owner` says, for each input channel of `after`, which output channel of `before` it is; a
    channel that was flattened owns several, one that is not read owns none.
    """

    before: Layer
    after: Layer
    owner: Array


@dataclass(slots=True)
class _Weights:
    """Weights and bias of a layer, changed in place."""

    weights: Array
    bias: Array


def find_pairs(graph: Graph) -> tuple[Pair, ...]:
    """Return the pairs of layers to equalize, in execution order; a chain gives several."""
    readers, outputs = graph.readers(), frozenset(v.name for v in graph.outputs)
    found = (_pair(graph, op, readers, outputs) for op in layers_of(graph) if _fixed(graph, op))
    return tuple(pair for pair in found if pair is not None)


def _pair(
    graph: Graph, op: Layer, readers: Mapping[str, list[Op]], outputs: frozenset[str]
) -> Pair | None:
    owners: Array | None = channel_of_each(op.output.shape)
    after = only_reader(op, readers, outputs)
    while after is not None and owners is not None and not isinstance(after, Linear | Conv):
        owners = owners_after(graph, after, owners)
        after = only_reader(after, readers, outputs)
    if owners is None or not isinstance(after, Linear | Conv) or not _fixed(graph, after):
        return None
    channels = by_last_axis(owners)
    return None if channels is None else Pair(op, after, channels)


def _fixed(graph: Graph, op: Op) -> bool:
    return all(constant_real(graph, v) is not None for v in op.inputs[1:])


def equalize(graph: Graph, *, sweeps: int = 20) -> Graph:
    """Return a float graph that computes the same, with like ranges on both sides of each channel.

    Nagel et al. 2019, Data-Free Quantization, section 4.1: with r1 and r2 the greatest weights that
    make and that read channel i, s = sqrt(r1 r2) / r2 divides the former, with the bias, and
    multiplies the latter, after which both ranges are sqrt(r1 r2). A channel that is all but unused
    on either side keeps its scale, or its bias would grow beyond measure. Chains are swept `sweeps`
    times, or until nothing changes. Batch norms must be folded, for none is crossed; `find_pairs` tells
    what is.
    """
    pairs = find_pairs(graph)
    known = {
        op.name: _Weights(float_weights(graph, op).copy(), float_bias(graph, op).copy())
        for pair in pairs
        for op in (pair.before, pair.after)
    }
    for _ in range(sweeps):
        changes = [_balance(pair, known) for pair in pairs]
        if max(changes, default=0.0) <= _CLOSE:
            break
    return _written(graph, known)


def _balance(pair: Pair, known: Mapping[str, _Weights]) -> float:
    """Scale the channels of one pair; return the greatest | log s |."""
    before, after = known[pair.before.name], known[pair.after.name]
    channels = before.weights.shape[0]
    r1 = np.abs(before.weights.reshape(channels, -1)).max(axis=1, initial=0)
    r2 = np.zeros(channels)
    np.maximum.at(r2, pair.owner, _column_ranges(pair.after, after.weights))
    alive = (r1 > _DEAD * r1.max(initial=0)) & (r2 > _DEAD * r2.max(initial=0))
    s = np.sqrt(np.where(alive, r1, 1.0)) / np.sqrt(np.where(alive, r2, 1.0))
    before.weights /= s.reshape(-1, *(1,) * (before.weights.ndim - 1))
    before.bias /= s
    after.weights *= _by_column(pair.after, s[pair.owner], after.weights.ndim)
    return float(np.abs(np.log(s)).max(initial=0))


def _groups(op: Layer) -> int:
    return op.groups if isinstance(op, Conv) else 1


def _column_ranges(op: Layer, w: Array) -> Array:
    """Return the greatest weight on each input channel (C,), for weights (O, *K, C / groups)."""
    groups, depth = _groups(op), w.shape[-1]
    rows = np.abs(w).reshape(groups, -1, depth)
    return np.asarray(rows.max(axis=1, initial=0).reshape(-1))


def _by_column(op: Layer, scale: Array, rank: int) -> Array:
    """Return factors of the input channels (C,) in a shape that multiplies (O, *K, C / groups)."""
    groups = _groups(op)
    per_filter = op.inputs[1].shape[0] // groups
    rows = np.repeat(scale.reshape(groups, -1), per_filter, axis=0)
    return rows.reshape(rows.shape[0], *(1,) * (rank - 2), rows.shape[1])


def _written(graph: Graph, known: Mapping[str, _Weights]) -> Graph:
    """Return the graph with these weights and biases, under fresh names."""
    b = Builder([*graph.values(), *graph.constants])
    b.constants = dict(graph.constants)
    ops: list[Op] = []
    for op in graph.ops:
        new = known.get(op.name)
        if new is not None:
            operands = [b.constant(f"{op.name}:equalized_weight", new.weights)]
            if op.inputs[2:]:
                operands.append(b.constant(f"{op.name}:equalized_bias", new.bias))
            ops.append(replace(op, inputs=(op.inputs[0], *operands)))
        else:
            ops.append(op)
    return remove_dead_code(replace(graph, ops=tuple(ops), constants=b.constants))
