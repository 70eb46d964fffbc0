"""Convolutions, pools and joins of codes against onnxruntime; ConvInteger; DynamicQuantize."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.graph import Array
from bitwright.ir.ops import Conv, Dequantize
from tests.onnx_models import MICROSOFT, agrees, f32, i8, load, model, node, ops

RNG = np.random.default_rng(7)
U8, I8 = TensorProto.UINT8, TensorProto.INT8


def codes(*shape: int, low: int = -128, high: int = 127) -> Array:
    kind = np.int8 if low < 0 else np.uint8
    return RNG.integers(low, high, size=shape, endpoint=True).astype(kind)


def qlinear_conv(
    w: Array, scale: Any, zero: Any, bias: bool, **attributes: Any
) -> tuple[Any, dict[str, Any]]:
    constants: dict[str, Any] = {
        "xs": np.float32(0.1), "xz": np.uint8(120), "w": w, "ws": scale, "wz": zero,
        "ys": np.float32(0.9), "yz": np.uint8(130),
    }  # fmt: skip
    if bias:
        constants["b"] = RNG.integers(-500, 500, size=w.shape[0]).astype(np.int32)
    reads = " ".join(["x", *constants])
    return node("QLinearConv", reads, "y", attributes.pop("domain", ""), **attributes), constants


@pytest.mark.parametrize("per_filter", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_qlinear_conv(tmp_path: Path, per_filter: bool, bias: bool) -> None:
    scale = f32(0.02, 0.05, 0.01, 0.03) if per_filter else np.float32(0.02)
    zero = np.zeros(4, np.int8) if per_filter else np.int8(0)
    conv, constants = qlinear_conv(
        codes(4, 2, 3, 2), scale, zero, bias, pads=[1, 0, 0, 1], strides=[2, 1]
    )
    proto = model([conv], constants, {"x": (1, 2, 6, 5)}, types={"x": U8})
    graph = agrees(tmp_path, proto, codes_off=1, count=10)
    found = next(op for op in graph.ops if isinstance(op, Conv))
    weight = graph.producers()[found.inputs[1].name]
    assert isinstance(weight, Dequantize)
    np.testing.assert_array_equal(
        graph.constant(weight.inputs[0]), constants["w"].transpose(0, 2, 3, 1)
    )


def test_qlinear_conv_by_channel_with_a_weight_zero_point(tmp_path: Path) -> None:
    conv, constants = qlinear_conv(
        codes(3, 1, 3, 3, low=0, high=255), np.float32(0.02), np.uint8(131), True, group=3
    )
    agrees(tmp_path, model([conv], constants, {"x": (1, 3, 5, 4)}, types={"x": U8}), count=10)


def test_qlinear_conv_of_channels_last(tmp_path: Path) -> None:
    conv, constants = qlinear_conv(
        codes(4, 2, 3, 2), np.float32(0.02), np.int8(0), True, domain=MICROSOFT, channels_last=1
    )
    proto = model([conv], constants, {"x": (1, 6, 5, 2)}, types={"x": U8})
    assert "Transpose" not in ops(agrees(tmp_path, proto, count=10))


@pytest.mark.parametrize("zeros", [True, False])
def test_conv_integer(tmp_path: Path, zeros: bool) -> None:
    constants: dict[str, Any] = {"w": codes(4, 1, 3, 2, low=0, high=255)}
    if zeros:
        constants |= {"xz": np.uint8(3), "wz": np.uint8(129)}
    nodes = [
        node("ConvInteger", " ".join(["x", *constants]), "i", group=2, pads=[1, 1, 0, 0]),
        node("Cast", "i", "f", to=TensorProto.FLOAT),
        node("Mul", "f s", "y"),
    ]
    constants["s"] = np.float32(0.01)
    agrees(tmp_path, model(nodes, constants, {"x": (1, 2, 5, 5)}, types={"x": U8}), count=5)


POOL = {"xs": np.float32(0.1), "xz": np.uint8(12), "ys": np.float32(0.13), "yz": np.uint8(5)}


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 3], "strides": [2, 1]},
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "strides": [2, 2], "ceil_mode": 1},
    ],
)
def test_qlinear_average_pool(tmp_path: Path, last: int, attributes: dict[str, Any]) -> None:
    pool = node(
        "QLinearAveragePool", "x xs xz ys yz", "y", MICROSOFT, channels_last=last, **attributes
    )
    proto = model([pool], POOL, {"x": (1, 6, 5, 4)}, types={"x": U8})
    agrees(tmp_path, proto, codes_off=1, count=10)


@pytest.mark.parametrize("last", [0, 1])
def test_qlinear_global_average_pool(tmp_path: Path, last: int) -> None:
    pool = node("QLinearGlobalAveragePool", "x xs xz ys yz", "y", MICROSOFT, channels_last=last)
    proto = model([pool], POOL, {"x": (1, 6, 5, 4)}, types={"x": U8})
    agrees(tmp_path, proto, codes_off=1, count=10)


def test_qlinear_concat(tmp_path: Path) -> None:
    nodes = [
        node("MaxPool", "x", "p", kernel_shape=[1, 1]),
        node("QLinearConcat", "ys yz x xs xz p ps pz", "y", MICROSOFT, axis=1),
    ]
    constants = {**POOL, "ps": np.float32(0.2), "pz": np.uint8(100)}
    proto = model(nodes, constants, {"x": (1, 2, 3, 4)}, types={"x": U8})
    graph = agrees(tmp_path, proto, count=10)
    assert graph.outputs[0].shape == (1, 4, 3, 4)


def test_a_max_pool_of_channels_last(tmp_path: Path) -> None:
    pool = node("NhwcMaxPool", "x", "y", MICROSOFT, kernel_shape=[2, 3], strides=[2, 2])
    proto = model([pool], {}, {"x": (1, 6, 5, 4)}, types={"x": I8})
    assert ops(agrees(tmp_path, proto, count=5)) == ["MaxPool"]


def test_qdq_around_a_convolution(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", "x xs xz", "q"),
        node("DequantizeLinear", "q xs xz", "d"),
        node("DequantizeLinear", "w ws wz", "dw", axis=0),
        node("DequantizeLinear", "b bs", "db", axis=0),
        node("Conv", "d dw db", "c", pads=[1, 1, 1, 1], group=2),
        node("Relu", "c", "r"),
        node("QuantizeLinear", "r ys xz", "y"),
    ]
    scale = f32(0.02, 0.05)
    constants = {
        "xs": np.float32(0.1), "xz": np.int8(-3), "w": codes(2, 1, 3, 3), "ws": scale,
        "wz": i8(0, 0), "b": np.array([40, -90], np.int32), "bs": np.float32(0.1) * scale,
        "ys": np.float32(0.25),
    }  # fmt: skip
    agrees(tmp_path, model(nodes, constants, {"x": (1, 2, 5, 5)}), codes_off=1, count=10)


def test_a_concat_of_an_odd_number_of_inputs_is_an_error(tmp_path: Path) -> None:
    concat = node("QLinearConcat", "ys yz x xs", "y", MICROSOFT, axis=1)
    proto = model([concat], POOL, {"x": (1, 2, 3, 4)}, types={"x": U8})
    with pytest.raises(CompileError, match=r"QLinearConcat -> y.*has 4 inputs"):
        load(tmp_path, proto)


def test_scales_computed_at_run_time_are_refused(tmp_path: Path) -> None:
    nodes = [
        node("DynamicQuantizeLinear", "x", "q s z"),
        node("ConvInteger", "q w z", "i"),
        node("Cast", "i", "y", to=TensorProto.FLOAT),
    ]
    proto = model(nodes, {"w": codes(2, 1, 3, 3)}, {"x": (1, 1, 5, 5)})
    with pytest.raises(UnsupportedError, match="its scale is computed at run time"):
        load(tmp_path, proto)
