"""QONNX's channels-last operators and pools: equal to the standard ones between transposes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array
from tests.onnx_models import QONNX, agrees, f32, load, model, node, ops, samples

LAST = "qonnx.custom_op.channels_last"
RNG = np.random.default_rng(9)
X = (1, 6, 5, 4)


def normal(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def same(folder: Path, last: Any, standard: Any, constants: Any, first: Any = None) -> Any:
    """Assert that a node on (N, H, W, C) computes what the standard one does between transposes."""
    graph = load(folder, model([last], constants, {"x": X}))
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        standard,
        node("Transpose", "s", "y", perm=[0, 2, 3, 1]),
    ]
    reference = agrees(folder, model(nodes, first or constants, {"x": X}), count=3)
    inputs = samples(graph, count=3)
    ours, theirs = evaluate(graph, inputs)["y"], evaluate(reference, inputs)["y"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    return graph


def test_conv(tmp_path: Path) -> None:
    w, b = normal(6, 3, 2, 2), normal(6)
    attributes = {
        "kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "strides": [2, 1], "dilations": [1, 1],
        "group": 2,
    }  # fmt: skip
    graph = same(
        tmp_path,
        node("Conv", "x w b", "y", LAST, **attributes),
        node("Conv", "t w b", "s", **attributes),
        {"w": w, "b": b},
        {"w": w.transpose(0, 3, 1, 2), "b": b},
    )
    assert ops(graph) == ["Conv"]


@pytest.mark.parametrize(("op", "domain"), [("MaxPool", LAST), ("MaxPoolNHWC", QONNX)])
def test_max_pool(tmp_path: Path, op: str, domain: str) -> None:
    attributes = {"kernel_shape": [2, 3], "pads": [1, 1, 1, 1], "strides": [2, 2], "ceil_mode": 1}
    graph = same(
        tmp_path, node(op, "x", "y", domain, **attributes),
        node("MaxPool", "t", "s", **attributes), {},
    )  # fmt: skip
    assert ops(graph) == ["MaxPool"]


def test_batch_norm(tmp_path: Path) -> None:
    constants = {"g": normal(4), "b": normal(4), "m": normal(4), "v": np.abs(normal(4)) + 1}
    same(
        tmp_path, node("BatchNormalization", "x g b m v", "y", LAST, epsilon=1e-3),
        node("BatchNormalization", "t g b m v", "s", epsilon=1e-3), constants,
    )  # fmt: skip


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("ibits", "obits", "signed"), [(4, 4, 0), (8, 4, 1), (2, 8, 1)])
def test_quantized_average_pool(
    tmp_path: Path, layout: str, ibits: int, obits: int, signed: int
) -> None:
    pool = node(
        "QuantAvgPool2d", "x", "y", QONNX, kernel=3, stride=2, ibits=ibits, obits=obits,
        signed=signed, data_layout=layout,
    )  # fmt: skip
    shape = (1, 2, 7, 7) if layout == "NCHW" else (1, 7, 7, 2)
    graph = load(tmp_path, model([pool], {}, {"x": shape}))
    low = -(2 ** (ibits - 1)) if signed else 0
    x = RNG.integers(low, low + 2**ibits - 1, size=(5, *shape), endpoint=True)
    y = evaluate(graph, {"x": x}, dtype=np.float32)["y"]
    data = x[:, 0] if layout == "NHWC" else x[:, 0].transpose(0, 2, 3, 1)
    sums = np.stack(
        [data[:, i : i + 3, j : j + 3].sum(axis=(1, 2)) for i in (0, 2, 4) for j in (0, 2, 4)], 1
    )
    shift = max(((2**ibits - 1) * 9).bit_length() - obits, 0)
    want = (sums >> shift).reshape(5, 3, 3, 2)
    found = y[:, 0] if layout == "NHWC" else y[:, 0].transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(("layout", "shape"), [("NCHW", (1, 3, 4, 5)), ("NHWC", (1, 4, 5, 3))])
def test_thresholds_along_the_channels_of_an_image(
    tmp_path: Path, layout: str, shape: tuple[int, ...]
) -> None:
    thresholds = np.sort(normal(3, 5), axis=1)
    nodes = [node("MultiThreshold", "x t", "y", QONNX, out_dtype="UINT3", data_layout=layout)]
    graph = load(tmp_path, model(nodes, {"t": thresholds}, {"x": shape}))
    x = samples(graph, count=3)["x"]
    axis = layout.index("C")
    moved = np.moveaxis(x, axis + 1, -1)
    want = (moved[..., None] >= thresholds).sum(axis=-1)
    np.testing.assert_array_equal(np.moveaxis(evaluate(graph, {"x": x})["y"], axis + 1, -1), want)


def test_bipolar_weights_of_a_convolution_keep_their_codes(tmp_path: Path) -> None:
    nodes = [node("BipolarQuant", "w s", "q", QONNX), node("Conv", "x q", "y")]
    constants = {"w": normal(3, 2, 3, 3), "s": f32(0.5)}
    graph = agrees(tmp_path, model(nodes, constants, {"x": (1, 2, 5, 5)}), count=3)
    assert sorted(ops(graph)) == ["Conv", "Dequantize", "Transpose", "Transpose"]


def test_lowered_convolutions_are_refused(tmp_path: Path) -> None:
    proto = model([node("Im2Col", "x", "y", QONNX)], {}, {"x": X})
    with pytest.raises(UnsupportedError, match="before its convolutions are lowered"):
        load(tmp_path, proto)


def test_a_pool_of_unknown_layout_is_refused(tmp_path: Path) -> None:
    pool = node("QuantAvgPool2d", "x", "y", QONNX, kernel=2, data_layout="CHWN")
    with pytest.raises(CompileError, match="data_layout CHWN is not known"):
        load(tmp_path, model([pool], {}, {"x": X}))
