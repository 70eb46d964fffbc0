"""Compute real values that depend on constants alone, but keep the codes of weights."""

from dataclasses import replace

import numpy as np

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Constants, Graph
from bitwright.ir.ops import Dequantize, Op, Value
from bitwright.ir.types import Real


def fold_constants(graph: Graph) -> Graph:
    """Replace ops on constants by their results; a Dequantize of constant codes stays."""
    constants = dict(graph.constants)
    kept: list[Op] = []
    coded: dict[str, Op] = {}  # Dequantize ops on constants, folded only where another op needs it
    for op in graph.ops:
        fixed = all(v.name in constants or v.name in coded for v in op.inputs)
        if isinstance(op, Dequantize) and all(v.name in constants for v in op.inputs):
            coded[op.name] = op
            kept.append(op)
        elif fixed:
            sources = tuple(coded[v.name] for v in op.inputs if v.name in coded)
            part = Graph("constant", (), (op.output,), (*sources, op), constants)
            dtype = np.float64 if isinstance(op.output.elem, Real) else np.int64
            value = evaluate(part, {})[op.name]
            constants[op.name] = np.asarray(value).reshape(op.output.shape).astype(dtype)
        else:
            kept.append(op)
    return replace(graph, ops=tuple(kept), constants=constants)


def real_constants(graph: Graph) -> Graph:
    """Replace each Dequantize of constant codes by its numbers: a float program reads no codes."""
    constants = dict(graph.constants)
    kept = [op for op in graph.ops if not _coded_constant(op, constants)]
    for op in graph.ops:
        if _coded_constant(op, graph.constants):
            found = constant_real(graph, op.output)
            assert found is not None
            constants[op.name] = found
    return replace(graph, ops=tuple(kept), constants=constants)


def _coded_constant(op: Op, constants: Constants) -> bool:
    return isinstance(op, Dequantize) and all(v.name in constants for v in op.inputs)


def constant_real(graph: Graph, value: Value) -> np.ndarray | None:
    """Return the float64 array of a real constant or of dequantized constant codes, else None."""
    if graph.is_constant(value):
        return np.asarray(graph.constant(value), np.float64)
    op = graph.producers().get(value.name)
    if isinstance(op, Dequantize) and all(graph.is_constant(v) for v in op.inputs):
        part = Graph("constant", (), (value,), (op,), graph.constants)
        return np.asarray(evaluate(part, {})[value.name], np.float64).reshape(value.shape)
    return None
