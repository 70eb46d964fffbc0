"""Ready a float graph for training: batch norms before signs and behind constant-size weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Clip,
    Conv,
    Function,
    Op,
    PRelu,
    Reshape,
    Value,
    Window,
    plain_window,
)
from bitwright.passes.compress.plan import Layer, layers_of
from bitwright.passes.compress.sites import find_sites
from bitwright.passes.dead_code import remove_dead_code
from bitwright.passes.fold_constants import real_constants
from bitwright.training.rules import binary_readers, weight_rules
from bitwright.training.settings import FinetuneSettings, Method, WeightRule

_EPSILON = 1e-5
_UNSCALED = {
    Method.BINARY_CONNECT, Method.BINARY_CONNECT_STOCHASTIC, Method.BNN, Method.DOREFA
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prepared:
    """The float graph that is trained, and its settings; `renamed` tells what layers are called now.

    A layer that defined an output is called otherwise when a batch norm defines it instead.
    """

    graph: Graph
    settings: FinetuneSettings
    renamed: Mapping[str, str]


def prepare(graph: Graph, settings: FinetuneSettings) -> Prepared:
    """Return the float graph that is trained.

    Before a binary activation the activation function goes and a batch norm comes where none is
    (BNN, XNOR-Net: norm, then sign); where others read the same tensor, the norm stands before the
    binary layer alone. Weights whose size says nothing (BinaryConnect, BNN, DoReFa) get a batch
    norm behind them. A layer with XNOR-Net's K is multiplied by it.
    """
    graph = remove_dead_code(real_constants(graph))
    rules = weight_rules(graph, settings)
    unscaled = [n for n, r in rules.items() if _is_unscaled(r)]
    outputs = {v.name for v in graph.outputs}
    for name in unscaled:
        graph = _norm_behind(graph, name)
    left = {op.name for op in layers_of(graph)}
    renamed = {n: f"{n}:sum" for n in unscaled if n in outputs and n not in left}
    settings = _follow(settings, renamed)
    for site in find_sites(graph):
        wanting, alone = binary_readers(graph, site, settings)
        if alone and wanting:
            graph = _norm_before_sign(graph, site.value)
        elif wanting:
            graph = _norm_before_layers(graph, wanting)
    for name, rule in weight_rules(graph, settings).items():
        if rule.k:
            graph = _scaled_by_k(graph, name, settings)
    graph = remove_dead_code(graph)
    graph.verify()
    return Prepared(graph, settings, renamed)


def _is_unscaled(rule: WeightRule) -> bool:
    return rule.method in _UNSCALED and not (rule.method is Method.DOREFA and rule.bits == 1)


def _follow(settings: FinetuneSettings, renamed: Mapping[str, str]) -> FinetuneSettings:
    """Return the settings with the new names of layers."""
    sparsity = {renamed.get(n, n): s for n, s in settings.prune.sparsity.items()}
    return replace(
        settings,
        weights={renamed.get(n, n): r for n, r in settings.weights.items()},
        activations={renamed.get(n, n): r for n, r in settings.activations.items()},
        prune=replace(settings.prune, sparsity=sparsity),
    )


class _Edit:
    """A graph being rewritten: new ops, and what later readers read instead."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.b = Builder([*graph.values(), *graph.constants])
        self.b.constants = dict(graph.constants)
        self.instead: dict[str, Value] = {}

    def add(self, op: Op, only: Sequence[str] | None = None) -> Op:
        """Append an op that reads what stands instead of its operands."""
        inputs = tuple(self.instead.get(v.name, v) for v in op.inputs)
        kept = replace(op, inputs=inputs) if only is None or op.name in only else op
        self.b.add(kept)
        return kept

    def norm(self, x: Value, loc: str) -> Value:
        """Append a batch norm over the last axis of `x`: gamma 1, beta 0."""
        n = x.shape[-1]
        made = {"gamma": np.ones(n), "beta": np.zeros(n), "mean": np.zeros(n), "var": np.ones(n)}
        operands = tuple(self.b.constant(f"{x.name}:{p}", a) for p, a in made.items())
        return self.b.op(
            BatchNorm, (x, *operands), f"{x.name}:norm", loc,
            epsilon=_EPSILON, axis=len(x.shape) - 1,
        )  # fmt: skip

    def done(self) -> Graph:
        """Return the graph; an output that something stands instead of keeps its name."""
        outputs = {
            v.name: self.instead[v.name] for v in self.graph.outputs if v.name in self.instead
        }
        graph = self.b.graph(self.graph.name, self.graph.inputs, self.graph.outputs)
        return _renamed(graph, {new.name: old for old, new in outputs.items()})


def _renamed(graph: Graph, names: dict[str, str]) -> Graph:
    """Return the graph with values `new` called `old`, and what was called `old` called `old:sum`."""
    if not names:
        return graph
    called = {old: f"{old}:sum" for old in names.values()} | names

    def value(v: Value) -> Value:
        return replace(v, name=called.get(v.name, v.name))

    ops = tuple(
        replace(op, inputs=tuple(value(v) for v in op.inputs), output=value(op.output))
        for op in graph.ops
    )
    return replace(graph, ops=ops)


def _norm_behind(graph: Graph, name: str) -> Graph:
    """Insert a batch norm behind a layer, unless one follows already."""
    readers = graph.readers().get(name, [])
    if len(readers) == 1 and isinstance(readers[0], BatchNorm):
        return graph
    edit = _Edit(graph)
    for op in graph.ops:
        kept = edit.add(op)
        if op.name == name:
            edit.instead[name] = edit.norm(kept.output, op.loc)
    return edit.done()


def _norm_before_sign(graph: Graph, value: Value) -> Graph:
    """Drop the activation that gives `value` and insert a batch norm in its place where none is."""
    producers = graph.producers()
    source = value
    while _keeps_signs(graph, producers.get(source.name)):
        source = producers[source.name].inputs[0]
    bare = not isinstance(producers.get(source.name), BatchNorm)
    if not bare and source == value:
        return graph
    edit = _Edit(graph)
    entry = next((v for v in graph.inputs if v == source), None)
    if entry is not None:
        edit.instead[value.name] = edit.norm(entry, f"input {entry.name}")
    for op in graph.ops:
        kept = edit.add(op)
        if op.name == source.name:
            edit.instead[value.name] = edit.norm(kept.output, op.loc) if bare else kept.output
    return edit.done()


def _keeps_signs(graph: Graph, op: Op | None) -> bool:
    """Tell whether the op is an activation that a sign replaces."""
    if isinstance(op, PRelu):
        return graph.is_constant(op.inputs[1]) and bool((graph.constant(op.inputs[1]) >= 0).all())
    if isinstance(op, Activation):
        return op.kind in _MONOTONE
    return isinstance(op, Clip) and op.lo <= 0 <= op.hi


_MONOTONE = {
    Function.RELU, Function.LEAKY_RELU, Function.SIGMOID, Function.TANH, Function.HARD_SIGMOID,
    Function.ELU, Function.SELU, Function.CELU, Function.SOFTPLUS, Function.SOFTSIGN,
    Function.ERF,
}  # fmt: skip


def _norm_before_layers(graph: Graph, layers: Sequence[Layer]) -> Graph:
    """Insert one batch norm for each tensor that these layers read, seen by them alone."""
    names = [op.name for op in layers]
    edit = _Edit(graph)
    for op in graph.ops:
        if op.name in names and op.inputs[0].name not in edit.instead:
            edit.instead[op.inputs[0].name] = edit.norm(op.inputs[0], op.loc)
        edit.add(op, only=names)
    edit.instead.clear()
    return edit.done()


def _scaled_by_k(graph: Graph, name: str, settings: FinetuneSettings) -> Graph:
    """Multiply a layer by K, the mean magnitude of its real input under each window.

    XNOR-Net (Rastegari et al. 2016), section 3.2: A = mean over channels of |x|, K = A * box.
    """
    edit = _Edit(graph)
    wanting = {
        op.name for site in find_sites(graph) for op in binary_readers(graph, site, settings)[0]
    }
    if name not in wanting:
        raise CompileError(f"{name}: K belongs to layers whose input is binary")
    for op in graph.ops:
        if op.name != name:
            edit.add(op)
            continue
        x, b, loc = op.inputs[0], edit.b, op.loc
        one = b.constant(f"{x.name}:one", np.array([1.0]))
        copy = b.op(Arithmetic, (x, one), f"{x.name}:signed", loc, kind=Arith.MUL)
        size = b.op(Activation, (x,), f"{x.name}:abs", loc, kind=Function.ABS)
        k = _box_mean(b, op, size)
        y = b.add(replace(op, inputs=(copy, *op.inputs[1:])))
        edit.instead[op.name] = b.op(Arithmetic, (y, k), f"{op.name}:scaled", loc, kind=Arith.MUL)
    return edit.done()


def _box_mean(b: Builder, op: Op, size: Value) -> Value:
    """Append the mean of `size` under each window of a layer, over channels too: one channel.

    Channels are laid beside each other along the last spatial axis, so that one pool sums all.
    """
    channels, loc = size.shape[-1], op.loc
    w = op.window if isinstance(op, Conv) else plain_window((1,))
    if w.dilations[-1] > 1:
        raise UnsupportedError(f"{loc}: K is not handled where the last axis is dilated")
    spatial = size.shape[1:-1] if isinstance(op, Conv) else (prod(size.shape[1:-1]),)
    shape = (size.shape[0], *spatial[:-1], spatial[-1] * channels, 1)
    kernel, strides, before, after = (
        (*n[:-1], n[-1] * channels) for n in (w.kernel, w.strides, w.before, w.after)
    )
    flat = b.op(Reshape, (size,), f"{size.name}:flat", loc, shape=shape)
    wide = Window(kernel, strides, before, after, w.dilations)
    k = b.op(
        AveragePool, (flat,), f"{op.name}:k", loc,
        window=wide, counted_before=before, counted_after=after,
    )  # fmt: skip
    return b.op(Reshape, (k,), f"{op.name}:box", loc, shape=(*op.output.shape[:-1], 1))
