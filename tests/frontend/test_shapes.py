"""Shape chains vanish, index maps stay, the batch becomes 1."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from bitwright.errors import CompileError, UnsupportedError
from tests.onnx_models import agrees, load, model, node, ops


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def test_a_run_time_shape_chain_vanishes(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n", "u", axes=[0]),
        node("Concat", "u rest", "t", axis=0),
        node("Reshape", "x t", "y"),
    ]
    constants = {"zero": np.int64(0), "rest": ints(-1)}
    proto = model(nodes, constants, {"x": ("unk__195", 2, 3)}, opset=9)
    graph = agrees(tmp_path, proto)
    assert ops(graph) == ["Reshape"]
    assert graph.outputs[0].shape == (1, 6)
    assert not graph.constants


def test_a_chain_with_arithmetic_slices_and_casts_vanishes(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Slice", "s one three", "tail"),
        node("ReduceProd", "tail", "p", keepdims=1),
        node("Reshape", "x t", "y"),
    ]
    nodes[2:3] = [
        node("Gather", "tail zero", "a"),
        node("Gather", "tail one", "b"),
        node("Mul", "a b", "ab"),
        node("Cast", "ab", "f", to=TensorProto.FLOAT),
        node("Cast", "f", "i", to=TensorProto.INT64),
        node("Div", "i minus", "neg"),
        node("Abs", "neg", "abs"),
        node("Concat", "zero abs", "t", axis=0),
    ]
    constants = {"zero": ints(0), "one": ints(1), "three": ints(3), "minus": ints(-1)}
    agrees(tmp_path, model(nodes, constants, {"x": (1, 2, 3)}))


@pytest.mark.parametrize(
    ("target", "allow_zero"),
    [((0, -1), 0), ((1, 3, 2), 0), ((-1, 1), 0), ((0, 3, 2), 0), ((6,), 1)],
)
def test_reshape(tmp_path: Path, target: tuple[int, ...], allow_zero: int) -> None:
    proto = model(
        [node("Reshape", "x t", "y", allowzero=allow_zero)],
        {"t": ints(*target)},
        {"x": (1, 2, 3)},
        opset=14,
    )
    agrees(tmp_path, proto)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_flatten(tmp_path: Path, axis: int) -> None:
    agrees(tmp_path, model([node("Flatten", "x", "y", axis=axis)], inputs={"x": (1, 2, 3)}))


@pytest.mark.parametrize("perm", [None, [0, 2, 1, 3], [0, 3, 1, 2]])
def test_transpose(tmp_path: Path, perm: list[int] | None) -> None:
    attributes = {} if perm is None else {"perm": perm}
    agrees(tmp_path, model([node("Transpose", "x", "y", **attributes)], inputs={"x": (1, 2, 3, 4)}))


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_and_unsqueeze(tmp_path: Path, opset: int) -> None:
    if opset < 13:
        nodes = [node("Unsqueeze", "x", "u", axes=[-1, 1]), node("Squeeze", "u", "y", axes=[1])]
    else:
        nodes = [node("Unsqueeze", "x a", "u"), node("Squeeze", "u b", "y")]
    constants = {"a": ints(-1, 1), "b": ints(1)}
    agrees(tmp_path, model(nodes, constants, opset=opset))


def test_squeeze_without_axes(tmp_path: Path) -> None:
    agrees(tmp_path, model([node("Squeeze", "x", "y")], inputs={"x": (1, 2, 1, 3)}))


def test_names_for_one_value(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "r"),
        node("Dropout", "r", "d mask"),
        node("Identity", "d", "y"),
        node("Identity", "d", "z"),
    ]
    graph = agrees(tmp_path, model(nodes, outputs=["y", "z", "r"]))
    assert [v.name for v in graph.outputs] == ["y", "z", "r"]


def test_an_input_may_be_an_output(tmp_path: Path) -> None:
    agrees(
        tmp_path, model([node("Identity", "x", "y"), node("Relu", "x", "r")], outputs=["y", "r"])
    )


def test_a_constant_may_be_an_output(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "y"), node("Add", "c c", "z")]
    agrees(tmp_path, model(nodes, {"c": np.ones(3)}, outputs=["y", "z", "c"]))


def test_initializers_listed_as_inputs_are_constants(tmp_path: Path) -> None:
    proto = model([node("Add", "x c", "y")], {"c": np.ones(6)})
    proto.graph.input.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, [6]))
    assert [v.name for v in load(tmp_path, proto).inputs] == ["x"]


@pytest.mark.parametrize("batch", ["N", None, 0, 1, 300_000])
def test_any_batch_becomes_one(tmp_path: Path, batch: Any) -> None:
    graph = agrees(tmp_path, model([node("Relu", "x", "y")], inputs={"x": (batch, 6)}))
    assert graph.inputs[0].shape == (1, 6)


@pytest.mark.parametrize("target", [(300, 2, 3), (300, -1), (-1, 6), (600, 3)])
def test_a_batch_written_into_a_reshape_becomes_one(
    tmp_path: Path, target: tuple[int, ...]
) -> None:
    proto = model([node("Reshape", "x t", "y")], {"t": ints(*target)}, {"x": (300, 6)})
    assert load(tmp_path, proto).outputs[0].type.size == 6


def test_a_constant_with_a_row_per_sample_is_refused(tmp_path: Path) -> None:
    proto = model([node("Add", "x c", "y")], {"c": np.ones((8, 6))}, {"x": (8, 6)})
    with pytest.raises(UnsupportedError, match="8 samples"):
        load(tmp_path, proto)


def test_another_unknown_dimension_is_named(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], inputs={"x": ("N", "width")})
    with pytest.raises(CompileError, match=r"input 'x': dimension 1 \('width'\) is not fixed"):
        load(tmp_path, proto)


@pytest.mark.parametrize(
    "value", [{"value_int": 3}, {"value_floats": [1.0, 2.0]}, {"value_float": 2.0}]
)
def test_constant_forms(tmp_path: Path, value: dict[str, Any]) -> None:
    nodes = [
        helper.make_node("Constant", [], ["k"], **value),
        node("Cast", "k", "f", to=TensorProto.FLOAT),
        node("Mul", "x f", "y"),
    ]
    agrees(tmp_path, model(nodes, inputs={"x": (1, 2)}))


def test_constant_of_shape_expand_range_where(tmp_path: Path) -> None:
    fill = helper.make_tensor("v", TensorProto.FLOAT, [1], [2.5])
    nodes = [
        node("ConstantOfShape", "two", "c", value=fill),
        node("Expand", "c shape", "e"),
        node("Range", "start stop step", "r"),
        node("Cast", "r", "f", to=TensorProto.FLOAT),
        node("Equal", "r start", "first"),
        node("Where", "first f c", "w"),
        node("Add", "e w", "k"),
        node("Add", "x k", "y"),
    ]
    constants = {
        "two": ints(2), "shape": ints(3, 2), "start": np.int64(4), "stop": np.int64(8),
        "step": np.int64(2),
    }  # fmt: skip
    agrees(tmp_path, model(nodes, constants, {"x": (1, 3, 2)}))
