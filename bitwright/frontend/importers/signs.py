"""Signs and comparisons: the many spellings of a binary activation."""

import numpy as np

from bitwright.frontend.context import Comparison, Context, Operand
from bitwright.frontend.importers.integers import all_integers, compared, select
from bitwright.frontend.node import Node
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Arith,
    Arithmetic,
    Binarize,
    CountThresholds,
    Dequantize,
    Op,
    Order,
    Sign,
    Value,
)
from bitwright.ir.types import Real

Operands = tuple[Value, Value]
Step = tuple[Arith, Operands]
_LONGEST = 4  # steps between a comparison and the +-1 made of it


def sign(ctx: Context, node: Node) -> Value:
    """Import Sign; `Sign(Sign(x) + c)` with 0 < c < 1 is a sign that takes 0 to +1."""
    x = ctx.real(node, 0)
    inner = _inner_sign(ctx, x)
    if inner is not None:
        codes = ctx.emit(Binarize, (inner,), node, "codes")
    else:
        codes = ctx.emit(Sign, (x,), node, "codes")
    return levels(ctx, node, codes, (1.0, 0.0))


def _inner_sign(ctx: Context, x: Value) -> Value | None:
    """Return y where x is `Sign(y) + c` with 0 < c < 1."""
    add = ctx.producer(x)
    if not isinstance(add, Arithmetic) or add.kind not in {Arith.ADD, Arith.SUB}:
        return None
    a, b = add.inputs
    c = ctx.folded(b)
    if c is None and add.kind is Arith.ADD:
        a, c = b, ctx.folded(a)
    if c is None or c.size != 1:
        return None
    offset = float(c.reshape(())) * (1 if add.kind is Arith.ADD else -1)
    dequantize = ctx.producer(a)
    source = ctx.producer(dequantize.inputs[0]) if isinstance(dequantize, Dequantize) else None
    found = isinstance(source, Sign) and 0 < offset < 1 and add.output.shape == a.shape
    return source.inputs[0] if found and source is not None else None


def comparison(ctx: Context, node: Node) -> Operand:
    """Import a comparison; of reals as a difference that is not negative, or the negation of that."""
    if all_integers(ctx, node):
        return compared(ctx, node)
    a, b = ctx.real(node, 0), ctx.real(node, 1)
    if node.op_type in {"LessOrEqual", "Greater"}:  # a <= b is b - a >= 0; a > b is its negation
        a, b = b, a
    zero = ctx.folded(b)
    if zero is not None and zero.size == 1 and not zero.any() and len(b.shape) <= len(a.shape):
        difference = a
    else:
        difference = ctx.emit(Arithmetic, (a, b), node, "difference", kind=Arith.SUB)
    if node.op_type in {"Less", "Greater"}:
        return Comparison(difference, Order.LESS, (a, b), negated=True)
    return Comparison(difference, Order.LESS_EQUAL, (b, a))


def where(ctx: Context, node: Node) -> Value:
    """Import Where; of a comparison and two numbers it is a binary activation."""
    condition = ctx.get(node, 0)
    high, low = _number(ctx, node, 1), _number(ctx, node, 2)
    if not isinstance(condition, Comparison) or high is None or low is None:
        return select(ctx, node)
    if condition.negated:
        high, low = low, high
    d = condition.difference
    if high == -low != 0:
        return levels(ctx, node, ctx.emit(Binarize, (d,), node, "codes"), (high, 0.0))
    return levels(ctx, node, _reached(ctx, node, d), (high - low, low))


def cast_comparison(ctx: Context, node: Node, condition: Comparison) -> Value:
    """Import Cast of a comparison: 1 where it holds, else 0."""
    codes = _reached(ctx, node, condition.difference)
    return levels(ctx, node, codes, (-1.0, 1.0) if condition.negated else (1.0, 0.0))


def _reached(ctx: Context, node: Node, difference: Value) -> Value:
    zero = ctx.constant(f"{node.out}.level", np.zeros((1, 1), np.float32))
    axis = max(len(difference.shape) - 1, 0)
    return ctx.emit(CountThresholds, (difference, zero), node, "codes", axis=axis)


def _number(ctx: Context, node: Node, index: int) -> float | None:
    """Return the one real number that an operand repeats; None where it is no such constant."""
    value = ctx.value(node, index)
    a = ctx.folded(value)
    if a is None or not isinstance(value.elem, Real) or not a.size or (a != a.flat[0]).any():
        return None
    return float(a.flat[0])


def levels(ctx: Context, node: Node, codes: Value, affine: tuple[float, float]) -> Value:
    """Return `scale * codes + bias`: as a zero point where that is exact, else by an addition."""
    scale, bias = affine
    zero = -bias / scale if scale else 0.5
    exact = zero == round(zero)
    s = ctx.constant(f"{node.out}.scale", np.float32(scale))
    z = ctx.constant(f"{node.out}.zero", round(zero) if exact else 0)
    y = ctx.emit(Dequantize, (codes, s, z), node, "" if exact else "scaled")
    if exact:
        return y
    b = ctx.constant(f"{node.out}.bias", np.float32(bias))
    return ctx.emit(Arithmetic, (y, b), node, kind=Arith.ADD)


def as_sign(ctx: Context, node: Node, kind: Arith, operands: Operands) -> Value | None:
    """Return `kind(operands)` as a binarization where it makes `+-a` of a comparison."""
    steps: list[Step] = []
    here: Step | None = (kind, operands)
    op: Op | None = None
    while here is not None and len(steps) < _LONGEST:
        steps.append(here)
        data = _data_operand(ctx, here[1])
        op = ctx.producer(data) if data is not None else None
        here = (op.kind, (op.inputs[0], op.inputs[1])) if isinstance(op, Arithmetic) else None
    source = ctx.producer(op.inputs[0]) if isinstance(op, Dequantize) else None
    if op is None or not isinstance(source, CountThresholds) or source.inputs[1].type.size != 1:
        return None
    low, high = (_chain(ctx, op, steps, code) for code in (0.0, 1.0))
    if low != -high or high == 0:
        return None
    x, t = source.inputs
    if ctx.builder.constants[t.name].any():
        level = ctx.constant(f"{node.out}.level", ctx.builder.constants[t.name].reshape(()))
        x = ctx.emit(Arithmetic, (x, level), node, "shifted", kind=Arith.SUB)
    return levels(ctx, node, ctx.emit(Binarize, (x,), node, "codes"), (high, 0.0))


def _data_operand(ctx: Context, operands: Operands) -> Value | None:
    """Return the computed one of two operands whose other is one constant number, else None."""
    for v, c in (operands, operands[::-1]):
        known = ctx.folded(c)
        if known is not None and known.size == 1 and len(c.shape) <= len(v.shape):
            return v
    return None


def _chain(ctx: Context, dequantize: Op, steps: list[Step], code: float) -> float:
    """Return what a chain of scalar operations makes of one code."""
    scale, zero = (_scalar(ctx.folded(v)) for v in dequantize.inputs[1:])
    y = np.float32((code - zero) * scale)
    for kind, operands in reversed(steps):
        a, b = (ctx.folded(v) for v in operands)
        left = y if a is None else np.float32(_scalar(a))
        right = y if b is None else np.float32(_scalar(b))
        with np.errstate(all="ignore"):
            y = np.float32(_APPLY[kind](left, right))
    return float(y)


def _scalar(a: Array | None) -> float:
    return float("nan") if a is None or a.size != 1 else float(a.reshape(()))


_APPLY = {
    Arith.ADD: np.add,
    Arith.SUB: np.subtract,
    Arith.MUL: np.multiply,
    Arith.DIV: np.divide,
    Arith.POW: np.power,
    Arith.MIN: np.minimum,
    Arith.MAX: np.maximum,
}
