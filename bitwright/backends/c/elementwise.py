"""Integer ops element by element, index maps that must copy, and ArgMax."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.nest import Nest, Strides, broadcast_strides, contiguous, nest_of
from bitwright.backends.c.post import (
    Built,
    Post,
    absorb_constants,
    keep,
    lookup,
    requantize,
    scaled,
    signed_literal,
    steps,
    value_type,
    widths,
)
from bitwright.backends.c.real_post import Stage, finish_of
from bitwright.backends.c.storage import Storage
from bitwright.backends.layers import Layer
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Activation,
    AddInt,
    ArgMax,
    Arithmetic,
    Compare,
    IntArithmetic,
    Lookup,
    MulInt,
    Op,
    Requantize,
    Steps,
    Value,
)

_NOTES = {
    "limit": "thresholds",
    "code": "codes",
    "mul": "multipliers",
    "add": "added before the shift",
}


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that an element is read from: where, and under what name."""

    storage: Storage
    var: str
    pointer: str
    index: str


@dataclass(frozen=True, slots=True)
class ElementwiseView:
    """What elementwise.h.j2 shows: loops, the elements read, what is made of them."""

    name: str
    note: str
    parameters: str
    dims: tuple[int, ...]
    operands: tuple[Operand, ...]
    channel: str
    before: str  # what the operands make of `acc`, unless one of them is it
    post: Post
    after: tuple[Stage, ...]
    result: str
    y: Storage


@dataclass(frozen=True, slots=True)
class ArgMaxView:
    """What argmax.h.j2 shows."""

    name: str
    note: str
    x: Storage
    y: Storage
    outer: int
    length: int
    inner: int


def emit_elementwise(
    ctx: Context, layer: Layer, built: Built, nest: Nest, kind: str, before: str = ""
) -> Call:
    """Return the call of a loop that reads each operand of `nest` and applies `built`.

    What the layer's further ops make of it follows, unless `built` says it all behind `before`.
    """
    y, finish = ctx.storage(layer.output), finish_of(() if before else layer.ops[1:], ctx, "v")
    operands, parameters, arguments = [], [], []
    for operand in nest.operands:
        s = ctx.storage(operand.value)
        operands.append(Operand(s, operand.var, operand.pointer, operand.index))
        parameters.append(f"const {s.ctype} *{operand.pointer}")
        arguments.append(ctx.read(operand.value))
    for param, values in zip(built.post.params, built.tables, strict=True):
        name = f"{layer.name}_{param.name}"
        table = ctx.tables.add(name, values, _NOTES.get(param.name, param.name), param.ctype)
        parameters.append(f"const {table.ctype} *{param.name}")
        arguments.append(table.name)
    parameters.append(f"{y.ctype} *y")
    words = [_word(op) for op in layer.ops]
    view = ElementwiseView(
        name=f"{'_'.join(words)}_{y.size}",
        note=f"{', '.join(words)} of {y.size} elements.",
        parameters=", ".join(parameters),
        dims=nest.dims,
        operands=tuple(operands),
        channel=nest.channel,
        before=before,
        post=built.post,
        after=finish.stages,
        result=finish.result,
        y=y,
    )
    function = ctx.kernels.add("c/elementwise.h.j2", view)
    return Call(layer, function, (*arguments, ctx.write(layer.output)), kind)


def _word(op: Op) -> str:
    """Return what `op` is called in the name of a kernel."""
    return (
        str(op.kind.value)
        if isinstance(op, Activation | Arithmetic | Compare | IntArithmetic)
        else type(op).__name__.lower()
    )


def integer_layer(ctx: Context, layer: Layer) -> Call:
    """Return the call of one integer op that is not fused, or of ArgMax."""
    op = layer.first
    if isinstance(op, ArgMax):
        return _argmax(ctx, layer, op)
    if isinstance(op, AddInt):
        nest = nest_of(op.output.shape, [(v, contiguous(v.shape)) for v in op.inputs])
        return emit_elementwise(ctx, layer, _add(op), nest, "sum of two")
    if isinstance(op, MulInt):
        return _product(ctx, layer, op)
    x = op.inputs[0]
    stride = _last_axis(x)
    built = _post(ctx, op)
    per_channel = any(p.name != "code" or isinstance(op, Steps) for p in built.post.params)
    nest = nest_of(x.shape, [(x, contiguous(x.shape))], stride if per_channel else None)
    return emit_elementwise(ctx, layer, built, nest, "element by element")


def _last_axis(x: Value) -> Strides:
    return tuple(int(i == len(x.shape) - 1) for i in range(len(x.shape)))


def _product(ctx: Context, layer: Layer, op: MulInt) -> Call:
    """Return the call of a product and of the one function that follows it."""
    y = op.output
    built = _post(ctx, layer.last) if len(layer.ops) > 1 else keep(op.elem)
    walks = [(v, broadcast_strides(v.shape, len(y.shape))) for v in op.inputs]
    nest = nest_of(y.shape, walks, _last_axis(y) if built.post.per_channel else None)
    named = zip(nest.operands, ("left", "right"), strict=True)
    nest = replace(nest, operands=tuple(replace(o, var=var) for o, var in named))
    acc_t = value_type(op.elem)
    left, right = (
        f"({acc_t})({var} - {signed_literal(zero)})" if zero else f"({acc_t}){var}"
        for var, zero in (("left", op.zero_a), ("right", op.zero_b))
    )
    before = f"const {acc_t} acc = {left} * {right};"
    return emit_elementwise(ctx, layer, built, nest, "product of two", before)


def _post(ctx: Context, op: Op) -> Built:
    x = op.inputs[0].type.integer
    tables = [ctx.graph.constant(v).astype(np.int64) for v in op.inputs[1:]]
    channels = op.inputs[0].shape[-1] if op.inputs[0].shape else 1
    if isinstance(op, Steps):
        return _steps(op, tables[0], tables[1], channels)
    if isinstance(op, Requantize):
        ends = np.array([x.lo]), np.array([x.hi])
        return requantize(op, tables[0].reshape(-1), tables[1].reshape(-1), ends)
    if isinstance(op, Lookup):
        return lookup(tables[0], x.lo, op.elem)
    raise UnsupportedError(f"{op.loc}: no C kernel for {type(op).__name__}")


def _steps(op: Steps, limits: Array, codes: Array, channels: int) -> Built:
    x = op.inputs[0].type.integer
    limits = np.clip(limits, x.lo, x.hi + 1)
    if limits.shape[1] == 1 and codes.shape[0] > 1:
        limits = np.broadcast_to(limits, (channels, 1))
        lo, hi = np.full(channels, x.lo), np.full(channels, x.hi)
        limits, codes = absorb_constants(limits, codes, lo, hi)
    return steps(limits, codes, op.elem)


def _add(op: AddInt) -> Built:
    a, b = (v.type.integer for v in op.inputs)
    factors = [
        (np.array([mul]), np.array([e.lo]), np.array([e.hi]))
        for mul, e in ((op.mul_a, a), (op.mul_b, b))
    ]
    wide = widths(factors, np.array([op.add]), op)
    t = wide.product
    terms = f"({t})acc * {signed_literal(op.mul_a)} + ({t})other * {signed_literal(op.mul_b)}"
    post = replace(scaled("add", op, wide), expression=f"{terms} + {signed_literal(op.add)}")
    return Built(post)


def _argmax(ctx: Context, layer: Layer, op: ArgMax) -> Call:
    x = op.inputs[0]
    shape = x.shape
    view = ArgMaxView(
        name=f"argmax_{shape[op.axis]}",
        note=f"Index of the greatest of {shape[op.axis]}, the lowest of equals.",
        x=ctx.storage(x),
        y=ctx.storage(op.output),
        outer=prod(shape[: op.axis]),
        length=shape[op.axis],
        inner=prod(shape[op.axis + 1 :]),
    )
    function = ctx.kernels.add("c/argmax.h.j2", view)
    return Call(layer, function, (ctx.read(x), ctx.write(op.output)), "argmax")
