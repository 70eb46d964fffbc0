"""Correct what compressed weights did to a layer's outputs: mean, scale, deviation, by channel.

In all functions on arrays `y` is what the float layer gives and `z` what the compressed one gives
on the same samples, both (rows, O); the results are (O,).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import BatchNorm, Op
from bitwright.passes.dead_code import remove_dead_code
from bitwright.passes.fold_constants import constant_real

_CONSTANT = 1e-9  # a deviation this small, over the greatest magnitude, is rounding
_BATCH = 64  # samples evaluated at once


def bias_shift(y: Array, z: Array) -> Array:
    """Return what to add to the bias so that each output keeps its mean: mean(y - z).

    Bias correction on samples (Nagel et al. 2019, Data-Free Quantization, section 4.2). Zeros
    without rows.
    """
    y, z = _doubles(y, z)
    return np.asarray((y - z).sum(axis=0) / max(y.shape[0], 1))


def least_squares_scale(y: Array, z: Array, b: Array) -> Array:
    """Return the alpha > 0 per output that minimises |y - (b + alpha (z - b))|, 1 where none does.

    `b` (O,) is the bias in both: the scale of the weights is to be multiplied by alpha.
    """
    y, z = _doubles(y, z)
    with np.errstate(all="ignore"):
        alpha = ((y - b) * (z - b)).sum(axis=0) / ((z - b) ** 2).sum(axis=0)
    return np.where(np.isfinite(alpha) & (alpha > 0), alpha, 1.0)


def moments(y: Array, z: Array) -> tuple[Array, Array]:
    """Return (scale, shift) so that scale * z + shift has the mean and the deviation of y.

    The weights' scale is to be multiplied by `scale`, and bias b becomes scale * b + shift. This is
    what re-estimating a batch norm does, for a norm that was folded: with y = gamma (u - mu) / sigma
    + beta and z the same of the compressed product v, the norm with the mean m and the deviation s
    of v gives gamma (v - m) / s + beta, which is z scaled by sigma / s > 0 and shifted until it has
    the mean beta and the deviation |gamma| of y; so neither gamma nor beta need be known. The scale
    is 1 for an output that is constant in y or z; only its mean is matched.
    """
    y, z = _doubles(y, z)
    if not y.shape[0]:
        return np.ones(y.shape[1]), np.zeros(y.shape[1])
    want, have = y.std(axis=0), z.std(axis=0)
    alive = (want > _CONSTANT * np.abs(y).max(axis=0)) & (have > _CONSTANT * np.abs(z).max(axis=0))
    scale = np.where(alive, want, 1.0) / np.where(alive, have, 1.0)
    return scale, y.mean(axis=0) - scale * z.mean(axis=0)


def _doubles(y: Array, z: Array) -> tuple[Array, Array]:
    return np.asarray(y, np.float64), np.asarray(z, np.float64)


def reestimate_batch_norms(graph: Graph, samples: Mapping[str, Array]) -> Graph:
    """Return `graph` with mean and variance of each BatchNorm as they are on the samples.

    `samples` are inputs (samples, *shape). The norms are taken in execution order, each reading
    what those before it now give. A channel that never changes keeps its variance; a norm whose
    statistics are no constants is left alone.
    """
    for name in [op.name for op in graph.ops if isinstance(op, BatchNorm)]:
        op = graph.producers()[name]
        stored = constant_real(graph, op.inputs[4])
        if stored is not None and constant_real(graph, op.inputs[3]) is not None:
            graph = _with_statistics(graph, op, *_statistics(graph, op, stored, samples))
    return remove_dead_code(graph)


def _statistics(
    graph: Graph, op: Op, stored: Array, samples: Mapping[str, Array]
) -> tuple[Array, Array]:
    """Return mean and variance (C,) of what a norm reads; both by batches, shifted by the first."""
    assert isinstance(op, BatchNorm)
    count, total, squares = 0, np.zeros(stored.size), np.zeros(stored.size)
    origin: Array | None = None
    part = remove_dead_code(replace(graph, outputs=(op.inputs[0],)))
    for x in _batches(part, samples):
        rows = np.moveaxis(x, op.axis + 1, -1).reshape(-1, stored.size)
        origin = rows.mean(axis=0) if origin is None else origin
        count += rows.shape[0]
        total += (rows - origin).sum(axis=0)
        squares += ((rows - origin) ** 2).sum(axis=0)
    if origin is None:
        return np.zeros(stored.size), stored
    mean = total / count
    var = squares / count - mean**2
    return origin + mean, np.where(var > (_CONSTANT * origin) ** 2, var, stored)


def _batches(graph: Graph, samples: Mapping[str, Array]) -> Iterator[Array]:
    """Yield the only output of `graph`, (samples, *shape), batch by batch."""
    count = next(iter(samples.values())).shape[0]
    for start in range(0, count, _BATCH):
        batch = {n: np.asarray(a[start : start + _BATCH]) for n, a in samples.items()}
        yield evaluate(graph, batch)[graph.outputs[0].name]


def _with_statistics(graph: Graph, op: Op, mean: Array, var: Array) -> Graph:
    b = Builder([*graph.values(), *graph.constants])
    found = b.constant(f"{op.name}:mean", mean), b.constant(f"{op.name}:variance", var)
    new = replace(op, inputs=(*op.inputs[:3], *found))
    ops = tuple(new if o.name == op.name else o for o in graph.ops)
    return replace(graph, ops=ops, constants={**graph.constants, **b.constants})
