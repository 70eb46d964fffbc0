"""Pools against onnxruntime: ceil mode, padding that counts or does not, all positions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.ops import MaxPool
from tests.onnx_models import agrees, load, model, node, ops

SHAPES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 3, 7, 5), {"kernel_shape": [2, 3]}),
    ((1, 3, 7, 5), {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
    ((1, 3, 7, 6), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ((1, 1, 6, 7), {"kernel_shape": [2, 2], "strides": [3, 2], "ceil_mode": 1,
                    "pads": [1, 1, 1, 1]}),
    ((1, 2, 7, 6), {"kernel_shape": [2, 2], "strides": [4, 4], "ceil_mode": 1}),
    ((1, 2, 4, 4), {"kernel_shape": [1, 1], "strides": [2, 2], "ceil_mode": 1}),
    ((1, 2, 7, 6), {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ((1, 2, 7, 6), {"kernel_shape": [2, 3], "strides": [2, 1], "auto_pad": "SAME_LOWER"}),
    ((1, 2, 7, 6), {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "VALID"}),
    ((1, 2, 9), {"kernel_shape": [4], "strides": [3], "pads": [2, 1]}),
    ((1, 2, 3, 4, 5), {"kernel_shape": [2, 2, 3], "ceil_mode": 1, "strides": [2, 2, 2]}),
    ((1, 1, 1, 1), {"kernel_shape": [1, 1]}),
]  # fmt: skip


@pytest.mark.parametrize(("x", "attributes"), SHAPES)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "Counted", "LpPool"])
def test_pools(tmp_path: Path, op: str, x: tuple[int, ...], attributes: dict[str, Any]) -> None:
    if op == "Counted":
        op, attributes = "AveragePool", {**attributes, "count_include_pad": 1}
    proto = model([node(op, "x", "y", **attributes)], inputs={"x": x}, opset=19)
    agrees(tmp_path, proto, count=5)


DILATED = [
    {"kernel_shape": [2, 3], "dilations": [2, 2], "pads": [1, 1, 0, 1]},
    {"kernel_shape": [3, 2], "dilations": [2, 3], "strides": [2, 2], "ceil_mode": 1},
]


@pytest.mark.parametrize("attributes", DILATED)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_dilated_pools(tmp_path: Path, op: str, attributes: dict[str, Any]) -> None:
    proto = model([node(op, "x", "y", **attributes)], inputs={"x": (1, 2, 9, 8)}, opset=19)
    agrees(tmp_path, proto, count=5)


@pytest.mark.parametrize("opset", [7, 10, 11])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_old_operator_sets(tmp_path: Path, op: str, opset: int) -> None:
    attributes = {"kernel_shape": [2, 2], "pads": [0, 1, 1, 0], "strides": [2, 1]}
    proto = model([node(op, "x", "y", **attributes)], inputs={"x": (1, 2, 5, 4)}, opset=opset)
    agrees(tmp_path, proto, count=5)


@pytest.mark.parametrize("x", [(1, 3, 5, 4), (1, 1, 1, 1), (1, 2, 7), (1, 2, 2, 3, 4)])
@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"])
def test_pools_over_all_positions(tmp_path: Path, op: str, x: tuple[int, ...]) -> None:
    agrees(tmp_path, model([node(op, "x", "y")], inputs={"x": x}), count=5)


@pytest.mark.parametrize("p", [1, 3])
def test_lp_pool_of_other_powers(tmp_path: Path, p: int) -> None:
    proto = model([node("LpPool", "x", "y", kernel_shape=[2, 2], p=p)], inputs={"x": (1, 2, 4, 5)})
    agrees(tmp_path, proto, count=5)


def test_a_pool_of_integers_stays_one(tmp_path: Path) -> None:
    proto = model(
        [node("MaxPool", "x", "y", kernel_shape=[2, 2], pads=[1, 1, 0, 0])],
        inputs={"x": (1, 2, 4, 5)}, types={"x": TensorProto.INT8},
    )  # fmt: skip
    graph = agrees(tmp_path, proto, count=5)
    assert ops(graph) == ["Transpose", "MaxPool", "Transpose"]


def test_ceil_mode_becomes_padding_after_the_end(tmp_path: Path) -> None:
    proto = model(
        [node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)],
        inputs={"x": (1, 1, 8, 7)},
    )
    pool = load(tmp_path, proto).ops[1]
    assert isinstance(pool, MaxPool)
    assert (pool.window.before, pool.window.after) == ((0, 0), (1, 0))


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({}, "no kernel_shape"),
        ({"kernel_shape": [2]}, "kernel of .* on 2 spatial axes"),
        ({"kernel_shape": [9, 9]}, "no elements"),
        ({"kernel_shape": [2, 2], "storage_order": 1}, "storage_order = 0"),
        ({"kernel_shape": [2, 2], "pads": [0, 0, -1, 0]}, "negative"),
        ({"kernel_shape": [2, 2], "dilations": [2, 1], "auto_pad": "SAME_UPPER"}, "explicit pads"),
    ],
)
def test_what_contradicts_itself_is_an_error(
    tmp_path: Path, attributes: dict[str, Any], says: str
) -> None:
    proto = model([node("MaxPool", "x", "y", **attributes)], inputs={"x": (1, 1, 5, 5)})
    with pytest.raises(CompileError, match=f"MaxPool -> y.*{says}"):
        load(tmp_path, proto)


def test_the_indices_of_a_pool_are_refused_where_they_are_read(tmp_path: Path) -> None:
    nodes = [node("MaxPool", "x", "m i", kernel_shape=[2, 2]), node("Cast", "i", "y", to=1)]
    with pytest.raises(UnsupportedError, match="reads output 1 of MaxPool"):
        load(tmp_path, model(nodes, inputs={"x": (1, 1, 5, 5)}))
    agrees(tmp_path, model(nodes[:1], inputs={"x": (1, 1, 5, 5)}, outputs=["m"]), count=3)


def test_a_batch_of_several(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "c"), node("MaxPool", "c", "m", kernel_shape=[2, 2]),
        node("Reshape", "m t", "y"),
    ]  # fmt: skip
    constants = {"w": np.ones((2, 1, 2, 2)), "t": np.array([4, -1])}
    graph = load(tmp_path, model(nodes, constants, {"x": (4, 1, 5, 5)}))
    assert graph.outputs[0].shape == (1, 18)
