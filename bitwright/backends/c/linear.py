"""IntLinear and the integer function fused with it: choose the kernel, fold the constants."""

from dataclasses import dataclass
from math import prod

import numpy as np

from bitwright.backends.c.blocked import Blocked, blocked_layer
from bitwright.backends.c.context import Call, Context, Flash
from bitwright.backends.c.decode import add_tables, stream_dot
from bitwright.backends.c.dots import Dot, Source, Weights, choose_dot, dense_dot, source_of
from bitwright.backends.c.patch import Axis
from bitwright.backends.c.popcount import Bits
from bitwright.backends.c.post import Built
from bitwright.backends.c.row import RowBody, Signature, Target, row_body
from bitwright.backends.c.storage import Planes, Storage
from bitwright.backends.c.stored import (
    Sources,
    Stored,
    choose_stored,
    flash_of,
    may_be_coded,
)
from bitwright.backends.c.sums import Sum, fold, following
from bitwright.backends.c.window_kernel import Positions
from bitwright.backends.layers import Layer
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array
from bitwright.ir.ops import IntConv, IntLinear, Op


@dataclass(frozen=True, slots=True)
class LinearView:
    """What linear.h.j2 shows: a whole layer."""

    name: str
    note: str
    parameters: str
    rows_of_x: int
    x_step: int
    y_step: int
    body: RowBody


def linear_layer(ctx: Context, layer: Layer, op: IntLinear | IntConv) -> Call:
    """Return the call that computes an IntLinear, or a convolution of one tap, and what follows."""
    weights = constant_weights(ctx, op)
    weights = weights.reshape(weights.shape[0], -1)
    x, inputs = ctx.storage(op.inputs[0]), weights.shape[1]
    bits = _bits(x, inputs) if isinstance(x, Planes) else None
    rows = Weights(weights, op.encoding, weights.shape[0], f"{layer.name}_weights")
    source = source_of(op.inputs[0].type.integer, x.ctype, bits)
    sources = Sources(source, source, prod(op.inputs[0].shape[:-1]))
    stored = choose_stored(ctx, layer.name, sources, rows) if may_be_coded(x, op.encoding) else None
    if stored and stored.blocked:
        return _blocked(ctx, layer, op, Kernel(source, rows, stored))
    dot = stream_dot(ctx, source, rows, stored) if stored else choose_dot(ctx, source, rows)
    folded = _folded(ctx, layer, op, (weights, dot))
    return _call(ctx, layer, dot, folded, flash_of(rows, dot.weights, stored))


@dataclass(frozen=True, slots=True)
class Kernel:
    """Coded weights, and the row of inputs that they are for."""

    source: Source
    rows: Weights
    stored: Stored


def _folded(
    ctx: Context, layer: Layer, op: IntLinear | IntConv, summed: tuple[Array, Dot]
) -> tuple[Sum, Built]:
    after = layer.ops[1] if len(layer.ops) > 1 else None
    s = sum_of(ctx, op, *summed)
    return fold(following(after, tables_of(ctx, after)), s, op.elem)


def _blocked(ctx: Context, layer: Layer, op: IntLinear | IntConv, k: Kernel) -> Call:
    x, y, shape = ctx.storage(op.inputs[0]), ctx.storage(layer.output), op.inputs[0].shape
    decoder = add_tables(ctx, k.rows, k.stored)
    dot = dense_dot(ctx, k.source, k.rows, decoder.table)
    step, pixels = row_objects(x, shape[-1]), prod(shape[:-1])
    axis = Axis(pixels, pixels, 1, 1, 0, 1, step)
    outputs = op.output.shape[-1]
    b = Blocked(
        stored=k.stored,
        decoder=decoder,
        dot=dot,
        folded=_folded(ctx, layer, op, (k.rows.values, dot)),
        where=Positions(1, (axis,), 0, x.ctype, "", 0, "", f"i0 * {step}", ""),
        target=Target(y, outputs),
        groups=1,
        group_step=0,
        y_step=row_objects(y, outputs) if isinstance(y, Planes) else ctx.pitch(layer.output),
        posts=Signature(),
        flash=flash_of(k.rows, decoder.table, k.stored),
    )
    return blocked_layer(ctx, layer, b, f"{dot.hint}_{shape[-1]}x{outputs}")


def constant_weights(ctx: Context, op: Op) -> Array:
    """Return the weights of `op` as int64; UnsupportedError where an operand is no such thing."""
    if not ctx.graph.is_constant(op.inputs[1]):
        raise UnsupportedError(f"{op.loc}: the weights are not constant")
    if ctx.graph.is_constant(op.inputs[0]):
        raise UnsupportedError(f"{op.loc}: a product of constants is left in the graph")
    return ctx.graph.constant(op.inputs[1]).astype(np.int64)


def tables_of(ctx: Context, op: Op | None) -> tuple[Array, ...]:
    """Return the constants of what follows a sum."""
    return (
        () if op is None else tuple(ctx.graph.constant(v).astype(np.int64) for v in op.inputs[1:])
    )


def bias_of(ctx: Context, op: Op, outputs: int) -> Array:
    """Return the bias of `op`, zeros where it has none."""
    for value in op.inputs[2:]:
        return ctx.graph.constant(value).astype(np.int64)
    return np.zeros(outputs, np.int64)


def sum_of(ctx: Context, op: Op, weights: Array, dot: Dot, pad: int | None = None) -> Sum:
    """Return the sum of `weights` (outputs, inputs) times inputs or the code `pad`."""
    x = op.inputs[0].type.integer
    least, most = (x.lo, x.hi) if pad is None else (min(x.lo, pad), max(x.hi, pad))
    ends = weights * least, weights * most
    bias = bias_of(ctx, op, weights.shape[0])
    lo = np.minimum(*ends).sum(axis=1) + bias
    hi = np.maximum(*ends).sum(axis=1) + bias
    return Sum(dot.k + bias, dot.factor, dot.total_factor, lo, hi)


def _bits(x: Planes, inputs: int) -> Bits:
    row = Planes(x.role, x.planes, inputs, x.word, x.columns)
    return Bits(row, x.words)


def _call(ctx: Context, layer: Layer, dot: Dot, folded: tuple[Sum, Built], flash: Flash) -> Call:
    op, y = layer.first, ctx.storage(layer.output)
    x, shape = ctx.storage(op.inputs[0]), op.inputs[0].shape
    inputs, outputs = shape[-1], op.output.shape[-1]
    signature = Signature()
    signature.add(x.ctype, "x", ctx.read(op.inputs[0]))
    signature.add(dot.weights.ctype, "w", dot.weights.name)
    body = row_body(ctx, signature, layer.name, dot, folded, Target(y, outputs))
    view = LinearView(
        name=f"linear_{dot.hint}_{inputs}x{outputs}",
        note=f"{inputs} inputs, {outputs} outputs: {dot.kind}.",
        parameters=signature.text(y.ctype),
        rows_of_x=prod(shape[:-1]),
        x_step=row_objects(x, inputs),
        y_step=row_objects(y, outputs) if isinstance(y, Planes) else ctx.pitch(layer.output),
        body=body,
    )
    function = ctx.kernels.add("c/linear.h.j2", view)
    arguments = (*signature.arguments, ctx.write(layer.output))
    return Call(layer, function, arguments, dot.kind, flash)


def row_objects(s: Storage, elements: int) -> int:
    """Return how many C objects of one plane lie between rows of `elements`."""
    if not isinstance(s, Planes):
        return elements
    return elements // s.columns * s.row_words if s.columns else elements // s.word
