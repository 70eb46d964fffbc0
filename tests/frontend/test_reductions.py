"""Reductions and Mean against onnxruntime."""

from pathlib import Path
from typing import Any

import pytest

from bitwright.errors import CompileError, UnsupportedError
from bitwright.frontend.importers.reductions import KINDS
from tests.onnx_models import agrees, i64, load, model, node, ops

X = (1, 4, 5, 3)


@pytest.mark.parametrize("op", KINDS)
@pytest.mark.parametrize("axes", [(2, 3), (-1,), (1, 2, 3)])
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions(tmp_path: Path, op: str, axes: tuple[int, ...], keep: int) -> None:
    nodes = [node("Abs", "x", "a"), node(op, "a axes", "y", keepdims=keep)]
    proto = model(nodes, {"axes": i64(*axes)}, {"x": X}, opset=18)
    assert ops(agrees(tmp_path, proto, count=3)) == ["Activation", "Reduce"]


@pytest.mark.parametrize("attributes", [{}, {"axes": [1, -1]}, {"keepdims": 0}])
def test_axes_as_an_attribute(tmp_path: Path, attributes: dict[str, Any]) -> None:
    proto = model([node("ReduceMean", "x", "y", **attributes)], inputs={"x": X}, opset=11)
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize("nothing", [0, 1])
def test_no_axes(tmp_path: Path, nothing: int) -> None:
    proto = model(
        [node("ReduceSum", "x axes", "y", noop_with_empty_axes=nothing)], {"axes": i64()},
        {"x": X},
    )  # fmt: skip
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize("count", [1, 3])
def test_mean_of_tensors(tmp_path: Path, count: int) -> None:
    nodes = [node("Relu", "x", "r"), node("Abs", "x", "a")]
    nodes.append(node("Mean", " ".join(["x", "r", "a"][:count]), "y"))
    agrees(tmp_path, model(nodes, inputs={"x": X}), count=3)


def test_an_axis_outside_is_an_error(tmp_path: Path) -> None:
    proto = model([node("ReduceMax", "x", "y", axes=[4])], inputs={"x": X}, opset=11)
    with pytest.raises(CompileError, match=r"ReduceMax -> y.*axis 4"):
        load(tmp_path, proto)


def test_samples_of_a_fixed_batch_are_not_joined(tmp_path: Path) -> None:
    proto = model([node("ReduceMean", "x", "y", axes=[0])], inputs={"x": (8, 3)}, opset=11)
    with pytest.raises(UnsupportedError, match="joins the 8 samples"):
        load(tmp_path, proto)


def test_reductions_and_comparisons_of_shapes_vanish(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("ReduceProd", "s", "all", keepdims=0),
        node("Tile", "one two", "ones"),
        node("ReduceMax", "s", "most", keepdims=1),
        node("Greater", "s most", "no"),
        node("Not", "no", "yes"),
        node("Where", "yes s ones4", "t"),
        node("Concat", "ones t", "shape", axis=0),
        node("Reshape", "x shape", "r"),
        node("Cast", "all", "f", to=1),
        node("Div", "r f", "y"),
    ]
    constants = {"one": i64(1), "two": i64(2), "ones4": i64(1)}
    assert ops(agrees(tmp_path, model(nodes, constants, {"x": X}), count=3)) == [
        "Reshape", "Arithmetic",
    ]  # fmt: skip
