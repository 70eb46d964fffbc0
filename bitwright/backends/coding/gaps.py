"""Sparse rows by relative index: each nonzero with the zeros since the last one, in b bits.

Han, Mao and Dally, Deep Compression, 2016, section 2. A gap that does not fit spends fillers: stored
zeros, each 2^b positions further. Zeros behind the last nonzero of a row take nothing.
"""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.coding.stream import segment_sums
from bitwright.ir.graph import Array


@dataclass(frozen=True, slots=True)
class Entries:
    """Nonzeros and fillers: zeros before each, its value, and how many each segment has."""

    gaps: Array
    values: Array
    segments: Array


def relative(flat: Array, sizes: Array, bits: int) -> Entries:
    """Return the entries of `flat`, segments of `sizes` weights one after another."""
    at = np.flatnonzero(flat)
    starts = np.cumsum(sizes) - sizes
    segment = np.searchsorted(starts + sizes, at, side="right")
    before = np.concatenate([[-1], at])[:-1]
    zeros = at - np.maximum(before + 1, starts[segment])
    fillers = zeros >> bits
    ends = np.cumsum(fillers + 1)
    gaps = np.full(int(ends[-1]) if at.size else 0, (1 << bits) - 1, np.int64)
    values = np.zeros_like(gaps)
    gaps[ends - 1] = zeros & ((1 << bits) - 1)
    values[ends - 1] = flat[at]
    nonzeros = np.bincount(segment, minlength=sizes.size)
    return Entries(gaps, values, segment_sums(fillers + 1, nonzeros))


def restore(entries: Entries, sizes: Array) -> Array:
    """Return the weights of entries in segments of `sizes`."""
    flat = np.zeros(int(sizes.sum()), np.int64)
    ends = np.cumsum(entries.gaps + 1)
    before = np.concatenate([[0], ends])[np.cumsum(entries.segments) - entries.segments]
    starts = np.cumsum(sizes) - sizes
    at = ends - 1 + np.repeat(starts - before, entries.segments)
    flat[at] = entries.values
    return flat
