"""The run function: where every tensor lives, which kernels are called, in which order."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.elementwise import integer_layer
from bitwright.backends.c.kernels import KernelSet
from bitwright.backends.c.layout import Layout, is_alias, layout_of
from bitwright.backends.c.linear import linear_layer
from bitwright.backends.c.memory import Buffer, Plan, plan_memory
from bitwright.backends.c.options import Cpu
from bitwright.backends.c.ports import Port, ports_of
from bitwright.backends.c.real import is_real_op, real_layer
from bitwright.backends.c.storage import Elements, Storage
from bitwright.backends.c.tables import TableSet
from bitwright.backends.layers import Layer, layers_of
from bitwright.backends.names import Names
from bitwright.backends.trace import input_names
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import ArgMax, IntLinear, Linear, Permute, Softmax, Transpose, Value

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


@dataclass(frozen=True, slots=True)
class Line:
    """One layer of the run function; `call` is empty where the memory only gets another shape."""

    layer: Layer
    call: str
    kind: str
    trace: str
    pointer: str


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


def compile_program(graph: Graph, model: str, cpu: Cpu) -> CProgram:
    """Return the program that computes `graph`; UnsupportedError names an op that has no kernel."""
    _refuse_empty(graph)
    layout = layout_of(graph, cpu.word)
    layers = layers_of(graph, Names(frozenset({"run", "trace", "pack", "unpack"})))
    inputs, outputs = ports_of(graph, layout, model)
    homes = _homes(graph, layout, inputs, outputs)
    owner, plan = _plan(graph, layout, layers, homes)
    local = Names(_LIBRARY | {p.parameter for p in (*inputs, *outputs)})
    variables = dict(homes)
    pointers = []
    for layer in layers:
        top = layout.root[layer.output.name]
        if top not in variables:
            variables[top] = local.fresh(layer.name)
            pointers.append(_pointer(layout, plan, owner[top], variables[top], layer))
    taken = frozenset(variables.values()) | _LIBRARY
    public = frozenset(f"{model}_{verb}" for verb in ("run", "trace", "trace_value"))
    public |= {p.pack for p in (*inputs, *outputs)} | {p.ctype for p in (*inputs, *outputs)}
    tables = TableSet(Names(taken | public), model)
    ctx = Context(graph, layout, cpu, KernelSet(Names(taken)), tables, variables)
    traces = KernelSet(Names(taken))
    entries = _entries(traces, inputs, input_names(graph.inputs), model)
    lines = tuple(_line(ctx, traces, layer, model) for layer in layers)
    copies = _copies(ctx, outputs)
    return CProgram(
        model, inputs, outputs, tuple(pointers), entries, lines, copies, plan, layout,
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


def _pointer(layout: Layout, plan: Plan, owner: str, name: str, layer: Layer) -> Pointer:
    s = layout.storage[layer.output.name]
    return Pointer(s.ctype, name, plan.offsets[owner], s.bytes, str(layer.output.type))


def _entries(
    traces: KernelSet, inputs: tuple[Port, ...], names: tuple[str, ...], model: str
) -> tuple[Entry, ...]:
    entries = []
    for port, name in zip(inputs, names, strict=True):
        view = TraceView("trace_values", model, model.upper(), port.storage)
        trace = traces.add("c/trace.h.j2", view)
        entries.append(Entry(name, port.name, trace, port.parameter))
    return tuple(entries)


def _line(ctx: Context, traces: KernelSet, layer: Layer, model: str) -> Line:
    pointer = ctx.write(layer.output)
    view = TraceView("trace_values", model, model.upper(), ctx.storage(layer.output))
    trace = traces.add("c/trace.h.j2", view)
    if is_alias(ctx.graph, layer.first):
        return Line(layer, "", "another shape of the same memory", trace, pointer)
    call = _call(ctx, layer)
    return Line(layer, f"{call.function}({', '.join(call.arguments)});", call.kind, trace, pointer)


def _call(ctx: Context, layer: Layer) -> Call:
    if isinstance(layer.first, IntLinear):
        return linear_layer(ctx, layer)
    if is_real_op(layer.first):
        return real_layer(ctx, layer)
    return integer_layer(ctx, layer)


def _copies(ctx: Context, outputs: tuple[Port, ...]) -> tuple[Copy, ...]:
    out = []
    for value, port in zip(ctx.graph.outputs, outputs, strict=True):
        source = ctx.read(value)
        if source != port.parameter:
            out.append(Copy(port.parameter, source, port.storage.bytes))
    return tuple(out)


def _plan(
    graph: Graph, layout: Layout, layers: tuple[Layer, ...], homes: Mapping[str, str]
) -> tuple[dict[str, str], Plan]:
    """Return which root owns the memory of each root, and the plan of the owners."""
    last = _last_uses(graph, layout, layers, homes)
    owner: dict[str, str] = {}
    spans: dict[str, list[int]] = {}
    for n, layer in enumerate(layers):
        top = layout.root[layer.output.name]
        if top in homes or top in owner:
            continue
        host = _in_place(graph, layout, layer, n, last)
        owner[top] = owner.get(host, top)
        span = spans.setdefault(owner[top], [layout.storage[layer.output.name].bytes, n, n])
        span[2] = max(span[2], last[top])
    buffers = [Buffer(name, *span) for name, span in spans.items()]
    return owner, plan_memory(buffers)


def _last_uses(
    graph: Graph, layout: Layout, layers: tuple[Layer, ...], homes: Mapping[str, str]
) -> dict[str, int]:
    """Return the last layer that touches each root; outputs that are copied live to the end."""
    last: dict[str, int] = {}
    for n, layer in enumerate(layers):
        for v in (layer.output, *(v for op in layer.ops for v in op.inputs)):
            if v.name in layout.root:
                last[layout.root[v.name]] = n
    for v in graph.outputs:
        top = layout.root.get(v.name, "")
        if top not in homes:
            last[top] = len(layers)
    return last


def _in_place(graph: Graph, layout: Layout, layer: Layer, n: int, last: Mapping[str, int]) -> str:
    """Return the root whose memory this layer may overwrite element by element, or nothing."""
    op = layer.first
    if isinstance(op, IntLinear | Linear | Transpose | Permute | ArgMax | Softmax):
        return ""
    y = layout.storage[layer.output.name]
    for v in op.inputs:
        if (
            not graph.is_constant(v)
            and last[layout.root[v.name]] == n
            and _fits(layout, v, op.output, y)
        ):
            return layout.root[v.name]
    return ""


def _fits(layout: Layout, v: Value, output: Value, y: Storage) -> bool:
    x = layout.storage[v.name]
    if v.type.size != output.type.size or not (isinstance(x, Elements) and isinstance(y, Elements)):
        return False
    octets = y.bytes == y.size
    return x.ctype == y.ctype or (octets and x.bytes >= y.bytes)
