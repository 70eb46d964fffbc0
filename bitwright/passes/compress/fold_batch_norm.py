"""Fold batch norms into the float weights before them, before those are quantized."""

from dataclasses import replace

import numpy as np

from bitwright.ir.graph import Graph
from bitwright.ir.ops import BatchNorm, Linear, Op, Value
from bitwright.ir.types import Real, TensorType


def fold_batch_norm(graph: Graph) -> Graph:
    """Turn each Linear that one BatchNorm alone reads into one Linear; float weights only."""
    producers, readers = graph.producers(), graph.readers()
    outputs = {v.name for v in graph.outputs}
    constants = dict(graph.constants)
    ops: list[Op] = []
    for op in graph.ops:
        linear = producers.get(op.inputs[0].name) if op.inputs else None
        alone = linear is not None and len(readers[linear.name]) == 1 and linear.name not in outputs
        if (
            isinstance(op, BatchNorm)
            and isinstance(linear, Linear)
            and alone
            and _fits(graph, op, linear)
        ):
            ops = [o for o in ops if o.name != linear.name]
            ops.append(_folded(graph, op, linear, constants))
        else:
            ops.append(op)
    return replace(graph, ops=tuple(ops), constants=constants)


def _fits(graph: Graph, op: BatchNorm, linear: Linear) -> bool:
    last = op.axis == len(op.output.shape) - 1
    return last and all(graph.is_constant(v) for v in (*op.inputs[1:], *linear.inputs[1:]))


def _folded(graph: Graph, op: BatchNorm, linear: Linear, constants: dict[str, np.ndarray]) -> Op:
    gamma, beta, mean, var = (np.asarray(graph.constant(v), np.float64) for v in op.inputs[1:])
    factor = gamma / np.sqrt(var + op.epsilon)
    w = np.asarray(graph.constant(linear.inputs[1]), np.float64)
    bias = np.asarray(graph.constant(linear.inputs[2]), np.float64) if linear.inputs[2:] else 0.0
    names = f"{linear.name}:folded_weight", f"{linear.name}:folded_bias"
    constants[names[0]] = w * factor[:, None]
    constants[names[1]] = (bias - mean) * factor + beta
    operands = tuple(Value(n, TensorType(Real(), constants[n].shape)) for n in names)
    return replace(linear, inputs=(linear.inputs[0], *operands), output=op.output)
