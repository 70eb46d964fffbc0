"""A quantized model against the ONNX files that bitwright writes of it, run by onnxruntime."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bitwright.backends.onnx import Exported, Laid, export_values
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Dequantize, Op
from bitwright.ir.ops.base import channel_shape
from bitwright.passes.chain import QUANTIZERS
from bitwright.sim.by_layer import compare_codes
from bitwright.sim.outcome import Outcome, Status
from bitwright.sim.reference import run_onnx


def compare_exports(
    graph: Graph, inputs: Mapping[str, Array], written: Path | None, work: Path
) -> Outcome:
    """Compare the codes of each layer with those of the standard export, then of the QONNX file.

    `inputs` are the model's (samples, *shape), `written` the QONNX file of the build, if it has
    one; `work` takes the standard one. Each layer is fed onnxruntime's own codes: they may differ
    at ties alone, the outputs within 1e-5.

    Raises:
        UnsupportedError: the graph has no form in ONNX.

    """
    standard = export_values(graph, standard=True)
    path = work / "standard.onnx"
    path.write_bytes(standard.model)
    first = compare_export(graph, standard, path, inputs)
    if written is None or first.status is not Status.PASS:
        return first
    second = compare_export(graph, export_values(graph), written, inputs)
    if second.status is not Status.PASS:
        return replace(second, detail=f"{written.name}: {second.detail}")
    return replace(second, values=first.values + second.values)


def compare_export(
    graph: Graph, exported: Exported, path: Path, inputs: Mapping[str, Array]
) -> Outcome:
    """Compare `graph` with the file in `path`, laid out as `exported` says."""
    found = {op.name: _seen_at(exported, op) for op in exported.graph.ops if _quantizes(op)}
    taps = [laid.tensor.name for at in found.values() if at for laid in (at[0],)]
    seen = run_onnx(path, inputs, taps)

    def reference(op: Op) -> Array | None:
        at = found.get(op.name)
        if at is None or at[0].tensor.name not in seen:
            return None
        return _codes(exported, at, seen[at[0].tensor.name])

    return compare_codes(graph, inputs, reference, seen, "quantized model")


def _quantizes(op: Op) -> bool:
    return isinstance(op, QUANTIZERS)


def _seen_at(exported: Exported, op: Op) -> tuple[Laid, Dequantize | None] | None:
    """Return where the codes of a quantizer lie in the file: as they are, or as reals."""
    values = exported.values
    if op.name in values:
        return values[op.name], None
    for reader in exported.graph.readers().get(op.name, []):
        if isinstance(reader, Dequantize) and reader.name in values:
            return values[reader.name], reader
    return None


def _codes(exported: Exported, at: tuple[Laid, Dequantize | None], seen: Array) -> Array:
    """Return codes (samples, *shape of the value) of what a tensor of the file held."""
    laid, reader = at
    y = seen.astype(np.float64).reshape(-1, *laid.tensor.shape)
    y = y.transpose(0, *(1 + laid.perm.index(a) for a in range(len(laid.perm))))
    if laid.order is not None:
        y = y[..., np.argsort(laid.order)]
    if reader is not None:
        rank = len(reader.output.shape)
        scale, zero = (
            exported.graph.constant(v).reshape(channel_shape(v.type.size, reader.axis, rank))
            for v in reader.inputs[1:]
        )
        y = y / scale + zero
    return np.asarray(np.rint(y)).astype(np.int64)
