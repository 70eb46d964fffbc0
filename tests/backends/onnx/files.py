"""Export a graph, run the file in onnxruntime, and read it back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bitwright.backends.onnx import export
from bitwright.frontend import load_model
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.passes import SIMPLIFY, run
from bitwright.sim.reference_worker import run as onnxruntime


def kinds(model: bytes) -> list[str]:
    """Return the operators of a file in order."""
    return [n.op_type for n in onnx.load_from_string(model).graph.node]


def write(graph: Graph, folder: Path, *, standard: bool) -> Path:
    """Write the export; the standard form must be what the standard's own checker takes."""
    model = export(graph, standard=standard)
    assert model == export(graph, standard=standard)
    proto = onnx.load_from_string(model)
    if standard:
        onnx.checker.check_model(proto, full_check=True)
        assert {n.domain for n in proto.graph.node} <= {""}
    for mine, v in ((proto.graph.input, graph.inputs), (proto.graph.output, graph.outputs)):
        assert [(i.name, shape(i)) for i in mine] == [(x.name, x.shape) for x in v]
    path = folder / ("standard.onnx" if standard else "q.onnx")
    path.write_bytes(model)
    return path


def shape(info: Any) -> tuple[int, ...]:
    return tuple(d.dim_value for d in info.type.tensor_type.shape.dim)


def check_runs(graph: Graph, x: Mapping[str, Array], path: Path, tolerance: float = 2e-6) -> None:
    """Compare onnxruntime on a file with the graph; both compute in float32."""
    want = evaluate(graph, x, dtype=np.float32)
    got = onnxruntime(path, dict(x), [])
    for v in graph.outputs:
        close(got[v.name], want[v.name], v.name, tolerance)


def close(got: Array, want: Array, name: str, tolerance: float) -> None:
    assert got.shape == want.shape, name
    size = float(np.abs(want[np.isfinite(want)]).max(initial=1e-30))
    np.testing.assert_allclose(
        got.astype(np.float64), want, rtol=0, atol=tolerance * size, err_msg=name
    )


def read_back(path: Path) -> Graph:
    """Return the simplified graph of a file."""
    return run(load_model(path), SIMPLIFY)
