"""Move a transpose near an input up to it, so that the device reads what its first layer wants.

A reshape that only moves axes of one element is a transpose too.
"""

from dataclasses import replace

from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    Dequantize,
    Op,
    Pad,
    Quantize,
    Reshape,
    Sign,
    Transpose,
    Value,
)
from bitwright.ir.ops.base import rebuilt
from bitwright.passes.parameters import BY_AXIS, spread

_MOVING = (Activation, Arithmetic, BatchNorm, Binarize, Clip, Dequantize, Pad, Quantize, Sign)


def lift_maps(graph: Graph) -> Graph:
    """Write T(f(x)) as f(T(x)) where x is an input and nothing but T reads f."""
    producers, readers = graph.producers(), graph.readers()
    outputs = {v.name for v in graph.outputs}
    for op in graph.ops:
        if _perm(op) is None or op.name in outputs:
            continue
        chain: list[Op] = []
        source = op.inputs[0]
        while isinstance(producers.get(source.name), _MOVING):
            f = producers[source.name]
            data = [v for v in f.inputs if not graph.is_constant(v)]
            if len(data) != 1 or len(readers[f.name]) != 1 or f.name in outputs:
                break
            chain.insert(0, f)
            source = data[0]
        if chain and source.name not in producers and not graph.is_constant(source):
            return lift_maps(_lifted(graph, op, source, chain))
    return graph


def _perm(op: Op) -> tuple[int, ...] | None:
    """Return how `op` permutes the axes of its operand; None where it does anything else."""
    if isinstance(op, Transpose):
        return op.perm
    if not isinstance(op, Reshape) or len(op.shape) != len(op.inputs[0].shape):
        return None
    before, after = op.inputs[0].shape, op.shape
    wide = iter([i for i, d in enumerate(before) if d != 1])
    ones = iter([i for i, d in enumerate(before) if d == 1])
    if [d for d in before if d != 1] != [d for d in after if d != 1]:
        return None
    return tuple(next(ones) if d == 1 else next(wide) for d in after)


def _lifted(graph: Graph, op: Op, source: Value, chain: list[Op]) -> Graph:
    b = Builder([*graph.values(), *graph.constants])
    b.constants = dict(graph.constants)
    gone = {op.name, *(f.name for f in chain)}
    swap: dict[str, Value] = {}
    perm = _perm(op)
    assert perm is not None
    for o in graph.ops:
        if o.name == chain[0].name:
            x = b.op(Transpose, (source,), f"{source.name}:last", op.loc, perm=perm)
            for f in chain:
                x = _below(b, graph, f, x, perm)
            swap[op.name] = x
        elif o.name not in gone:
            b.ops.append(replace(o, inputs=tuple(swap.get(v.name, v) for v in o.inputs)))
    return replace(graph, ops=tuple(b.ops), constants=b.constants)


def _below(b: Builder, graph: Graph, f: Op, x: Value, perm: tuple[int, ...]) -> Value:
    """Append `f` on the transposed operand, under its own name."""
    inputs = []
    for v in f.inputs:
        if not graph.is_constant(v):
            inputs.append(x)
        elif isinstance(f, Arithmetic) and v.type.size > 1:
            wide = spread(f, graph.constant(v)).transpose(perm)
            inputs.append(b.constant(f"{v.name}:last", wide, v.elem))
        else:
            inputs.append(v)
    attrs: dict[str, object] = {}
    if isinstance(f, BY_AXIS):
        attrs["axis"] = perm.index(f.axis % len(perm))
    if isinstance(f, Pad):
        attrs["before"], attrs["after"] = (tuple(e[p] for p in perm) for e in (f.before, f.after))
    return b.add(rebuilt(f, tuple(inputs), f.name, **attrs))
