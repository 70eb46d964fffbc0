"""Conv and ConvTranspose against onnxruntime, and what contradicts itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.graph import Array
from bitwright.ir.ops import Conv, Dequantize
from tests.onnx_models import QONNX, agrees, f32, load, model, node, ops

RNG = np.random.default_rng(3)


def normal(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def check(folder: Path, x: tuple[int, ...], w: tuple[int, ...], **attributes: Any) -> Any:
    op = attributes.pop("op", "Conv")
    outputs = w[0] if op == "Conv" else w[1] * attributes.get("group", 1)
    proto = model(
        [node(op, "x w b", "y", **attributes)], {"w": normal(*w), "b": normal(outputs)}, {"x": x}
    )
    return agrees(folder, proto, count=3)


CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((1, 3, 7, 5), (4, 3, 3, 3), {}),
    ((1, 3, 7, 5), (4, 3, 3, 2), {"pads": [1, 0, 2, 1], "kernel_shape": [3, 2]}),
    ((1, 3, 7, 5), (4, 3, 1, 1), {"strides": [3, 2]}),
    ((1, 2, 9, 9), (4, 2, 3, 3), {"dilations": [2, 3], "pads": [2, 3, 2, 3]}),
    ((1, 4, 6, 6), (6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ((1, 5, 6, 7), (5, 1, 3, 3), {"group": 5, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ((1, 3, 6, 7), (6, 1, 2, 4), {"group": 3, "auto_pad": "SAME_LOWER", "strides": [1, 2]}),
    ((1, 1, 6, 7), (2, 1, 3, 3), {"auto_pad": "VALID", "strides": [2, 1]}),
    ((1, 1, 1, 1), (2, 1, 1, 1), {}),
    ((1, 2, 1, 1), (3, 2, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((1, 3, 11), (4, 3, 4), {"strides": [2], "pads": [3, 0]}),
    ((1, 2, 11), (4, 2, 3), {"dilations": [3], "strides": [2], "auto_pad": "VALID"}),
    ((1, 2, 4, 5, 3), (3, 2, 2, 3, 3), {"pads": [0, 1, 1, 1, 0, 1]}),
    ((1, 2, 9, 9), (3, 2, 2, 2), {"strides": [4, 5]}),
]


@pytest.mark.parametrize(("x", "w", "attributes"), CASES)
def test_conv(
    tmp_path: Path, x: tuple[int, ...], w: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    assert ops(check(tmp_path, x, w, **attributes)) == ["Transpose", "Conv", "Transpose"]


TRANSPOSED: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((1, 3, 4, 5), (3, 2, 3, 3), {}),
    ((1, 3, 4, 5), (3, 2, 3, 3), {"strides": [2, 3], "pads": [1, 0, 0, 2]}),
    ((1, 3, 4, 5), (3, 2, 3, 3), {"strides": [3, 2], "output_padding": [2, 1]}),
    ((1, 4, 4, 5), (4, 3, 2, 3), {"group": 2, "strides": [2, 2], "dilations": [2, 1]}),
    ((1, 3, 4, 5), (3, 2, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ((1, 3, 4, 5), (3, 2, 4, 3), {"strides": [1, 2], "auto_pad": "SAME_LOWER"}),
    ((1, 3, 4, 5), (3, 2, 3, 3), {"auto_pad": "VALID", "strides": [2, 2]}),
    ((1, 3, 4, 5), (3, 2, 3, 3), {"strides": [3, 2], "output_shape": [10, 8]}),
    ((1, 3, 4, 5), (3, 2, 3, 3), {"strides": [3, 2], "output_shape": [11, 12]}),
    ((1, 3, 4, 5), (3, 2, 3, 3),
     {"strides": [3, 2], "output_shape": [11, 10], "output_padding": [1, 1]}),
    ((1, 3, 6), (3, 2, 3), {"strides": [2]}),
    ((1, 1, 1, 1), (1, 1, 2, 2), {}),
]  # fmt: skip


@pytest.mark.parametrize(("x", "w", "attributes"), TRANSPOSED)
def test_conv_transpose(
    tmp_path: Path, x: tuple[int, ...], w: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    check(tmp_path, x, w, op="ConvTranspose", **attributes)


def test_padding_that_no_position_needs_is_left_out(tmp_path: Path) -> None:
    graph = check(tmp_path, (1, 1, 8, 8), (1, 1, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2])
    conv = graph.ops[1]
    assert isinstance(conv, Conv)
    assert (conv.window.before, conv.window.after) == ((1, 1), (0, 0))


def test_same_padding_counts_dilations(tmp_path: Path) -> None:  # onnxruntime refuses it
    proto = model(
        [node("Conv", "x w", "y", dilations=[3], auto_pad="SAME_LOWER")],
        {"w": normal(4, 2, 3)}, {"x": (1, 2, 11)},
    )  # fmt: skip
    graph = load(tmp_path, proto)
    assert graph.outputs[0].shape == (1, 4, 11)
    conv = graph.ops[1]
    assert isinstance(conv, Conv)
    assert conv.window.before == (3,)


def test_layers_in_a_row_share_no_transpose(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "a"), node("Conv", "a v", "y")]
    constants = {"w": normal(3, 2, 3, 3), "v": normal(2, 3, 2, 2)}
    graph = agrees(tmp_path, model(nodes, constants, {"x": (1, 2, 6, 6)}), count=3)
    assert ops(graph) == ["Transpose", "Conv", "Conv", "Transpose"]


def test_quantized_weights_keep_their_codes(tmp_path: Path) -> None:
    nodes = [
        node("DequantizeLinear", "q s z", "w", axis=0),
        node("DequantizeLinear", "c t", "b", axis=0),
        node("Conv", "x w b", "y"),
    ]
    codes = RNG.integers(-128, 127, size=(4, 2, 3, 2)).astype(np.int8)
    constants = {
        "q": codes, "s": f32(0.5, 0.25, 1, 2), "z": np.zeros(4, np.int8),
        "c": np.array([1, -2, 3, 400], np.int32), "t": f32(0.5, 0.25, 1, 2),
    }  # fmt: skip
    graph = agrees(tmp_path, model(nodes, constants, {"x": (1, 2, 5, 5)}), count=3)
    weight = graph.producers()[next(op for op in graph.ops if isinstance(op, Conv)).inputs[1].name]
    assert isinstance(weight, Dequantize)
    assert weight.axis == 0
    np.testing.assert_array_equal(graph.constant(weight.inputs[0]), codes.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("groups", [1, 2])
def test_quantized_weights_of_a_transposed_convolution(tmp_path: Path, groups: int) -> None:
    nodes = [
        node("DequantizeLinear", "q s", "w"),
        node("ConvTranspose", "x w", "y", group=groups, strides=[2, 2]),
    ]
    codes = RNG.integers(-128, 127, size=(4, 3, 3, 2)).astype(np.int8)
    graph = agrees(
        tmp_path, model(nodes, {"q": codes, "s": f32(0.5)}, {"x": (1, 4, 3, 5)}), count=3
    )
    assert "Dequantize" in ops(graph)


def test_qonnx_weights_with_a_scale_per_filter(tmp_path: Path) -> None:
    scale = np.array([0.5, 0.25, 1.0], np.float32).reshape(3, 1, 1, 1)
    nodes = [
        node("Quant", "w s z n", "q", QONNX, signed=1, narrow=1, rounding_mode="ROUND"),
        node("Conv", "x q", "y"),
    ]
    constants = {"w": normal(3, 2, 3, 3), "s": scale, "z": 0.0, "n": 3.0}
    graph = agrees(tmp_path, model(nodes, constants, {"x": (1, 2, 5, 5)}), count=3)
    assert ops(graph).count("Dequantize") == 1
    assert "Quantize" not in ops(graph)


def test_half_precision_is_computed_in_float32(tmp_path: Path) -> None:
    constants = {"w": normal(3, 2, 3, 3).astype(np.float16)}
    proto = model(
        [node("Conv", "x w", "y")], constants, {"x": (1, 2, 5, 5)},
        types={"x": TensorProto.FLOAT16},
    )  # fmt: skip
    graph = load(tmp_path, proto)
    weight = graph.constant(graph.ops[1].inputs[1])
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, constants["w"].transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("x", "w", "attributes", "says"),
    [
        ((1, 3, 5, 5), (4, 3, 3, 3), {"kernel_shape": [2, 2]}, "contradicts the weight"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"group": 2}, "do not divide into 2 groups"),
        ((1, 3, 5, 5), (4, 2, 3, 3), {}, "reads 2 channels in each of 1 groups, the data have 3"),
        ((1, 3, 2, 5), (4, 3, 3, 3), {}, "no elements"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"pads": [1, 1]}, "pads has 2 numbers, expected 4"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"strides": [0, 1]}, "at least 1"),
        ((1, 3), (4, 3), {}, "at least three axes"),
        ((1, 3, 5, 5), (4, 3, 3), {}, "weight of shape"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"pads": [-1, 0, 0, 0]}, "padding .* is negative"),
        ((1, 3, 5, 5), (4, 3, 3, 3), {"auto_pad": "SAME"}, "auto_pad SAME is not known"),
    ],
)
def test_what_contradicts_itself_is_an_error(
    tmp_path: Path, x: tuple[int, ...], w: tuple[int, ...], attributes: dict[str, Any], says: str
) -> None:
    proto = model([node("Conv", "x w", "y", **attributes)], {"w": normal(*w)}, {"x": x})
    with pytest.raises(CompileError, match=f"Conv -> y.*{says}"):
        load(tmp_path, proto)


def test_weights_computed_at_run_time_are_refused(tmp_path: Path) -> None:
    proto = model([node("Conv", "x w", "y")], {}, {"x": (1, 1, 5, 5), "w": (1, 1, 3, 3)})
    with pytest.raises(UnsupportedError, match="weight 'w' is computed at run time"):
        load(tmp_path, proto)


@pytest.mark.parametrize("name", ["strides", "dilations", "output_padding"])
def test_a_transposed_convolution_of_bad_numbers_is_an_error(tmp_path: Path, name: str) -> None:
    attributes = {name: [-1, 1]}
    proto = model(
        [node("ConvTranspose", "x w", "y", **attributes)], {"w": normal(1, 1, 2, 2)},
        {"x": (1, 1, 5, 5)},
    )  # fmt: skip
    with pytest.raises(CompileError, match="ConvTranspose -> y: kernel, strides and dilations"):
        load(tmp_path, proto)
