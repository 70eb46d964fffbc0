"""Choose what leaves the device: the last integers, the index of the greatest, or everything."""

from collections.abc import Sequence

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    ArgMax,
    Arith,
    Arithmetic,
    BatchNorm,
    Dequantize,
    Exactness,
    Function,
    Op,
    Quantize,
    Requantize,
    Reshape,
    Round,
    Softmax,
    Transpose,
    Value,
)
from bitwright.ir.program import Program
from bitwright.ir.types import Int, Integral
from bitwright.passes.chain import Chain
from bitwright.passes.region import INDEX_MAPS, Region

_AFFINE = (Dequantize, Arithmetic, BatchNorm, *INDEX_MAPS)
_KEEPS_ORDER = (Softmax, ArgMax, Quantize, Dequantize, Reshape, Transpose)
_RISING = {Function.SIGMOID, Function.TANH, Function.SOFTPLUS, Function.SOFTSIGN}
_SCORE_BITS = 30
_CHECKED = 4096  # accumulators of each class


def argmax_on_device(program: Program) -> Program:
    """Return the program whose device gives the index of the greatest class, before any softmax.

    Classes are compared in the real order; ties go to the lowest index. Raises CompileError where
    the model's outputs are not one row of class scores.
    """
    body = program.body
    if len(body.outputs) != 1:
        raise CompileError(f"--output argmax needs one output, the device has {len(body.outputs)}")
    scores = body.outputs[0]
    if scores.type.size != scores.shape[-1]:
        raise CompileError(
            f"--output argmax needs one row of scores, {scores.name!r} is {scores.shape}"
        )
    b = Builder([*body.values(), *body.constants])
    b.ops, b.constants = list(body.ops), dict(body.constants)
    chain = _score_chain(program, scores)
    if chain is not None:
        scores = _aligned(b, chain, scores)
    loc = program.tail.ops[-1].loc if program.tail.ops else "output"
    index = b.op(ArgMax, (scores,), "argmax", loc, axis=len(scores.shape) - 1)
    tail = Graph("tail", (index,), (index,), (), {})
    return Program(program.name, program.head, b.graph(body.name, body.inputs, [index]), tail)


def _score_chain(program: Program, scores: Value) -> Chain | None:
    """Return the affine ops from the device's scores to the comparison, None when there are none."""
    kept: list[Op] = []
    reached = scores.name
    for op in program.tail.ops:
        if reached not in {v.name for v in op.inputs} or isinstance(op, Softmax | ArgMax):
            break
        if isinstance(op, Activation) and op.kind in _RISING:
            break
        if not isinstance(op, _AFFINE) or not _is_affine(program.tail, op):
            raise CompileError(
                f"{op.loc}: {type(op).__name__} after the last layer can merge classes; use "
                "--output codes, or --output model with --target c"
            )
        kept.append(op)
        reached = op.name
    _check_rest(program.tail.ops[len(kept) :], reached)
    if not kept:
        return None
    return Chain(Region(tuple(kept), (scores,)), program.tail.constants, kept[-1].output)


def _is_affine(tail: Graph, op: Op) -> bool:
    """Tell whether `op` is a straight line of its one operand."""
    if not isinstance(op, Arithmetic):
        return True
    fixed = [tail.is_constant(v) for v in op.inputs]
    by_divisor = op.kind is Arith.DIV and fixed[1]
    return by_divisor or (op.kind in {Arith.ADD, Arith.SUB, Arith.MUL} and any(fixed))


def _check_rest(rest: Sequence[Op], reached: str) -> None:
    """Raise CompileError unless what follows the scores keeps their order."""
    ordered = {reached}
    for op in rest:
        rising = isinstance(op, Activation) and op.kind in _RISING
        if not (rising or isinstance(op, _KEEPS_ORDER)) or op.inputs[0].name not in ordered:
            raise CompileError(
                f"{op.loc}: {type(op).__name__} after the last layer can change the order of the "
                "classes; use --output codes, or --output model with --target c"
            )
        ordered.add(op.name)


def _aligned(b: Builder, chain: Chain, scores: Value) -> Value:
    """Return integers that are ordered as the reals are: `scores` itself where one scale fits all."""
    elem = scores.type.integer
    ends = np.array([elem.lo, elem.lo + 1])
    a = np.broadcast_to(ends.reshape(-1, *(1,) * len(scores.shape)), (2, *scores.shape))
    if not np.array_equal(chain.order, np.arange(scores.type.size)):
        raise CompileError(
            f"{chain.last.loc}: the order of the classes changes after the last layer"
        )
    v = chain.values(a).reshape(2, -1)
    slope, offset = v[1] - v[0], v[0]
    if (slope > 0).all() and np.ptp(slope) == 0 and np.ptp(offset) == 0:
        return scores
    start = offset - slope * elem.lo  # real score at accumulator 0
    reach = (np.abs(slope) * max(abs(elem.lo), abs(elem.hi), 1) + np.abs(start)).max()
    factor = _factor(slope, reach)
    mul = np.rint(slope * factor).astype(np.int64)
    add = np.rint(start * factor).astype(np.int64)
    reachable = np.concatenate([mul * elem.lo + add, mul * elem.hi + add])
    return b.op(
        Requantize,
        (scores, b.constant("scores:mul", mul), b.constant("scores:add", add)),
        "scores",
        chain.last.loc,
        elem=Int(int(reachable.min()), int(reachable.max())),
        shift=0,
        zero=0,
        rounding=Round.FLOOR,
        exactness=_exactness(slope * factor - mul, start * factor - add, elem),
    )


def _factor(slope: Array, reach: float) -> float:
    """Return what scores are multiplied by: scales that are multiples of one stay exact."""
    least = float(np.abs(slope)[slope != 0].min(initial=np.inf))
    if not reach > 0 or least == np.inf:
        return 1.0
    ratio = slope / least
    common = least if np.array_equal(ratio, np.rint(ratio)) else 1.0
    return float(2.0 ** (_SCORE_BITS - 1 - int(np.ceil(np.log2(reach / common)))) / common)


def _exactness(slope: Array, start: Array, elem: Integral) -> Exactness:
    """Return how far scores are from the real ones, given what rounding took from each line."""
    if not slope.any() and not start.any():
        return Exactness(0, 0, (elem.hi - elem.lo + 1) * slope.size)
    a = np.unique(np.linspace(elem.lo, elem.hi, _CHECKED).astype(np.int64))
    error = np.rint(np.abs(slope * a[:, None] + start))
    return Exactness(max(int(error.max()), 1), int((error > 0).sum()), error.size)


def all_on_device(program: Program) -> Program:
    """Return the program whose body is the whole model, real parts included."""
    parts = (program.head, program.body, program.tail)
    ops = tuple(op for g in parts for op in g.ops)
    constants = {n: a for g in parts for n, a in g.constants.items()}
    body = Graph(program.body.name, program.head.inputs, program.tail.outputs, ops, constants)
    return whole_model(body)


def whole_model(graph: Graph) -> Program:
    """Return the program that leaves nothing to the host."""
    head = Graph("head", graph.inputs, graph.inputs, (), {})
    tail = Graph("tail", graph.outputs, graph.outputs, (), {})
    return Program(graph.name, head, graph, tail)
