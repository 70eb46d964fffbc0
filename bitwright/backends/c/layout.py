"""Which values share memory, and how each is stored: decided from who writes and reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bitwright.backends.c.storage import (
    MAX_PLANES,
    Planes,
    Storage,
    elements_for,
    planes_for,
)
from bitwright.ir.graph import Graph
from bitwright.ir.ops import (
    ArgMax,
    Concat,
    Encoding,
    IntConv,
    IntLinear,
    MaxPool,
    MinPool,
    Op,
    Pad,
    Permute,
    Reshape,
    SumPool,
    Take,
    Transpose,
    Value,
)
from bitwright.ir.types import Bipolar, Element, Int, Ternary

_BITWISE = (Encoding.BIPOLAR, Encoding.TERNARY)
_BY_ROWS = (IntLinear, IntConv, SumPool, MaxPool, MinPool)  # read and write whole rows of channels
_BY_ELEMENTS = (Concat, Pad, Take)  # know no planes


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
    for names in reversed(groups.values()):  # what is read later is known first
        chosen = _choose(graph, [values[n] for n in names], word, storage)
        storage |= dict.fromkeys(names, chosen)
    return Layout(root, storage, {k: tuple(v) for k, v in groups.items()})


def _choose(graph: Graph, group: list[Value], word: int, later: Mapping[str, Storage]) -> Storage:
    elem, size = group[0].elem, group[0].type.size
    plain = elements_for(elem, size)
    names = {v.name for v in group}
    readers = [
        op
        for op in graph.ops
        if not is_alias(graph, op) and any(v.name in names for v in op.inputs)
    ]
    producers = graph.producers()
    writers = [producers[n] for n in names if n in producers]
    leaves = any(v.name in names for v in graph.outputs)
    plane_free = any(isinstance(op, _BY_ELEMENTS) for op in (*readers, *writers))
    plane_free |= any(isinstance(op, ArgMax) for op in writers)
    plane_free |= any(_pools_elements(op, later) for op in readers)
    if not size or plane_free or not _wants_planes(elem, readers, leaves, word):
        return plain
    columns = _columns(graph, names, size, word)
    if columns is None:
        return plain
    packed = planes_for(elem, size, word, columns)
    return plain if packed.columns and packed.bytes >= plain.bytes else packed


def _columns(graph: Graph, names: set[str], size: int, word: int) -> int | None:
    """Return the length of rows on which all readers and writers agree, None where there is none.

    Rows that do not fill their words end in unused bits: then every writer and every window must
    know such rows, and a linear layer read whole ones.
    """
    readers = [op for op in graph.ops if isinstance(op, _BY_ROWS) and op.inputs[0].name in names]
    reads = [op.inputs[0].shape[-1] for op in readers]
    exact = [_written(op) for op in _writers(graph, names)]
    exact += [op.inputs[0].shape[-1] for op in readers if not isinstance(op, IntLinear)]
    columns = min((*reads, *exact), default=size)
    if columns % word == 0:
        return columns if all(n % word == 0 for n in (*reads, *exact)) else None
    fit = all(n == columns for n in exact) and all(n % columns == 0 for n in reads)
    return columns if fit else None


def _writers(graph: Graph, names: set[str]) -> list[Op]:
    """Return the ops by rows that write a value of `names`, alone or with a function behind."""
    producers = graph.producers()
    out: list[Op] = []
    for name in names:
        op = producers.get(name)
        before = producers.get(op.inputs[0].name) if op is not None and op.inputs else None
        out += [o for o in (op, before) if isinstance(o, _BY_ROWS)]
    return out


def _written(op: Op) -> int:
    """Return how many channels `op` writes one after another."""
    outputs = op.output.shape[-1]
    if isinstance(op, IntConv) and not by_channel(op):
        return outputs // op.groups
    return outputs


def by_channel(op: Op) -> bool:
    """Tell whether `op` is a depthwise convolution: each filter reads one channel."""
    return isinstance(op, IntConv) and op.inputs[1].shape[-1] == 1 and op.groups > 1


def _wants_planes(elem: Element, readers: list[Op], leaves: bool, word: int) -> bool:
    if any(_splits_words(op, word) for op in readers):
        return False
    if isinstance(elem, Bipolar):
        return not any(_encoding(op) is Encoding.POWER_OF_TWO for op in readers)
    if isinstance(elem, Ternary) or (isinstance(elem, Int) and elem.bits <= MAX_PLANES):
        bitwise = all(_encoding(op) in _BITWISE for op in readers)
        return bool(readers) and bitwise and not leaves
    return False


def _pools_elements(op: Op, later: Mapping[str, Storage]) -> bool:
    """Tell whether `op` is a pool that does not take and give bit planes."""
    if isinstance(op, MaxPool | MinPool):
        return not isinstance(later[op.name], Planes)
    return isinstance(op, SumPool)


def _splits_words(op: Op, word: int) -> bool:
    """Tell whether `op` reads groups of channels that begin inside a word."""
    return isinstance(op, IntConv) and op.groups > 1 and op.inputs[1].shape[-1] % word != 0


def _encoding(op: Op) -> Encoding | None:
    return op.encoding if isinstance(op, IntLinear | IntConv) else None
