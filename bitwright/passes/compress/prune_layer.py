"""Prune one layer on the samples, by whichever method its recipe names."""

from functools import cached_property

import numpy as np

from bitwright.ir.graph import Array
from bitwright.passes.compress.layer_inputs import grouped_rows, input_rows
from bitwright.passes.compress.net_trim import Affine, net_trim, refit
from bitwright.passes.compress.plan import Layer
from bitwright.passes.compress.prune import Method, Pruning, choose_mask
from bitwright.passes.compress.second_moment import hessian
from bitwright.passes.compress.second_order import prune_pattern, prune_rows
from bitwright.passes.compress.side_by_side import SideBySide

_TRIM_ROWS = 8192  # that a convex program looks at


class LayerRows:
    """What a layer sums over, in the compressed form so far, and what it should give; lazily."""

    def __init__(
        self,
        op: Layer,
        sides: SideBySide,
        *,
        rectified: bool = False,
        derivative: Array | None = None,
    ) -> None:
        """Remember where to look.

        `rectified` says that a ReLU alone reads the outputs; `derivative`, of the shape of the
        weights, is what the network's loss says about them (see `choose_mask`).
        """
        self.op = op
        self.rectified = rectified
        self.derivative = derivative
        self._sides = sides
        self._hessians: dict[int, Array] = {}

    @cached_property
    def inputs(self) -> Array:
        """The compressed form's inputs, (groups, rows, n)."""
        return input_rows(self.op, self._sides.have[self.op.inputs[0].name])

    def hessian(self, group: int) -> Array:
        """Return the Hessian of the squared error of one group's outputs, (n, n)."""
        if group not in self._hessians:
            self._hessians[group] = hessian(self.inputs[group])
        return self._hessians[group]

    def wanted(self, group: int) -> Array:
        """Return what the float graph's outputs of one group are at the same positions, (rows, O)."""
        y = self._sides.wanted(self.op)
        flat = y.reshape(-1, y.shape[-1])
        stride = -(-flat.shape[0] // self.inputs.shape[1])
        size = y.shape[-1] // self.inputs.shape[0]
        return np.asarray(flat[::stride][:, group * size : (group + 1) * size])


def prune_layer(w: Array, bias: Array, how: Pruning | None, rows: LayerRows) -> tuple[Array, Array]:
    """Return the weights (O, ..., I) with exact zeros where `how` prunes, and the bias (O,).

    l-obs and N:M move the weights that stay as well, net-trim also the bias.
    """
    if how is None:
        return w, bias
    if how.method in (Method.L_OBS, Method.PATTERN):
        return _compensated(w, how, rows), bias
    if how.method is Method.NET_TRIM:
        return _trimmed(w, bias, how.amount, rows)
    return np.where(choose_mask(how, w, rows.inputs, derivative=rows.derivative), w, 0.0), bias


def _compensated(w: Array, how: Pruning, rows: LayerRows) -> Array:
    out = w.copy()
    targets, sources = grouped_rows(rows.op, out), grouped_rows(rows.op, w)
    for g in range(sources.shape[0]):
        if how.method is Method.PATTERN:
            targets[g] = prune_pattern(sources[g], rows.hessian(g), how.kept, how.block)
        else:
            targets[g] = prune_rows(sources[g], rows.hessian(g), how.amount)
    return out


def _trimmed(w: Array, bias: Array, epsilon: float, rows: LayerRows) -> tuple[Array, Array]:
    out, shifted = w.copy(), bias.copy()
    targets, sources = grouped_rows(rows.op, out), grouped_rows(rows.op, w)
    size = sources.shape[1]
    for g in range(sources.shape[0]):
        outputs = slice(g * size, (g + 1) * size)
        step = -(-rows.inputs.shape[1] // _TRIM_ROWS)
        x, y = rows.inputs[g][::step], rows.wanted(g)[::step]
        y = np.maximum(y, 0) if rows.rectified else y
        start = Affine(sources[g], bias[outputs])
        found = net_trim(x, y, epsilon, start, rectified=rows.rectified)
        found = refit(x, y, found, rectified=rows.rectified)
        targets[g], shifted[outputs] = found.weights, found.bias
    return out, shifted
