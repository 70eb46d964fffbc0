"""QONNX quantizers, against a scalar reference and against their standard-ONNX form."""

from math import ceil, floor, trunc
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.ops import Dequantize, Quantize
from bitwright.ir.types import Bipolar, Int
from tests.onnx_models import QONNX, agrees, i64, load, model, node, ops

MODES = ["ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"]
DOMAINS = [QONNX, "onnx.brevitas", "finn.custom_op.general"]


def quant(bits: Any, scale: Any = 0.25, zero: Any = 0.0, opset: int = 13, **attributes: Any) -> Any:
    given_: dict[str, Any] = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"} | attributes
    domain = given_.pop("domain", QONNX)
    nodes = [node("Quant", "x s z n", "y", domain, **given_)]
    return model(nodes, {"s": scale, "z": zero, "n": bits}, opset=opset)


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_domain_without_its_opset_import(tmp_path: Path, domain: str) -> None:
    graph = agrees(tmp_path, quant(4.0, domain=domain))
    assert ops(graph) == ["Quantize", "Dequantize"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("opset", [9, 13])
def test_rounding_modes(tmp_path: Path, mode: str, opset: int) -> None:
    agrees(tmp_path, quant(4.0, rounding_mode=mode, opset=opset))


@pytest.mark.parametrize("bits", [1.0, 2.0, 8.0, np.int64(3), i64(5), 2.5])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("narrow", [0, 1])
def test_widths(tmp_path: Path, bits: Any, signed: int, narrow: int) -> None:
    agrees(tmp_path, quant(bits, signed=signed, narrow=narrow))


def test_codes_that_can_occur(tmp_path: Path) -> None:
    want = {(1, 0): Int(-8, 7), (1, 1): Int(-7, 7), (0, 0): Int(0, 15), (0, 1): Int(0, 14)}
    for (signed, narrow), elem in want.items():
        graph = load(tmp_path, quant(4.0, signed=signed, narrow=narrow))
        assert graph.ops[0].output.elem == elem


def test_a_signed_bit_is_bipolar(tmp_path: Path) -> None:
    graph = agrees(tmp_path, quant(1.0, scale=0.5))
    assert ops(graph) == ["Binarize", "Dequantize"]
    assert graph.ops[0].output.elem == Bipolar()


def test_a_signed_bit_with_a_zero_point(tmp_path: Path) -> None:
    agrees(tmp_path, quant(1.0, scale=0.5, zero=2.0))


def test_scale_and_zero_point_per_channel(tmp_path: Path) -> None:
    scale, zero = np.array([[0.25], [0.5], [1]], np.float32), i64(1, 0, -3)[:, None]
    nodes = [node("IntQuant", "x s z n", "y", QONNX, signed=1, narrow=0)]
    proto = model(nodes, {"s": scale, "z": zero, "n": 4.0}, {"x": (1, 3, 5)})
    graph = agrees(tmp_path, proto)
    assert isinstance(graph.ops[0], Quantize)
    assert graph.ops[0].axis == 1


@pytest.mark.parametrize(
    ("proto", "text"),
    [
        (quant(4.0, zero=0.5), "not an integer"),
        (quant(4.0, rounding_mode="STOCHASTIC"), "STOCHASTIC"),
        (quant(40.0), "bit width is 40"),
        (quant(4.0, scale=np.ones((2, 6), np.float32)), "neither one number"),
    ],
)
def test_parameters_that_are_refused(tmp_path: Path, proto: Any, text: str) -> None:
    with pytest.raises(UnsupportedError, match=text):
        load(tmp_path, proto)


def test_a_scale_of_zero_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="'s' is not positive"):
        load(tmp_path, quant(4.0, scale=0.0))


def scalar_quant(x: float, p: dict[str, Any]) -> float:
    """Quantize one number as QONNX says, in exact arithmetic (all parameters are dyadic)."""
    lo = -(1 << (p["bits"] - 1)) + p["narrow"] if p["signed"] else 0
    hi = (1 << (p["bits"] - 1)) - 1 if p["signed"] else (1 << p["bits"]) - 1 - p["narrow"]
    v = min(max(x / p["scale"] + p["zero"], lo), hi)
    size, sign = abs(v), (v > 0) - (v < 0)
    code = {
        "ROUND": lambda: round(v), "CEIL": lambda: ceil(v), "FLOOR": lambda: floor(v),
        "UP": lambda: sign * ceil(size), "DOWN": lambda: trunc(v),
        "HALF_UP": lambda: sign * floor(size + 0.5),
        "HALF_DOWN": lambda: sign * ceil(size - 0.5), "HALF_EVEN": lambda: round(v),
    }[p["mode"]]()  # fmt: skip
    return float((code - p["zero"]) * p["scale"])


PARAMETERS = st.fixed_dictionaries(
    {
        "bits": st.integers(2, 8),
        "signed": st.booleans(),
        "narrow": st.booleans(),
        "mode": st.sampled_from(MODES),
        "scale": st.sampled_from([0.125, 0.25, 1.0, 4.0]),
        "zero": st.integers(-20, 20),
    }
)


@given(PARAMETERS, st.lists(st.integers(-4000, 4000), min_size=6, max_size=6))
def test_quant_equals_a_scalar_reference(p: dict[str, Any], eighths: list[int]) -> None:
    proto = quant(
        float(p["bits"]), p["scale"], float(p["zero"]),
        signed=int(p["signed"]), narrow=int(p["narrow"]), rounding_mode=p["mode"],
    )  # fmt: skip
    x = np.array(eighths, np.float32) / 16
    with TemporaryDirectory() as folder:
        graph = load(Path(folder), proto)
    got = evaluate(graph, {"x": x[None, None]}, dtype=np.float32)["y"][0, 0]
    assert got.tolist() == [scalar_quant(float(v), p) for v in x]


@pytest.mark.parametrize("scale", [1.0, 0.3, np.array([[1, 2, -1, 0.5, 3, 1]], np.float32)])
def test_bipolar_quant(tmp_path: Path, scale: Any) -> None:
    graph = agrees(tmp_path, model([node("BipolarQuant", "x s", "y", QONNX)], {"s": scale}))
    assert ops(graph) == ["Binarize", "Dequantize"]


def test_bipolar_quant_takes_zero_to_plus_one(tmp_path: Path) -> None:
    graph = load(tmp_path, model([node("BipolarQuant", "x s", "y", QONNX)], {"s": 2.0}))
    zeros = np.array([[[0.0, -0.0, 1e-45, -1e-45, 1, -1]]], np.float32)
    got = evaluate(graph, {"x": zeros}, dtype=np.float32)["y"]
    assert got.tolist() == [[[2, 2, 2, -2, 2, -2]]]


def threshold(levels: Any, shape: Any = (1, 6), **attributes: Any) -> Any:
    nodes = [node("MultiThreshold", "x t", "y", "finn.custom_op.general", **attributes)]
    return model(nodes, {"t": np.asarray(levels, np.float32)}, {"x": shape})


def test_multi_threshold_counts(tmp_path: Path) -> None:
    graph = agrees(tmp_path, threshold([[-1, 0, 0, 2]]))
    assert ops(graph) == ["CountThresholds", "Dequantize"]


def test_multi_threshold_per_channel_with_scale_and_bias(tmp_path: Path) -> None:
    levels = np.sort(np.random.default_rng(0).normal(size=(6, 3)), axis=1)
    graph = agrees(tmp_path, threshold(levels, out_scale=0.5, out_bias=-1.5))
    assert ops(graph) == ["CountThresholds", "Dequantize"]  # -1.5 is a zero point of 3
    graph = agrees(tmp_path, threshold(levels, out_scale=0.5, out_bias=0.3))
    assert ops(graph) == ["CountThresholds", "Dequantize", "Arithmetic"]


@pytest.mark.parametrize(
    ("shape", "layout", "channels"),
    [((1, 2, 5), None, 5), ((1, 4, 2, 3), None, 4), ((1, 2, 3, 4), "NHWC", 4)],
)
def test_multi_threshold_layouts(
    tmp_path: Path, shape: tuple[int, ...], layout: str | None, channels: int
) -> None:
    levels = np.sort(np.random.default_rng(0).normal(size=(channels, 3)), axis=1)
    attributes = {} if layout is None else {"data_layout": layout}
    agrees(tmp_path, threshold(levels, shape, **attributes))


@pytest.mark.parametrize("levels", [[[0.0]], [[0.5]], [[-1], [0], [1], [0.25], [2], [-2]]])
def test_one_symmetric_threshold_is_a_sign(tmp_path: Path, levels: Any) -> None:
    graph = agrees(tmp_path, threshold(levels, out_scale=2.0, out_bias=-1.0, out_dtype="BIPOLAR"))
    assert ops(graph)[-2:] == ["Binarize", "Dequantize"]


@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "CEIL"])
def test_trunc_of_version_1(tmp_path: Path, mode: str) -> None:
    nodes = [node("Trunc", "x s z i o", "y", QONNX, rounding_mode=mode)]
    constants = {"s": 0.125, "z": 0.0, "i": 8.0, "o": 6.0}
    agrees(tmp_path, model(nodes, constants))


@pytest.mark.parametrize("zero", [0.0, 8.0])
def test_trunc_of_version_2(tmp_path: Path, zero: float) -> None:
    nodes = [
        node("Trunc", "x s z i os oz o", "y", QONNX, rounding_mode="FLOOR", signed=1, narrow=1)
    ]
    constants = {"s": 0.125, "z": zero, "i": 8.0, "os": 0.5, "oz": 0.0, "o": 3.0}
    graph = agrees(tmp_path, model(nodes, constants))
    assert isinstance(graph.ops[-1], Dequantize)
    assert graph.ops[-1].inputs[0].elem == Int(-3, 3)


def test_float_quant_is_refused_by_name(tmp_path: Path) -> None:
    nodes = [node("FloatQuant", "x s", "y", QONNX)]
    with pytest.raises(UnsupportedError, match=r"FloatQuant.*integer codes"):
        load(tmp_path, model(nodes, {"s": 1.0}))
