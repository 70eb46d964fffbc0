"""Move an Add of a constant vector behind a Linear or Conv into it, as its bias."""

from dataclasses import replace

import numpy as np

from bitwright.ir.graph import Graph
from bitwright.ir.ops import Arith, Arithmetic, Conv, Dequantize, Linear, Op, Value
from bitwright.ir.types import TensorType


def merge_bias(graph: Graph) -> Graph:
    """Turn `Linear(x, w) + b` into `Linear(x, w, b)` where only the Add reads the product."""
    producers, readers = graph.producers(), graph.readers()
    outputs = {v.name for v in graph.outputs}
    constants = dict(graph.constants)
    ops: list[Op] = []
    for op in graph.ops:
        merged = _merged(op, producers, constants) if isinstance(op, Arithmetic) else None
        linear = _linear_name(op, producers)
        if merged is not None and len(readers[linear]) == 1 and linear not in outputs:
            ops = [o for o in ops if o.name != linear]
            ops.append(merged)
        else:
            ops.append(op)
    return replace(graph, ops=tuple(ops), constants=constants)


def _linear_name(op: Op, producers: dict[str, Op]) -> str:
    names = [v.name for v in op.inputs if isinstance(producers.get(v.name), Linear | Conv)]
    return names[0] if names else ""


def _merged(
    op: Arithmetic, producers: dict[str, Op], constants: dict[str, np.ndarray]
) -> Op | None:
    """Return the Linear that does the work of `op` too, or None."""
    linear = producers.get(_linear_name(op, producers))
    if op.kind is not Arith.ADD or not isinstance(linear, Linear | Conv) or len(linear.inputs) != 2:  # noqa: PLR2004
        return None
    other = op.inputs[1] if op.inputs[0].name == linear.name else op.inputs[0]
    channels = linear.output.shape[-1]
    source = producers.get(other.name)
    codes = source.inputs[0] if isinstance(source, Dequantize) else other
    if codes.name not in constants or op.output.shape != linear.output.shape:
        return None
    if other.type.size != channels or (other.shape and other.shape[-1] != channels):
        return None
    bias = _as_vector(other, source, constants)
    return (
        None if bias is None else replace(linear, inputs=(*linear.inputs, bias), output=op.output)
    )


def _as_vector(value: Value, source: Op | None, constants: dict[str, np.ndarray]) -> Value | None:
    """Return `value` with shape (channels,), reshaping the constant behind it when needed."""
    vector = TensorType(value.elem, (value.type.size,))
    if len(value.shape) == 1:
        return value
    if source is not None:
        return None  # a Dequantize of another rank stays an Add
    name = f"{value.name}:vector"
    constants[name] = constants[value.name].reshape(-1)
    return Value(name, vector)
