"""Compute real values that depend on constants alone, but keep the codes of weights."""

from dataclasses import replace
from typing import TypeGuard

import numpy as np

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Constants, Graph
from bitwright.ir.ops import Dequantize, Op, Value
from bitwright.ir.types import Real


def fold_constants(graph: Graph) -> Graph:
    """Replace ops on constants by their results; a Dequantize of constant codes stays."""
    constants = dict(graph.constants)
    kept: list[Op] = []
    coded: dict[str, Op] = {}  # Dequantize ops on constants, folded only where another op needs it
    for op in graph.ops:
        fixed = all(v.name in constants or v.name in coded for v in op.inputs)
        if is_coded(op, constants):
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
    kept = [op for op in graph.ops if not is_coded(op, graph.constants)]
    for op in graph.ops:
        if is_coded(op, graph.constants):
            constants[op.name] = _reals(op, graph.constants)
    return replace(graph, ops=tuple(kept), constants=constants)


def is_coded(op: Op | None, constants: Constants) -> TypeGuard[Dequantize]:
    """Tell whether `op` gives the real numbers that constant codes stand for."""
    return isinstance(op, Dequantize) and all(v.name in constants for v in op.inputs)


def _reals(op: Dequantize, constants: Constants) -> Array:
    part = Graph("constant", (), (op.output,), (op,), constants)
    return np.asarray(evaluate(part, {})[op.name], np.float64).reshape(op.output.shape)


def constant_real(graph: Graph, value: Value) -> Array | None:
    """Return the float64 array of a real constant or of dequantized constant codes, else None."""
    if graph.is_constant(value):
        return np.asarray(graph.constant(value), np.float64)
    op = graph.producers().get(value.name)
    return _reals(op, graph.constants) if is_coded(op, graph.constants) else None
