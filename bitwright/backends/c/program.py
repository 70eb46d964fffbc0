"""The run function: where every tensor lives, which kernels are called, in which order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bitwright.backends.c.bordered import bordered_layer
from bitwright.backends.c.constants import without_constant_ops
from bitwright.backends.c.context import Call, Context, Flash
from bitwright.backends.c.elementwise import integer_layer
from bitwright.backends.c.general import GENERAL, general_layer
from bitwright.backends.c.int_conv import conv_layer
from bitwright.backends.c.int_pool import pool_layer
from bitwright.backends.c.kernels import KernelSet
from bitwright.backends.c.layout import Layout, is_alias, layout_of
from bitwright.backends.c.linear import linear_layer
from bitwright.backends.c.memory import Plan
from bitwright.backends.c.moves import MOVES, move_layer
from bitwright.backends.c.options import Cpu
from bitwright.backends.c.placement import (
    Placement,
    offset_of,
    outermost,
    placement_of,
    with_scratch,
)
from bitwright.backends.c.ports import Port, ports_of
from bitwright.backends.c.real import is_real_op, real_layer
from bitwright.backends.c.storage import Storage
from bitwright.backends.c.tables import TableSet
from bitwright.backends.layers import Layer, forms_by_layer, layers_of
from bitwright.backends.names import Names
from bitwright.backends.trace import input_names
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import IntConv, IntLinear, MaxPool, MinPool, Op, Requantize, Steps, SumPool

_SUMS_AND_POOLS: dict[type[Op], Callable[..., Call]] = {
    IntLinear: linear_layer,
    IntConv: conv_layer,
    SumPool: pool_layer,
    MaxPool: pool_layer,
    MinPool: pool_layer,
}
_LIBRARY = frozenset(["arena", "base", "memcpy", "memset", "size_t", "uint8_t"])


@dataclass(frozen=True, slots=True)
class Pointer:
    """A tensor in the arena: the variable of the run function that points to it."""

    ctype: str
    name: str
    offset: int
    bytes: int
    note: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A model output that is no layer's own result: copied at the end."""

    to: str
    source: str
    bytes: int


@dataclass(frozen=True, slots=True)
class TraceView:
    """What trace.h.j2 shows."""

    name: str
    model: str
    guard: str
    x: Storage
    rows: int
    row: int
    pitch: int


@dataclass(frozen=True, slots=True)
class Line:
    """One layer of the run function; `call` is empty where the memory only gets another shape."""

    layer: Layer
    call: str
    kind: str
    trace: str
    pointer: str
    flash: Flash | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An input, traced before the first layer."""

    name: str
    value: str
    trace: str
    pointer: str


@dataclass(frozen=True, slots=True)
class CProgram:
    """Everything that the files are written from."""

    model: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    pointers: tuple[Pointer, ...]
    entries: tuple[Entry, ...]
    lines: tuple[Line, ...]
    copies: tuple[Copy, ...]
    plan: Plan
    layout: Layout
    kernels: KernelSet
    traces: KernelSet
    tables: TableSet


def compile_program(
    graph: Graph, model: str, cpu: Cpu, store: str | Mapping[str, str] = "plain"
) -> CProgram:
    """Return the program that computes `graph`; UnsupportedError names an op that has no kernel.

    `store` is the form of weights in flash, for all layers, or by layer or node.
    """
    graph = without_constant_ops(graph)
    _refuse_empty(graph)
    layout = layout_of(graph, cpu.word)
    layers = layers_of(graph, Names(frozenset({"run", "trace", "pack", "unpack"})))
    store = forms_by_layer(store, layers)
    inputs, outputs = ports_of(graph, layout, model)
    homes = _homes(graph, layout, inputs, outputs)
    placed = placement_of(graph, layout, layers, homes)
    variables, pointers = _pointers(layout, layers, placed, homes)
    taken = frozenset(variables.values()) | _LIBRARY
    public = frozenset(f"{model}_{verb}" for verb in ("run", "trace", "trace_value"))
    public |= {p.pack for p in (*inputs, *outputs)} | {p.ctype for p in (*inputs, *outputs)}
    tables = TableSet(Names(taken | public), model)
    ctx = Context(
        graph, layout, cpu, KernelSet(Names(taken)), tables, variables, frozenset(placed.inside),
        {name: i.pitch for name, i in placed.inside.items() if i.pitch}, store,
    )  # fmt: skip
    traces = KernelSet(Names(taken))
    entries = _entries(traces, inputs, input_names(graph.inputs), model)
    lines = tuple(_line(ctx, traces, layer, model) for layer in layers)
    copies = _copies(ctx, outputs)
    if ctx.scratch:
        placed, pointers = _with_rows(ctx, layers, placed, homes)
    return CProgram(
        model, inputs, outputs, pointers, entries, lines, copies, placed.plan, layout,
        ctx.kernels, traces, ctx.tables,
    )  # fmt: skip


def _refuse_empty(graph: Graph) -> None:
    for op in graph.ops:
        if any(v.type.size == 0 for v in (*op.inputs, op.output) if not graph.is_constant(v)):
            raise UnsupportedError(f"{op.loc}: a tensor without elements has no C form")


def _homes(
    graph: Graph, layout: Layout, inputs: tuple[Port, ...], outputs: tuple[Port, ...]
) -> dict[str, str]:
    """Return the parameter in which each root lives that is an input or an output."""
    homes = {v.name: p.parameter for v, p in zip(graph.inputs, inputs, strict=True)}
    for v, p in zip(graph.outputs, outputs, strict=True):
        if not graph.is_constant(v):
            homes.setdefault(layout.root[v.name], p.parameter)
    return homes


def _pointers(
    layout: Layout, layers: tuple[Layer, ...], placed: Placement, homes: Mapping[str, str]
) -> tuple[dict[str, str], tuple[Pointer, ...]]:
    """Return the C text of the pointer to each root, and the pointers into the arena."""
    local = Names(_LIBRARY | frozenset(homes.values()))
    variables = dict(homes)
    pointers = []
    for layer in layers:
        top = layout.root[layer.output.name]
        if top in variables:
            continue
        s = layout.storage[layer.output.name]
        begin = offset_of(placed.inside, top)
        if top not in placed.owner:
            variables[top] = f"{homes[outermost(placed.inside, top)]} + {begin}"
            continue
        variables[top] = local.fresh(layer.name)
        offset = placed.plan.offsets[placed.owner[top]] + begin * s.bytes // s.count
        note = str(layer.output.type)
        pointers.append(Pointer(s.ctype, variables[top], offset, s.bytes, note))
    return variables, tuple(pointers)


def _with_rows(
    ctx: Context, layers: tuple[Layer, ...], placed: Placement, homes: Mapping[str, str]
) -> tuple[Placement, tuple[Pointer, ...]]:
    """Return the placement with what layers need for themselves, and the pointers to all of it."""
    wanted = {n: s for n, layer in enumerate(layers) if (s := ctx.scratch.get(layer.name))}
    placed = with_scratch(placed, {n: (f"rows of {n}", s.bytes) for n, s in wanted.items()})
    _, pointers = _pointers(ctx.layout, layers, placed, homes)
    rows = [
        Pointer(s.ctype, s.name, placed.plan.offsets[f"rows of {n}"], s.bytes, "decoded weights")
        for n, s in wanted.items()
    ]
    return placed, (*pointers, *rows)


def _entries(
    traces: KernelSet, inputs: tuple[Port, ...], names: tuple[str, ...], model: str
) -> tuple[Entry, ...]:
    entries = []
    for port, name in zip(inputs, names, strict=True):
        size = port.storage.size
        view = TraceView("trace_values", model, model.upper(), port.storage, 1, size, size)
        trace = traces.add("c/trace.h.j2", view)
        entries.append(Entry(name, port.name, trace, port.parameter))
    return tuple(entries)


def _line(ctx: Context, traces: KernelSet, layer: Layer, model: str) -> Line:
    pointer = ctx.write(layer.output)
    s, row = ctx.storage(layer.output), layer.output.shape[-1] if layer.output.shape else 1
    pitch = ctx.pitch(layer.output)
    rows, row, pitch = (1, s.size, s.size) if pitch == row else (s.size // row, row, pitch)
    view = TraceView("trace_values", model, model.upper(), s, rows, row, pitch)
    trace = traces.add("c/trace.h.j2", view)
    if is_alias(ctx.graph, layer.first):
        return Line(layer, "", "another shape of the same memory", trace, pointer)
    call = _call(ctx, layer)
    text = f"{call.function}({', '.join(call.arguments)});" if call.function else ""
    return Line(layer, text, call.kind, trace, pointer, call.flash)


def _call(ctx: Context, layer: Layer) -> Call:
    op = layer.first
    if isinstance(op, MOVES):
        return move_layer(ctx, layer)
    if isinstance(op, GENERAL):
        return general_layer(ctx, layer)
    if is_real_op(op):
        return real_layer(ctx, layer)
    if type(op) in _SUMS_AND_POOLS:
        return _SUMS_AND_POOLS[type(op)](ctx, layer, op)
    if isinstance(op, Steps | Requantize) and op.classes:
        return bordered_layer(ctx, layer, op)
    return integer_layer(ctx, layer)


def _copies(ctx: Context, outputs: tuple[Port, ...]) -> tuple[Copy, ...]:
    out = []
    for value, port in zip(ctx.graph.outputs, outputs, strict=True):
        source = ctx.read(value)
        if source != port.parameter:
            out.append(Copy(port.parameter, source, port.storage.bytes))
    return tuple(out)
