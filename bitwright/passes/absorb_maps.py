"""Order the columns of a fully connected layer as its input lies in memory."""

from dataclasses import replace

import numpy as np

from bitwright.ir.evaluate import evaluate_op
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Dequantize, Linear, Op, Permute, Reshape, Take, Transpose, Value

_MAPS = (Reshape, Transpose, Permute, Take)


def absorb_maps(graph: Graph) -> Graph:
    """Let each Linear that reads a whole tensor in another order read it in its own order."""
    producers = graph.producers()
    b = Builder([*graph.values(), *graph.constants])
    b.constants = dict(graph.constants)
    for op in graph.ops:
        b.add(_absorbed(b, graph, producers, op) if isinstance(op, Linear) else op)
    return replace(graph, ops=tuple(b.ops), constants=b.constants)


def _absorbed(b: Builder, graph: Graph, producers: dict[str, Op], op: Linear) -> Linear:
    x = op.inputs[0]
    maps: list[Op] = []
    source = x
    while isinstance(producers.get(source.name), _MAPS):
        maps.insert(0, producers[source.name])
        source = maps[0].inputs[0]
    if not any(not isinstance(m, Reshape) for m in maps) or x.shape[-1] != source.type.size:
        return op
    order = _order(graph, maps, source)
    if np.unique(order).size != order.size:
        return op
    w = _columns(b, producers, op, order)
    if w is None:
        return op
    flat = b.op(Reshape, (source,), f"{op.name}:flat", op.loc, shape=x.shape)
    return replace(op, inputs=(flat, w, *op.inputs[2:]))


def _order(graph: Graph, maps: list[Op], source: Value) -> Array:
    """Return which element of the source each column reads."""
    y = np.arange(source.type.size).reshape(1, *source.shape)
    for m in maps:
        fixed = [graph.constant(v) for v in m.inputs[1:]]
        y = evaluate_op(m, [y, *fixed], {m.inputs[0].name: y})
    return y.reshape(-1)


def _columns(b: Builder, producers: dict[str, Op], op: Linear, order: Array) -> Value | None:
    """Return the weight for the source's order: column `order[i]` is column i of the old one."""
    w = op.inputs[1]
    source = producers.get(w.name)
    codes = w
    if isinstance(source, Dequantize):
        wide = max(v.type.size for v in source.inputs[1:]) > 1
        if wide and source.axis % len(w.shape) != 0:
            return None
        codes = source.inputs[0]
    if codes.name not in b.constants:
        return None
    old = b.constants[codes.name]
    new = np.empty_like(old)
    new[:, order] = old
    moved = b.constant(f"{codes.name}:columns", new, codes.elem)
    if not isinstance(source, Dequantize):
        return moved
    operands = (moved, *source.inputs[1:])
    return b.op(Dequantize, operands, f"{w.name}:columns", source.loc, axis=source.axis)
