"""QONNX's spatial nodes, rewritten as standard ones for onnxruntime, mean what the importers say."""

from pathlib import Path

import numpy as np
import pytest

from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.graph import Array
from bitwright.sim.standard_onnx import standard_model
from tests.onnx_models import QONNX, agrees, f32, load, model, node

LAST = "qonnx.custom_op.channels_last"
RNG = np.random.default_rng(10)
X = (1, 6, 5, 4)


def normal(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def test_a_convolution_that_has_channels_last(tmp_path: Path) -> None:
    conv = node(
        "Conv", "x w b", "y", LAST, kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 1], group=2
    )
    constants = {"w": normal(6, 3, 2, 2), "b": normal(6)}
    agrees(tmp_path, model([conv], constants, {"x": X}), count=3)


@pytest.mark.parametrize(("op", "domain"), [("MaxPool", LAST), ("MaxPoolNHWC", QONNX)])
def test_pools(tmp_path: Path, op: str, domain: str) -> None:
    pool = node(op, "x", "y", domain, kernel_shape=[2, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    agrees(tmp_path, model([pool], {}, {"x": X}), count=3)


def test_a_batch_normalization_behind_a_pool(tmp_path: Path) -> None:
    constants = {"g": normal(4), "b": normal(4), "m": normal(4), "v": np.abs(normal(4)) + 1}
    nodes = [
        node("MaxPool", "x", "p", LAST, kernel_shape=[2, 2]),
        node("BatchNormalization", "p g b m v", "y", LAST, epsilon=1e-3),
    ]
    agrees(tmp_path, model(nodes, constants, {"x": X}), count=3)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("ibits", "obits", "signed"), [(4, 4, 0), (8, 4, 1), (2, 8, 1)])
def test_a_pool_of_codes(tmp_path: Path, layout: str, ibits: int, obits: int, signed: int) -> None:
    nodes = [
        node("Quant", "x s z n", "q", QONNX, signed=signed, narrow=0),
        node("QuantAvgPool2d", "q", "y", QONNX, kernel=3, stride=2, ibits=ibits, obits=obits,
             signed=signed, data_layout=layout),
    ]  # fmt: skip
    constants = {"s": 1.0, "z": 0.0, "n": f32(ibits)}
    shape = (1, 2, 7, 7) if layout == "NCHW" else (1, 7, 7, 2)
    agrees(tmp_path, model(nodes, constants, {"x": shape}), count=20, spread=2.0**ibits / 3)


def test_an_unknown_node_is_named() -> None:
    proto = model([node("Upsample", "x", "y", LAST)], {}, {"x": X})
    with pytest.raises(UnsupportedError, match="Upsample has no form in standard operators"):
        standard_model(proto)


def test_the_import_refuses_it_too(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="not known"):
        load(tmp_path, model([node("Upsample", "x", "y", LAST)], {}, {"x": X}))
