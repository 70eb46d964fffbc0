"""Evaluate a whole graph, or one op, on many samples at once."""

from collections.abc import Callable, Mapping

import numpy as np

from bitwright.errors import VerifyError
from bitwright.ir.evaluate import general, reduce, spatial  # noqa: F401 - they register their ops
from bitwright.ir.evaluate.index import index_map
from bitwright.ir.evaluate.integer import integer
from bitwright.ir.evaluate.real import align, real
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    AddInt,
    Arithmetic,
    Compare,
    Concat,
    IntArithmetic,
    IntConv,
    IntLinear,
    Lookup,
    MatMul,
    MulInt,
    Op,
    Pad,
    Permute,
    Requantize,
    Reshape,
    Select,
    Steps,
    SumPool,
    Take,
    Transpose,
)
from bitwright.ir.types import Real

Tap = Callable[[Op, Array], None]
_INDEX = (Reshape, Transpose, Permute, Take, Pad, Concat)
_INTEGER = (IntLinear, IntConv, SumPool, Steps, Requantize, Lookup, AddInt, MulInt)
_BROADCAST = (Arithmetic, MulInt, IntArithmetic, Compare, Select, MatMul)
_JOINS = (*_BROADCAST, Concat)  # ops that read data operands beyond the first


def evaluate(
    graph: Graph, inputs: Mapping[str, Array], *, dtype: type = np.float64, tap: Tap | None = None
) -> dict[str, Array]:
    """Return the outputs by name.

    Each input is an array of shape (samples, *shape); so is each output. Reals are computed in
    `dtype`, integers in int64. `tap` sees every op with its result.
    """
    known: dict[str, Array] = {}
    for v in graph.inputs:
        known[v.name] = np.asarray(inputs[v.name]).astype(_type(v.elem, dtype))
    read = {v.name: v for op in graph.ops for v in op.inputs}
    read |= {v.name: v for v in graph.outputs}
    constants: dict[str, Array] = {
        n: np.asarray(a).astype(_type(read[n].elem, dtype))
        for n, a in graph.constants.items()
        if n in read
    }
    samples = next(iter(known.values())).shape[0] if known else 1
    for op in graph.ops:
        if op.inputs and all(v.name in constants for v in op.inputs):
            y = evaluate_constant(op, [constants[v.name] for v in op.inputs], dtype)
            constants[op.name] = y
            if tap:
                tap(op, np.broadcast_to(y, (samples, *y.shape)))
            continue
        y = evaluate_op(op, [known.get(v.name, constants.get(v.name)) for v in op.inputs], known)
        if y.shape[:1] != (samples,) or y.ndim != len(op.output.shape) + 1:
            y = np.broadcast_to(y, (samples, *op.output.shape))
        known[op.name] = y
        if tap:
            tap(op, y)
    for v in graph.outputs:
        if v.name not in known:
            known[v.name] = np.broadcast_to(constants[v.name], (samples, *v.shape))
    return {v.name: known[v.name] for v in graph.outputs}


def evaluate_op(op: Op, args: list[Array | None], known: Mapping[str, Array]) -> Array:
    """Return what one op computes; arrays of values in `known` carry the sample axis."""
    arrays: list[Array] = []
    for v, a in zip(op.inputs, args, strict=True):
        if a is None:
            raise VerifyError(f"{op.loc}: {v.name!r} has no value yet")
        sampled = v.name in known and isinstance(op, _BROADCAST)
        arrays.append(align(a, len(op.output.shape)) if sampled else a)
    if isinstance(op, Concat):
        samples = max(a.shape[0] for a, v in zip(arrays, op.inputs, strict=True) if v.name in known)
        fixed = ((a, v) for a, v in zip(arrays, op.inputs, strict=True))
        arrays = [
            a if v.name in known else np.broadcast_to(a, (samples, *v.shape)) for a, v in fixed
        ]
    if isinstance(op, _INDEX):
        return index_map(op, *arrays)
    if isinstance(op, _INTEGER):
        return integer(op, *arrays)
    return real(op, *arrays)


def evaluate_constant(op: Op, args: list[Array], dtype: type) -> Array:
    """Return what an op whose operands are all constants computes; no sample axis comes or goes."""
    pairs = zip(op.inputs, args, strict=True)
    typed: list[Array] = [np.asarray(a, _type(v.elem, dtype)) for v, a in pairs]
    sampled = len(typed) if isinstance(op, _JOINS) else 1  # one operand may be read twice
    arrays: list[Array | None] = [a[None] if i < sampled else a for i, a in enumerate(typed)]
    with np.errstate(all="ignore"):
        y = evaluate_op(op, arrays, {v.name: typed[0] for v in op.inputs[:sampled]})
    return np.asarray(np.broadcast_to(y, (1, *op.output.shape))[0])


def _type(elem: object, dtype: type) -> type:
    return dtype if isinstance(elem, Real) else np.int64
