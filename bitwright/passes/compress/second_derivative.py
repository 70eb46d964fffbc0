"""Optimal Brain Damage's diagonal second derivatives, carried backwards through a float graph."""

from collections.abc import Mapping
from dataclasses import replace
from functools import singledispatch

import numpy as np

from bitwright.errors import UnsupportedError
from bitwright.ir.evaluate import evaluate_op
from bitwright.ir.evaluate.index import index_map
from bitwright.ir.evaluate.scalar import scalar_function
from bitwright.ir.evaluate.spatial import grouped_product, taps
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Linear,
    MaxPool,
    Op,
    Pad,
    Permute,
    Reshape,
    Softmax,
    Take,
    Transpose,
    Window,
)
from bitwright.ir.ops.base import channel_shape
from bitwright.passes.compress.plan import layers_of
from bitwright.passes.fold_constants import real_constants

_BATCH = 32
_STEP = 1e-5  # of the difference that stands for the slope of an activation


def obd_diagonal(
    graph: Graph, inputs: Mapping[str, Array], *, squares: bool = False
) -> dict[str, Array]:
    """Return d2E/dw2 for each weight of each layer by op name, the mean over the samples.

    The loss is the cross-entropy of a softmax over the outputs' last axis, p (1 - p) at the logits,
    or with `squares` half the squared error, 1 everywhere. Optimal Brain Damage (LeCun et al. 1990),
    equations 8 to 10 without the term in f'': terms off the diagonal are dropped at every layer.
    UnsupportedError names an op that the recursion cannot pass.
    """
    graph = real_constants(graph)
    total: dict[str, Array] = {op.name: np.zeros(op.inputs[1].shape) for op in layers_of(graph)}
    samples = next(iter(inputs.values())).shape[0]
    for start in range(0, samples, _BATCH):
        batch = {n: np.asarray(a[start : start + _BATCH], np.float64) for n, a in inputs.items()}
        _add_batch(graph, batch, total, squares=squares)
    return {n: h / samples for n, h in total.items()}


def _add_batch(
    graph: Graph, batch: Mapping[str, Array], total: dict[str, Array], *, squares: bool
) -> None:
    """Add the sum over one batch to the second derivative of each layer."""
    known = dict(batch)
    arrays = {
        n: a if a.dtype.kind in "iub" else a.astype(np.float64) for n, a in graph.constants.items()
    }
    for op in graph.ops:
        args = [known[v.name] if v.name in known else arrays[v.name] for v in op.inputs]
        known[op.name] = evaluate_op(op, list(args), known)
    ops, curvature = _from_loss(graph, known, squares=squares)
    for op in reversed(ops):
        h = curvature.pop(op.name, None)
        if h is None:
            continue
        args = [known[v.name] if v.name in known else arrays[v.name] for v in op.inputs]
        if isinstance(op, Linear | Conv):
            total[op.name] += _of_weights(op, h, args[0])
        for v, back in zip(op.inputs, backward(op, h, *args), strict=False):
            if v.name in known and v.name not in batch:
                curvature[v.name] = curvature.get(v.name, 0) + back


def _from_loss(
    graph: Graph, known: Mapping[str, Array], *, squares: bool
) -> tuple[tuple[Op, ...], dict[str, Array]]:
    """Return the ops up to the logits, and the second derivative there."""
    (output,) = graph.outputs
    source = graph.producers()[output.name]
    logits, ops = output, graph.ops
    if isinstance(source, Softmax) and not squares:
        logits, ops = source.inputs[0], tuple(op for op in ops if op is not source)
    z = known[logits.name]
    if squares:
        return ops, {logits.name: np.ones(z.shape)}
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return ops, {logits.name: p * (1 - p)}


def _of_weights(op: Linear | Conv, h: Array, x: Array) -> Array:
    """Return sum h x^2 over samples and positions, in the shape of the weights."""
    if isinstance(op, Linear):
        return np.asarray(h.reshape(-1, h.shape[-1]).T @ x.reshape(-1, x.shape[-1]) ** 2)
    out = np.empty((op.inputs[1].shape[0], op.window.taps, op.inputs[1].shape[-1]))
    split = h.reshape(-1, op.groups, h.shape[-1] // op.groups)
    for k, seen in enumerate(taps(x, op.window, 0)):
        part = seen.reshape(split.shape[0], op.groups, -1) ** 2
        out[:, k] = np.einsum("rgo,rgc->goc", split, part).reshape(out.shape[0], -1)
    return out.reshape(op.inputs[1].shape)


@singledispatch
def backward(op: Op, h: Array, *args: Array) -> tuple[Array, ...]:
    """Return the second derivative at the operands of `op`, given that at its result.

    Arrays are (samples, *shape), constants have no samples. For y = f(x) it is sum_i (dy_i/dx)^2 h_i.
    """
    del h, args
    raise _refusal(op)


def _refusal(op: Op) -> UnsupportedError:
    return UnsupportedError(
        f"{op.loc}: the second derivatives of OBD do not pass {type(op).__name__}; "
        "prune by magnitude, wanda or l-obs"
    )


@backward.register
def _(_op: Linear, h: Array, _x: Array, w: Array, *_bias: Array) -> tuple[Array, ...]:
    return (h @ w**2,)


@backward.register
def _(op: Conv, h: Array, x: Array, w: Array, *_bias: Array) -> tuple[Array, ...]:
    filters, depth = w.shape[0], w.shape[-1]
    kernels = (w**2).reshape(op.groups, filters // op.groups, op.window.taps, depth)
    parts = []
    for k in range(op.window.taps):
        turned = kernels[:, :, k].transpose(0, 2, 1).reshape(op.groups * depth, -1)
        parts.append(grouped_product(h, turned, op.groups))
    return (_scatter(op.window, x, parts),)


@backward.register
def _(op: AveragePool, h: Array, x: Array) -> tuple[Array, ...]:
    for axis, counts in enumerate(op.divisors()):
        column = np.array(counts, np.float64).reshape(-1, *(1,) * (op.window.rank - axis))
        h = h / column**2
    return (_scatter(op.window, x, [h] * op.window.taps),)


@backward.register
def _(op: MaxPool, h: Array, x: Array) -> tuple[Array, ...]:
    seen = np.stack(list(taps(x, op.window, -np.inf)))
    chosen = seen.argmax(axis=0)
    return (_scatter(op.window, x, [h * (chosen == k) for k in range(op.window.taps)]),)


def _scatter(window: Window, x: Array, parts: list[Array]) -> Array:
    """Return, in the shape of x, the sum of what each tap gives back to the place that it read."""
    places = np.arange(x[0, 0].size).reshape(1, 1, *x.shape[2:])
    index = list(taps(np.asarray(places, np.float64), window, -1))
    flat = np.zeros((x.shape[0] * x.shape[1], places.size + 1))  # the last one stands for padding
    for where, part in zip(index, parts, strict=True):
        flat[:, where.astype(np.int64).reshape(-1)] += part.reshape(flat.shape[0], -1)
    return flat[:, :-1].reshape(x.shape)


@backward.register
def _(op: Activation, h: Array, x: Array) -> tuple[Array, ...]:
    low, high = (scalar_function(op.kind, x + d, op.alpha, op.beta) for d in (-_STEP, _STEP))
    return (h * ((high - low) / (2 * _STEP)) ** 2,)


@backward.register
def _(op: Clip, h: Array, x: Array) -> tuple[Array, ...]:
    return (h * ((x > op.lo) & (x < op.hi)),)


@backward.register
def _(op: BatchNorm, h: Array, _x: Array, *parameters: Array) -> tuple[Array, ...]:
    gamma, _, _, var = parameters
    slope = gamma / np.sqrt(var + op.epsilon)
    return (h * slope.reshape(channel_shape(slope.size, op.axis, len(op.inputs[0].shape))) ** 2,)


@backward.register(Reshape)
@backward.register(Transpose)
@backward.register(Permute)
@backward.register(Take)
@backward.register(Pad)
def _(op: Op, h: Array, x: Array, *rest: Array) -> tuple[Array, ...]:
    places = np.arange(1, x[0].size + 1).reshape(1, *x.shape[1:])
    plain = replace(op, value=0.0) if isinstance(op, Pad) else op
    index = index_map(plain, places, *rest).reshape(-1)
    flat = np.zeros((x[0].size + 1, x.shape[0]))  # the first one stands for padding
    np.add.at(flat, index, h.reshape(h.shape[0], -1).T)
    return (flat[1:].T.reshape(x.shape),)


@backward.register
def _(op: Concat, h: Array, *_parts: Array) -> tuple[Array, ...]:
    ends = np.cumsum([v.shape[op.axis] for v in op.inputs])[:-1]
    return tuple(np.split(h, ends, axis=op.axis + 1))


@backward.register
def _(op: Arithmetic, h: Array, _a: Array, _b: Array) -> tuple[Array, ...]:
    if op.kind not in (Arith.ADD, Arith.SUB) or op.inputs[0].shape != op.inputs[1].shape:
        raise _refusal(op)
    return (h, h)
