"""From a real graph to an ONNX file: one emitter an op, then the outputs under their names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bitwright.backends.onnx import (
    elementwise,
    general,
    index,
    layers,
    quantizers,
    spatial,
)
from bitwright.backends.onnx.exporter import Exporter, Laid, unmoved
from bitwright.backends.onnx.pairs import pair_up
from bitwright.backends.onnx.writer import FLOAT, Tensor
from bitwright.errors import UnsupportedError
from bitwright.ir import ops
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Dequantize, Op, Value
from bitwright.ir.types import Real
from bitwright.passes.chain import QUANTIZERS
from bitwright.passes.fold_constants import fold_constants

EMITTERS: Mapping[type[Op], Callable[[Exporter, Any], Laid]] = {
    ops.Linear: layers.linear,
    ops.MatMul: layers.matmul,
    ops.Conv: layers.conv,
    ops.ConvTranspose: layers.conv_transpose,
    ops.Arithmetic: elementwise.arithmetic,
    ops.Activation: elementwise.activation,
    ops.PRelu: elementwise.prelu,
    ops.Clip: elementwise.clip,
    ops.BatchNorm: elementwise.batch_norm,
    ops.Softmax: elementwise.softmax,
    ops.MaxPool: spatial.max_pool,
    ops.MinPool: spatial.min_pool,
    ops.AveragePool: spatial.average_pool,
    ops.Reduce: spatial.reduce,
    ops.Normalize: spatial.normalize,
    ops.LocalResponseNorm: spatial.local_response_norm,
    ops.Resample: spatial.resample,
    ops.Reshape: index.reshape,
    ops.Transpose: index.transpose,
    ops.Permute: index.permute,
    ops.Take: index.take,
    ops.Pad: index.pad,
    ops.Concat: index.concat,
    ops.Dequantize: quantizers.dequantized,
    ops.ArgMax: general.arg_max,
    ops.TopK: general.top_k,
    ops.Compare: general.compare,
    ops.Select: general.select,
    ops.IntArithmetic: general.int_arithmetic,
    ops.ToInt: general.to_int,
}


@dataclass(frozen=True, slots=True)
class Exported:
    """The file, the graph as it was written, and where each of its values lies in the file.

    In that graph a Dequantize stands right behind its quantizer. A value that has no tensor of its
    own, such as the codes between the two, is not in `values`.
    """

    model: bytes
    graph: Graph
    values: Mapping[str, Laid]


def export(graph: Graph, *, standard: bool = False) -> bytes:
    """Return the ONNX file of a real graph, float or quantized.

    Quantizers are written as nodes of QONNX, or with `standard` in operators of ai.onnx alone, for
    plain onnxruntime. Numbers are float32. Inputs and outputs keep their names and shapes.

    Raises:
        UnsupportedError: an op has no form in ONNX; the message names it.

    """
    return export_values(graph, standard=standard).model


def export_values(graph: Graph, *, standard: bool = False) -> Exported:
    """Return the file of `export` and how the values of the graph lie in it."""
    graph = pair_up(fold_constants(graph))
    e = Exporter(graph, standard=standard)
    inputs = []
    for v in graph.inputs:
        inputs.append(Tensor(v.name, v.shape, general.stored(v.elem)))
        e.known[v.name] = Laid(e.w.place(inputs[-1]), unmoved(len(v.shape)))
    for op in graph.ops:
        if isinstance(op, QUANTIZERS) or (isinstance(op, Dequantize) and e.is_fixed(op.output)):
            continue  # written where they are read
        if type(op) not in EMITTERS:
            raise UnsupportedError(f"{op.loc}: {type(op).__name__} has no form in ONNX")
        e.known[op.name] = EMITTERS[type(op)](e, op)
    outputs = _deliver(e, {t.name for t in inputs})
    return Exported(e.w.model(graph.name, inputs, outputs), graph, e.known)


def _deliver(e: Exporter, inputs: set[str]) -> list[Tensor]:
    """Return the outputs under their own names, laid out and typed as the IR says."""
    values = e.graph.outputs
    made = [_plain_output(e, v) for v in values]
    taken = inputs | {v.name for v in values}
    for i, v in enumerate(values):
        if v.name not in inputs and made[i].name != v.name and e.w.free(v.name) != v.name:
            made = _rename(e, made, v.name, e.w.unique(f"{v.name}/inner"))  # in another layout
        t = made[i]
        if t.name == v.name and t.name not in inputs:
            continue
        if t.name not in taken and e.w.is_set(t.name):
            made = _rename(e, made, t.name, v.name)
        else:
            own = Tensor(e.w.free(v.name), t.shape, t.type)
            made[i] = e.w.op("Identity", [t], own, f"output {v.name}")
    return made


def _plain_output(e: Exporter, v: Value) -> Tensor:
    t = e.plain(v)
    if not isinstance(v.elem, Real) and t.type == FLOAT:
        return e.typed(t, general.stored(v.elem))
    return t


def _rename(e: Exporter, outputs: list[Tensor], old: str, new: str) -> list[Tensor]:
    """Give a tensor that a node sets another name, also where it is known by the old one."""
    e.w.rename(old, new)
    for key, laid in e.known.items():
        if laid.tensor.name == old:
            e.known[key] = replace(laid, tensor=replace(laid.tensor, name=new))
    return [replace(t, name=new) if t.name == old else t for t in outputs]
