"""The spellings of a binary activation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from bitwright.errors import UnsupportedError
from tests.onnx_models import agrees, load, model, node, ops

COMPARISONS = ["GreaterOrEqual", "Greater", "LessOrEqual", "Less"]
FLOAT = TensorProto.FLOAT


def test_sign_keeps_its_zero(tmp_path: Path) -> None:
    assert ops(agrees(tmp_path, model([node("Sign", "x", "y")]))) == ["Sign", "Dequantize"]


@pytest.mark.parametrize(
    ("join", "offset"),
    [("Add s c", 0.5), ("Add c s", 0.001), ("Sub s c", -0.5)],
)
def test_sign_of_a_shifted_sign_is_one_bit(tmp_path: Path, join: str, offset: float) -> None:
    op, reads = join.split(maxsplit=1)
    nodes = [node("Sign", "x", "s"), node(op, reads, "a"), node("Sign", "a", "y")]
    graph = agrees(tmp_path, model(nodes, {"c": offset}))
    assert ops(graph) == ["Binarize", "Dequantize"]


@pytest.mark.parametrize("offset", [1.0, 1.5, 0.0, -0.5])
def test_other_shifts_stay_a_chain(tmp_path: Path, offset: float) -> None:
    nodes = [node("Sign", "x", "s"), node("Add", "s c", "a"), node("Sign", "a", "y")]
    assert "Binarize" not in ops(agrees(tmp_path, model(nodes, {"c": offset})))


@pytest.mark.parametrize("op", COMPARISONS)
@pytest.mark.parametrize("reads", ["x c", "c x"])
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_where(tmp_path: Path, op: str, reads: str, level: float) -> None:
    nodes = [node(op, reads, "b"), node("Where", "b one minus", "y")]
    graph = agrees(tmp_path, model(nodes, {"c": level, "one": 1.0, "minus": -1.0}))
    assert ops(graph)[-2:] == ["Binarize", "Dequantize"]


def test_where_of_other_numbers(tmp_path: Path) -> None:
    nodes = [node("GreaterOrEqual", "x c", "b"), node("Where", "b p q", "y")]
    agrees(tmp_path, model(nodes, {"c": 0.0, "p": 3.0, "q": 0.75}))


@pytest.mark.parametrize("op", COMPARISONS)
def test_cast_of_a_comparison(tmp_path: Path, op: str) -> None:
    nodes = [node(op, "x c", "b"), node("Cast", "b", "y", to=FLOAT)]
    graph = agrees(tmp_path, model(nodes, {"c": 0.25}))
    assert ops(graph)[-2:] == ["CountThresholds", "Dequantize"]


@pytest.mark.parametrize(
    "tail",
    [
        [node("Mul", "f two", "d"), node("Sub", "d one", "y")],
        [node("Mul", "two f", "d"), node("Add", "minus d", "y")],
        [node("Sub", "f half", "d"), node("Mul", "d two", "y")],
        [node("Add", "f f0", "d0"), node("Sub", "d0 half", "y")],
    ],
)
def test_twice_a_comparison_minus_one(tmp_path: Path, tail: list[Any]) -> None:
    nodes = [node("GreaterOrEqual", "x c", "b"), node("Cast", "b", "f", to=FLOAT), *tail]
    constants = {"c": 0.25, "two": 2.0, "one": 1.0, "minus": -1.0, "half": 0.5, "f0": 0.0}
    graph = agrees(tmp_path, model(nodes, constants))
    assert "Binarize" in ops(graph)
    assert "CountThresholds" not in ops(graph)


def test_not_and_two_computed_operands(tmp_path: Path) -> None:
    nodes = [
        node("Less", "x z", "b"),
        node("Not", "b", "n"),
        node("Where", "n one minus", "y"),
    ]
    inputs = {"x": (1, 6), "z": (1, 6)}
    agrees(tmp_path, model(nodes, {"one": 1.0, "minus": -1.0}, inputs))


def test_an_integer_cast_then_float(tmp_path: Path) -> None:
    nodes = [
        node("Greater", "x c", "b"),
        node("Cast", "b", "i", to=TensorProto.INT32),
        node("Cast", "i", "y", to=FLOAT),
    ]
    agrees(tmp_path, model(nodes, {"c": np.float32(0)}))


def test_bools_are_computed_where_they_are_read(tmp_path: Path) -> None:
    nodes = [node("Greater", "x c", "b"), node("Identity", "b", "d"), node("Sigmoid", "d", "y")]
    with pytest.raises(UnsupportedError, match="computes on the integer tensor 'd'"):
        load(tmp_path, model(nodes, {"c": 0.0}))
    graph = agrees(tmp_path, model(nodes[:1], {"c": 0.0}, outputs=["b"]))
    assert ops(graph) == ["Compare"]
