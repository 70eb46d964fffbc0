"""Comparisons, selections, arithmetic of integers, and what picks elements by size."""

from bitwright.backends.onnx.elementwise import operands, unordered
from bitwright.backends.onnx.exporter import Exporter, Laid
from bitwright.backends.onnx.writer import BOOL, FLOAT, INT64, Tensor
from bitwright.errors import UnsupportedError
from bitwright.ir.ops import (
    ArgMax,
    Compare,
    IntArithmetic,
    Order,
    Select,
    ToInt,
    TopK,
    Whole,
)
from bitwright.ir.types import Bipolar, Element, Int, Real, Ternary

_ORDER = {Order.EQUAL: "Equal", Order.LESS: "Less", Order.LESS_EQUAL: "LessOrEqual"}
_WHOLE = {
    Whole.ADD: "Add", Whole.SUB: "Sub", Whole.MUL: "Mul", Whole.DIV: "Div", Whole.MIN: "Min",
    Whole.MAX: "Max",
}  # fmt: skip
_LOGIC = {Whole.AND: "And", Whole.OR: "Or", Whole.XOR: "Xor"}
_STORED = (
    (3, Int(-(1 << 7), (1 << 7) - 1)),
    (2, Int(0, (1 << 8) - 1)),
    (5, Int(-(1 << 15), (1 << 15) - 1)),
    (4, Int(0, (1 << 16) - 1)),
    (6, Int(-(1 << 31), (1 << 31) - 1)),
    (12, Int(0, (1 << 32) - 1)),
    (INT64, Int(-(1 << 63), (1 << 63) - 1)),
)  # ONNX's numbers for int8, uint8, int16, uint16, int32, uint32 and int64


def stored(elem: Element) -> int:
    """Return the smallest ONNX type that holds an element type."""
    if isinstance(elem, Real):
        return FLOAT
    if isinstance(elem, Bipolar | Ternary):
        return _STORED[0][0]
    return next(k for k, reach in _STORED if reach.lo <= elem.lo and elem.hi <= reach.hi)


def arg_max(e: Exporter, op: ArgMax) -> Laid:
    """Write ArgMax."""
    x = unordered(e, op.inputs[0])
    t = e.typed(x.tensor, x.tensor.type if x.tensor.type == INT64 else FLOAT)
    return e.finish(op, "ArgMax", [t], x, type=INT64, axis=x.perm.index(op.axis), keepdims=1)


def top_k(e: Exporter, op: TopK) -> Laid:
    """Write TopK, of whose two results one is read."""
    x = unordered(e, op.inputs[0])
    t = e.typed(x.tensor, x.tensor.type if x.tensor.type == INT64 else FLOAT)
    k = e.w.integers(f"{op.name}/k", [op.k])
    how = {"axis": x.perm.index(op.axis), "largest": int(op.largest), "sorted": 1}
    y = e.finish(op, "TopK", [t, k], x, type=INT64 if op.places else t.type, **how)
    other = e.w.unique(f"{op.name}/{'values' if op.places else 'places'}")
    e.w.more_outputs([other, op.name] if op.places else [op.name, other])
    return y


def compare(e: Exporter, op: Compare) -> Laid:
    """Write a comparison; its result is a tensor of truth values."""
    tensors, like = operands(e, op, op.inputs)
    kind = FLOAT if isinstance(op.inputs[0].elem, Real) else INT64
    return e.finish(op, _ORDER[op.kind], _cast(e, tensors, kind), like, type=BOOL)


def select(e: Exporter, op: Select) -> Laid:
    """Write Where."""
    tensors, like = operands(e, op, op.inputs)
    kind = FLOAT if isinstance(op.output.elem, Real) else INT64
    inputs = [*_cast(e, tensors[:1], BOOL), *_cast(e, tensors[1:], kind)]
    return e.finish(op, "Where", inputs, like, type=kind)


def int_arithmetic(e: Exporter, op: IntArithmetic) -> Laid:
    """Write arithmetic of 32 or 64 bits, or logic of truth values."""
    tensors, like = operands(e, op, op.inputs)
    if op.kind in _LOGIC and op.elem == Int(0, 1):
        return e.finish(op, _LOGIC[op.kind], _cast(e, tensors, BOOL), like, type=BOOL)
    kind = stored(op.elem)
    if op.kind not in _WHOLE or kind not in {6, INT64}:
        raise UnsupportedError(
            f"{op.loc}: {op.kind.value} of {op.elem} has no form in operator set 14"
        )
    return e.finish(op, _WHOLE[op.kind], _cast(e, tensors, kind), like, type=kind)


def to_int(e: Exporter, op: ToInt) -> Laid:
    """Write Cast."""
    x = e.laid(op.inputs[0])
    kind = stored(op.elem)
    return e.finish(op, "Cast", [x.tensor], x, type=kind, to=kind)


def _cast(e: Exporter, tensors: list[Tensor | None], kind: int) -> list[Tensor | None]:
    return [t and e.typed(t, kind) for t in tensors]
