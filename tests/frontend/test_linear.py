"""Dot products, batch normalization and what exporters put around them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright.errors import CompileError
from tests.onnx_models import QONNX, agrees, load, model, node, ops

RNG = np.random.default_rng(1)
W = RNG.normal(size=(6, 4)).astype(np.float32)
B = RNG.normal(size=4).astype(np.float32)


def test_matmul_becomes_linear_with_the_weight_turned(tmp_path: Path) -> None:
    graph = agrees(tmp_path, model([node("MatMul", "x w", "y")], {"w": W}))
    assert ops(graph) == ["Linear"]
    np.testing.assert_array_equal(graph.constant(graph.ops[0].inputs[1]), W.T)


def test_matmul_of_three_axes(tmp_path: Path) -> None:
    agrees(tmp_path, model([node("MatMul", "x w", "y")], {"w": W}, {"x": (1, 3, 6)}))


@pytest.mark.parametrize(
    ("attributes", "bias"),
    [
        ({}, B),
        ({"transB": 1}, B),
        ({"transB": 1, "alpha": 0.5}, B),
        ({"beta": 2.0}, B[None]),
        ({"alpha": 0.25, "beta": 3.0}, B),
        ({"beta": 0.0}, B),
        ({}, np.float32(0.5)),
        ({}, B[:1]),
        ({"alpha": 0.5}, None),
        ({}, None),
    ],
)
def test_gemm(tmp_path: Path, attributes: dict[str, Any], bias: Any) -> None:
    w = W.T.copy() if attributes.get("transB") else W
    constants = {"w": w} if bias is None else {"w": w, "b": bias}
    reads = " ".join(["x", *constants])
    agrees(tmp_path, model([node("Gemm", reads, "y", **attributes)], constants))


def test_gemm_with_plain_attributes_is_one_op(tmp_path: Path) -> None:
    assert ops(load(tmp_path, model([node("Gemm", "x w b", "y")], {"w": W, "b": B}))) == ["Linear"]


def test_quantized_weights_stay_codes_through_a_transpose(tmp_path: Path) -> None:
    scale = np.array([[0.5], [0.25], [1.0], [2.0]], np.float32)
    nodes = [
        node("Quant", "w s z n", "q", QONNX, signed=1, narrow=1, rounding_mode="ROUND"),
        node("Transpose", "q", "t", perm=[1, 0]),
        node("MatMul", "x t", "y"),
    ]
    constants = {"w": W.T.copy(), "s": scale, "z": 0.0, "n": np.int64(3)}
    graph = agrees(tmp_path, model(nodes, constants))
    assert ops(graph) == ["Dequantize", "Linear"]
    codes = graph.constant(graph.ops[0].inputs[0])
    np.testing.assert_array_equal(codes, np.rint(np.clip(W.T / scale, -3, 3)))
    assert codes.dtype == np.int64


def test_a_scale_times_quantized_weights_joins_their_scale(tmp_path: Path) -> None:
    nodes = [
        node("BipolarQuant", "w one", "q", QONNX),
        node("Mul", "q alpha", "m"),
        node("MatMul", "x m", "y"),
    ]
    constants = {"w": W, "one": 1.0, "alpha": np.abs(B)[None]}
    graph = agrees(tmp_path, model(nodes, constants))
    assert ops(graph) == ["Dequantize", "Linear"]


def test_a_quantized_bias_is_kept_as_codes(tmp_path: Path) -> None:
    nodes = [
        node("Quant", "b s z n", "q", QONNX, signed=1, narrow=0, rounding_mode="ROUND"),
        node("Gemm", "x w q", "y"),
    ]
    constants = {"w": W, "b": B, "s": 0.125, "z": 0.0, "n": 6.0}
    graph = agrees(tmp_path, model(nodes, constants))
    assert ops(graph) == ["Dequantize", "Linear"]


@pytest.mark.parametrize("between", [False, True])
def test_batch_norm(tmp_path: Path, between: bool) -> None:
    constants = {
        "g": np.array([1, -2, 0, 1e-41, 3, 1], np.float32),
        "b": RNG.normal(size=6).astype(np.float32),
        "m": RNG.normal(size=6).astype(np.float32),
        "v": np.array([1, 5.6e-45, 2, 3, 0.5, 0], np.float32),
    }
    if between:
        nodes = [
            node("Unsqueeze", "x", "u", axes=[2]),
            node("BatchNormalization", "u g b m v", "n", epsilon=1e-5),
            node("Squeeze", "n", "y", axes=[2]),
        ]
    else:
        nodes = [node("BatchNormalization", "x g b m v", "y")]
    agrees(tmp_path, model(nodes, constants, opset=11))


def test_a_variance_that_is_not_positive_is_an_error(tmp_path: Path) -> None:
    one = np.ones(6, np.float32)
    nodes = [node("BatchNormalization", "x g b m v", "y")]
    with pytest.raises(CompileError, match=r"y.*not positive"):
        load(tmp_path, model(nodes, {"g": one, "b": one, "m": one, "v": -one}))


def test_shapes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"MatMul -> y.*\(1, 5\).*\(4, 6\)"):
        load(tmp_path, model([node("MatMul", "x w", "y")], {"w": W}, {"x": (1, 5)}))


@pytest.mark.parametrize("tail", ["classic", "constants_first"])
def test_tails_of_scalars(tmp_path: Path, tail: str) -> None:
    nodes = [
        node("Pow", "var half", "sd"),
        node("Sub", "x mean", "c"),
        node("Div", "c sd", "d"),
        node("Mul", "gain d" if tail == "constants_first" else "d gain", "e"),
        node("Add", "e shift", "y"),
    ]
    constants = {"var": [318.2], "half": 0.5, "mean": [0.4], "gain": [0.7], "shift": -1.1}
    graph = agrees(tmp_path, model(nodes, constants))
    assert ops(graph) == ["Arithmetic"] * 4
