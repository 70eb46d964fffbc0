"""The values that the weights of one layer may take: a scale for each row, and levels in its units."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array
from bitwright.passes.weights import Weights

Levels = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Grid:
    """Row o may hold scale[o] * k for the integers k that `levels` returns.

    `levels` maps weights in units of their scale, of any shape, to the nearest allowed integers,
    element by element; scale is (O,) and positive.
    """

    scale: Array
    levels: Levels

    def codes(self, w: Array) -> Array:
        """Return the nearest integers for weights (O, n)."""
        return np.asarray(self.levels(w / self.scale[:, None]))

    def nearest(self, w: Array) -> Weights:
        """Return the nearest codes (O, n) with the scales."""
        return Weights(self.codes(w), self.scale)

    def values(self, w: Array) -> Array:
        """Return the nearest allowed values (O, n), as reals."""
        return np.asarray(self.codes(w) * self.scale[:, None])

    def rows(self, which: slice | Array) -> "Grid":
        """Return the grid of some rows."""
        return Grid(self.scale[which], self.levels)
