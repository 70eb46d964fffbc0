"""Where a float model gets its activation quantizers."""

from dataclasses import dataclass, replace

from bitwright.ir.graph import Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Function,
    Linear,
    MaxPool,
    MinPool,
    Op,
    PRelu,
    Take,
    Value,
)
from bitwright.passes.region import INDEX_MAPS

LOOKUP_BITS = 12
_NOT_MONOTONE = {
    Function.HARD_SWISH, Function.SWISH, Function.MISH, Function.GELU, Function.GELU_TANH,
    Function.ABS,
}  # fmt: skip


_SCALAR = (Activation, Arithmetic, BatchNorm, Clip, PRelu)
_INHERITING = (*INDEX_MAPS, Take, MaxPool, MinPool)  # they only choose among elements


@dataclass(frozen=True, slots=True)
class Site:
    """A real tensor that gets a quantizer; `bits` None means the recipe's own width.

    Sites of one `group` share one scale.
    """

    value: Value
    loc: str
    bits: int | None = None
    edge: bool = False  # read by the first layer
    group: str = ""


def find_sites(graph: Graph) -> tuple[Site, ...]:
    """Return the tensors to quantize, in execution order.

    One on every tensor that a Linear, Conv, AveragePool or Concat reads or that is summed with
    another, behind its activation and before index maps and greatest-element pools, which inherit;
    and one before each activation that is not monotone, so that a table can stand for it. What one
    Concat reads shares a scale.
    """
    producers, readers = graph.producers(), graph.readers()
    sites: dict[str, Site] = {}
    group: dict[str, str] = {}
    for op in graph.ops:
        for value, bits in _wanted(graph, op):
            for source in _sources(value, producers):
                if source.name not in sites and not graph.is_constant(source):
                    edge = source.name not in producers
                    sites[source.name] = Site(source, op.loc, bits, edge=edge)
        if _joins_two(graph, op):
            end = _after_scalars(graph, readers, op)
            sites.setdefault(end.name, Site(end, op.loc))
        if isinstance(op, Concat):
            _join(group, [s.name for s in _sources(op.output, producers)])
    order = {n: i for i, n in enumerate(graph.values())}
    grouped = (replace(s, group=_leader(group, s.value.name)) for s in sites.values())
    return tuple(sorted(grouped, key=lambda s: order[s.value.name]))


def _join(group: dict[str, str], names: list[str]) -> None:
    for name in names[1:]:
        group[_leader(group, name)] = _leader(group, names[0])


def _leader(group: dict[str, str], name: str) -> str:
    while group.get(name, name) != name:
        name = group[name]
    return name


def _wanted(graph: Graph, op: Op) -> list[tuple[Value, int | None]]:
    if isinstance(op, Linear | Conv | AveragePool):
        return [(op.inputs[0], None)]
    if isinstance(op, Activation) and op.kind in _NOT_MONOTONE:
        return [(op.inputs[0], LOOKUP_BITS)]
    if isinstance(op, Concat):
        return [(op.output, None)]
    if _joins_two(graph, op):
        return [(v, None) for v in op.inputs]
    return []


def _joins_two(graph: Graph, op: Op) -> bool:
    summing = isinstance(op, Arithmetic) and op.kind in (Arith.ADD, Arith.SUB, Arith.MUL)
    return summing and not any(graph.is_constant(v) for v in op.inputs)


def _after_scalars(graph: Graph, readers: dict[str, list[Op]], op: Op) -> Value:
    """Return the result of the scalar ops that alone follow `op`, where its sum is quantized."""
    outputs = {v.name for v in graph.outputs}
    value = op.output
    while value.name not in outputs and len(readers.get(value.name, [])) == 1:
        after = readers[value.name][0]
        others = [v for v in after.inputs if v.name != value.name]
        lone = isinstance(after, _SCALAR) and all(graph.is_constant(v) for v in others)
        if not lone or (isinstance(after, Activation) and after.kind in _NOT_MONOTONE):
            break
        value = after.output
    return value


def _sources(value: Value, producers: dict[str, Op]) -> list[Value]:
    """Return the tensors whose elements `value` holds."""
    op = producers.get(value.name)
    if isinstance(op, Concat):
        return [s for v in op.inputs for s in _sources(v, producers)]
    return _sources(op.inputs[0], producers) if isinstance(op, _INHERITING) else [value]
