"""Integer tensors: arithmetic that wraps around, logic, comparisons and casts, as onnxruntime has it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from bitwright.errors import UnsupportedError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array
from tests.onnx_models import agrees, i8, i32, i64, load, model, node, ops

INT8, UINT8, INT32, INT64 = (
    TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32, TensorProto.INT64,
)  # fmt: skip
BOOL, UINT32 = TensorProto.BOOL, TensorProto.UINT32
TWO = {"a": (1, 3, 4), "b": (1, 1, 4)}


def two(nodes: list[Any], kind: int, constants: dict[str, Any] | None = None) -> Any:
    return model(nodes, constants, TWO, opset=18, types=dict.fromkeys(TWO, kind))


@pytest.mark.parametrize("kind", [INT32, INT64])
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Min", "Max"])
def test_arithmetic(tmp_path: Path, op: str, kind: int) -> None:
    assert ops(agrees(tmp_path, two([node(op, "a b", "y")], kind))) == ["IntArithmetic"]


def test_a_quotient_is_cut_toward_zero(tmp_path: Path) -> None:
    nodes = [node("Div", "a d", "y")]
    agrees(tmp_path, two(nodes, INT32, {"d": i32(7, -3, 1, -1)}))


@pytest.mark.parametrize(("kind", "lo", "hi"), [(INT8, -128, 127), (UINT8, 0, 255)])
def test_sums_wrap_around(tmp_path: Path, kind: int, lo: int, hi: int) -> None:
    graph = load(tmp_path, two([node("Add", "a b", "y")], kind))
    a = np.array([lo, hi, lo, hi]).reshape(1, 1, 1, 4) * np.ones((1, 1, 3, 1), np.int64)
    b = np.array([lo, hi, hi, 1]).reshape(1, 1, 1, 4)
    y = evaluate(graph, {"a": a, "b": b})["y"][0, 0, 0]
    size = hi - lo + 1
    assert [(int(v) - (lo + lo, hi + hi, lo + hi, hi + 1)[i]) % size for i, v in enumerate(y)] == [
        0
    ] * 4
    assert y.min() >= lo
    assert y.max() <= hi


@pytest.mark.parametrize("op", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
def test_bits(tmp_path: Path, op: str) -> None:
    agrees(tmp_path, two([node(op, "a b", "y")], INT32))


def test_the_complement(tmp_path: Path) -> None:
    agrees(tmp_path, two([node("BitwiseNot", "a", "y")], UINT8))


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts(tmp_path: Path, direction: str) -> None:
    nodes = [node("BitShift", "a n", "y", direction=direction)]
    agrees(tmp_path, two(nodes, UINT32, {"n": np.array([0, 1, 9, 31], np.uint32)}))


@pytest.mark.parametrize("op", ["And", "Or", "Xor", "Equal"])
def test_logic(tmp_path: Path, op: str) -> None:
    nodes = [node(op, "a b", "c"), node("Not", "c", "y")]
    assert ops(agrees(tmp_path, two(nodes, BOOL)))[-1] == "IntArithmetic"


@pytest.mark.parametrize("op", ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, INT32])
def test_comparisons_as_outputs(tmp_path: Path, op: str, kind: int) -> None:
    nodes = [node(op, "a b", "c"), node("Not", "c", "n"), node("Or", "c n", "always")]
    proto = model(
        nodes, {}, TWO, opset=16, types=dict.fromkeys(TWO, kind), outputs=["c", "n", "always"]
    )
    graph = agrees(tmp_path, proto, spread=0.2)
    assert {type(op).__name__ for op in graph.ops} <= {"Compare", "IntArithmetic"}


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, INT64])
def test_where_chooses_between_tensors(tmp_path: Path, kind: int) -> None:
    inputs = {**TWO, "c": (1, 3, 1)}
    types = {"a": kind, "b": kind, "c": BOOL}
    proto = model([node("Where", "c a b", "y")], {}, inputs, types=types)
    assert ops(agrees(tmp_path, proto)) == ["Select"]


def test_where_of_a_comparison_of_reals(tmp_path: Path) -> None:
    nodes = [node("Greater", "a b", "c"), node("Where", "c a b", "y")]
    agrees(tmp_path, model(nodes, {}, TWO), spread=0.3)


@pytest.mark.parametrize("low", ["lo", "-"])
@pytest.mark.parametrize("high", ["hi", "-"])
def test_clip(tmp_path: Path, low: str, high: str) -> None:
    constants = {"lo": np.int32(-3000), "hi": np.int32(9)}
    agrees(tmp_path, two([node("Clip", f"a {low} {high}", "y")], INT32, constants))


@pytest.mark.parametrize("to", [INT8, UINT8, INT32, BOOL, TensorProto.FLOAT])
def test_casts_of_integers(tmp_path: Path, to: int) -> None:
    agrees(tmp_path, two([node("Cast", "a", "y", to=to)], INT64))


@pytest.mark.parametrize("to", [INT8, INT32, INT64, BOOL])
def test_casts_of_reals(tmp_path: Path, to: int) -> None:
    agrees(tmp_path, two([node("Cast", "a", "y", to=to)], TensorProto.FLOAT))


def test_cast_like(tmp_path: Path) -> None:
    nodes = [node("CastLike", "a one", "y")]
    agrees(tmp_path, two(nodes, TensorProto.FLOAT, {"one": i32(1)}))


def test_a_cast_remembers_the_type(tmp_path: Path) -> None:
    nodes = [node("Cast", "a", "wide", to=INT32), node("Add", "wide wide", "y")]
    graph = agrees(tmp_path, two(nodes, UINT8))
    assert str(graph.outputs[0].elem) == "int[-2147483648,2147483647]"


def test_an_exponent_may_be_computed(tmp_path: Path) -> None:
    nodes = [node("Abs", "a", "p"), node("Pow", "p b", "y")]
    proto = model(nodes, {}, TWO, types={"b": UINT8})
    graph = load(tmp_path, proto)
    data: dict[str, Array] = {
        "a": np.full((1, 1, 3, 4), -1.5, np.float32),
        "b": np.arange(4).reshape(1, 1, 1, 4),
    }
    y = evaluate(graph, data)["y"]
    np.testing.assert_allclose(y[0, 0, 0], [1, 1.5, 2.25, 3.375])


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
def test_extremes_of_bytes(tmp_path: Path, op: str) -> None:
    agrees(tmp_path, two([node(op, "a k", "y", keepdims=0)], UINT8, {"k": i64(1)}))


def test_a_sum_that_floats_cannot_hold_is_refused(tmp_path: Path) -> None:
    proto = two([node("ReduceSum", "a k", "y")], INT32, {"k": i64(1)})
    with pytest.raises(UnsupportedError, match="reduces the integer tensor 'a'"):
        load(tmp_path, proto)


def test_an_unknown_direction_is_refused(tmp_path: Path) -> None:
    proto = two([node("BitShift", "a b", "y", direction="UP")], UINT8)
    with pytest.raises(UnsupportedError, match="use LEFT or RIGHT"):
        load(tmp_path, proto)


def test_codes_of_a_quantizer_add_as_their_type_does(tmp_path: Path) -> None:
    nodes = [node("QuantizeLinear", "a s z", "q"), node("Add", "q q", "y")]
    graph = load(tmp_path, model(nodes, {"s": 0.5, "z": i8(0).reshape(())}, TWO))
    y = evaluate(graph, {"a": np.full((1, 1, 3, 4), 50.0), "b": np.zeros((1, 1, 1, 4))})["y"]
    assert (y == 100 + 100 - 256).all()
