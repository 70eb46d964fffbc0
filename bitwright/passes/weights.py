"""Weights as integers: recognise what a Linear multiplies with, and how to store it."""

from dataclasses import dataclass

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Dequantize, Encoding, Op
from bitwright.passes.fold_constants import is_coded


@dataclass(frozen=True, slots=True)
class Weights:
    """Integer weights (O, ..., I) and the real scale of each output (O,)."""

    codes: Array
    scale: Array


def weights_of(graph: Graph, op: Op) -> Weights:
    """Return the integer weights of a Linear or Conv; CompileError when they are real numbers."""
    value = op.inputs[1]
    source = graph.producers().get(value.name)
    if is_coded(source, graph.constants):
        return _from_codes(graph, source, op)
    if not graph.is_constant(value):
        raise CompileError(f"{op.loc}: its weights are computed at run time; they must be constant")
    found = levels(np.asarray(graph.constant(value), np.float64))
    if found is None:
        raise CompileError(
            f"{op.loc}: its weights are floats; choose a kind for them, such as --weights int:8 "
            "(with --calibrate data.npz), or compile it as float with --target c --output model"
        )
    return found


def _from_codes(graph: Graph, source: Dequantize, op: Op) -> Weights:
    codes, scale, zero = (graph.constant(v) for v in source.inputs)
    rows = codes.shape[0]
    by_row = source.axis % codes.ndim == 0
    if scale.size != 1 and not by_row and np.unique(scale).size > 1:
        raise CompileError(f"{op.loc}: its weight scale varies along the inputs, not the outputs")
    if not np.array_equal(zero, np.rint(zero)):
        raise CompileError(f"{op.loc}: the zero point of its weights is no integer")
    place = source.axis % codes.ndim if zero.size > 1 else 0
    column = tuple(-1 if i == place else 1 for i in range(codes.ndim))
    shifted = codes - np.rint(zero).astype(np.int64).reshape(column)
    each = np.asarray(scale, np.float64).reshape(-1)
    per_row = np.broadcast_to(each if by_row else each[:1], (rows,))
    return Weights(shifted, np.array(per_row))


def levels(real: Array) -> Weights | None:
    """Recognise rows whose weights are all -s, 0 or +s, with one s per row (s = 1 when all are 0)."""
    rows = real.reshape(real.shape[0], -1)
    largest = np.abs(rows).max(axis=1, initial=0)
    scale = np.where(largest > 0, largest, 1.0)
    codes = (rows / scale[:, None]).reshape(real.shape)
    if not np.isin(codes, (-1.0, 0.0, 1.0)).all():
        return None
    return Weights(codes.astype(np.int64), scale)


def encoding_of(codes: Array) -> Encoding:
    """Return the cheapest encoding that holds these weights."""
    magnitude = np.abs(codes)
    if magnitude.max(initial=0) <= 1:
        return Encoding.BIPOLAR if (magnitude == 1).all() else Encoding.TERNARY
    powers = (magnitude & (magnitude - 1)) == 0  # zero counts: it is skipped
    return Encoding.POWER_OF_TWO if powers.all() else Encoding.INTEGER
