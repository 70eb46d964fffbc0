"""Rung 1 of quantized models: codes are onnxruntime's but at ties, which are told by computation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright.frontend import load_model
from bitwright.ir.graph import Graph
from bitwright.sim.by_layer import compare_by_layer
from bitwright.sim.outcome import Status
from tests.onnx_models import model, node, save


def pooled(scale: float) -> Any:
    """Convolution and average pool, quantized as onnxruntime's tools write it; ties where scales agree."""
    rng = np.random.default_rng(0)
    nodes = [
        node("QuantizeLinear", "x s z", "xq"), node("DequantizeLinear", "xq s z", "xd"),
        node("Conv", "xd w", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("QuantizeLinear", "c t z", "cq"), node("DequantizeLinear", "cq t z", "cd"),
        node("AveragePool", "cd", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("QuantizeLinear", "p u z", "pq"), node("DequantizeLinear", "pq u z", "y"),
    ]  # fmt: skip
    constants = {
        "s": np.float32(0.013), "t": np.float32(0.071), "u": np.float32(scale), "z": np.int8(0),
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
    }  # fmt: skip
    return model(nodes, constants, {"x": (1, 3, 8, 8)})


def inputs() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    return {"x": rng.normal(size=(6, 1, 3, 8, 8)).astype(np.float32)}


def changed(graph: Graph, name: str, by: float) -> Graph:
    """Return the graph with one constant scaled."""
    (key,) = [n for n in graph.constants if n.startswith(name)]
    return replace(graph, constants={**graph.constants, key: graph.constants[key] * by})


@pytest.mark.parametrize("scale", [0.071, 0.0503], ids=["ties", "no ties"])
def test_codes_are_those_of_onnxruntime_but_at_ties(tmp_path: Path, scale: float) -> None:
    path = save(tmp_path, pooled(scale))
    found = compare_by_layer(load_model(path), path, inputs())
    assert found.status is Status.PASS, found.detail
    assert found.detail.startswith("3 layers")


def test_another_scale_is_no_tie(tmp_path: Path) -> None:
    path = save(tmp_path, pooled(0.0503))
    raw = load_model(path)
    pool = next(op for op in raw.ops if op.name == "pq")
    wrong = changed(raw, pool.inputs[1].name, 1.01)
    found = compare_by_layer(wrong, path, inputs())
    assert found.status is Status.FAIL
    assert "'QuantizeLinear -> pq'" in found.detail or "pq" in found.detail


def test_one_weight_is_no_tie(tmp_path: Path) -> None:
    path = save(tmp_path, pooled(0.071))
    raw = load_model(path)
    conv = next(op for op in raw.ops if type(op).__name__ == "Conv")
    w = raw.constants[conv.inputs[1].name].copy()
    w.flat[5] += 0.02
    wrong = replace(raw, constants={**raw.constants, conv.inputs[1].name: w})
    found = compare_by_layer(wrong, path, inputs())
    assert found.status is Status.FAIL
    assert "no tie" in found.detail
