"""Small ONNX models for tests, and their comparison with onnxruntime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bitwright.frontend import load_model
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.types import Real
from bitwright.sim.reference_worker import run

QONNX = "qonnx.custom_op.general"
MICROSOFT = "com.microsoft"
Shape = Sequence[int | str | None]
_DEFAULT = {"x": (1, 6)}


def node(op: str, reads: str, sets: str, domain: str = "", /, **attributes: Any) -> Any:
    """Return a node; tensor names are separated by blanks, `-` is a name left out."""
    names = ["" if n == "-" else n for n in reads.split()]
    return helper.make_node(op, names, sets.split(), domain=domain, **attributes)


def model(
    nodes: Sequence[Any],
    constants: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Shape] | None = None,
    opset: int = 13,
    **more: Any,
) -> Any:
    """Return a model whose output is `y`, or those in `more["outputs"]`.

    `more["types"]` gives the ONNX element types of inputs that are not float.
    """
    types = more.get("types", {})
    ins = [
        helper.make_tensor_value_info(n, types.get(n, TensorProto.FLOAT), s)
        for n, s in (inputs or _DEFAULT).items()
    ]
    outs = [onnx.ValueInfoProto(name=n) for n in more.get("outputs", ["y"])]
    tensors = [
        a if isinstance(a, TensorProto) else numpy_helper.from_array(_array(a), n)
        for n, a in (constants or {}).items()
    ]
    for t, n in zip(tensors, constants or {}, strict=True):
        t.name = n
    graph = helper.make_graph(list(nodes), "test", ins, outs, tensors)
    domains = {n.domain for n in nodes if n.domain and n.domain.startswith("com.")}
    ids = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in sorted(domains))]
    return helper.make_model(graph, opset_imports=ids, ir_version=8)


def i8(*values: int) -> Array:
    """Return an int8 vector."""
    return np.array(values, np.int8)


def i32(*values: int) -> Array:
    """Return an int32 vector."""
    return np.array(values, np.int32)


def i64(*values: int) -> Array:
    """Return an int64 vector."""
    return np.array(values, np.int64)


def f32(*values: float) -> Array:
    """Return a float32 vector."""
    return np.array(values, np.float32)


def _array(a: Any) -> Array:
    found = np.asarray(a)
    return found.astype(np.float32) if found.dtype == np.float64 else found


def save(folder: Path, proto: Any) -> Path:
    """Write a model and return its path."""
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def load(folder: Path, proto: Any) -> Graph:
    """Return the graph of a model."""
    return load_model(save(folder, proto))


def samples(graph: Graph, count: int = 40, seed: int = 0, spread: float = 2.0) -> dict[str, Array]:
    """Return random inputs; reals lie on a grid of 1/8 with zeros and ties, float32."""
    rng = np.random.default_rng(seed)
    out: dict[str, Array] = {}
    for v in graph.inputs:
        shape = (count, *v.shape)
        if isinstance(v.elem, Real):
            out[v.name] = (np.rint(rng.normal(size=shape) * spread * 8) / 8).astype(np.float32)
        else:
            low, high = max(v.elem.lo, -(1 << 20)), min(v.elem.hi, 1 << 20)
            out[v.name] = rng.integers(low, high, endpoint=True, size=shape)
    return out


def agrees(folder: Path, proto: Any, codes_off: int = 0, **more: Any) -> Graph:
    """Assert that the imported graph computes what onnxruntime does; return it.

    Reals may differ by 1e-5 of the greatest value, codes by `codes_off`.
    """
    path = save(folder, proto)
    graph = load_model(path)
    inputs = samples(graph, **more)
    ours = evaluate(graph, inputs, dtype=np.float32)
    theirs = run(path, inputs, [])
    assert list(ours) == list(theirs)
    for v in graph.outputs:
        a, b = ours[v.name].astype(np.float64), theirs[v.name].astype(np.float64)
        assert a.shape == b.shape
        far = np.abs(a - b).max()
        if isinstance(v.elem, Real):
            assert far <= 1e-5 * max(np.abs(b).max(), 1e-3), f"{v.name}: {far}"
        else:
            assert far <= codes_off, f"{v.name}: {far} codes"
    return graph


def ops(graph: Graph) -> list[str]:
    """Return the names of the ops, in order."""
    return [type(op).__name__ for op in graph.ops]
