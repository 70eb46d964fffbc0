"""Compute what depends on constants alone, so that the C holds the result."""

from dataclasses import replace

import numpy as np

from bitwright.ir.evaluate import evaluate_constant
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Op


def without_constant_ops(graph: Graph) -> Graph:
    """Return `graph` with each op whose operands are all constant replaced by its result."""
    constants = dict(graph.constants)
    kept: list[Op] = []
    for op in graph.ops:
        if op.inputs and all(v.name in constants for v in op.inputs):
            arrays = [constants[v.name] for v in op.inputs]
            constants[op.name] = evaluate_constant(op, arrays, np.float64)
        else:
            kept.append(op)
    return replace(graph, ops=tuple(kept), constants=constants)
