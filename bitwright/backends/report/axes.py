"""Axes of a plot: where numbers lie and which of them are named."""

from dataclasses import dataclass
from math import ceil, floor, log10

_FEW = 4  # a range of this many octaves or more is drawn on logarithms
_STEPS = (1, 2, 2.5, 5, 10)
_WANTED = 6  # ticks


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of numbers on a stretch of the page; `start` may be greater than `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value, to a tenth of a unit."""
        low, high, x = self.low, self.high, value
        if self.logarithmic:
            low, high, x = log10(low), log10(high), log10(value)
        return round(self.start + (self.end - self.start) * (x - low) / (high - low), 1)

    def ticks(self) -> tuple[float, ...]:
        """Return round numbers inside the range, ascending."""
        if not self.logarithmic:
            step = nice_step((self.high - self.low) / _WANTED)
            first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
            return tuple(round(i * step, 10) for i in range(first, last + 1))
        decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        found = (m * 10.0**d for d in decades for m in (1, 2, 5))
        return tuple(t for t in found if self.low <= t <= self.high)


def nice_step(least: float) -> float:
    """Return the least of 1, 2, 2.5, 5 times a power of ten that is not below `least` > 0."""
    unit = 10.0 ** floor(log10(least))
    return float(next(s * unit for s in _STEPS if s * unit >= least * (1 - 1e-9)))


def size_axis(values: list[float], start: float, end: float) -> Axis:
    """Return an axis of positive numbers with room on both sides, logarithmic for a wide range."""
    low, high = min(values), max(values)
    if high >= low * 2**_FEW:
        return Axis(low / 1.25, high * 1.25, start, end, logarithmic=True)
    room = (high - low or high) * 0.08
    return Axis(max(low - room, 0), high + room, start, end)


def percent_axis(values: list[float], start: float, end: float) -> Axis:
    """Return an axis from below the least to above the greatest percentage, at least 1 wide."""
    low, high = min(values), max(values)
    room = max((high - low) * 0.08, 0.5)
    return Axis(max(low - room, 0.0), min(high + room, 100.0 + room / 2), start, end)
