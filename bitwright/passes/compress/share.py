"""Weight sharing: the weights of a layer take few values, found by k-means."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array
from bitwright.passes.compress.grid import Grid

MIN_VALUES, MAX_VALUES = 2, 256
_MAX_STEPS = 10_000  # far beyond what Lloyd's algorithm needs in one dimension


class Init(Enum):
    """Where the centroids start (Deep Compression, section 3.2)."""

    LINEAR = "linear"  # evenly between the least and the greatest weight
    DENSITY = "density"  # evenly in the cumulated distribution
    RANDOM = "random"  # on weights drawn without replacement


@dataclass(frozen=True, slots=True)
class Sharing:
    """The number of values that a layer may hold, 0 among them, and how k-means starts."""

    values: int
    init: Init = Init.LINEAR

    def __post_init__(self) -> None:
        """Reject tables that no index of 8 bits reaches."""
        if not MIN_VALUES <= self.values <= MAX_VALUES:
            raise CompileError(
                f"sharing kmeans:{self.values}: choose {MIN_VALUES} to {MAX_VALUES} values"
            )

    def __str__(self) -> str:
        """Return the spelling that `parse_sharing` reads."""
        return f"kmeans:{self.values}:{self.init.value}"


def parse_sharing(text: str) -> Sharing:
    """Return the sharing in `kmeans:K` or `kmeans:K:INIT`."""
    name, _, rest = text.partition(":")
    count, _, init = rest.partition(":")
    known = {i.value: i for i in Init}
    if name == "kmeans" and count.isdecimal() and (init or Init.LINEAR.value) in known:
        return Sharing(int(count), known[init or Init.LINEAR.value])
    raise CompileError(
        f"sharing {text!r}: choose kmeans:K or kmeans:K:INIT with K from {MIN_VALUES} to "
        f"{MAX_VALUES} and INIT one of {', '.join(known)}"
    )


def cluster(values: Array, k: int, init: Init = Init.LINEAR, seed: int = 0) -> Array:
    """Return at most `k` centroids of the values (N,), ascending, by Lloyd's algorithm.

    With no more than k distinct values the centroids are these; a centroid that loses all members
    starts again on the value that is farthest from its own centroid.
    """
    ordered = np.sort(np.asarray(values, np.float64).reshape(-1))
    distinct = np.unique(ordered)
    if distinct.size <= k:
        return distinct
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = _start(ordered, k, init, seed)
    edges = np.empty(0, np.int64)
    for _ in range(_MAX_STEPS):
        found = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        found = np.concatenate([[0], found, [ordered.size]])
        if np.array_equal(found, edges):
            break
        edges = found
        centroids = _means(ordered, sums, edges, k)
    return centroids


def _start(ordered: Array, k: int, init: Init, seed: int) -> Array:
    """Return k first centroids, ascending; equal ones are told apart by `_means`."""
    if init is Init.LINEAR:
        return np.linspace(ordered[0], ordered[-1], k)
    if init is Init.DENSITY:
        places = (np.arange(k) + 0.5) / k * ordered.size
        return np.asarray(ordered[places.astype(np.int64)])
    drawn = np.random.default_rng(seed).choice(ordered.size, k, replace=False)
    return np.asarray(np.sort(ordered[drawn]))


def _means(ordered: Array, sums: Array, edges: Array, k: int) -> Array:
    """Return the mean of each stretch of the ordered values, ascending; empty ones start again.

    They do so on the ends of other stretches, hence there may be fewer than k for a few steps.
    """
    first, last = edges[:-1], edges[1:]
    alive = last > first
    first, last = first[alive], last[alive]
    means = (sums[last] - sums[first]) / (last - first)
    means = np.clip(means, ordered[first], ordered[last - 1])
    missing = k - means.size
    ends = np.concatenate([ordered[first], ordered[last - 1]])
    distance = np.abs(ends - np.concatenate([means, means]))
    far = np.argsort(-distance, kind="stable")[:missing]
    far = far[distance[far] > 0]
    return np.sort(np.concatenate([means, ends[far]]))


@dataclass(frozen=True, slots=True)
class Codebook:
    """Levels that are a table of integers, ascending; of two equally near, the lower."""

    entries: Array

    def __call__(self, w: Array) -> Array:
        """Return the nearest entry for each weight, in units of its scale."""
        middles = (self.entries[1:] + self.entries[:-1]) / 2
        return np.asarray(self.entries[np.searchsorted(middles, w)])


def codebook_grid(
    w: Array,
    k: int,
    init: Init = Init.LINEAR,
    *,
    bits: int = 8,
    keep_zero: bool = True,
    seed: int = 0,
) -> Grid:
    """Return the grid of at most `k` shared values for the weights (O, ...) of one layer.

    The centroids of the nonzero weights become symmetric integers of `bits` bits on one scale, which
    every row carries. With `keep_zero` one of the k values is 0, so that pruned weights stay so.
    """
    nonzero = w[w != 0]
    centroids = cluster(nonzero, k - keep_zero, init, seed) if nonzero.size else np.zeros(1)
    top = 2 ** (bits - 1) - 1
    scale = float(np.abs(centroids).max()) / top or 1.0
    entries = np.rint(centroids / scale).astype(np.int64)
    entries = np.unique(np.append(entries, 0) if keep_zero else entries)
    return Grid(np.full(w.shape[0], scale), Codebook(entries))
