"""What a layer would take if its recipe were another: the price list of a budget."""

from collections.abc import Mapping
from math import ceil

from bitwright.backends.report.sizes import FLOAT_BITS, OUTPUT_BYTES, weight_bytes
from bitwright.ir.cost import macs
from bitwright.ir.graph import Graph
from bitwright.passes.compress.choose import site_bits
from bitwright.passes.compress.kinds import Kind, WeightKind, bits_of
from bitwright.passes.compress.plan import Layer, layers_of
from bitwright.passes.compress.recipe import LayerRecipe, Recipe
from bitwright.passes.compress.sensitivity import Cost, Price
from bitwright.passes.compress.sites import find_sites
from bitwright.passes.weights import Weights

SHARED_BITS = 8  # of a codebook's entries


def price_list(graph: Graph, recipe: Recipe) -> Price:
    """Return what tells the cost of a layer of the prepared float graph under a recipe of its own.

    Bytes are those of `sizes_of`; MAC-bits are multiplications times the bits of a weight times
    those of what the layer reads, 32 where either is real.
    """
    inputs = input_bits(graph, recipe)

    def price(op: Layer, weights: Weights | None, how: LayerRecipe) -> Cost:
        held = weight_bytes(op, weights, how) + OUTPUT_BYTES * op.inputs[1].shape[0]
        return Cost(held, ceil(macs(op) * weight_bits(how) * inputs[op.name]))

    return price


def weight_bits(how: LayerRecipe) -> float:
    """Return the bits of one weight as it is multiplied, whatever form stores it."""
    if how.share is not None:
        return SHARED_BITS
    if how.weights is None:
        return FLOAT_BITS
    pruned = how.prune is not None and how.weights.kind is Kind.BINARY
    return bits_of(WeightKind(Kind.TERNARY) if pruned else how.weights)


def input_bits(graph: Graph, recipe: Recipe) -> Mapping[str, int]:
    """Return, by layer name, the bits of what each layer of a prepared float graph reads."""
    layers = layers_of(graph)
    recipes = recipe.resolve(layers)
    own = {op.loc: recipes[op.name].activations for op in layers}
    sites = find_sites(graph)
    widest: dict[str, int] = {}
    for s in sites:
        bits = site_bits(s, recipe, own)
        widest[s.group] = max(widest.get(s.group, 0), bits or 0)
    known = {s.value.name: widest[s.group] or FLOAT_BITS for s in sites}
    producers = graph.producers()
    found: dict[str, int] = {}
    for op in layers:
        name = op.inputs[0].name
        while name not in known and name in producers and producers[name].inputs:
            name = producers[name].inputs[0].name
        found[op.name] = known.get(name, FLOAT_BITS)
    return found
