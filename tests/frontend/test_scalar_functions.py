"""Element by element: every function with ONNX's default attributes, and with others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.onnx_models import MICROSOFT, agrees, f32, model, node, ops

FUNCTIONS: list[tuple[str, int, dict[str, Any]]] = [
    *((op, 18, {}) for op in (
        "Relu", "Sigmoid", "Tanh", "HardSwish", "Softplus", "Softsign", "Mish", "Neg", "Abs",
        "Exp", "Erf", "Floor", "Ceil", "Round", "LeakyRelu", "Elu", "Selu", "Celu",
        "HardSigmoid", "ThresholdedRelu",
    )),
    ("LeakyRelu", 13, {"alpha": -0.3}),
    ("Elu", 13, {"alpha": 0.5}),
    ("Selu", 13, {"alpha": 1.5, "gamma": 2.0}),
    ("Celu", 13, {"alpha": 0.5}),
    ("HardSigmoid", 13, {"alpha": 0.3, "beta": 0.4}),
    ("ThresholdedRelu", 13, {"alpha": 0.25}),
    ("Gelu", 20, {}),
    ("Gelu", 20, {"approximate": "tanh"}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "opset", "attributes"), FUNCTIONS)
def test_function(tmp_path: Path, op: str, opset: int, attributes: dict[str, Any]) -> None:
    agrees(tmp_path, model([node(op, "x", "y", **attributes)], opset=opset))


@pytest.mark.parametrize("op", ["Sqrt", "Log", "Reciprocal"])
def test_function_of_positive_numbers(tmp_path: Path, op: str) -> None:
    nodes = [node("Abs", "x", "a"), node("Add", "a one", "b"), node(op, "b", "y")]
    agrees(tmp_path, model(nodes, {"one": 1.0}))


@pytest.mark.parametrize("op", ["Gelu", "FastGelu", "QuickGelu"])
def test_contributed_function(tmp_path: Path, op: str) -> None:
    agrees(tmp_path, model([node(op, "x", "y", MICROSOFT)]))


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Min", "Max"])
@pytest.mark.parametrize("order", ["x c", "c x"])
def test_two_operands_one_constant(tmp_path: Path, op: str, order: str) -> None:
    constants = {"c": np.array([[1.5], [-2], [0.25]], np.float32)}
    nodes = [
        node("Abs", "x", "a"),
        node("Add", "a one", "b"),
        node(op, order.replace("x", "b"), "y"),
    ]
    agrees(tmp_path, model(nodes, {**constants, "one": 1.0}))


def test_two_computed_operands_broadcast(tmp_path: Path) -> None:
    agrees(tmp_path, model([node("Add", "x z", "y")], inputs={"x": (1, 3, 6), "z": (6,)}))


@pytest.mark.parametrize("op", ["Min", "Max", "Sum"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_variadic(tmp_path: Path, op: str, count: int) -> None:
    reads = " ".join(["x", "c", "d"][:count])
    agrees(tmp_path, model([node(op, reads, "y")], {"c": 0.5, "d": np.ones(6) * 0.25}))


@pytest.mark.parametrize("exponent", [np.float32(2), np.int64(3), f32(0.5)])
def test_power(tmp_path: Path, exponent: Any) -> None:
    nodes = [node("Abs", "x", "a"), node("Pow", "a e", "y")]
    agrees(tmp_path, model(nodes, {"e": exponent}))


def test_prelu(tmp_path: Path) -> None:
    slope = np.array([0.5, -0.5, 0, 1, 2, 0.1], np.float32)
    agrees(tmp_path, model([node("PRelu", "x s", "y")], {"s": slope}))


@pytest.mark.parametrize(
    ("reads", "opset", "attributes"),
    [
        ("x", 9, {"min": -0.5, "max": 0.75}),
        ("x", 9, {"max": 0.75}),
        ("x lo hi", 13, {}),
        ("x - hi", 13, {}),
        ("x lo", 13, {}),
        ("x", 13, {}),
    ],
)
def test_clip(tmp_path: Path, reads: str, opset: int, attributes: dict[str, Any]) -> None:
    proto = model([node("Clip", reads, "y", **attributes)], {"lo": -0.5, "hi": 0.75}, opset=opset)
    agrees(tmp_path, proto)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(("opset", "axis"), [(9, None), (9, 2), (11, 1), (13, None), (13, 1)])
def test_softmax(tmp_path: Path, op: str, opset: int, axis: int | None) -> None:
    attributes = {} if axis is None else {"axis": axis}
    proto = model([node(op, "x", "y", **attributes)], inputs={"x": (1, 3, 4)}, opset=opset)
    agrees(tmp_path, proto)


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_arg_max_and_arg_min(tmp_path: Path, op: str, keep: int, axis: int) -> None:
    proto = model([node(op, "x", "y", axis=axis, keepdims=keep)], inputs={"x": (1, 4, 5)})
    agrees(tmp_path, proto, spread=0.2)


def test_top_k_of_one_is_an_arg_max(tmp_path: Path) -> None:
    proto = model([node("TopK", "x k", "v y")], {"k": np.array([1], np.int64)})
    assert ops(agrees(tmp_path, proto, spread=0.2)) == ["ArgMax"]
