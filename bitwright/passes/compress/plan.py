"""A plan: the integers that were chosen for a float graph; `assemble` writes them into it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Binarize, Conv, Dequantize, Linear, Op, Quantize, Rounding, Value
from bitwright.ir.types import Bipolar, Int
from bitwright.passes.dead_code import remove_dead_code
from bitwright.passes.fold_constants import constant_real
from bitwright.passes.weights import Weights

Layer = Linear | Conv


@dataclass(frozen=True, slots=True)
class Range:
    """The codes and the scale of one activation quantizer; the zero point is 0."""

    elem: Int | Bipolar
    scale: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What replaces what: weights and biases by layer name, quantizers by the value they read.

    `weights` become codes, `reals` stay floats; a layer that is in neither keeps what it has, as
    does a value without a range.
    """

    weights: Mapping[str, Weights] = field(default_factory=dict)
    reals: Mapping[str, Array] = field(default_factory=dict)
    biases: Mapping[str, Array] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)


def layers_of(graph: Graph) -> tuple[Layer, ...]:
    """Return the layers with weights, in execution order."""
    return tuple(op for op in graph.ops if isinstance(op, Linear | Conv))


def float_weights(graph: Graph, op: Layer) -> Array:
    """Return the weights (O, ..., I) of a layer as float64; CompileError when they are not constant."""
    weights = constant_real(graph, op.inputs[1])
    if weights is None:
        raise CompileError(f"{op.loc}: its weights are computed at run time; they must be constant")
    return weights


def float_bias(graph: Graph, op: Layer) -> Array:
    """Return the bias (O,) of a layer, zeros where it has none; CompileError when not constant."""
    if not op.inputs[2:]:
        return np.zeros(op.inputs[1].shape[0])
    bias = constant_real(graph, op.inputs[2])
    if bias is None:
        raise CompileError(f"{op.loc}: its bias is computed at run time; it must be constant")
    return bias


def with_biases(graph: Graph, names: Collection[str]) -> Graph:
    """Give the named layers a bias of zeros where they have none."""
    bare = {op.name for op in layers_of(graph) if op.name in names and not op.inputs[2:]}
    if not bare:
        return graph
    b = Builder([*graph.values(), *graph.constants])
    b.constants = dict(graph.constants)
    for op in graph.ops:
        if op.name in bare:
            zeros = b.constant(f"{op.name}:no_bias", np.zeros(op.inputs[1].shape[0]))
            b.add(replace(op, inputs=(*op.inputs, zeros)))
        else:
            b.add(op)
    return b.graph(graph.name, graph.inputs, graph.outputs)


def assemble(graph: Graph, plan: Plan) -> Graph:
    """Return `graph` with the codes of the plan, each behind a Dequantize, and its quantizers.

    All its reals are numbers of float32, so that a file of it holds the same model.
    """
    b = Builder([*graph.values(), *graph.constants])
    b.constants = dict(graph.constants)
    renamed: dict[str, Value] = {}
    for v in graph.inputs:
        if v.name in plan.ranges:
            renamed[v.name] = _quantizer(b, v, plan.ranges[v.name], f"input {v.name}")
    for op in graph.ops:
        kept: Op = replace(op, inputs=tuple(renamed.get(v.name, v) for v in op.inputs))
        if isinstance(kept, Linear | Conv):
            kept = _coded(b, kept, plan)
        b.add(kept)
        if op.name in plan.ranges:
            renamed[op.name] = _quantizer(b, op.output, plan.ranges[op.name], op.loc)
    b.constants = {n: _stored(a) for n, a in b.constants.items()}
    return remove_dead_code(b.graph(graph.name, graph.inputs, graph.outputs))


def _stored(a: Array) -> Array:
    """Return reals as a file holds them; codes and indices stay."""
    return a.astype(np.float32).astype(np.float64) if a.dtype.kind == "f" else a


def _quantizer(b: Builder, x: Value, found: Range, loc: str) -> Value:
    """Append the quantizer of `x` and return the reals that its codes stand for."""
    scale = b.constant(f"{x.name}:step", np.array([found.scale]))
    zero = b.constant(f"{x.name}:zero", np.array([0.0]))
    if isinstance(found.elem, Bipolar):
        q = b.op(Binarize, (x,), f"{x.name}:q", loc)
    else:
        q = b.op(
            Quantize, (x, scale, zero), f"{x.name}:q", loc,
            elem=found.elem, rounding=Rounding.HALF_EVEN,
        )  # fmt: skip
    return b.op(Dequantize, (q, scale, zero), f"{x.name}:dq", loc)


def _coded(b: Builder, op: Layer, plan: Plan) -> Op:
    """Return the layer with its weights as codes behind a Dequantize, and its new bias."""
    inputs = op.inputs
    found = plan.weights.get(op.name)
    if found is not None:
        codes = b.constant(f"{op.name}:codes", found.codes)
        scale = b.constant(f"{op.name}:alpha", found.scale)
        zero = b.constant(f"{op.name}:wzero", np.array([0.0]))
        w = b.op(Dequantize, (codes, scale, zero), f"{op.name}:w", op.loc, axis=0)
        inputs = (inputs[0], w, *inputs[2:])
    elif op.name in plan.reals:
        inputs = (inputs[0], b.constant(f"{op.name}:reals", plan.reals[op.name]), *inputs[2:])
    if op.name in plan.biases:
        bias = b.constant(f"{op.name}:bias", np.asarray(plan.biases[op.name], np.float64))
        inputs = (*inputs[:2], bias)
    return replace(op, inputs=inputs)
