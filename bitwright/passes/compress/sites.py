"""Where a float model gets its activation quantizers."""

from dataclasses import dataclass

from bitwright.ir.graph import Graph
from bitwright.ir.ops import Activation, Arith, Arithmetic, Function, Linear, Op, Value
from bitwright.passes.region import INDEX_MAPS

LOOKUP_BITS = 12
_NOT_MONOTONE = {
    Function.HARD_SWISH, Function.SWISH, Function.MISH, Function.GELU, Function.GELU_TANH,
    Function.ABS,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """A real tensor that gets a quantizer; `bits` None means the recipe's own width."""

    value: Value
    loc: str
    bits: int | None = None
    edge: bool = False  # read by the first layer


def find_sites(graph: Graph) -> tuple[Site, ...]:
    """Return the tensors to quantize, in execution order.

    One on every tensor that a Linear reads or that is summed with another, behind its activation
    and before index maps, which inherit; and one before each activation that is not monotone, so
    that a table can stand for it.
    """
    producers = graph.producers()
    sites: dict[str, Site] = {}
    for op in graph.ops:
        for value, bits in _wanted(graph, op):
            source = _before_moves(value, producers)
            if source.name not in sites and not graph.is_constant(source):
                edge = source.name not in producers
                sites[source.name] = Site(source, op.loc, bits, edge=edge)
    order = {n: i for i, n in enumerate(graph.values())}
    return tuple(sorted(sites.values(), key=lambda s: order[s.value.name]))


def _wanted(graph: Graph, op: Op) -> list[tuple[Value, int | None]]:
    if isinstance(op, Linear):
        return [(op.inputs[0], None)]
    if isinstance(op, Activation) and op.kind in _NOT_MONOTONE:
        return [(op.inputs[0], LOOKUP_BITS)]
    both = not any(graph.is_constant(v) for v in op.inputs)
    if isinstance(op, Arithmetic) and op.kind in (Arith.ADD, Arith.SUB) and both:
        return [(v, None) for v in op.inputs]
    return []


def _before_moves(value: Value, producers: dict[str, Op]) -> Value:
    op = producers.get(value.name)
    while isinstance(op, INDEX_MAPS):
        value = op.inputs[0]
        op = producers.get(value.name)
    return value
