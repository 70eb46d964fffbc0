"""Compress a float graph by a recipe: choose a plan layer by layer on samples, and assemble it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.passes.compress.calibrate import observe
from bitwright.passes.compress.equalize import equalize
from bitwright.passes.compress.fold_batch_norm import fold_batch_norm
from bitwright.passes.compress.layer import Refitted, compress_layer, rectified
from bitwright.passes.compress.plan import (
    Layer,
    Plan,
    Range,
    assemble,
    layers_of,
    with_biases,
)
from bitwright.passes.compress.prune import Method
from bitwright.passes.compress.prune_channels import prune_channels
from bitwright.passes.compress.prune_layer import LayerRows
from bitwright.passes.compress.ranges import choose_range
from bitwright.passes.compress.recipe import EDGE_BITS, STEPS_BITS, LayerRecipe, Recipe, Refit
from bitwright.passes.compress.second_derivative import obd_diagonal
from bitwright.passes.compress.side_by_side import SideBySide, fitting_samples
from bitwright.passes.compress.sites import Site, find_sites

FEW_SAMPLES = 32

_GRADIENT_SAMPLES = 512

Tell = Callable[[str, int, int], None]
Gradients = Callable[[Graph, Mapping[str, Array]], Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class LayerResult:
    """What became of one layer: its recipe, the share of nonzero weights, and the signal to noise.

    `noise` is the energy of the difference of the layer's output over that of the output, on the
    samples, with all layers before it compressed.
    """

    loc: str
    name: str
    recipe: LayerRecipe
    density: float
    noise: float


@dataclass(frozen=True, slots=True)
class Compressed:
    """A quantized graph, the float graph and the plan behind it, and what became of each layer."""

    graph: Graph
    float_graph: Graph
    plan: Plan
    layers: tuple[LayerResult, ...]
    notes: tuple[str, ...] = ()


def compress(
    graph: Graph, recipe: Recipe, samples: Mapping[str, Array], *, only: str | None = None
) -> Graph:
    """Return the quantized graph of a float one; `samples` are inputs (samples, *shape).

    With `only`, the name of a Linear's or Conv's node, no other layer is touched: what is lost then
    is that layer's own share of the loss.
    """
    return compress_fully(graph, recipe, samples, only=only).graph


def compress_fully(
    graph: Graph,
    recipe: Recipe,
    samples: Mapping[str, Array],
    *,
    only: str | None = None,
    tell: Tell | None = None,
    gradients: Gradients | None = None,
) -> Compressed:
    """Return the quantized graph with all that was decided; `tell` hears of each layer.

    `gradients` finds the Fisher information of every weight, for recipes that prune by it.
    """
    prepared = prepare(graph, recipe, samples)
    plan, layers = choose(prepared, recipe, samples, only=only, tell=tell, gradients=gradients)
    return Compressed(assemble(prepared, plan), prepared, plan, layers, _notes(samples))


def prepare(graph: Graph, recipe: Recipe, samples: Mapping[str, Array]) -> Graph:
    """Return the float graph that is compressed: norms folded, channels removed, scales evened."""
    graph = fold_batch_norm(graph)
    layers = layers_of(graph)
    if not layers:
        raise CompileError("the model has no layer with weights to compress")
    recipes = recipe.resolve(layers)
    shares = {name: r.channels for name, r in recipes.items() if r.channels < 1}
    if shares:
        graph = prune_channels(graph, shares, "activation", samples)
    moved = {name for name, r in recipes.items() if moves_bias(r)}
    graph = with_biases(graph, moved)
    return equalize(graph) if recipe.equalize else graph


def moves_bias(how: LayerRecipe) -> bool:
    """Tell whether a layer's recipe may give it another bias."""
    return how.refit is not Refit.NONE or (
        how.prune is not None and how.prune.method is Method.NET_TRIM
    )


def choose(
    graph: Graph,
    recipe: Recipe,
    samples: Mapping[str, Array],
    *,
    only: str | None = None,
    tell: Tell | None = None,
    gradients: Gradients | None = None,
) -> tuple[Plan, tuple[LayerResult, ...]]:
    """Return the plan for a prepared float graph, and what became of each layer."""
    layers = layers_of(graph)
    recipes = recipe.resolve(layers)
    chosen = {op.name: op for op in layers if only is None or op.loc == only}
    sites = [s for s in find_sites(graph) if only is None or s.loc == only]
    bits = {op.loc: recipes[op.name].activations for op in layers}
    ranges = _ranges(graph, sites, recipe, bits, samples)
    sides = SideBySide(graph, fitting_samples(graph, samples))
    known = _derivatives(graph, chosen, recipes, samples, gradients)
    found: dict[str, Refitted] = {}
    results: list[LayerResult] = []
    for v in graph.inputs:
        if v.name in ranges:
            sides.quantize(v.name, ranges[v.name])
    for op in graph.ops:
        changed: Mapping[str, Array] = {}
        if op.name in chosen:
            layer, how = chosen[op.name], recipes[op.name]
            if tell:
                tell(op.loc, len(results), len(chosen))
            shifts = needs_shifts(recipe, last=layer is layers[-1])
            rows = LayerRows(
                layer, sides, rectified=rectified(graph, layer), derivative=known.get(op.name)
            )
            found[op.name] = compress_layer(graph, rows, how, sides, pow2_scale=shifts)
            changed = found[op.name].constants
            done = found[op.name]
            results.append(LayerResult(op.loc, op.name, how, done.density, done.noise))
        sides.step(op, changed)
        if op.name in ranges:
            sides.quantize(op.name, ranges[op.name])
    return _plan(found, ranges), tuple(results)


def _derivatives(
    graph: Graph,
    layers: Mapping[str, Layer],
    recipes: Mapping[str, LayerRecipe],
    samples: Mapping[str, Array],
    gradients: Gradients | None,
) -> Mapping[str, Array]:
    """Return what the network's loss says of the weights, where a recipe prunes by that."""
    asked = {n: how.method for n in layers if (how := recipes[n].prune) is not None}
    few = {n: a[:_GRADIENT_SAMPLES] for n, a in samples.items()}
    if Method.OBD_NETWORK in asked.values():
        return obd_diagonal(graph, few)
    if Method.FISHER not in asked.values():
        return {}
    if gradients is None:
        name = next(layers[n].loc for n, m in asked.items() if m is Method.FISHER)
        raise CompileError(
            f"{name}: pruning by fisher needs gradients: pip install 'bitwright[train]'"
        )
    return gradients(graph, few)


def _plan(found: Mapping[str, Refitted], ranges: Mapping[str, Range]) -> Plan:
    coded = {n: f.weights for n, f in found.items() if f.weights is not None}
    reals = {n: f.values for n, f in found.items() if f.weights is None}
    biases = {n: f.bias for n, f in found.items() if f.bias is not None}
    return Plan(coded, reals, biases, ranges)


def needs_shifts(recipe: Recipe, *, last: bool) -> bool:
    """Tell whether the scales of a layer's weights must be powers of two."""
    wide = recipe.activations is not None and recipe.activations > STEPS_BITS
    return recipe.pow2_scales and (wide or (recipe.compared and last))


def _ranges(
    graph: Graph,
    sites: Sequence[Site],
    recipe: Recipe,
    layer_bits: Mapping[str, int | None],
    samples: Mapping[str, Array],
) -> dict[str, Range]:
    """Return the range of each site; the values of a group are looked at together."""
    wanted = {s.value.name: site_bits(s, recipe, layer_bits) for s in sites}
    seen = observe(graph, [n for n, bits in wanted.items() if bits], samples)
    groups: dict[str, list[Site]] = {}
    for s in sites:
        if s.value.name in seen:
            groups.setdefault(s.group or s.value.name, []).append(s)
    out: dict[str, Range] = {}
    for members in groups.values():
        names = [s.value.name for s in members]
        values = np.concatenate([seen[n] for n in names])
        bits = max(wanted[n] or 0 for n in names)
        method = None if any(s.edge for s in members) else recipe.ranges  # an input is kept whole
        found = choose_range(values, bits, method, pow2=recipe.pow2_scales, loc=members[0].loc)
        out |= dict.fromkeys(names, found)
    return out


def site_bits(site: Site, recipe: Recipe, layer_bits: Mapping[str, int | None]) -> int | None:
    """Return the bits of a site's codes, None where it stays real."""
    if recipe.activations is None:
        return layer_bits.get(site.loc)
    return site.bits or layer_bits.get(site.loc) or (EDGE_BITS if site.edge else recipe.activations)


def _notes(samples: Mapping[str, Array]) -> tuple[str, ...]:
    count = next(iter(samples.values())).shape[0]
    if count >= FEW_SAMPLES:
        return ()
    return (f"only {count} calibration samples: ranges and corrections rest on them; "
            f"{FEW_SAMPLES} or more, best some hundred, are safer",)  # fmt: skip
