"""What real element-by-element ops make of an accumulator, as C expressions in float32."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import singledispatch

import numpy as np

from bitwright.backends.c.context import Context
from bitwright.backends.c.nest import Strides, broadcast_strides
from bitwright.backends.c.post import Built, Param, Post, signed_literal, value_type
from bitwright.backends.c.scalar import activation, arithmetic, rounded
from bitwright.backends.c.storage import REAL_T
from bitwright.backends.c.tables import real_literal
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Activation,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    CountThresholds,
    Dequantize,
    Op,
    PRelu,
    Quantize,
    Rounding,
    Sign,
    Value,
)
from bitwright.ir.types import Real


def operands_of(op: Op) -> list[tuple[Value, Strides]]:
    """Return the tensors that `op` reads for each element, and their strides."""
    rank = len(op.output.shape)
    values = op.inputs if isinstance(op, Arithmetic | PRelu) else op.inputs[:1]
    return [(v, broadcast_strides(v.shape, rank)) for v in values]


def channel_of(op: Op) -> Strides | None:
    """Return the strides of the parameters that lie along one axis."""
    if not isinstance(op, BatchNorm | Quantize | Dequantize | CountThresholds):
        return None
    rank = len(op.output.shape)
    return tuple(int(i == op.axis % rank) for i in range(rank)) if rank else ()


def constants_of(op: Op, ctx: Context) -> list[Array]:
    """Return the operands after the first; UnsupportedError when one is not constant."""
    for v in op.inputs[1:]:
        if not ctx.graph.is_constant(v):
            raise UnsupportedError(f"{op.loc}: {v.name!r} is not constant")
    return [ctx.graph.constant(v) for v in op.inputs[1:]]


@dataclass(frozen=True, slots=True)
class Stage:
    """One declaration `const float name = expression;`, `{c}` standing for the channel."""

    name: str
    expression: str

    def at(self, c: str) -> str:
        """Return the expression for channel `c`."""
        return self.expression.replace("{c}", c)


@dataclass(frozen=True, slots=True)
class Finish:
    """What follows a sum `acc`: stages up to the value `result`, and the tables they read."""

    stages: tuple[Stage, ...]
    result: str
    params: tuple[Param, ...]
    tables: tuple[Array, ...] = field(compare=False)


def finish_of(ops: Sequence[Op], ctx: Context, result: str = "acc") -> Finish:
    """Return what the unary `ops`, real and one after the other, make of the value `result`."""
    shift = int(result == "v")
    stages: list[Stage] = []
    params: list[Param] = []
    tables: list[Array] = []
    for n, op in enumerate(ops):
        built = _slopes(op, ctx) if isinstance(op, PRelu) else post_of(op, ctx)
        text = re.sub(r"\bacc\b", result, built.post.expression)
        for param, table in zip(built.post.params, built.tables, strict=True):
            name = f"{param.name}{n or ''}"
            text = re.sub(rf"\b{param.name}\[", f"{name}[", text)
            params.append(replace(param, name=name))
            tables.append(table)
        result = f"v{n + shift or ''}"
        stages.append(Stage(result, text))
    return Finish(tuple(stages), result, tuple(params), tuple(tables))


def _slopes(op: PRelu, ctx: Context) -> Built:
    """Return PRelu whose slope is one number or lies along the last axis."""
    (slope,) = constants_of(op, ctx)
    if slope.size == 1:
        text = f"({real_literal(float(slope.reshape(-1)[0]))})"
        return _plain(f"acc < 0.0f ? acc * {text} : acc")
    post = Post(
        "expression", REAL_T, (Param("slope", REAL_T),),
        expression="acc < 0.0f ? acc * slope[{c}] : acc",
    )  # fmt: skip
    return Built(post, (slope,))


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
    gamma, beta, mean, var = (c.astype(np.float64) for c in constants_of(op, ctx))
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
    (limits,) = constants_of(op, ctx)
    count = limits.shape[1]
    post = Post(
        "steps", "int32_t", (Param("limit", REAL_T),), count,
        shared_limits=limits.shape[0] == 1, low="0", op="+",
    )  # fmt: skip
    return Built(post, (limits,))


@post_of.register
def _(op: Quantize, ctx: Context) -> Built:
    scale, zero = (c.reshape(-1).astype(np.float64) for c in constants_of(op, ctx))
    params, tables = _scales(scale, zero)
    value_t = value_type(op.elem)
    near = op.rounding in {Rounding.HALF_EVEN, Rounding.FLOOR, Rounding.CEIL}
    parity = np.unique(zero % 2)
    whole = bool(np.isin(parity, (0, 1)).all())
    if whole and (op.zero_after or (near and parity.size == 1)):
        # an integer zero is added after rounding: before, float32 would round once more
        lo, hi = (f"({real_literal(end)} - ZERO)" for end in (op.elem.lo, op.elem.hi))
        value = f"fminf(fmaxf(acc / SCALE, {lo}), {hi})"
        odd = op.rounding is Rounding.HALF_EVEN and parity[0] == 1 and not op.zero_after
        text = f"({value_t})({rounded(op.rounding, 't', ties_to_odd=odd)} + ZERO)"
    else:
        lo, hi = real_literal(op.elem.lo), real_literal(op.elem.hi)
        value = f"fminf(fmaxf(acc / SCALE + ZERO, {lo}), {hi})"
        text = f"({value_t}){rounded(op.rounding, 't')}"
    value, text = (_filled(s, scale, zero) for s in (value, text))
    return Built(Post("rounded", value_t, params, low=value, expression=text), tables)


@post_of.register
def _(op: Dequantize, ctx: Context) -> Built:
    scale, zero = (c.reshape(-1).astype(np.float64) for c in constants_of(op, ctx))
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
