"""Which values share memory, and how each is stored: decided from who writes and reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from bitwright.backends.c.storage import (
    MAX_PLANES,
    Storage,
    elements_for,
    planes_for,
)
from bitwright.ir.graph import Graph
from bitwright.ir.ops import ArgMax, Encoding, IntLinear, Op, Permute, Reshape, Transpose, Value
from bitwright.ir.types import Bipolar, Element, Int, Ternary

_BITWISE = (Encoding.BIPOLAR, Encoding.TERNARY)


@dataclass(frozen=True, slots=True)
class Layout:
    """For every value the root of the values it shares memory with, and its storage."""

    root: Mapping[str, str]
    storage: Mapping[str, Storage]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def is_alias(graph: Graph, op: Op) -> bool:
    """Tell whether `op` leaves the flat order as it is, and so needs no code."""
    if op.inputs and graph.is_constant(op.inputs[0]):
        return False
    if isinstance(op, Reshape):
        return True
    if isinstance(op, Transpose):
        shape = op.inputs[0].shape
        moved = [p for p in op.perm if shape[p] != 1]
        return moved == sorted(moved)
    if isinstance(op, Permute):
        order = graph.constant(op.inputs[1]).reshape(-1)
        return bool(np.array_equal(order, np.arange(order.size)))
    return False


def layout_of(graph: Graph, word: int) -> Layout:
    """Return the layout of every value of `graph` for words of `word` bits."""
    root = {v.name: v.name for v in graph.inputs}
    for op in graph.ops:
        root[op.name] = root[op.inputs[0].name] if is_alias(graph, op) else op.name
    groups: dict[str, list[str]] = {}
    for name, top in root.items():
        groups.setdefault(top, []).append(name)
    values = graph.values()
    storage: dict[str, Storage] = {}
    for names in groups.values():
        chosen = _choose(graph, [values[n] for n in names], word)
        storage |= dict.fromkeys(names, chosen)
    return Layout(root, storage, {k: tuple(v) for k, v in groups.items()})


def _choose(graph: Graph, group: list[Value], word: int) -> Storage:
    elem, size = group[0].elem, group[0].type.size
    names = {v.name for v in group}
    touching = [
        op
        for op in graph.ops
        if isinstance(op, IntLinear) and (op.name in names or op.inputs[0].name in names)
    ]
    touching += _fused(graph, names)
    readers = [
        op
        for op in graph.ops
        if not is_alias(graph, op) and any(v.name in names for v in op.inputs)
    ]
    leaves = any(v.name in names for v in graph.outputs)
    whole = all(_whole_words(op, names, word) for op in touching)
    indices = any(isinstance(op, ArgMax) and op.name in names for op in graph.ops)
    if size and whole and not indices and _wants_planes(elem, readers, leaves):
        return planes_for(elem, size, word)
    return elements_for(elem, size)


def _fused(graph: Graph, names: set[str]) -> list[IntLinear]:
    producers = graph.producers()
    out = []
    for name in names:
        op = producers.get(name)
        before = producers.get(op.inputs[0].name) if op is not None else None
        if isinstance(before, IntLinear):
            out.append(before)
    return out


def _whole_words(op: IntLinear, names: set[str], word: int) -> bool:
    x = op.inputs[0]
    if prod(x.shape[:-1]) == 1:
        return True
    axis = x.shape[-1] if x.name in names else op.output.shape[-1]
    return axis % word == 0


def _wants_planes(elem: Element, readers: list[Op], leaves: bool) -> bool:
    if isinstance(elem, Bipolar):
        return not any(_encoding(op) is Encoding.POWER_OF_TWO for op in readers)
    if isinstance(elem, Ternary) or (isinstance(elem, Int) and elem.bits <= MAX_PLANES):
        bitwise = all(_encoding(op) in _BITWISE for op in readers)
        return bool(readers) and bitwise and not leaves
    return False


def _encoding(op: Op) -> Encoding | None:
    return op.encoding if isinstance(op, IntLinear) else None
