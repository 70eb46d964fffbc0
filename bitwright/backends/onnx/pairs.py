"""Bring every Dequantize right behind the quantizer whose codes it reads.

The compiler moves pools and index maps between the two, next to integers; QONNX has one node for
a quantizer and the reals that its codes stand for.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import (
    Concat,
    Dequantize,
    MaxPool,
    MinPool,
    Op,
    Pad,
    Permute,
    Reshape,
    Take,
    Transpose,
    Value,
)
from bitwright.passes.dead_code import remove_dead_code

_POOLS = (MaxPool, MinPool)
_MAPS = (Reshape, Transpose, Permute, Take, Pad, Concat, *_POOLS)


@dataclass
class _Pairing:
    graph: Graph
    b: Builder
    producers: dict[str, Op]
    known: dict[tuple[str, ...], Value] = field(default_factory=dict)


def pair_up(graph: Graph) -> Graph:
    """Write Dequantize(S(q)) as S(Dequantize(q)) where S moves or compares elements."""
    b = Builder([*graph.values(), *graph.constants])
    b.constants = dict(graph.constants)
    p = _Pairing(graph, b, graph.producers())
    for op in graph.ops:
        if isinstance(op, Dequantize):
            _real(p, op, op.inputs[0], op.axis, op.output)
        else:
            b.ops.append(op)
    return remove_dead_code(b.graph(graph.name, graph.inputs, graph.outputs))


def _real(p: _Pairing, d: Dequantize, q: Value, axis: int, output: Value | None) -> Value:
    """Append what gives the reals of `q` by the parameters of `d`, under the name of `output`."""
    key = (q.name, d.inputs[1].name, d.inputs[2].name, str(axis))
    if output is not None or key not in p.known:
        made = output or Value(p.b.unique(f"{q.name}:real"), d.output.type)
        found = _moved(p, d, q, axis, made)
        p.known.setdefault(key, found)
        return found
    return p.known[key]


def _moved(p: _Pairing, d: Dequantize, q: Value, axis: int, output: Value) -> Value:
    source = p.producers.get(q.name)
    below = _axis_below(p, d, source, axis) if source is not None else None
    if source is None or below is None:
        return _append(p.b, replace(d, inputs=(q, *d.inputs[1:]), output=output, axis=axis))
    data = source.inputs if isinstance(source, Concat) else source.inputs[:1]
    reals = tuple(_real(p, d, v, below, None) for v in data)
    moved: Op = replace(source, inputs=(*reals, *source.inputs[len(data) :]), output=output)
    if isinstance(moved, Pad):
        scale, zero = (float(p.b.constants[v.name].reshape(-1)[0]) for v in d.inputs[1:])
        moved = replace(moved, value=(moved.value - zero) * scale)
    return _append(p.b, moved)


def _append(b: Builder, op: Op) -> Value:
    done = replace(op, output=Value(op.name, op.infer()))
    b.ops.append(done)
    return done.output


def _axis_below(p: _Pairing, d: Dequantize, source: Op, axis: int) -> int | None:
    """Return the axis of the parameters before `source`; None where it has to stay in front."""
    if not isinstance(source, _MAPS) or not all(p.graph.is_constant(v) for v in d.inputs[1:]):
        return None
    scale, zero = (p.graph.constant(v) for v in d.inputs[1:])
    if not np.array_equal(zero, np.rint(zero)):
        return None  # an input's: no node of ONNX holds it, and maps of codes are easier to read
    if isinstance(source, _POOLS) and not (scale > 0).all():
        return None
    if all(v.type.size == 1 for v in d.inputs[1:]):
        return -1
    return _channel_below(source, axis % len(source.output.shape))


def _channel_below(source: Op, axis: int) -> int | None:
    if isinstance(source, Transpose):
        return source.perm[axis]
    if isinstance(source, _POOLS):
        return axis if axis == len(source.output.shape) - 1 else None
    if isinstance(source, Take | Concat):
        return axis if axis != source.axis else None
    return None
