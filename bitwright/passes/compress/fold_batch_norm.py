"""Fold batch norms into the float weights before them, before those are quantized."""

from dataclasses import replace

import numpy as np

from bitwright.ir.graph import Graph
from bitwright.ir.ops import BatchNorm, Conv, Linear, Op, Value
from bitwright.ir.types import Real, TensorType
from bitwright.passes.fold_constants import constant_real


def fold_batch_norm(graph: Graph) -> Graph:
    """Merge each BatchNorm into the Linear or Conv that it alone reads; float weights only."""
    producers, readers = graph.producers(), graph.readers()
    outputs = {v.name for v in graph.outputs}
    constants = dict(graph.constants)
    ops: list[Op] = []
    for op in graph.ops:
        linear = producers.get(op.inputs[0].name) if op.inputs else None
        alone = linear is not None and len(readers[linear.name]) == 1 and linear.name not in outputs
        if (
            isinstance(op, BatchNorm)
            and isinstance(linear, Linear | Conv)
            and alone
            and _fits(graph, op, linear)
        ):
            ops = [o for o in ops if o.name != linear.name]
            ops.append(_folded(graph, op, linear, constants))
        else:
            ops.append(op)
    return replace(graph, ops=tuple(ops), constants=constants)


def _fits(graph: Graph, op: BatchNorm, linear: Linear | Conv) -> bool:
    last = op.axis == len(op.output.shape) - 1
    return last and all(
        constant_real(graph, v) is not None for v in (*op.inputs[1:], *linear.inputs[1:])
    )


def _folded(
    graph: Graph, op: BatchNorm, linear: Linear | Conv, constants: dict[str, np.ndarray]
) -> Op:
    gamma, beta, mean, var = (_real(graph, v) for v in op.inputs[1:])
    factor = gamma / np.sqrt(var + op.epsilon)
    w = _real(graph, linear.inputs[1])
    bias = _real(graph, linear.inputs[2]) if linear.inputs[2:] else 0.0
    names = f"{linear.name}:folded_weight", f"{linear.name}:folded_bias"
    constants[names[0]] = w * factor.reshape(-1, *(1,) * (w.ndim - 1))
    constants[names[1]] = (bias - mean) * factor + beta
    operands = tuple(Value(n, TensorType(Real(), constants[n].shape)) for n in names)
    return replace(linear, inputs=(linear.inputs[0], *operands), output=op.output)


def _real(graph: Graph, value: Value) -> np.ndarray:
    found = constant_real(graph, value)
    assert found is not None  # _fits saw to it
    return found
