"""Bring joins, cuts and pools next to integers, so that they need no arithmetic of their own.

Such an op moves above the Dequantize in front of it, or below the scalar ops and the quantizer
behind it. Only what the two orders agree on bit for bit is moved.
"""

from collections.abc import Callable

import numpy as np

from bitwright.ir.evaluate import evaluate_op
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    Concat,
    CountThresholds,
    Dequantize,
    MaxPool,
    MinPool,
    Op,
    Pad,
    PRelu,
    Sign,
    Take,
    Value,
)
from bitwright.ir.ops.base import rebuilt
from bitwright.ir.types import Bipolar, Int, Real, TensorType
from bitwright.passes.direction import rises
from bitwright.passes.parameters import BY_AXIS, spread

_MOVING = (Take, Pad, Concat, MaxPool, MinPool)
_POOLS = (MaxPool, MinPool)
_SCALAR = (Activation, Arithmetic, Clip, PRelu, Binarize, Sign, CountThresholds, *BY_AXIS)


def settle(graph: Graph) -> Graph:
    """Return `graph` with its joins, cuts and pools on integers where that can be had exactly."""
    while True:
        changed = _once(graph)
        if changed is None:
            return graph
        graph = changed


def _once(graph: Graph) -> Graph | None:
    """Move what can be moved by one step; None when nothing can."""
    producers, readers = graph.producers(), graph.readers()
    outputs = {v.name for v in graph.outputs}
    b = Builder([*graph.values(), *graph.constants])
    b.constants = dict(graph.constants)
    done: set[str] = set()  # readers that were moved above
    moved = False
    for op in graph.ops:
        if op.name in done:
            continue
        if isinstance(op, _MOVING) and isinstance(op.inputs[0].elem, Real):
            if _lift(b, op, producers):
                moved = True
                continue
            after = readers.get(op.name, [])
            if len(after) == 1 and op.name not in outputs and _sink(b, graph, op, after[0]):
                done.add(after[0].name)
                moved = True
                continue
        b.ops.append(op)
    return b.graph(graph.name, graph.inputs, graph.outputs) if moved else None


def _data(op: Op) -> tuple[Value, ...]:
    return op.inputs if isinstance(op, Concat) else op.inputs[:1]


# -- above a Dequantize --------------------------------------------------------------------------


def _lift(b: Builder, op: Op, producers: dict[str, Op]) -> bool:
    """Write S(Dequantize(q)) as Dequantize(S(q))."""
    sources = [producers.get(v.name) for v in _data(op)]
    found = [s for s in sources if isinstance(s, Dequantize)]
    if len(found) != len(sources):
        return False
    parameters = [[b.constants.get(v.name) for v in s.inputs[1:]] for s in found]
    fixed = [[p for p in pair if p is not None] for pair in parameters]
    if any(len(pair) != 2 for pair in fixed) or not _alike(op, found, fixed):  # noqa: PLR2004
        return False
    attrs: dict[str, object] = {}
    if isinstance(op, Pad):
        value = _pad_code(op, found[0], fixed[0])
        if value is None:
            return False
        attrs["value"] = value
    codes = tuple(s.inputs[0] for s in found)
    rest = op.inputs[len(codes) :]
    q = rebuilt(op, (*codes, *rest), b.unique(f"{op.name}:codes"), **attrs)
    b.ops.append(q)
    b.ops.append(
        Dequantize(
            inputs=(q.output, *found[0].inputs[1:]),
            output=op.output,
            loc=op.loc,
            axis=found[0].axis,
        )
    )
    return True


def _pad_code(op: Pad, source: Dequantize, fixed: list[Array]) -> float | None:
    """Return the code that stands for the padding; None where none does."""
    scale, zero = (float(p.reshape(-1)[0]) for p in fixed)
    code = zero + op.value / scale if op.value and scale else zero
    bits = isinstance(source.inputs[0].elem, Bipolar)
    fits = code.is_integer() and (not bits or code in (-1, 1))
    return code if fits and (scale or not op.value) else None


def _alike(op: Op, found: list[Dequantize], fixed: list[list[Array]]) -> bool:
    """Tell whether one Dequantize behind `op` can stand for all before it."""
    wide = any(p.size > 1 for pair in fixed for p in pair)
    if isinstance(op, _POOLS):
        last = found[0].axis % len(op.output.shape) == len(op.output.shape) - 1
        return bool((fixed[0][0] > 0).all()) and (last or not wide)
    if isinstance(op, Take) and wide:
        return found[0].axis % len(op.output.shape) != op.axis
    if wide:
        return False
    return all(p[0] == fixed[0][0] and p[1] == fixed[0][1] for p in fixed)


# -- below a scalar op ---------------------------------------------------------------------------


def _sink(b: Builder, graph: Graph, op: Op, reader: Op) -> bool:
    """Write f(S(x)) as S(f(x)), the constants of f cut to fit."""
    fits = isinstance(reader, _SCALAR) and not isinstance(reader, Dequantize)
    if not fits or reader.output.shape != op.output.shape:
        return False
    others = [v for v in reader.inputs if v.name != op.name]
    if any(not graph.is_constant(v) for v in others) or len(others) == len(reader.inputs):
        return False
    rules: tuple[tuple[tuple[type[Op], ...], Callable[[Builder, Op, Op], bool]], ...] = (
        ((Concat,), _sink_concat), ((Take,), _sink_take), ((Pad,), _sink_pad), (_POOLS, _sink_pool),
    )  # fmt: skip
    return next(rule for kinds, rule in rules if isinstance(op, kinds))(b, op, reader)


def _varies(b: Builder, reader: Op, axes: tuple[int, ...]) -> bool:
    """Tell whether a constant of `reader` differs along one of `axes`."""
    fixed = [b.constants[v.name] for v in reader.inputs if v.name in b.constants]
    return any(spread(reader, c).shape[a] != 1 for c in fixed for a in axes)


def _finish(b: Builder, op: Op, reader: Op, results: tuple[Value, ...], **attrs: object) -> bool:
    """Append S on the results of f; it takes the name of the old f."""
    inputs = (*results, *op.inputs[len(results) :])
    b.ops.append(rebuilt(op, inputs, reader.name, **attrs))
    return True


def _apply(
    b: Builder, reader: Op, old: str, x: Value, part: str, cut: Callable[[Value], Value]
) -> Value:
    """Append f on `x` instead of the value called `old`."""
    inputs = tuple(x if v.name == old else cut(v) for v in reader.inputs)
    new = rebuilt(reader, inputs, b.unique(f"{reader.name}:{part}"))
    b.ops.append(new)
    return new.output


def _sink_concat(b: Builder, op: Op, reader: Op) -> bool:
    if not isinstance(op, Concat):
        return False
    start, results = 0, []
    for n, x in enumerate(op.inputs):
        end = start + x.shape[op.axis]
        places = np.arange(start, end)

        def cut(v: Value, places: Array = places) -> Value:
            return _cut(b, reader, v, op.axis, places)

        results.append(_apply(b, reader, op.name, x, str(n), cut))
        start = end
    return _finish(b, op, reader, tuple(results))


def _cut(b: Builder, reader: Op, v: Value, axis: int, places: Array) -> Value:
    """Return the part of a constant that belongs to `places` along `axis`."""
    wide = spread(reader, b.constants[v.name])
    if wide.shape[axis] == 1:
        return v
    part = np.take(wide, places, axis=axis)
    if isinstance(reader, CountThresholds):
        part = part.reshape(-1, wide.shape[-1])
    elif isinstance(reader, BY_AXIS):
        part = part.reshape(-1)
    name = b.unique(f"{v.name}:part")
    b.constants[name] = part
    return Value(name, TensorType(v.elem, part.shape))


def _sink_take(b: Builder, op: Op, reader: Op) -> bool:
    if not isinstance(op, Take) or _varies(b, reader, (op.axis,)):
        return False
    x, along = op.inputs[0], isinstance(reader, BatchNorm) and reader.axis == op.axis

    def whole(v: Value) -> Value:
        return _repeated(b, v, x.shape[op.axis]) if along else v

    return _finish(b, op, reader, (_apply(b, reader, op.name, x, "whole", whole),))


def _repeated(b: Builder, v: Value, channels: int) -> Value:
    """Return the parameter of a batch norm of one channel for `channels` of them."""
    part = np.resize(b.constants[v.name], channels)
    return v if v.shape == part.shape else b.constant(f"{v.name}:whole", part, v.elem)


def _sink_pad(b: Builder, op: Op, reader: Op) -> bool:
    rank = len(op.output.shape)
    if not isinstance(op, Pad) or _varies(b, reader, tuple(range(rank))):
        return False
    value = np.full((1,) * (rank + 1), op.value, np.float64)
    args = [value if v.name == op.name else b.constants[v.name] for v in reader.inputs]
    result = evaluate_op(reader, list(args), {op.name: value})
    y = _apply(b, reader, op.name, op.inputs[0], "inner", lambda v: v)
    inner = b.ops[-1]
    if isinstance(inner.output.elem, Bipolar) or not isinstance(inner.output.elem, Real | Int):
        b.ops.pop()
        return False
    return _finish(b, op, reader, (y,), value=float(result.reshape(-1)[0]))


def _sink_pool(b: Builder, op: Op, reader: Op) -> bool:
    rank = len(op.output.shape)
    operand = [v.name for v in reader.inputs].index(op.name)
    if _varies(b, reader, tuple(range(rank - 1))) or not rises(reader, b.constants, operand):
        return False
    y = _apply(b, reader, op.name, op.inputs[0], "before", lambda v: v)
    return _finish(b, op, reader, (y,))
