"""Compress one layer: prune, choose the grid, round, and fit again what rounding moved."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Activation, Function
from bitwright.passes.compress.correct import bias_shift, least_squares_scale, moments
from bitwright.passes.compress.grid import Grid
from bitwright.passes.compress.kinds import (
    Kind,
    WeightKind,
    choose_grid,
    quantize_weights,
    sign_levels,
)
from bitwright.passes.compress.layer_inputs import grouped_rows
from bitwright.passes.compress.plan import Layer, float_bias, float_weights
from bitwright.passes.compress.prune_layer import LayerRows, prune_layer
from bitwright.passes.compress.recipe import LayerRecipe, Refit, Solver
from bitwright.passes.compress.second_order import quantize_rows
from bitwright.passes.compress.share import codebook_grid
from bitwright.passes.compress.side_by_side import SideBySide
from bitwright.passes.weights import Weights


@dataclass(frozen=True, slots=True)
class Refitted:
    """A layer's new weights, as codes or as reals alone, its bias, and what was measured.

    `bias` is None for a layer that has none. `constants` are what the layer's operands become;
    `density` is the share of nonzero weights and `noise` the energy of the output's error over the
    output's own.
    """

    weights: Weights | None
    values: Array
    bias: Array | None
    constants: Mapping[str, Array]
    density: float
    noise: float


def compress_layer(
    graph: Graph, rows: LayerRows, how: LayerRecipe, sides: SideBySide, *, pow2_scale: bool
) -> Refitted:
    """Return the layer as `how` asks, fitted to what its input has become."""
    op = rows.op
    w, bias = float_weights(graph, op), float_bias(graph, op)
    pruned, bias = prune_layer(w, bias, how.prune, rows)
    mask = pruned != 0 if how.prune else None
    coded = _codes(pruned, mask, how, rows, pow2_scale=pow2_scale)
    values = pruned if coded is None else decoded(coded)
    want = _outputs(sides.wanted(op))
    got = _outputs(sides.got(op, _constants(op, values, bias)))
    refit = Refit.BIAS if pow2_scale and how.refit is not Refit.NONE else how.refit
    factor, bias = fit_again(refit, want, got, bias)
    if coded is not None:
        coded = Weights(coded.codes, coded.scale * factor)
    values = values * factor.reshape(-1, *(1,) * (values.ndim - 1))
    constants = _constants(op, values, bias)
    error = _outputs(sides.got(op, constants)) - want
    energy = float((want.astype(np.float64) ** 2).sum()) or 1.0
    noise = float((error.astype(np.float64) ** 2).sum()) / energy
    own = bias if op.inputs[2:] else None
    return Refitted(coded, values, own, constants, float(np.mean(values != 0)), noise)


def decoded(found: Weights) -> Array:
    """Return the reals that codes (O, ..., I) stand for."""
    return np.asarray(found.codes * found.scale.reshape(-1, *(1,) * (found.codes.ndim - 1)))


def fit_again(refit: Refit, want: Array, got: Array, bias: Array) -> tuple[Array, Array]:
    """Return a factor for each output's weights and its new bias, both (O,).

    `want` and `got` are the layer's outputs (rows, O), `got` computed with `bias`.
    """
    one = np.ones_like(bias)
    if refit is Refit.NONE:
        return one, bias
    if refit is Refit.MOMENTS:
        factor, shift = moments(want, got)
        return factor, factor * bias + shift
    factor = least_squares_scale(want, got, bias) if refit is Refit.SCALE else one
    scaled = (got - bias) * factor + bias
    return factor, bias + bias_shift(want, scaled)


def rectified(graph: Graph, op: Layer) -> bool:
    """Tell whether a ReLU alone reads the outputs of a layer."""
    readers = graph.readers().get(op.name, [])
    outputs = {v.name for v in graph.outputs}
    return (
        op.name not in outputs
        and len(readers) == 1
        and isinstance(readers[0], Activation)
        and readers[0].kind is Function.RELU
    )


def _outputs(y: Array) -> Array:
    return y.reshape(-1, y.shape[-1])


def _constants(op: Layer, values: Array, bias: Array) -> dict[str, Array]:
    """Return the operands of a layer by name; one without a bias has none that could change."""
    found = {op.inputs[1].name: values.astype(np.float32)}
    if op.inputs[2:]:
        found[op.inputs[2].name] = bias.astype(np.float32)
    return found


def _codes(
    w: Array, mask: Array | None, how: LayerRecipe, rows: LayerRows, *, pow2_scale: bool
) -> Weights | None:
    """Return the codes of the weights, None where they stay reals."""
    flat = w.reshape(w.shape[0], -1)
    kept = None if mask is None else mask.reshape(flat.shape)
    if how.weights is None and how.share is None:
        return None
    if how.weights is not None and how.weights.kind is Kind.TERNARY_RULE:
        return quantize_weights(w, how.weights, pow2_scale=pow2_scale)
    grid = _grid(flat, kept, how, pow2_scale=pow2_scale)
    if how.solver is Solver.NEAREST:
        found = grid.nearest(flat)
        codes = found.codes if kept is None else found.codes * kept
        return Weights(codes.reshape(w.shape), found.scale)
    return _solved(w, mask, grid, how, rows, free=not pow2_scale and how.share is None)


def _solved(
    w: Array, mask: Array | None, grid: Grid, how: LayerRecipe, rows: LayerRows, *, free: bool
) -> Weights:
    """Return codes that share the error of rounding out over each output, group by group."""
    codes, scale = np.zeros(w.shape, np.int64), grid.scale.copy()
    targets, sources = grouped_rows(rows.op, codes), grouped_rows(rows.op, w)
    masks = None if mask is None else grouped_rows(rows.op, mask)
    size = sources.shape[1]
    for g in range(sources.shape[0]):
        outputs = slice(g * size, (g + 1) * size)
        found = quantize_rows(
            sources[g], rows.hessian(g), grid.rows(outputs),
            mask=None if masks is None else masks[g], exact=how.solver is Solver.EXACT,
            free_scale=free,
        )  # fmt: skip
        targets[g], scale[outputs] = found.codes, found.scale
    return Weights(codes, scale)


def _grid(w: Array, mask: Array | None, how: LayerRecipe, *, pow2_scale: bool) -> Grid:
    if how.share is not None:
        return codebook_grid(w, how.share.values, how.share.init, keep_zero=mask is not None)
    assert how.weights is not None
    if how.weights == WeightKind(Kind.BINARY) and mask is not None:
        alpha = np.abs(w).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)
        return Grid(np.where(alpha > 0, alpha, 1.0), sign_levels)
    return choose_grid(w, how.weights, pow2_scale=pow2_scale)
