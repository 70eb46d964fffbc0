"""Reductions, normalizations and resampling in float32."""

from dataclasses import dataclass
from math import prod

import numpy as np

from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.nest import Strides, contiguous, index_text, merge, part_of
from bitwright.backends.c.real_post import constants_of
from bitwright.backends.c.storage import REAL_T
from bitwright.backends.c.tables import real_literal
from bitwright.backends.layers import Layer
from bitwright.ir.ops import LocalResponseNorm, Normalize, Reduce, Reduction, Resample

_KIND = "float32"
_SQUARE = "part + value * value"
_SUM = "part + value"
# what a reduction starts with, how an element joins, what becomes of the result
_REDUCE = {
    Reduction.MEAN: ("0.0f", _SUM, "acc / {n}"),
    Reduction.SUM: ("0.0f", _SUM, "acc"),
    Reduction.MAX: ("-(float)INFINITY", "value > acc ? value : acc", "acc"),
    Reduction.MIN: ("(float)INFINITY", "value < acc ? value : acc", "acc"),
    Reduction.PROD: ("1.0f", "acc * value", "acc"),
    Reduction.L1: ("0.0f", "part + fabsf(value)", "acc"),
    Reduction.L2: ("0.0f", _SQUARE, "sqrtf(acc)"),
    Reduction.SUM_SQUARE: ("0.0f", _SQUARE, "acc"),
    Reduction.LOG_SUM: ("0.0f", _SUM, "logf(acc)"),
    Reduction.LOG_SUM_EXP: ("0.0f", "part + expf(value - most)", "logf(acc) + most"),
}


@dataclass(frozen=True, slots=True)
class ReduceView:
    """What reduce.h.j2 shows: loops over what is kept around loops over what is joined."""

    name: str
    note: str
    kept: tuple[int, ...]
    joined: tuple[int, ...]
    base: str
    offset: str
    start: str
    step: str
    result: str
    shifted: bool
    summed: bool  # whether it is a sum, made of parts


@dataclass(frozen=True, slots=True)
class NormalizeView:
    """What normalize.h.j2 shows."""

    name: str
    note: str
    kept: tuple[int, ...]
    joined: tuple[int, ...]
    base: str
    offset: str
    count: str
    epsilon: str


@dataclass(frozen=True, slots=True)
class ResponseView:
    """What response_norm.h.j2 shows."""

    name: str
    note: str
    rows: int
    channels: int
    before: int
    after: int
    alpha: str
    beta: str
    bias: str


@dataclass(frozen=True, slots=True)
class ResampleView:
    """What resample.h.j2 shows."""

    name: str
    note: str
    place_t: str
    outer: int
    length: int
    count: int
    taps: int
    inner: int


def _nests(
    shape: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[tuple[int, ...], Strides, tuple[int, ...], Strides]:
    """Return sizes and strides of the axes that stay, then of those in `axes`, long ones in parts."""
    strides = contiguous(shape)

    def part(chosen: list[int]) -> tuple[tuple[int, ...], Strides]:
        dims, (walk,) = merge(tuple(shape[i] for i in chosen), [tuple(strides[i] for i in chosen)])
        return dims, walk

    kept, base = part([i for i in range(len(shape)) if i not in axes])
    joined, offset = part(list(axes))
    if joined and (length := part_of(joined[-1])) < joined[-1]:
        joined = (*joined[:-1], joined[-1] // length, length)
        offset = (*offset[:-1], offset[-1] * length, offset[-1])
    return kept, base, joined, offset


def reduce_layer(ctx: Context, layer: Layer, op: Reduce) -> Call:
    """Return the call of a reduction."""
    x = op.inputs[0]
    kept, base, joined, offset = _nests(x.shape, op.axes)
    start, step, result = _REDUCE[op.kind]
    view = ReduceView(
        name=f"reduce_{op.kind.value}_{prod(joined)}",
        note=f"Reduce {op.kind.value}: {x.type} to {op.output.type}.",
        kept=kept, joined=joined, base=index_text(base), offset=index_text(offset, names="j"),
        start=start, step=step, result=result.replace("{n}", f"{float(prod(joined))}f"),
        shifted=op.kind is Reduction.LOG_SUM_EXP,
        summed=op.kind not in {Reduction.MAX, Reduction.MIN, Reduction.PROD},
    )  # fmt: skip
    function = ctx.kernels.add("c/reduce.h.j2", view)
    return Call(layer, function, (ctx.read(x), ctx.write(op.output)), _KIND)


def normalize_layer(ctx: Context, layer: Layer, op: Normalize) -> Call:
    """Return the call of a normalization to mean 0 and variance 1."""
    x = op.inputs[0]
    kept, base, joined, offset = _nests(x.shape, op.axes)
    view = NormalizeView(
        f"normalize_{prod(joined)}", f"Mean 0, variance 1 over axes {op.axes} of {x.type}.",
        kept, joined, index_text(base), index_text(offset, names="j"), f"{float(prod(joined))}f",
        real_literal(op.epsilon),
    )  # fmt: skip
    function = ctx.kernels.add("c/normalize.h.j2", view)
    return Call(layer, function, (ctx.read(x), ctx.write(op.output)), _KIND)


def response_layer(ctx: Context, layer: Layer, op: LocalResponseNorm) -> Call:
    """Return the call of a local response normalization over neighbouring channels."""
    x = op.inputs[0]
    view = ResponseView(
        f"response_norm_{op.size}", f"Local response normalization over {op.size} channels.",
        prod(x.shape[:-1]), x.shape[-1], (op.size - 1) // 2, op.size // 2,
        real_literal(op.alpha / op.size), real_literal(op.beta), real_literal(op.bias),
    )  # fmt: skip
    function = ctx.kernels.add("c/response_norm.h.j2", view)
    return Call(layer, function, (ctx.read(x), ctx.write(op.output)), _KIND)


def resample_layer(ctx: Context, layer: Layer, op: Resample) -> Call:
    """Return the call of a weighted sum of elements along one axis."""
    positions, weights = constants_of(op, ctx)
    x = op.inputs[0]
    at = ctx.tables.add(f"{layer.name}_positions", positions.astype(np.int64), "positions")
    by = ctx.tables.add(f"{layer.name}_shares", weights, "shares", REAL_T)
    view = ResampleView(
        f"resample_{x.shape[op.axis]}_{positions.shape[0]}",
        f"Resample axis {op.axis}: {x.type} to {op.output.type}.",
        at.ctype, prod(x.shape[: op.axis]), x.shape[op.axis], positions.shape[0],
        positions.shape[1], prod(x.shape[op.axis + 1 :]),
    )  # fmt: skip
    function = ctx.kernels.add("c/resample.h.j2", view)
    arguments = (ctx.read(x), at.name, by.name, ctx.write(op.output))
    return Call(layer, function, arguments, _KIND)
