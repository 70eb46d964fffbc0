"""One option for each layer so that all fit a budget and least is lost: a multiple-choice knapsack.

Losses of layers are taken to add up. The whole front, the least loss for every budget, is found at
once, so that a greater budget never loses more.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array

MOST_STATES = 1 << 14


@dataclass(frozen=True, slots=True)
class Item:
    """One option of one layer: what it takes of the budget, and what it loses."""

    cost: int
    damage: float


@dataclass(frozen=True, slots=True)
class Point:
    """A total cost, the least damage that it buys, and the option of each layer."""

    cost: int
    damage: float
    picks: tuple[int, ...]


class Front:
    """All ways to choose that no other way beats, costs ascending and damages falling."""

    def __init__(self, layers: Sequence[Sequence[Item]], most: int = MOST_STATES) -> None:
        """Combine layer by layer, each given as one or more options.

        The front is exact while there are no more than `most` ways after any layer. Beyond that
        they are thinned: of ways whose costs are close, the one with the least damage stays.
        """
        self.costs: Array = np.zeros(1, np.int64)
        self.damages: Array = np.zeros(1)
        self._steps: list[tuple[Array, Array]] = []  # the way before, the option taken
        for options in layers:
            self._add(options, most)

    def __len__(self) -> int:
        """Count the points."""
        return len(self.costs)

    def point(self, index: int) -> Point:
        """Return one point, its options told."""
        picks: list[int] = []
        at = index
        for before, option in reversed(self._steps):
            picks.append(int(option[at]))
            at = int(before[at])
        return Point(int(self.costs[index]), float(self.damages[index]), tuple(reversed(picks)))

    def within(self, budget: int) -> int | None:
        """Return the index of the best point that costs at most `budget`, None where none does."""
        index = bisect_right(self.costs.tolist(), budget) - 1
        return None if index < 0 else index

    def hull(self) -> list[int]:
        """Return the points of the lower convex hull, ascending: the best for some price of a byte.

        They are what a Lagrange multiplier finds.
        """
        kept: list[int] = []
        for i in range(len(self)):
            while len(kept) > 1 and self._above(kept[-2], kept[-1], i):
                kept.pop()
            kept.append(i)
        return kept

    def _above(self, a: int, b: int, c: int) -> bool:
        """Tell whether point b lies on or above the line from a to c."""
        left = (self.damages[b] - self.damages[a]) * (self.costs[c] - self.costs[a])
        return bool(left >= (self.damages[c] - self.damages[a]) * (self.costs[b] - self.costs[a]))

    def _add(self, options: Sequence[Item], most: int) -> None:
        costs = np.array([o.cost for o in options], np.int64)
        damages = np.array([o.damage for o in options])
        total = (self.costs[:, None] + costs).reshape(-1)
        lost = (self.damages[:, None] + damages).reshape(-1)
        order = np.lexsort((lost, total))
        falling = np.minimum.accumulate(lost[order])
        better = np.append(True, falling[1:] < falling[:-1])
        kept = _thinned(order[better], total, most)
        self.costs, self.damages = total[kept], lost[kept]
        self._steps.append((kept // len(options), kept % len(options)))


def _thinned(ways: Array, costs: Array, most: int) -> Array:
    """Return at most `most` of the ways, which are in order of cost, the first and last among them."""
    if len(ways) <= most:
        return ways
    edges = np.linspace(costs[ways[0]], costs[ways[-1]], most)
    last = np.searchsorted(costs[ways], edges, side="right") - 1
    return np.asarray(ways[np.unique(last)])
