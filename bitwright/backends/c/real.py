"""Real ops in float32, for what stays real in the model."""

from dataclasses import dataclass
from functools import singledispatch
from math import prod

import numpy as np

from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.elementwise import emit_elementwise, integer_layer
from bitwright.backends.c.nest import Strides, broadcast_strides, nest_of
from bitwright.backends.c.post import Built, Param, Post, signed_literal, value_type
from bitwright.backends.c.scalar import activation, arithmetic, rounded
from bitwright.backends.c.storage import REAL_T, Storage
from bitwright.backends.c.tables import real_literal
from bitwright.backends.layers import Layer
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Activation,
    ArgMax,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    CountThresholds,
    Dequantize,
    Linear,
    Op,
    Permute,
    PRelu,
    Quantize,
    Reshape,
    Rounding,
    Sign,
    Softmax,
    Transpose,
    Value,
)
from bitwright.ir.types import Real

_BLOCK = 4
_MOVING = (Reshape, Transpose, Permute, ArgMax)
_KIND = "float32"


@dataclass(frozen=True, slots=True)
class RealLinearView:
    """What real_linear.h.j2 shows."""

    name: str
    note: str
    parameters: str
    x: Storage
    rows: int
    inputs: int
    outputs: int
    block: int
    bias: bool


@dataclass(frozen=True, slots=True)
class SoftmaxView:
    """What softmax.h.j2 shows."""

    name: str
    note: str
    outer: int
    middle: int
    inner: int
    log: bool


def is_real_op(op: Op) -> bool:
    """Tell whether `op` reads or makes reals."""
    return isinstance(op.output.elem, Real) or isinstance(op.inputs[0].elem, Real)


def real_layer(ctx: Context, layer: Layer) -> Call:
    """Return the call of one op that reads or makes reals."""
    op = layer.first
    if isinstance(op, _MOVING):
        return integer_layer(ctx, layer)
    if isinstance(op, Linear):
        return _linear(ctx, layer, op)
    if isinstance(op, Softmax):
        return _softmax(ctx, layer, op)
    built = post_of(op, ctx)
    nest = nest_of(op.output.shape, _operands(op), _channel(op))
    return emit_elementwise(ctx, layer, built, nest, _KIND)


def _operands(op: Op) -> list[tuple[Value, Strides]]:
    rank = len(op.output.shape)
    values = op.inputs if isinstance(op, Arithmetic | PRelu) else op.inputs[:1]
    return [(v, broadcast_strides(v.shape, rank)) for v in values]


def _channel(op: Op) -> Strides | None:
    """Return the strides of the parameters that lie along one axis."""
    if not isinstance(op, BatchNorm | Quantize | Dequantize | CountThresholds):
        return None
    rank = len(op.output.shape)
    return tuple(int(i == op.axis % rank) for i in range(rank)) if rank else ()


def _constants(op: Op, ctx: Context) -> list[Array]:
    for v in op.inputs[1:]:
        if not ctx.graph.is_constant(v):
            raise UnsupportedError(f"{op.loc}: {v.name!r} is not constant")
    return [ctx.graph.constant(v) for v in op.inputs[1:]]


def _as_float(op: Op) -> str:
    return "acc" if isinstance(op.inputs[0].elem, Real) else "(float)acc"


@singledispatch
def post_of(op: Op, ctx: Context) -> Built:
    """Return what an element-by-element op makes of `acc` (and `other`)."""
    del ctx
    raise UnsupportedError(f"{op.loc}: no C kernel for {type(op).__name__}")


def _plain(expression: str, value_t: str = REAL_T) -> Built:
    return Built(Post("expression", value_t, expression=expression))


@post_of.register
def _(op: Arithmetic, _ctx: Context) -> Built:
    a, b = (f"{name}" if isinstance(v.elem, Real) else f"(float){name}"
            for v, name in zip(op.inputs, ("acc", "other"), strict=True))  # fmt: skip
    return _plain(arithmetic(op.kind, a, b))


@post_of.register
def _(op: Activation, _ctx: Context) -> Built:
    return _plain(activation(op.kind, _as_float(op), op.alpha, op.beta))


@post_of.register
def _(op: PRelu, _ctx: Context) -> Built:
    del op
    return _plain("acc < 0.0f ? acc * other : acc")


@post_of.register
def _(op: Clip, _ctx: Context) -> Built:
    lo, hi = real_literal(op.lo), real_literal(op.hi)
    return _plain(f"fminf(fmaxf({_as_float(op)}, {lo}), {hi})")


@post_of.register
def _(op: BatchNorm, ctx: Context) -> Built:
    gamma, beta, mean, var = (c.astype(np.float64) for c in _constants(op, ctx))
    with np.errstate(all="ignore"):
        factor = gamma / np.sqrt(var + op.epsilon)
    params = tuple(Param(name, REAL_T) for name in ("mean", "factor", "shift"))
    post = Post(
        "expression", REAL_T, params, expression="(acc - mean[{c}]) * factor[{c}] + shift[{c}]"
    )
    return Built(post, (mean, factor, beta))


@post_of.register
def _(op: Binarize, _ctx: Context) -> Built:
    del op
    return _plain("acc >= 0.0f ? 1 : -1", "int32_t")


@post_of.register
def _(op: Sign, _ctx: Context) -> Built:
    del op
    return _plain("(acc > 0.0f ? 1 : 0) - (acc < 0.0f ? 1 : 0)", "int32_t")


@post_of.register
def _(op: CountThresholds, ctx: Context) -> Built:
    (limits,) = _constants(op, ctx)
    count = limits.shape[1]
    post = Post(
        "steps", "int32_t", (Param("limit", REAL_T),), count,
        shared_limits=limits.shape[0] == 1, low="0", op="+",
    )  # fmt: skip
    return Built(post, (limits,))


@post_of.register
def _(op: Quantize, ctx: Context) -> Built:
    scale, zero = (c.reshape(-1).astype(np.float64) for c in _constants(op, ctx))
    params, tables = _scales(scale, zero)
    value_t = value_type(op.elem)
    near = op.rounding in {Rounding.HALF_EVEN, Rounding.FLOOR, Rounding.CEIL}
    parity = np.unique(zero % 2)
    if near and parity.size == 1 and parity[0] in {0, 1}:
        # an integer zero is added after rounding: before, float32 would round once more
        lo, hi = (f"({real_literal(end)} - ZERO)" for end in (op.elem.lo, op.elem.hi))
        value = f"fminf(fmaxf(acc / SCALE, {lo}), {hi})"
        odd = op.rounding is Rounding.HALF_EVEN and parity[0] == 1
        text = f"({value_t})({rounded(op.rounding, 't', ties_to_odd=odd)} + ZERO)"
    else:
        lo, hi = real_literal(op.elem.lo), real_literal(op.elem.hi)
        value = f"fminf(fmaxf(acc / SCALE + ZERO, {lo}), {hi})"
        text = f"({value_t}){rounded(op.rounding, 't')}"
    value, text = (_filled(s, scale, zero) for s in (value, text))
    return Built(Post("rounded", value_t, params, low=value, expression=text), tables)


@post_of.register
def _(op: Dequantize, ctx: Context) -> Built:
    scale, zero = (c.reshape(-1).astype(np.float64) for c in _constants(op, ctx))
    params, tables = _scales(scale, zero)
    whole = zero.size == 1 and float(zero[0]).is_integer()
    offset = f"(acc - {signed_literal(int(zero[0]))})" if whole else "((float)acc - ZERO)"
    text = _filled(f"(float){offset} * SCALE", scale, zero)
    return Built(Post("expression", REAL_T, params, expression=text), tables)


def _scales(scale: Array, zero: Array) -> tuple[tuple[Param, ...], tuple[Array, ...]]:
    """Return the tables of parameters that differ by channel."""
    named = [(n, a) for n, a in (("scale", scale), ("zero", zero)) if a.size > 1]
    return tuple(Param(n, REAL_T) for n, _ in named), tuple(a for _, a in named)


def _filled(text: str, scale: Array, zero: Array) -> str:
    for word, a in (("SCALE", scale), ("ZERO", zero)):
        single = f"({real_literal(float(a[0]))})" if a.size == 1 else f"{word.lower()}[{{c}}]"
        text = text.replace(word, single)
    return text


def _linear(ctx: Context, layer: Layer, op: Linear) -> Call:
    w, *bias = _constants(op, ctx)
    x = op.inputs[0]
    outputs, inputs = w.shape
    whole = outputs - outputs % _BLOCK
    blocked = w[:whole].reshape(-1, _BLOCK, inputs).transpose(0, 2, 1).reshape(-1)
    order = np.concatenate([blocked, w[whole:].reshape(-1)])
    weights = ctx.tables.add(
        f"{layer.name}_weights", order, "weights, four rows interleaved", REAL_T
    )
    parameters = [f"const {ctx.storage(x).ctype} *x", "const float *w"]
    arguments = [ctx.read(x), weights.name]
    if bias:
        arguments.append(ctx.tables.add(f"{layer.name}_bias", bias[0], "bias", REAL_T).name)
        parameters.append("const float *bias")
    view = RealLinearView(
        name=f"real_linear_{inputs}x{outputs}",
        note=f"{inputs} inputs, {outputs} outputs.",
        parameters=", ".join([*parameters, "float *y"]),
        x=ctx.storage(x),
        rows=prod(x.shape[:-1]),
        inputs=inputs,
        outputs=outputs,
        block=_BLOCK,
        bias=bool(bias),
    )
    function = ctx.kernels.add("c/real_linear.h.j2", view)
    return Call(layer, function, (*arguments, ctx.write(op.output)), _KIND)


def _softmax(ctx: Context, layer: Layer, op: Softmax) -> Call:
    x = op.inputs[0]
    shape = x.shape
    view = SoftmaxView(
        name=f"softmax_{prod(shape[op.axis : op.end])}",
        note="Logarithm of the softmax." if op.log else "Softmax.",
        outer=prod(shape[: op.axis]),
        middle=prod(shape[op.axis : op.end]),
        inner=prod(shape[op.end :]),
        log=op.log,
    )
    function = ctx.kernels.add("c/softmax.h.j2", view)
    return Call(layer, function, (ctx.read(x), ctx.write(op.output)), _KIND)
