"""Where every tensor lives: in place of another, inside the result of a Concat, or on its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod

from bitwright.backends.c.layout import Layout
from bitwright.backends.c.memory import Buffer, Plan, plan_memory
from bitwright.backends.c.storage import Elements, Storage
from bitwright.backends.layers import Layer
from bitwright.ir.graph import Graph
from bitwright.ir.ops import (
    Activation,
    AddInt,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Binarize,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    CountThresholds,
    Dequantize,
    IntConv,
    IntLinear,
    Lookup,
    MaxPool,
    MinPool,
    MulInt,
    Normalize,
    PRelu,
    Quantize,
    Requantize,
    Sign,
    Softmax,
    Steps,
    SumPool,
    Value,
)

# Ops that read an element of each tensor before they write it, and never after.
_ELEMENTWISE = (
    Activation, AddInt, Arithmetic, BatchNorm, Binarize, Clip, CountThresholds, Dequantize, Lookup,
    MulInt, Normalize, PRelu, Quantize, Requantize, Sign, Softmax, Steps,
)  # fmt: skip
# Ops that can leave room between rows.
_BY_ROWS = (
    Conv, ConvTranspose, MaxPool, MinPool, AveragePool, IntLinear, IntConv, SumPool,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inside:
    """A tensor that is written where a Concat wants it: `offset` elements into `root`."""

    root: str
    offset: int
    pitch: int  # elements from row to row, 0 where rows follow at once


@dataclass(frozen=True, slots=True)
class Placement:
    """The owner of each root's memory, which roots lie inside another, and the arena's plan."""

    owner: Mapping[str, str]
    inside: Mapping[str, Inside]
    plan: Plan
    buffers: tuple[Buffer, ...]


@dataclass(frozen=True, slots=True)
class _Scene:
    """What placement looks at; `homes` are the roots that live with the caller."""

    graph: Graph
    layout: Layout
    layers: tuple[Layer, ...]
    homes: Mapping[str, str]
    last: dict[str, int] = field(default_factory=dict)

    def root(self, v: Value) -> str:
        return self.layout.root[v.name]


def placement_of(
    graph: Graph, layout: Layout, layers: tuple[Layer, ...], homes: Mapping[str, str]
) -> Placement:
    """Return the smaller of two plans: with Concats whose operands are written in place, and without."""
    scene = _Scene(graph, layout, layers, homes)
    scene.last.update(_last_uses(scene))
    inside = _insides(scene)
    plans = [_placed(scene, inside)]
    if inside:
        plans.append(_placed(scene, {}))
    return min(plans, key=lambda p: p.plan.bytes)


def _last_uses(scene: _Scene) -> dict[str, int]:
    """Return the last layer that touches each root; outputs that are copied live to the end."""
    last: dict[str, int] = {}
    for n, layer in enumerate(scene.layers):
        for v in (layer.output, *(v for op in layer.ops for v in op.inputs)):
            if v.name in scene.layout.root:
                last[scene.root(v)] = n
    for v in scene.graph.outputs:
        top = scene.layout.root.get(v.name, "")
        if top not in scene.homes:
            last[top] = len(scene.layers)
    return last


def _insides(scene: _Scene) -> dict[str, Inside]:
    """Return the operands of Concats that their producers can write into the result."""
    readers = scene.graph.readers()
    outputs = {v.name for v in scene.graph.outputs}
    makers = {layer.output.name: layer for layer in scene.layers}
    found: dict[str, Inside] = {}
    for layer in scene.layers:
        op = layer.first
        if not isinstance(op, Concat):
            continue
        row = prod(op.output.shape[op.axis :])
        offset = 0
        for v in op.inputs:
            maker = makers.get(v.name)
            alone = readers.get(v.name) == [op] and v.name not in outputs
            if maker and alone and _single(scene, op, v):
                if prod(v.shape[: op.axis]) == 1:
                    found[v.name] = Inside(scene.root(op.output), offset, 0)
                elif op.axis == len(v.shape) - 1 and _leaves_room(maker):
                    found[v.name] = Inside(scene.root(op.output), offset, row)
            offset += prod(v.shape[op.axis :])
    return found


def _single(scene: _Scene, op: Concat, v: Value) -> bool:
    """Tell whether `v` shares its memory with nothing, is read once, and is stored as the result."""
    x, y = scene.layout.storage[v.name], scene.layout.storage[op.output.name]
    plain = isinstance(x, Elements) and isinstance(y, Elements) and x.ctype == y.ctype
    once = sum(v.name == other.name for other in op.inputs) == 1
    free = scene.root(v) == v.name and v.name not in scene.homes
    return plain and once and free and len(scene.layout.groups[v.name]) == 1


def _leaves_room(maker: Layer) -> bool:
    return isinstance(maker.first, _BY_ROWS)


def _placed(scene: _Scene, inside: Mapping[str, Inside]) -> Placement:
    owner: dict[str, str] = {}
    spans: dict[str, list[int]] = {}
    last = scene.last
    for n, layer in enumerate(scene.layers):
        top = scene.root(layer.output)
        if top in inside:
            holder = outermost(inside, top)
            if holder not in scene.homes:
                owner[top] = owner[holder] = holder
        elif top not in scene.homes and top not in owner:
            host = _in_place(scene, layer, n)
            owner[top] = owner.get(host, top)
        if top in owner:
            size = scene.layout.storage[owner[top]].bytes
            span = spans.setdefault(owner[top], [size, n, n])
            span[2] = max(span[2], last[top], last[owner[top]])
    buffers = [Buffer(name, *span) for name, span in spans.items()]
    return Placement(owner, inside, plan_memory(buffers), tuple(buffers))


def with_scratch(placed: Placement, scratch: Mapping[int, tuple[str, int]]) -> Placement:
    """Return `placed` planned again with a name and bytes more for some layers, by number."""
    own = [Buffer(name, size, n, n) for n, (name, size) in scratch.items()]
    return replace(placed, plan=plan_memory([*placed.buffers, *own]))


def outermost(inside: Mapping[str, Inside], root: str) -> str:
    """Return the root in whose memory that of `root` lies."""
    while root in inside:
        root = inside[root].root
    return root


def offset_of(inside: Mapping[str, Inside], root: str) -> int:
    """Return at which element of the outermost root the memory of `root` begins."""
    offset = 0
    while root in inside:
        offset += inside[root].offset
        root = inside[root].root
    return offset


def _in_place(scene: _Scene, layer: Layer, n: int) -> str:
    """Return the root whose memory this layer may overwrite element by element, or nothing."""
    op = layer.first
    if not isinstance(op, _ELEMENTWISE):
        return ""
    y = scene.layout.storage[layer.output.name]
    for v in op.inputs:
        if (
            not scene.graph.is_constant(v)
            and scene.last[scene.root(v)] == n
            and _fits(scene.layout, v, op.output, y)
        ):
            return scene.root(v)
    return ""


def _fits(layout: Layout, v: Value, output: Value, y: Storage) -> bool:
    x = layout.storage[v.name]
    if v.type.size != output.type.size or not (isinstance(x, Elements) and isinstance(y, Elements)):
        return False
    octets = y.bytes == y.size
    return x.ctype == y.ctype or (octets and x.bytes >= y.bytes)
