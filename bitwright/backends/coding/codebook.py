"""Shared values: a sorted table of the distinct weights, and an index of few bits for each."""

from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array


@dataclass(frozen=True, slots=True)
class Codebook:
    """The distinct values, least first."""

    values: Array

    @property
    def bits(self) -> int:
        """Bits of an index, at least 1."""
        return max(1, int(self.values.size - 1).bit_length())

    @property
    def itemsize(self) -> int:
        """Bytes of a value in C."""
        return item_bytes(self.values)

    def index(self, weights: Array) -> Array:
        """Return the index of each of `weights`, all of which the table holds."""
        return np.searchsorted(self.values, weights)


def codebook_of(weights: Array) -> Codebook:
    """Return the codebook of all distinct values of `weights`."""
    return Codebook(np.unique(weights).astype(np.int64))


def item_bytes(values: Array) -> int:
    """Return the bytes of the narrowest integer that holds every one of `values`: 1, 2, 4 or 8."""
    lo, hi = int(values.min(initial=0)), int(values.max(initial=0))
    for size in (1, 2, 4):
        half = 1 << (8 * size - 1)
        if (-half <= lo and hi < half) or (lo >= 0 and hi < 2 * half and size < 4):  # noqa: PLR2004
            return size
    return 8
