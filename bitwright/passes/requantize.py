"""Find multiplier, addend and shift that reproduce a step function exactly, for all channels at once.

A code k is reached at `a` when `m * a + b >= edge(k)`. With R_k the first integer whose code is at
least k and L_k the last whose code is less, m and b are right if and only if

    edge(k) - m * R_k <= b <= edge(k) - 1 - m * L_k      for every k.

The width of that interval for b is concave in m, so the best integer m is found by bisection on
its slope. What is feasible at shift s is feasible at s + 1, so the least shift is bisected too.
"""

from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array
from bitwright.ir.ops import Round
from bitwright.ir.types import Int
from bitwright.passes.step_function import StepFunction

MAX_SHIFT = 40
_MAX_CODES = 1 << 17
_LIMIT = 1 << 62
_STEEP = 1 << 60  # no product of a slope and an integer goes beyond
_UNBOUNDED = 1 << 61  # a slope may be as steep as it likes


@dataclass(frozen=True, slots=True)
class Multipliers:
    """`mul` and `add` per channel, with the shift, rounding and zero they hold for."""

    mul: Array
    add: Array
    shift: int
    rounding: Round
    zero: int


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Integers at which codes change, counted from `origin`; decreasing channels are mirrored."""

    reached: Array  # (C, K) the code that R_k reaches, relative to the zero point
    missed: Array  # (C, K) the code that L_k does not reach, relative to the zero point
    right: Array  # (C, K) R_k, where `lower` holds
    left: Array  # (C, K) L_k, where `upper` holds
    lower: Array  # (C, K) bool
    upper: Array  # (C, K) bool
    origin: Array  # (C,)
    sign: Array  # (C,) +1 increasing, -1 decreasing, 0 constant


@dataclass(frozen=True, slots=True)
class _Lines:
    """The constraints at one shift: max(lower - m * right) <= b <= min(upper - m * left)."""

    lower: Array
    right: Array
    upper: Array
    left: Array


def find_multipliers(steps: StepFunction, clamp: Int, zero: int) -> Multipliers | None:
    """Return exact multipliers with the least shift, floor before half-even, or None."""
    bounds = _bounds(steps, clamp, zero)
    if bounds is None:
        return None
    for rounding in (Round.FLOOR, Round.HALF_EVEN):
        found = _least_shift(bounds, rounding, steps, zero)
        if found is not None:
            return found
    return None


def _least_shift(
    bounds: _Bounds, rounding: Round, steps: StepFunction, zero: int
) -> Multipliers | None:
    low, high = (1 if rounding is Round.HALF_EVEN else 0), MAX_SHIFT
    slopes = _slopes(bounds, rounding)
    best = None if slopes is None else _solve(bounds, high, rounding, slopes)
    if slopes is None or best is None:
        return None
    while low < high:
        middle = (low + high) // 2
        found = _solve(bounds, middle, rounding, slopes)
        if found is None:
            low = middle + 1
        else:
            best, high = found, middle
    mul, add = best
    span = np.maximum(np.abs(steps.lattice.lo), np.abs(steps.lattice.hi)).astype(np.float64)
    if (np.abs(mul.astype(np.float64)) * span + np.abs(add) >= _LIMIT).any():
        return None
    return Multipliers(mul, add, high, rounding, zero)


def _bounds(steps: StepFunction, clamp: Int, zero: int) -> _Bounds | None:
    """Lay out the constraints; None when a channel is not monotone."""
    valid = np.arange(steps.left.shape[1]) < steps.count[:, None]
    change = np.where(valid, np.diff(steps.codes, axis=1), 0)
    rises, falls = (np.asarray(c.any(axis=1)) for c in (change > 0, change < 0))
    if (rises & falls).any() or steps.high - steps.low > _MAX_CODES:
        return None
    down = falls[:, None]
    ends = steps.codes[:, 0], np.take_along_axis(steps.codes, steps.count[:, None], 1)[:, 0]
    least, most = np.minimum(*ends), np.maximum(*ends)
    lo, hi = steps.lattice.lo, steps.lattice.hi
    lo, hi = np.where(falls, -hi, lo)[:, None], np.where(falls, -lo, hi)[:, None]
    after = np.where(down, steps.codes[:, :-1], steps.codes[:, 1:])
    before = np.where(down, steps.codes[:, 1:], steps.codes[:, :-1])
    # Two more constraints: the least and the greatest code are kept unless the clamp keeps them.
    right = np.concatenate([np.where(down, -steps.left, steps.right), lo, hi], axis=1)
    left = np.concatenate([np.where(down, -steps.right, steps.left), lo, hi], axis=1)
    reached = np.concatenate([after, least[:, None], most[:, None]], axis=1)
    missed = np.concatenate([before + 1, least[:, None], most[:, None] + 1], axis=1)
    never = np.zeros_like(down)
    lower = np.concatenate([valid, (least > clamp.lo)[:, None], never], axis=1)
    upper = np.concatenate([valid, never, (most < clamp.hi)[:, None]], axis=1)
    used = lower | upper
    origin = np.where(used, right, np.iinfo(np.int64).max).min(axis=1)
    origin = np.where(used.any(axis=1), origin, 0)
    o = origin[:, None]
    sign: Array = rises.astype(np.int64) - falls
    return _Bounds(reached - zero, missed - zero, right - o, left - o, lower, upper, origin, sign)


def _edge(code: Array, shift: int, rounding: Round) -> Array:
    """Return the least m * a + b whose code is at least `code`."""
    whole = code << shift
    if rounding is Round.FLOOR:
        return np.asarray(whole)
    return np.asarray(whole - (1 << (shift - 1)) + (code & 1))


def _lines(bounds: _Bounds, shift: int, rounding: Round) -> _Lines:
    return _Lines(
        np.where(bounds.lower, _edge(bounds.reached, shift, rounding), -_LIMIT),
        np.where(bounds.lower, bounds.right, 0),
        np.where(bounds.upper, _edge(bounds.missed, shift, rounding) - 1, _LIMIT),
        np.where(bounds.upper, bounds.left, 0),
    )


def _slopes(bounds: _Bounds, rounding: Round) -> tuple[Array, Array] | None:
    """Return the least and greatest m of each channel that is feasible at MAX_SHIFT, or None.

    What is feasible at a lesser shift is among these, divided by the power of two.
    """
    lines = _lines(bounds, MAX_SHIFT, rounding)
    top = _steepest(bounds, MAX_SHIFT)
    peak = _peak(lines, np.zeros_like(top), top)
    if (_width(lines, peak) < 0).any():
        return None
    below, first = np.full_like(peak, -1), peak
    last, above = peak, top + 1
    while ((first - below > 1) | (above - last > 1)).any():
        middle = (below + first) // 2
        good = (_width(lines, middle) >= 0) & (middle > below)
        below, first = np.where(good, below, middle), np.where(good, middle, first)
        middle = (last + above) // 2
        good = (_width(lines, middle) >= 0) & (middle < above)
        last, above = np.where(good, middle, last), np.where(good, above, middle)
    return first, np.where(last == top, _UNBOUNDED, last)


def _peak(lines: _Lines, low: Array, high: Array) -> Array:
    """Return the least m in [low, high] whose successor is no wider: the concave width's peak."""
    while (low < high).any():
        middle = (low + high) // 2
        rising = _width(lines, middle + 1) > _width(lines, middle)
        low, high = (
            np.where(rising, np.minimum(middle + 1, high), low),
            np.where(rising, high, middle),
        )
    return low


def _solve(
    bounds: _Bounds, shift: int, rounding: Round, slopes: tuple[Array, Array]
) -> tuple[Array, Array] | None:
    """Return (mul, add) that meet every constraint at this shift, or None."""
    down = MAX_SHIFT - shift
    low, high = -(-slopes[0] >> down), slopes[1] >> down
    high = np.where(slopes[1] == _UNBOUNDED, _steepest(bounds, shift), high)
    constant = bounds.sign == 0
    if ((low > high) & ~constant).any():
        return None
    lines = _lines(bounds, shift, rounding)
    mul = np.where(constant, 0, _peak(lines, low, high))
    mul = _rounded_to_pow2(lines, mul)
    least, most = _interval(lines, mul)
    if (least > most).any():
        return None
    b = least + (most - least) // 2
    sign = np.where(constant, 1, bounds.sign)
    return mul * sign, b - mul * bounds.origin


def _rounded_to_pow2(lines: _Lines, mul: Array) -> Array:
    """Replace each factor by a neighbouring power of two where that one is exact as well."""
    exponent = np.floor(np.log2(np.maximum(mul, 1))).astype(np.int64)
    for power in (1 << exponent, 2 << exponent):
        exact = (_width(lines, power) >= 0) & (mul > 0)
        mul = np.where(exact, power, mul)
    return np.asarray(mul)


def _steepest(bounds: _Bounds, shift: int) -> Array:
    """Return a slope that is at least as steep as any feasible one needs to be."""
    big = np.iinfo(np.int64).max // 4
    first = np.where(bounds.lower, bounds.right, big).min(axis=1)
    last = np.where(bounds.upper, bounds.left, -big).max(axis=1)
    used = bounds.lower | bounds.upper
    greatest = np.where(used, np.maximum(bounds.reached, bounds.missed), -big).max(axis=1)
    spread = greatest - np.where(used, np.minimum(bounds.reached, bounds.missed), big).min(axis=1)
    codes = np.clip(spread, 0, 1 << 20) + 2
    run = np.clip(last - first, 1, None)
    steepest = (codes << shift) // np.where(last > first, run, 1) + 1
    reach = np.where(used, np.maximum(np.abs(bounds.right), np.abs(bounds.left)), 1).max(axis=1)
    return np.asarray(np.minimum(steepest, _STEEP // np.maximum(reach, 1)))


def _interval(lines: _Lines, mul: Array) -> tuple[Array, Array]:
    m = mul[:, None]
    least = (lines.lower - m * lines.right).max(axis=1)
    most = (lines.upper - m * lines.left).min(axis=1)
    least, most = np.where(least == -_LIMIT, most, least), np.where(most == _LIMIT, least, most)
    free = (least == _LIMIT) & (most == _LIMIT)
    return np.where(free, 0, least), np.where(free, 0, most)


def _width(lines: _Lines, mul: Array) -> Array:
    least, most = _interval(lines, mul)
    return np.asarray(most - least)
