from typing import Any

import pytest

from bitwright.errors import VerifyError
from bitwright.ir.ops import (
    AddInt,
    ArgMax,
    Arith,
    Arithmetic,
    BatchNorm,
    CountThresholds,
    Dequantize,
    Encoding,
    IntLinear,
    Linear,
    Lookup,
    Op,
    Permute,
    PRelu,
    Quantize,
    Requantize,
    Reshape,
    Round,
    Softmax,
    Steps,
    Transpose,
    Value,
    build,
)
from bitwright.ir.ops.base import broadcast, channel_shape, rebuilt
from bitwright.ir.types import Element, Int, Real
from tests.ir.samples import value

Q = Int(-8, 7)
Shape = tuple[int, ...]
REQ: dict[str, Any] = {"elem": Q, "shift": 1, "zero": 0, "rounding": Round.FLOOR}
ADD: dict[str, Any] = {**REQ, "mul_a": 1, "mul_b": 1, "add": 0}
LIN: dict[str, Any] = {"encoding": Encoding.INTEGER, "elem": Q}


def operands(elem: Element, shapes: list[Shape]) -> tuple[Value, ...]:
    return tuple(value(f"v{i}", elem, *s) for i, s in enumerate(shapes))


REAL_RULES: list[tuple[type[Op], list[Shape], dict[str, Any], str]] = [
    (Linear, [(1, 3), (2, 3, 1)], {}, "expected two axes"),
    (Linear, [(1, 4), (2, 3)], {}, "does not fit weight"),
    (Linear, [(), (2, 3)], {}, "does not fit weight"),
    (Linear, [(1, 3), (2, 3), (3,)], {}, r"the bias has shape \(3,\), expected \(2,\)"),
    (Arithmetic, [(1, 3), (1, 4)], {"kind": Arith.ADD}, "do not broadcast"),
    (PRelu, [(1, 3), (2, 3)], {}, "slope"),
    (BatchNorm, [(1, 3), (3,), (3,), (2,), (3,)], {"epsilon": 0.0}, "'v3' is"),
    (BatchNorm, [(3,), (3,), (3,), (3,), (3,)], {"epsilon": 0.0}, "axis 1 is outside"),
    (Softmax, [(1, 3)], {"axis": 1, "end": 1}, "is outside"),
    (Softmax, [(1, 3)], {"axis": 1, "end": 3}, "is outside"),
    (Softmax, [(1, 3)], {"axis": -1, "end": 2}, "is outside"),
    (Quantize, [(1, 3), (2,), (1,)], {"elem": Q}, "'v1' is"),
    (Quantize, [(1, 3), (1,), (2,)], {"elem": Q}, "'v2' is"),
    (Quantize, [(1, 3), (3,), (1,)], {"elem": Q, "axis": 2}, "'v1' is"),
    (Quantize, [(), (3,), (1,)], {"elem": Q}, "'v1' is"),
    (Dequantize, [(1, 3), (3,), (1,)], {"axis": 0}, "'v1' is"),
    (CountThresholds, [(1, 3), (2, 4)], {"axis": 1}, "do not fit"),
    (CountThresholds, [(1, 3), (3,)], {"axis": 1}, "do not fit"),
    (CountThresholds, [(1, 3), (3, 4)], {"axis": 2}, "axis 2 is outside"),
    (ArgMax, [(1, 3)], {"axis": 2}, "axis 2 is outside"),
    (Reshape, [(1, 3)], {"shape": (2, 2)}, "cannot reshape"),
    (Transpose, [(1, 3)], {"perm": (0, 0)}, "does not fit"),
    (Permute, [(1, 3), (2,)], {"shape": (3,)}, "2 indices"),
    (Permute, [(1, 3), (3,)], {"shape": (2,)}, "cannot reshape"),
    (IntLinear, [(1, 3), (2, 3)], LIN, "the operand is real"),
    (AddInt, [(1, 3), (1, 3)], ADD, "the operand is real"),
    (Steps, [(1, 3), (1, 2), (1, 3)], {"elem": Q}, "the operand is real"),
]
INTEGER_RULES: list[tuple[type[Op], list[Shape], dict[str, Any], str]] = [
    (IntLinear, [(1, 3), (2, 3, 1)], LIN, "expected two axes"),
    (IntLinear, [(1, 4), (2, 3)], LIN, "does not fit weight"),
    (IntLinear, [(), (2, 3)], LIN, "does not fit weight"),
    (IntLinear, [(1, 3), (2, 3), (1,)], LIN, "the bias has shape"),
    (Steps, [(1, 3), (2, 2), (1, 3)], {"elem": Q}, r"'v1' is \(2, 2\)"),
    (Steps, [(1, 3), (1, 2), (2, 3)], {"elem": Q}, r"'v2' is \(2, 3\)"),
    (Steps, [(1, 3), (1, 2), (1, 2)], {"elem": Q}, "one code more than thresholds"),
    (Steps, [(1, 3), (3,), (1, 4)], {"elem": Q}, r"'v1' is \(3,\)"),
    (Steps, [(1, 3), (1, 2), (3,)], {"elem": Q}, r"'v2' is \(3,\)"),
    (Steps, [(1, 3), (1, 2), (1, 3)], {"elem": Real()}, "the result is real"),
    (Requantize, [(1, 3), (2,), (1,)], REQ, "'v1' is"),
    (Requantize, [(1, 3), (1,), (3, 1)], REQ, "'v2' is"),
    (Requantize, [(1, 3), (1,), (1,)], {**REQ, "shift": -1}, r"shift -1 is outside 0\.\.62"),
    (Requantize, [(1, 3), (1,), (1,)], {**REQ, "shift": 63}, r"shift 63 is outside 0\.\.62"),
    (Requantize, [(1, 3), (1,), (1,)], {**REQ, "shift": 0, "rounding": Round.HALF_EVEN},
     r"shift 0 is outside 1\.\.62"),
    (Lookup, [(1, 3), (15,)], {"elem": Q}, r"expected \(16,\)"),
    (AddInt, [(1, 3), (3,)], ADD, "differ"),
    (AddInt, [(1, 3), (1, 3)], {**ADD, "shift": 63}, "shift 63"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "shapes", "attrs", "message"), REAL_RULES)
def test_rules_of_real_operands(
    kind: type[Op], shapes: list[Shape], attrs: dict[str, Any], message: str
) -> None:
    with pytest.raises(VerifyError, match=message):
        build(kind, operands(Real(), shapes), "y", "node", **attrs)


@pytest.mark.parametrize(("kind", "shapes", "attrs", "message"), INTEGER_RULES)
def test_rules_of_integer_operands(
    kind: type[Op], shapes: list[Shape], attrs: dict[str, Any], message: str
) -> None:
    with pytest.raises(VerifyError, match=message):
        build(kind, operands(Q, shapes), "y", "node", **attrs)


def test_the_second_summand_must_be_integer() -> None:
    both = (value("a", Q, 1, 3), value("b", Real(), 1, 3))
    with pytest.raises(VerifyError, match="node: AddInt: the second operand is real"):
        build(AddInt, both, "y", "node", **ADD)


def test_an_op_is_rebuilt_on_other_operands() -> None:
    op = build(Softmax, operands(Real(), [(1, 3)]), "y", "node", axis=1, end=2)
    again = rebuilt(op, operands(Real(), [(2, 5, 4)]), "z", end=3)
    assert again == build(Softmax, operands(Real(), [(2, 5, 4)]), "z", "node", axis=1, end=3)
    with pytest.raises(VerifyError, match=r"node: Softmax: .* is outside"):
        rebuilt(op, operands(Real(), [(3,)]), "z")


def test_shapes_that_broadcast() -> None:
    assert broadcast("n", (2, 1), (3,), ()) == (2, 3)
    assert broadcast("n", (0, 3), (1, 1)) == (0, 3)
    assert channel_shape(3, -1, 2) == (1, 3)
    assert channel_shape(3, 1, 4) == (1, 3, 1, 1)
    assert channel_shape(1, 5, 2) == (1, 1)
