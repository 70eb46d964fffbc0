"""Element by element: two operands or more, PRelu, Clip."""

from math import inf, isnan

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context, per_axis
from bitwright.frontend.importers import integers
from bitwright.frontend.importers.signs import as_sign
from bitwright.frontend.messages import Refusal, show
from bitwright.frontend.node import Node
from bitwright.ir.ops import Arith, Arithmetic, Clip, Dequantize, PRelu, Value
from bitwright.ir.types import Real

_KINDS = {
    "Add": Arith.ADD,
    "Sub": Arith.SUB,
    "Mul": Arith.MUL,
    "Div": Arith.DIV,
    "Min": Arith.MIN,
    "Max": Arith.MAX,
    "Sum": Arith.ADD,
    "Mean": Arith.ADD,
}


def binary(ctx: Context, node: Node) -> Value:
    """Import Add, Sub, Mul, Div of two tensors, either of which may be constant."""
    if integers.all_integers(ctx, node):
        return integers.arithmetic(ctx, node)
    a, b = ctx.real(node, 0), ctx.real(node, 1)
    _check_batch(ctx, (a, b))
    kind = _KINDS[node.op_type]
    if kind is Arith.MUL:
        rescaled = _rescaled(ctx, node, a, b) or _rescaled(ctx, node, b, a)
        if rescaled is not None:
            return rescaled
    found = as_sign(ctx, node, kind, (a, b))
    return ctx.emit(Arithmetic, (a, b), node, kind=kind) if found is None else found


def _rescaled(ctx: Context, node: Node, q: Value, factor: Value) -> Value | None:
    """Return quantized constants times a constant as the same codes with another scale."""
    op = ctx.producer(q)
    c = ctx.builder.constants.get(factor.name)
    if not isinstance(op, Dequantize) or op.inputs[0].name not in ctx.builder.constants:
        return None
    if c is None or max(c.ndim, 1) > max(len(q.shape), 1):
        return None
    codes, scale, zero = op.inputs
    by, axis = per_axis(c, q.shape, show(factor.name))
    numbers = ctx.builder.constants[scale.name]
    lone = max(scale.type.size, zero.type.size) == 1
    if by.ndim and not lone and axis != op.axis % len(q.shape):
        raise Refusal("it scales a quantized constant along another axis than its quantizer does")
    product = ctx.constant(f"{node.out}.scale", numbers * by)
    return ctx.emit(Dequantize, (codes, product, zero), node, axis=axis if by.ndim else op.axis)


def variadic(ctx: Context, node: Node, name: str = "") -> Value:
    """Import Min, Max, Sum of any number of tensors as a chain, the last result under a part name."""
    if integers.all_integers(ctx, node):
        return integers.arithmetic(ctx, node)
    values = [ctx.real(node, i) for i in range(len(node.inputs))]
    if len(values) == 1:
        return values[0]
    _check_batch(ctx, tuple(values))
    y, last = values[0], len(values) - 1
    for i, v in enumerate(values[1:], 1):
        part = name if i == last else f"part{i}"
        y = ctx.emit(Arithmetic, (y, v), node, part, kind=_KINDS[node.op_type])
    return y


def power(ctx: Context, node: Node) -> Value:
    """Import Pow; the exponent may be an integer constant."""
    x = ctx.real(node, 0)
    exponent = ctx.value(node, 1)
    numbers = ctx.folded(exponent)
    if not isinstance(exponent.elem, Real):
        exponent = (
            integers.as_reals(ctx, node, exponent, "exponent")
            if numbers is None
            else ctx.constant(f"{node.inputs[1]}.real", numbers.astype(np.float32))
        )
    return ctx.emit(Arithmetic, (x, exponent), node, kind=Arith.POW)


def prelu(ctx: Context, node: Node) -> Value:
    """Import PRelu with a constant slope."""
    x = ctx.real(node, 0)
    slope = ctx.constant(f"{node.inputs[1]}.slope", ctx.array(node, 1).astype(np.float32))
    return ctx.emit(PRelu, (x, slope), node)


def clip(ctx: Context, node: Node) -> Value:
    """Import Clip, its bounds attributes (before version 11) or constant inputs."""
    if integers.all_integers(ctx, node):
        return integers.clip(ctx, node)
    x = ctx.real(node, 0)
    lo = ctx.scalar(node, 1) if node.has_input(1) else node.real("min", -inf)
    hi = ctx.scalar(node, 2) if node.has_input(2) else node.real("max", inf)
    if isnan(lo) or isnan(hi):
        raise CompileError(f"{node.loc}: a bound of Clip is not a number")
    return ctx.emit(Clip, (x,), node, lo=lo, hi=hi)


def _check_batch(ctx: Context, values: tuple[Value, ...]) -> None:
    """Refuse a constant that holds one row per sample of a fixed batch."""
    rank = max(len(v.shape) for v in values)
    for v in values:
        rows = v.shape[0] if len(v.shape) == rank > 1 else 1
        constant = v.name in ctx.builder.constants
        others = [o for o in values if o is not v and len(o.shape) == rank]
        if (
            ctx.batch > 1
            and constant
            and rows == ctx.batch
            and any(o.shape[0] == 1 for o in others)
        ):
            raise Refusal(
                f"its constant {show(v.name)} holds one row for each of {ctx.batch} samples",
                "export the model with a batch of 1",
            )
