"""Arithmetic, logic and comparisons of integer tensors, wrapped around as ONNX's types do."""

from bitwright.frontend.context import Comparison, Context
from bitwright.frontend.messages import Refusal, show
from bitwright.frontend.node import Node
from bitwright.frontend.tensors import BOOLEAN, element_type, type_name
from bitwright.ir.ops import (
    Compare,
    Dequantize,
    IntArithmetic,
    Order,
    Reduce,
    Reduction,
    Select,
    ToInt,
    Value,
    Whole,
)
from bitwright.ir.types import Int, Real

_EXACT = 1 << 24  # below this float32 holds every integer
_KINDS = {
    "Add": Whole.ADD,
    "Sub": Whole.SUB,
    "Mul": Whole.MUL,
    "Div": Whole.DIV,
    "Min": Whole.MIN,
    "Max": Whole.MAX,
    "Sum": Whole.ADD,
    "And": Whole.AND,
    "Or": Whole.OR,
    "Xor": Whole.XOR,
    "BitwiseAnd": Whole.AND,
    "BitwiseOr": Whole.OR,
    "BitwiseXor": Whole.XOR,
}
_ORDERS = {
    "Equal": Order.EQUAL,
    "Less": Order.LESS,
    "Greater": Order.LESS,
    "LessOrEqual": Order.LESS_EQUAL,
    "GreaterOrEqual": Order.LESS_EQUAL,
}
_ONE_INPUT = {Reduction.MAX, Reduction.MIN, Reduction.SUM}


def all_integers(ctx: Context, node: Node) -> bool:
    """Tell whether a node reads integers alone, one of them computed."""
    values = [ctx.value(node, i) for i in range(len(node.inputs)) if node.has_input(i)]
    computed = any(v.name not in ctx.builder.constants for v in values)
    return computed and not any(isinstance(v.elem, Real) for v in values)


def arithmetic(ctx: Context, node: Node) -> Value:
    """Import a function of two integer tensors, or a chain of them."""
    elem = code_type(ctx, node)
    values = [ctx.codes(node, i) for i in range(len(node.inputs))]
    y, last = values[0], len(values) - 1
    for i, v in enumerate(values[1:], 1):
        kind = _KINDS[node.op_type]
        y = ctx.emit(
            IntArithmetic, (y, v), node, "" if i == last else f"part{i}", kind=kind, elem=elem
        )
    return y


def logic(ctx: Context, node: Node) -> Value:
    """Import And, Or, Xor of bools, and the bitwise functions of integers."""
    return arithmetic(ctx, node)


def bit_shift(ctx: Context, node: Node) -> Value:
    """Import BitShift of unsigned integers."""
    direction = node.text("direction", "")
    if direction not in {"LEFT", "RIGHT"}:
        raise Refusal(f"its direction is {show(direction)}", "use LEFT or RIGHT")
    kind = Whole.LEFT if direction == "LEFT" else Whole.RIGHT
    operands = ctx.codes(node, 0), ctx.codes(node, 1)
    return ctx.emit(IntArithmetic, operands, node, kind=kind, elem=code_type(ctx, node))


def bitwise_not(ctx: Context, node: Node) -> Value:
    """Import BitwiseNot."""
    return complement(ctx, node, ctx.codes(node, 0), code_type(ctx, node), -1)


def complement(ctx: Context, node: Node, x: Value, elem: Int, mask: int = 1) -> Value:
    """Return integers with the bits of `mask` turned over: by default Not of a bool."""
    bits = ctx.constant(f"{node.out}.mask", mask)
    return ctx.emit(IntArithmetic, (x, bits), node, kind=Whole.XOR, elem=elem)


def clip(ctx: Context, node: Node) -> Value:
    """Import Clip of integers; its bounds are integers too."""
    y, elem = ctx.codes(node, 0), code_type(ctx, node)
    given = [i for i in (1, 2) if node.has_input(i)]
    for i in given:
        kind, part = (Whole.MAX, "low") if i == 1 else (Whole.MIN, "")
        bound = ctx.codes(node, i)
        y = ctx.emit(
            IntArithmetic, (y, bound), node, "" if i == given[-1] else part, kind=kind, elem=elem
        )
    return y


def compared(ctx: Context, node: Node) -> Value:
    """Import a comparison of integers, or Equal of reals."""
    a, b = ctx.value(node, 0), ctx.value(node, 1)
    if node.op_type.startswith("Greater"):
        a, b = b, a
    ctx.kinds[node.out] = BOOLEAN
    return ctx.emit(Compare, (a, b), node, kind=_ORDERS[node.op_type])


def equal(ctx: Context, node: Node) -> Value:
    """Import Equal of two tensors of integers, bools or reals."""
    if not all_integers(ctx, node):
        a, b = ctx.real(node, 0), ctx.real(node, 1)
        ctx.kinds[node.out] = BOOLEAN
        return ctx.emit(Compare, (a, b), node, kind=Order.EQUAL)
    return compared(ctx, node)


def negation(ctx: Context, node: Node) -> Value | Comparison:
    """Import Not of a comparison or of a bool tensor."""
    found = ctx.get(node, 0)
    if isinstance(found, Comparison):
        return found.turned_over()
    return complement(ctx, node, ctx.codes(node, 0), code_type(ctx, node))


def select(ctx: Context, node: Node) -> Value:
    """Import Where of a bool tensor and two tensors of one type."""
    condition, a, b = ctx.codes(node, 0), ctx.value(node, 1), ctx.value(node, 2)
    if isinstance(a.elem, Real) or isinstance(b.elem, Real):
        a, b = ctx.real(node, 1), ctx.real(node, 2)
    else:
        ctx.kinds[node.out] = ctx.kind_of(node, 1) or ctx.kind_of(node, 2)
    return ctx.emit(Select, (condition, a, b), node)


def nonzero(ctx: Context, node: Node, x: Value) -> Value:
    """Return 1 where a number is not 0, else 0: a cast to bool."""
    zero = ctx.constant(f"{node.out}.zero", 0.0 if isinstance(x.elem, Real) else 0)
    same = ctx.emit(Compare, (x, zero), node, "same", kind=Order.EQUAL)
    return complement(ctx, node, same, Int(0, 1))


def as_reals(ctx: Context, node: Node, x: Value, part: str) -> Value:
    """Return integers as reals of the same value, rounded where float32 has no such number."""
    one, zero = ctx.constant(f"{node.out}.one", 1.0), ctx.constant(f"{node.out}.zero", 0)
    return ctx.emit(Dequantize, (x, one, zero), node, part)


def reduced(ctx: Context, node: Node, attributes: dict[str, object]) -> Value:
    """Import a maximum, minimum or sum of integers that float32 holds exactly."""
    x, elem = ctx.codes(node, 0), code_type(ctx, node)
    kind = attributes["kind"]
    bound = max(abs(x.type.integer.lo), abs(x.type.integer.hi))
    count = x.type.size if kind is Reduction.SUM else 1
    if kind not in _ONE_INPUT or bound * count >= _EXACT or elem.bits < x.type.integer.bits:
        raise Refusal(
            f"it reduces the integer tensor {show(node.inputs[0])}", "insert a Cast to float"
        )
    y = ctx.emit(Reduce, (as_reals(ctx, node, x, "real"),), node, "reduced", **attributes)
    return ctx.emit(ToInt, (y,), node, elem=elem)


def code_type(ctx: Context, node: Node) -> Int:
    """Return all integers of the ONNX type that the node computes in; Refusal where it is not known."""
    kinds = [ctx.kind_of(node, i) for i in range(len(node.inputs)) if node.has_input(i)]
    known = next((k for k in kinds if k), 0)
    elem = element_type(known)
    if elem is None:
        what = f"is {type_name(known)}" if known else "is not known"
        raise Refusal(f"the type of its integers {what}", "insert a Cast to int32 before it")
    return elem
