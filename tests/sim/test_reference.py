"""onnxruntime in a child process: QONNX nodes rewritten, limits kept, one clear error."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright.errors import CompileError, MissingToolError
from bitwright.sim.reference import run_onnx
from tests.onnx_models import QONNX, model, node, save


def quantized() -> Any:
    nodes = [
        node("Quant", "x s z n", "q", QONNX, signed=1, narrow=0, rounding_mode="ROUND"),
        node("MatMul", "q w", "y"),
    ]
    constants = {"s": 0.5, "z": 0.0, "n": 4.0, "w": np.eye(6)[:, :2]}
    return model(nodes, constants, {"x": ("N", 6)})


def test_outputs_and_taps_have_an_axis_of_samples(tmp_path: Path) -> None:
    x = np.linspace(-6, 6, 18).reshape(3, 1, 6)
    got = run_onnx(save(tmp_path, quantized()), {"x": x}, ["q"])
    want = np.clip(np.rint(x / 0.5), -8, 7) * 0.5
    np.testing.assert_array_equal(got["q"], want)
    np.testing.assert_array_equal(got["y"], want[..., :2])


def test_a_model_that_onnxruntime_refuses(tmp_path: Path) -> None:
    path = save(tmp_path, model([node("Magic", "x", "y", "acme")]))
    with pytest.raises(CompileError, match=r"onnxruntime cannot run 'model.onnx'"):
        run_onnx(path, {"x": np.zeros((1, 1, 6))})


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(CompileError, match="cannot run"):
        run_onnx(path, {})


def test_memory_is_limited(tmp_path: Path) -> None:
    shape = np.array([1 << 16, 1 << 16], np.int64)
    nodes = [
        node("ConstantOfShape", "s", "c"),
        node("ReduceSum", "c", "r"),
        node("Add", "x r", "y"),
    ]
    path = save(tmp_path, model(nodes, {"s": shape}))
    with pytest.raises(CompileError, match="onnxruntime"):
        run_onnx(path, {"x": np.zeros((1, 1, 6))})


def test_time_is_limited(tmp_path: Path) -> None:
    path = save(tmp_path, quantized())
    with pytest.raises(CompileError, match=r"more than 0\.01 s"):
        run_onnx(path, {"x": np.zeros((1, 1, 6))}, seconds=0.01)


def test_different_numbers_of_samples(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="different numbers of samples"):
        run_onnx(save(tmp_path, quantized()), {"x": np.zeros((2, 1, 6)), "z": np.zeros((1, 1))})


def test_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingToolError, match=r"pip install 'bitwright\[verify\]'"):
        run_onnx(save(tmp_path, quantized()), {"x": np.zeros((1, 1, 6))})
