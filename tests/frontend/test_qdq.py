"""QuantizeLinear, DequantizeLinear and the operators on codes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.types import Int
from tests.onnx_models import MICROSOFT, agrees, f32, i8, i32, load, model, node, ops

RNG = np.random.default_rng(2)
W = RNG.integers(-128, 128, size=(6, 4)).astype(np.int8)
I8, U8 = np.int8, np.uint8


@pytest.mark.parametrize("zero", [I8(-128), I8(3), U8(131), np.int16(7), np.uint16(999)])
def test_quantize_and_dequantize(tmp_path: Path, zero: Any) -> None:
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")]
    graph = agrees(tmp_path, model(nodes, {"s": 0.25, "z": zero}, opset=21, outputs=["q", "y"]))
    info = np.iinfo(zero.dtype)
    assert graph.outputs[0].elem == Int(int(info.min), int(info.max))


def test_ties_are_rounded_before_an_odd_zero_point_is_added(tmp_path: Path) -> None:
    proto = model([node("QuantizeLinear", "x s z", "y")], {"s": 0.25, "z": I8(3)})
    agrees(tmp_path, proto, spread=0.5)


def test_without_zero_point_codes_are_uint8(tmp_path: Path) -> None:
    graph = agrees(tmp_path, model([node("QuantizeLinear", "x s", "y")], {"s": [0.25]}))
    assert graph.outputs[0].elem == Int(0, 255)


def test_four_bit_zero_points(tmp_path: Path) -> None:
    zero = helper.make_tensor("z", TensorProto.INT4, [], [-3])
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")]
    graph = agrees(tmp_path, model(nodes, {"s": 0.5, "z": zero}, opset=21))
    assert graph.ops[0].output.elem == Int(-8, 7)


def test_four_bit_weights(tmp_path: Path) -> None:
    weights = helper.make_tensor("w", TensorProto.INT4, [6, 2], list(range(-6, 6)))
    nodes = [node("DequantizeLinear", "w s", "d"), node("MatMul", "x d", "y")]
    graph = agrees(tmp_path, model(nodes, {"s": 0.5, "w": weights}, opset=21))
    codes = graph.constant(graph.ops[0].inputs[0])
    np.testing.assert_array_equal(codes, np.arange(-6, 6).reshape(6, 2).T)


@pytest.mark.parametrize("axis", [None, 1, 2, -1])
def test_per_axis(tmp_path: Path, axis: int | None) -> None:
    count = 3 if axis in {None, 1} else 5
    scale = np.linspace(0.125, 1, count).astype(np.float32)
    zero = np.arange(count).astype(np.int8)
    attributes = {} if axis is None else {"axis": axis}
    nodes = [
        node("QuantizeLinear", "x s z", "q", **attributes),
        node("DequantizeLinear", "q s z", "y", **attributes),
    ]
    agrees(tmp_path, model(nodes, {"s": scale, "z": zero}, {"x": (1, 3, 5)}))


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_quantized_layer(tmp_path: Path, per_channel: bool) -> None:
    scale = f32(0.01, 0.02, 0.03, 0.015) if per_channel else np.float32(0.01)
    zero = np.zeros(scale.shape, np.int8)
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "a"),
        node("DequantizeLinear", "w ws wz", "b"),
        node("MatMul", "a b", "m"),
        node("DequantizeLinear", "c cs cz", "bias"),
        node("Add", "m bias", "n"),
        node("QuantizeLinear", "n ys yz", "y"),
    ]
    constants = {
        "s": 0.05, "z": I8(3), "w": W, "ws": scale, "wz": zero, "ys": 0.2, "yz": I8(-128),
        "c": i32(1000, -2000, 1 << 28, 5), "cs": 0.0005, "cz": np.int32(0),
    }  # fmt: skip
    graph = agrees(tmp_path, model(nodes, constants))
    want = [
        "Quantize",
        "Dequantize",
        "Dequantize",
        "Dequantize",
        "Linear",
        "Arithmetic",
        "Quantize",
    ]
    assert sorted(ops(graph)) == sorted(want)
    np.testing.assert_array_equal(graph.constant(linear_codes(graph)), W.T)


def linear_codes(graph: Any) -> Any:
    linear = next(op for op in graph.ops if type(op).__name__ == "Linear")
    return graph.producers()[linear.inputs[1].name].inputs[0]


def test_float_weights_between_quantizers_become_codes(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", "w s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("Gemm", "x d", "y"),
    ]
    w = RNG.normal(size=(6, 4)).astype(np.float32)
    graph = agrees(tmp_path, model(nodes, {"w": w, "s": 0.125, "z": I8(0)}))
    assert ops(graph) == ["Dequantize", "Linear"]


@pytest.mark.parametrize(
    ("kind", "elem"),
    [
        (TensorProto.UINT8, Int(0, 255)),
        (TensorProto.INT8, Int(-128, 127)),
        (TensorProto.INT32, Int(-(1 << 31), (1 << 31) - 1)),
    ],
)
def test_integer_inputs(tmp_path: Path, kind: int, elem: Int) -> None:
    nodes = [node("Cast", "x", "f", to=TensorProto.FLOAT), node("Div", "f c", "y")]
    graph = agrees(tmp_path, model(nodes, {"c": 255.0}, types={"x": kind}))
    assert graph.inputs[0].elem == elem


def test_index_maps_between_codes(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("Transpose", "q", "t", perm=[0, 2, 1]),
        node("Flatten", "t", "f"),
        node("DequantizeLinear", "f s z", "y"),
    ]
    agrees(tmp_path, model(nodes, {"s": 0.25, "z": U8(7)}, {"x": (1, 2, 3)}))


CODED = {"x": (1, 6)}
TYPES = {"x": TensorProto.INT8}
GRID = {"s": 0.05, "z": I8(3), "ws": 0.01, "wz": I8(-2), "ys": 0.2, "yz": I8(11)}


@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_matmul(tmp_path: Path, per_channel: bool) -> None:
    wide = {"ws": f32(0.01, 0.02, 0.03, 0.04), "wz": i8(0, 1, 2, 3)}
    grid = GRID | (wide if per_channel else {})
    nodes = [node("QLinearMatMul", "x s z w ws wz ys yz", "y")]
    agrees(tmp_path, model(nodes, {**grid, "w": W}, CODED, types=TYPES), codes_off=1)


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("turned", [0, 1])
def test_qgemm(tmp_path: Path, coded: bool, turned: int) -> None:
    reads = "x s z w ws wz b" + " ys yz" * coded
    nodes = [node("QGemm", reads, "y", MICROSOFT, transB=turned)]
    w = W.T.copy() if turned else W
    constants = {**GRID, "w": w, "b": i32(100, -200, 3000, 0)}
    agrees(tmp_path, model(nodes, constants, CODED, types=TYPES), codes_off=1)


@pytest.mark.parametrize("zeros", ["", "az", "- bz", "az bv"])
def test_matmul_integer(tmp_path: Path, zeros: str) -> None:
    nodes = [
        node("MatMulInteger", f"x w {zeros}", "i"),
        node("Add", "i c", "j"),
        node("Cast", "j", "f", to=TensorProto.FLOAT),
        node("Mul", "f s", "y"),
    ]
    constants = {
        "w": W, "az": I8(3), "bz": I8(-2), "bv": i8(1, 0, 3, 4), "s": 0.01,
        "c": i32(1, -5, 1 << 20, 3),
    }  # fmt: skip
    agrees(tmp_path, model(nodes, constants, CODED, types=TYPES))


@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("constant", [False, True])
def test_qlinear_arithmetic(tmp_path: Path, op: str, constant: bool) -> None:
    nodes = [node(op, f"x s z {'k' if constant else 'x'} ws wz ys yz", "y", MICROSOFT)]
    constants = {**GRID, "k": i8(1, 2, -3, 100, 5, -100)}
    agrees(tmp_path, model(nodes, constants, CODED, types=TYPES), codes_off=1)


@pytest.mark.parametrize("op", ["QLinearSigmoid", "QLinearLeakyRelu"])
def test_qlinear_functions(tmp_path: Path, op: str) -> None:
    nodes = [node(op, "x s z q r", "y", MICROSOFT)]
    constants = {**GRID, "q": 1 / 128, "r": I8(-5)}
    agrees(tmp_path, model(nodes, constants, CODED, types=TYPES), codes_off=1)


@pytest.mark.parametrize("opset", [9, 15])
def test_qlinear_softmax(tmp_path: Path, opset: int) -> None:
    nodes = [node("QLinearSoftmax", "x s z q r", "y", MICROSOFT, opset=opset, axis=1)]
    constants = {**GRID, "q": 1 / 256, "r": I8(-128)}
    agrees(tmp_path, model(nodes, constants, {"x": (1, 6)}, types=TYPES), codes_off=1)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([node("DynamicQuantizeLinear", "x", "y a b")], "quantize statically"),
        ([node("QuantizeLinear", "x s z", "q"), node("Sigmoid", "q", "y")], "integer tensor 'q'"),
        ([node("QuantizeLinear", "x s z", "q", block_size=2), node("Relu", "q", "y")], "blocks"),
    ],
)
def test_what_is_refused(tmp_path: Path, nodes: list[Any], text: str) -> None:
    with pytest.raises(UnsupportedError, match=text):
        load(tmp_path, model(nodes, {"s": 0.5, "z": I8(0)}, opset=21))


def test_a_scale_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    proto = model([node("QuantizeLinear", "x s", "y")], {"s": np.ones(4, np.float32)})
    with pytest.raises(CompileError, match=r"shape \(4,\) does not fit axis 1"):
        load(tmp_path, proto)
