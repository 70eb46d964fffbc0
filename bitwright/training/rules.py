"""Which rule each layer and each quantizer of a graph follows."""

from collections.abc import Iterable
from dataclasses import dataclass

from bitwright.errors import CompileError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import (
    Activation,
    Arithmetic,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Linear,
    MaxPool,
    MinPool,
    Op,
    PRelu,
    Take,
    Value,
)
from bitwright.passes.compress.plan import Layer, layers_of
from bitwright.passes.compress.sites import Site, find_sites
from bitwright.passes.region import INDEX_MAPS
from bitwright.training.settings import Act, ActRule, FinetuneSettings, WeightRule

_SCALAR = (Activation, Arithmetic, BatchNorm, Clip, PRelu)
_PASSING = (*INDEX_MAPS, Take, MaxPool, MinPool, Concat)  # they only choose among elements


@dataclass(frozen=True, slots=True)
class Ruled:
    """A place for a quantizer, its rule, and the bits where the place asks for its own."""

    site: Site
    rule: ActRule
    bits: int


def weight_rules(graph: Graph, settings: FinetuneSettings) -> dict[str, WeightRule]:
    """Return the rule of each layer by name; CompileError for a name that no layer has."""
    layers = layers_of(graph)
    if not layers:
        raise CompileError("the model has no layer with weights to train")
    names = [op.name for op in layers]
    named = {*settings.weights, *settings.activations, *settings.prune.sparsity}
    if wrong := sorted(named - set(names)):
        raise CompileError(f"no layer is called {wrong[0]!r}; the layers are {', '.join(names)}")
    ends = {names[0], names[-1]}
    usual = {n: settings.edge if n in ends else settings.inner for n in names}
    return {**usual, **settings.weights}


def final_readers(graph: Graph, value: Value) -> list[Op | None]:
    """Return the ops that read the elements of `value`, behind pools and index maps; None: an output."""
    outputs, readers = {v.name for v in graph.outputs}, graph.readers()
    found: list[Op | None] = []
    names = [value.name]
    while names:
        name = names.pop()
        if name in outputs:
            found.append(None)
        for op in readers.get(name, []):
            if isinstance(op, _PASSING):
                names.append(op.name)
            else:
                found.append(op)
    return found


def input_rule(op: Layer, site: Site, settings: FinetuneSettings) -> ActRule:
    """Return the rule for what a layer reads."""
    usual = settings.edge_activations if site.edge else settings.inner_activations
    return settings.activations.get(op.name, usual)


def binary_readers(
    graph: Graph, site: Site, settings: FinetuneSettings
) -> tuple[list[Layer], bool]:
    """Return the layers that want the site binary, and whether all that reads it does."""
    readers = final_readers(graph, site.value)
    wanting = [
        op
        for op in readers
        if isinstance(op, Linear | Conv) and input_rule(op, site, settings).method is Act.BINARY
    ]
    return wanting, len(wanting) == len(readers)


def ruled_sites(graph: Graph, settings: FinetuneSettings) -> tuple[Ruled, ...]:
    """Return the places for quantizers with their rules; those of one group share a rule."""
    sites = find_sites(graph)
    own = {s.value.name: _own_rule(graph, s, settings) for s in sites}
    out = []
    for s in sites:
        members = [o for o in sites if o.group and o.group == s.group] or [s]
        rule = _strongest(own[m.value.name] for m in members)
        out.append(Ruled(s, rule, s.bits or rule.bits))
    out += [
        Ruled(Site(v, op.loc), settings.edge_activations, settings.edge_activations.bits)
        for r in out
        if r.rule.method is Act.BINARY and (found := _sum_before(graph, r.site.value))
        for v, op in [found]
    ]
    return tuple(r for r in out if r.rule.method is not Act.NONE)


def _sum_before(graph: Graph, value: Value) -> tuple[Value, Op] | None:
    """Return the sum (or product) of two tensors behind a norm that gives `value`, ready to quantize.

    Two scales meet there, and one compare cannot join them.
    """
    producers = graph.producers()
    norm = producers.get(value.name)
    op = norm
    while isinstance(op, _SCALAR) and all(graph.is_constant(v) for v in op.inputs[1:]):
        op = producers.get(op.inputs[0].name)
    if norm is None or op is norm or not isinstance(op, Arithmetic):
        return None
    return (norm.inputs[0], op) if not any(graph.is_constant(v) for v in op.inputs) else None


def _own_rule(graph: Graph, site: Site, settings: FinetuneSettings) -> ActRule:
    if site.bits is not None:
        return ActRule(Act.FIXED)
    if binary_readers(graph, site, settings)[1]:
        return ActRule(Act.BINARY)
    layers = [op for op in final_readers(graph, site.value) if isinstance(op, Linear | Conv)]
    wanted = [input_rule(op, site, settings) for op in layers] or [settings.inner_activations]
    return _strongest(settings.edge_activations if r.method is Act.BINARY else r for r in wanted)


def _strongest(rules: Iterable[ActRule]) -> ActRule:
    """Return the rule that loses least: no quantizer, then the most bits, binary last."""
    return max(rules, key=lambda r: (r.method is Act.NONE, r.method is not Act.BINARY, r.bits))
