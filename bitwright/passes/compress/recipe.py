"""Compress a float graph: fold batch norms, quantize weights, place and calibrate quantizers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Conv, Dequantize, Linear, Op, Quantize, Rounding, Value
from bitwright.passes.compress.calibrate import Range, choose_range, observe
from bitwright.passes.compress.fold_batch_norm import fold_batch_norm
from bitwright.passes.compress.kinds import Kind, WeightKind, quantize_weights
from bitwright.passes.compress.sites import Site, find_sites
from bitwright.passes.dead_code import remove_dead_code
from bitwright.passes.fold_constants import constant_real

EDGE_BITS = 8
EDGE_POW2_BITS = 5  # magnitudes 2^0 to 2^7
STEPS_BITS = 4  # codes up to this width are thresholds, whose scales cost nothing


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to compress: the kind of the inner weights and of the edges', and activation bits.

    `pow2_scales` keeps the whole design free of multipliers; `compared` says that the device also
    compares the last layer's outputs, whose scales then count as well.
    """

    weights: WeightKind
    activations: int = 8
    pow2_scales: bool = False
    compared: bool = False

    def __post_init__(self) -> None:
        """Reject widths that are not offered."""
        if not 1 <= self.activations <= EDGE_BITS:
            raise CompileError(f"--activations {self.activations}: bits must be 1 to {EDGE_BITS}")

    @property
    def edge_weights(self) -> WeightKind:
        """The kind of the first and the last layer: 8 bits, or shifts where multipliers are out."""
        return (
            WeightKind(Kind.POW2, EDGE_POW2_BITS)
            if self.pow2_scales
            else WeightKind(Kind.INT, EDGE_BITS)
        )


def compress(
    graph: Graph, recipe: Recipe, samples: Mapping[str, Array], *, only: str | None = None
) -> Graph:
    """Return the quantized graph of a float one; `samples` are inputs (samples, *shape).

    With `only`, the name of a Linear's or Conv's node, no other layer is touched: what is lost then is that
    layer's own share of the loss.
    """
    graph = fold_batch_norm(graph)
    linears = [op for op in graph.ops if isinstance(op, Linear | Conv)]
    if not linears:
        raise CompileError("the model has no layer with weights to compress")
    sites = [s for s in find_sites(graph) if only is None or s.loc == only]
    ranges = _ranges(graph, sites, recipe, samples)
    b = Builder([*graph.values(), *graph.constants])
    b.constants = dict(graph.constants)
    kinds = {op.name: recipe.weights for op in linears if only is None or op.loc == only}
    for edge in {linears[0].name, linears[-1].name} & set(kinds):
        kinds[edge] = recipe.edge_weights
    _rewrite(b, graph, {s.value.name: s for s in sites}, ranges, (recipe, kinds))
    result = b.graph(graph.name, graph.inputs, graph.outputs)
    return remove_dead_code(result)


def _ranges(
    graph: Graph, sites: Sequence[Site], recipe: Recipe, samples: Mapping[str, Array]
) -> dict[str, Range]:
    """Return the range of each site; the values of a group are looked at together."""
    seen = observe(graph, [s.value.name for s in sites], samples)
    groups: dict[str, list[Site]] = {}
    for s in sites:
        groups.setdefault(s.group or s.value.name, []).append(s)
    out: dict[str, Range] = {}
    for members in groups.values():
        values = np.concatenate([seen[s.value.name] for s in members])
        bits = max(_bits(s, recipe) for s in members)
        found = choose_range(values, bits, pow2=recipe.pow2_scales, loc=members[0].loc)
        out |= {s.value.name: found for s in members}
    return out


def _bits(site: Site, recipe: Recipe) -> int:
    return site.bits or (EDGE_BITS if site.edge else recipe.activations)


def _rewrite(
    b: Builder,
    graph: Graph,
    sites: Mapping[str, Site],
    ranges: Mapping[str, Range],
    how: tuple[Recipe, Mapping[str, WeightKind]],
) -> None:
    renamed: dict[str, Value] = {}
    dots = [op.name for op in graph.ops if isinstance(op, Linear | Conv)]
    last = dots[-1]  # its scales may order classes
    for v in graph.inputs:
        if v.name in sites:
            renamed[v.name] = _quantizer(b, v, ranges[v.name], sites[v.name].loc)
    for op in graph.ops:
        kept: Op = replace(op, inputs=tuple(renamed.get(v.name, v) for v in op.inputs))
        recipe, kinds = how
        if isinstance(kept, Linear | Conv) and op.name in kinds:
            shifts = recipe.pow2_scales and (
                recipe.activations > STEPS_BITS or (recipe.compared and op.name == last)
            )
            kept = _quantized(b, graph, kept, kinds[op.name], pow2_scale=shifts)
        b.add(kept)
        if op.name in sites:
            renamed[op.name] = _quantizer(b, op.output, ranges[op.name], op.loc)


def _quantizer(b: Builder, x: Value, found: Range, loc: str) -> Value:
    scale = b.constant(f"{x.name}:step", np.array([found.scale]))
    zero = b.constant(f"{x.name}:zero", np.array([0.0]))
    q = b.op(
        Quantize, (x, scale, zero), f"{x.name}:q", loc, elem=found.elem, rounding=Rounding.HALF_EVEN
    )
    return b.op(Dequantize, (q, scale, zero), f"{x.name}:dq", loc)


def _quantized(
    b: Builder, graph: Graph, op: Linear | Conv, kind: WeightKind, *, pow2_scale: bool
) -> Op:
    """Return the layer with its weights as codes of `kind` and a Dequantize."""
    weights = constant_real(graph, op.inputs[1])
    if weights is None:
        raise CompileError(f"{op.loc}: its weights are computed at run time; they must be constant")
    found = quantize_weights(weights, kind, pow2_scale=pow2_scale)
    codes = b.constant(f"{op.name}:codes", found.codes)
    scale = b.constant(f"{op.name}:alpha", found.scale)
    zero = b.constant(f"{op.name}:wzero", np.array([0.0]))
    w = b.op(Dequantize, (codes, scale, zero), f"{op.name}:w", op.loc, axis=0)
    return replace(op, inputs=(op.inputs[0], w, *op.inputs[2:]))
