"""IntLinear and the integer function fused with it: choose the kernel, fold the constants."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.dots import Dot, choose_dot
from bitwright.backends.c.post import (
    Built,
    Post,
    absorb_constants,
    keep,
    requantize,
    signed_literal,
    steps,
)
from bitwright.backends.c.storage import Elements, Planes, Storage
from bitwright.backends.layers import Layer
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array
from bitwright.ir.ops import IntLinear, Op, Requantize, Steps

_INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class LinearView:
    """What linear.h.j2 shows: a whole layer."""

    name: str
    note: str
    parameters: str
    rows: int
    outputs: int
    x_step: int
    w_t: str
    step: int  # of one row of weights
    dot: str
    dot_single: str
    dot_t: str
    block: int
    stream: bool
    total: str
    acc_t: str
    accumulator: str
    uses_o: bool
    post: Post
    y: Storage


@dataclass(frozen=True, slots=True)
class Sum:
    """`acc = offset[o] + factor * dot + total_factor * total`, within [lo, hi] by channel."""

    offset: Array
    factor: int
    total_factor: int
    lo: Array
    hi: Array


def linear_layer(ctx: Context, layer: Layer) -> Call:
    """Return the call that computes an IntLinear and what is fused with it."""
    op = layer.first
    if not isinstance(op, IntLinear) or not ctx.graph.is_constant(op.inputs[1]):
        raise UnsupportedError(f"{op.loc}: the weights are not constant")
    if ctx.graph.is_constant(op.inputs[0]):
        raise UnsupportedError(f"{op.loc}: a product of constants is left in the graph")
    weights = ctx.graph.constant(op.inputs[1]).astype(np.int64)
    dot = choose_dot(ctx, op, weights, layer.name)
    total = _sum_of(ctx, op, weights, dot)
    following = layer.ops[1] if len(layer.ops) > 1 else None
    total, built = _fold(ctx, op, following, total)
    return _call(ctx, layer, dot, total, built)


def _sum_of(ctx: Context, op: IntLinear, weights: Array, dot: Dot) -> Sum:
    x = op.inputs[0].type.integer
    ends = weights * x.lo, weights * x.hi
    lo = np.minimum(*ends).sum(axis=1)
    hi = np.maximum(*ends).sum(axis=1)
    bias = np.zeros(weights.shape[0], np.int64)
    for value in op.inputs[2:]:
        bias = ctx.graph.constant(value).astype(np.int64)
    return Sum(dot.k + bias, dot.factor, dot.total_factor, lo + bias, hi + bias)


def _fold(ctx: Context, op: IntLinear, following: Op | None, s: Sum) -> tuple[Sum, Built]:
    """Move the offset, and where it can be the factor, into the parameters of what follows."""
    if isinstance(following, Steps):
        limits, codes = (ctx.graph.constant(v).astype(np.int64) for v in following.inputs[1:])
        return _fold_steps(following, limits, codes, s)
    if isinstance(following, Requantize):
        mul, add = (
            ctx.graph.constant(v).reshape(-1).astype(np.int64) for v in following.inputs[1:]
        )
        return _fold_requantize(following, mul, add, s)
    return s, keep(op.elem)


def _fold_steps(op: Steps, limits: Array, codes: Array, s: Sum) -> tuple[Sum, Built]:
    if limits.shape[1] == 1:
        return _fold_compare(op, limits, codes, s)
    shared = limits.shape[0] == 1
    lo, hi = (s.lo.min(keepdims=True), s.hi.max(keepdims=True)) if shared else (s.lo, s.hi)
    limits = np.clip(limits, lo[:, None], hi[:, None] + 1)
    if shared and not bool((s.offset == s.offset[0]).all()):
        return s, steps(limits, codes, op.elem)
    limits = limits - (s.offset[:1] if shared else s.offset)[:, None]
    return replace(s, offset=np.zeros_like(s.offset)), steps(limits, codes, op.elem)


def _fold_compare(op: Steps, limits: Array, codes: Array, s: Sum) -> tuple[Sum, Built]:
    limits = np.clip(limits, s.lo[:, None], s.hi[:, None] + 1)
    limits, codes = absorb_constants(limits, codes, s.lo, s.hi)
    limits = limits - s.offset[:, None]
    zero = np.zeros_like(s.offset)
    if s.total_factor:
        return replace(s, offset=zero), steps(limits, codes, op.elem)
    plain = replace(s, offset=zero, factor=1)
    if s.factor > 0:
        return plain, steps(-(-limits // s.factor), codes, op.elem)
    most = np.maximum(limits // s.factor + 1, 0)  # acc >= t is dot < t / factor + 1
    return plain, steps(most, codes, op.elem, op="<")


def _fold_requantize(op: Requantize, mul: Array, add: Array, s: Sum) -> tuple[Sum, Built]:
    zero = np.zeros_like(s.offset)
    lo, hi = s.lo - s.offset, s.hi - s.offset
    add = add + mul * s.offset
    if s.total_factor:
        return replace(s, offset=zero), requantize(op, mul, add, (lo, hi))
    # |dot| is at most |factor * dot|, so the bounds of the product still hold
    reach = np.maximum(np.abs(lo), np.abs(hi)) // abs(s.factor) + 1
    inner = replace(s, offset=zero, factor=1)
    return inner, requantize(op, mul * s.factor, add, (-reach, reach))


def _call(ctx: Context, layer: Layer, dot: Dot, s: Sum, built: Built) -> Call:
    op, y = layer.first, ctx.storage(layer.output)
    x = ctx.storage(op.inputs[0])
    acc_t = _acc_type(s, dot)
    parameters = [f"const {x.ctype} *x", f"const {dot.weights.ctype} *w"]
    arguments = [ctx.read(op.inputs[0]), dot.weights.name]
    pieces: list[str] = []
    if bool((s.offset == s.offset[0]).all()):
        if s.offset[0]:
            pieces.append(signed_literal(int(s.offset[0])))
    else:
        table = ctx.tables.add(f"{layer.name}_offset", s.offset, "added to each output")
        parameters.append(f"const {table.ctype} *offset")
        arguments.append(table.name)
        pieces.append("offset[o]")
    pieces += _products(s, acc_t)
    for param, values in zip(built.post.params, built.tables, strict=True):
        table = ctx.tables.add(
            f"{layer.name}_{param.name}", values, _NOTES[param.name], param.ctype
        )
        parameters.append(f"const {table.ctype} *{param.name}")
        arguments.append(table.name)
    parameters.append(f"{y.ctype} *y")
    shape = op.inputs[0].shape
    view = LinearView(
        name=f"linear_{dot.hint}_{shape[-1]}x{op.output.shape[-1]}",
        note=_note(layer, dot),
        parameters=", ".join(parameters),
        rows=prod(shape[:-1]),
        outputs=op.output.shape[-1],
        x_step=shape[-1] // x.word if isinstance(x, Planes) else shape[-1],
        w_t=dot.weights.ctype,
        step=dot.step,
        dot=dot.function,
        dot_single=dot.single,
        dot_t=dot.dot_t,
        block=dot.block,
        stream=dot.stream,
        total=dot.total if s.total_factor else "",
        acc_t=acc_t,
        accumulator=" + ".join(pieces).replace("+ -", "- "),
        uses_o=isinstance(y, Elements) or "[o]" in " ".join(pieces) or built.post.per_channel,
        post=built.post,
        y=y,
    )
    function = ctx.kernels.add("c/linear.h.j2", view)
    return Call(layer, function, (*arguments, ctx.write(layer.output)), dot.kind)


def _products(s: Sum, acc_t: str) -> list[str]:
    out = []
    if s.total_factor:
        out.append("-total" if s.total_factor < 0 else "total")
    times = {1: "", -1: "-"}.get(s.factor, f"{s.factor} * ")
    return [*out, f"{times}({acc_t})dot"]


def _acc_type(s: Sum, dot: Dot) -> str:
    """Return the type that holds every partial result of the accumulator."""
    reach = max(int(np.abs(s.lo).max()), int(np.abs(s.hi).max())) + int(np.abs(s.offset).max())
    return "int32_t" if 2 * dot.most + reach <= _INT32_MAX else "int64_t"


def _note(layer: Layer, dot: Dot) -> str:
    x, y = layer.first.inputs[0], layer.output
    return f"{x.shape[-1]} inputs, {y.shape[-1]} outputs: {dot.kind}."


_NOTES = {
    "limit": "thresholds",
    "code": "codes",
    "mul": "multipliers",
    "add": "added before the shift",
}
