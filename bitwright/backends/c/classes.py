"""Border classes: parameters that depend on the position, by small tables for each axis.

A position has a class on every axis; the row of a parameter is its class times the channels plus the
channel. The classes of an op and those of a kernel's own border correction are joined here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from bitwright.ir.graph import Array
from bitwright.ir.ops.integer import Classes


@dataclass(frozen=True, slots=True)
class AxisClasses:
    """The class of each position of an axis, and of each class its two origins."""

    of_position: tuple[int, ...]
    given: tuple[int, ...]  # by class, the class of the op behind
    inside: tuple[tuple[bool, ...], ...]  # by class, which taps lie inside; empty if no matter

    @property
    def count(self) -> int:
        """Number of classes."""
        return len(self.given)


@dataclass(frozen=True, slots=True)
class Places:
    """The classes of all axes, the first axis outermost."""

    axes: tuple[AxisClasses, ...]
    channels: int

    @property
    def count(self) -> int:
        """Number of classes of positions."""
        return prod(a.count for a in self.axes)

    @property
    def rows(self) -> int:
        """Rows of a parameter."""
        return self.count * self.channels

    def spread(self, table: Array) -> Array:
        """Return `table`, of 1, channels or all given rows, with one row or all rows."""
        if table.shape[0] == 1:
            return table
        channel = np.tile(np.arange(self.channels), self.count)
        if table.shape[0] == self.channels:
            return table[channel] if self.count > 1 else table
        return table[self._given().repeat(self.channels) * self.channels + channel]

    def _given(self) -> Array:
        """Return the class of the op behind, for each class."""
        place = np.zeros(1, np.int64)
        for axis in self.axes:
            count = max(axis.given) + 1
            place = (place[:, None] * count + np.array(axis.given)).reshape(-1)
        return place

    def inside(self) -> Array:
        """Return, by class, which taps lie inside: (classes, taps)."""
        mask = np.ones((1, 1), bool)
        for axis in self.axes:
            own = np.array(axis.inside, bool)
            both = mask[:, None, :, None] & own[None, :, None, :]
            mask = both.reshape(mask.shape[0] * own.shape[0], -1)
        return mask


def places(
    given: Classes,
    inside: Sequence[Sequence[tuple[bool, ...]]],
    outputs: Sequence[int],
    channels: int,
) -> Places:
    """Return the classes by what was `given` (or nothing), and by the taps `inside` (or nothing)."""
    axes = []
    for k, size in enumerate(outputs):
        given_here = given[k] if given else (0,) * size
        inside_here = inside[k] if inside else ((),) * size
        keys = list(zip(given_here, inside_here, strict=True))
        found = list(dict.fromkeys(keys))
        number = {key: n for n, key in enumerate(found)}
        axes.append(
            AxisClasses(
                tuple(number[key] for key in keys),
                tuple(g for g, _ in found),
                tuple(i for _, i in found),
            )
        )
    return Places(tuple(axes), channels)
