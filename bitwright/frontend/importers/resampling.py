"""Where Resize reads along one axis: coordinates in float32, as the runtime computes them."""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor

import numpy as np

from bitwright.ir.graph import Array

Taps = tuple[Array, Array]  # positions (n, T), weights (n, T)


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: elements before and after, the scale between them, the cropped region."""

    before: int
    after: int
    scale: float
    start: float = 0.0
    end: float = 1.0


def _half_pixel(i: Array, axis: Axis) -> Array:
    return (i + np.float32(0.5)) / np.float32(axis.scale) - np.float32(0.5)


def _symmetric(i: Array, axis: Axis) -> Array:
    exact = np.float32(axis.scale) * np.float32(axis.before)
    adjustment = np.float32(axis.after) / exact
    centre = np.float32(axis.before) / np.float32(2)
    offset = centre * (np.float32(1) - adjustment)
    return float(offset) + (i.astype(np.float64) + 0.5) / float(np.float32(axis.scale)) - 0.5


def _corners(i: Array, axis: Axis) -> Array:
    if axis.after == 1:
        return np.zeros_like(i)
    return i * np.float32(axis.before - 1) / np.float32(axis.after - 1)


def _crop(i: Array, axis: Axis) -> Array:
    start, end, last = np.float32(axis.start), np.float32(axis.end), np.float32(axis.before - 1)
    if axis.after == 1:
        return np.full_like(i, np.float32(0.5) * (start + end) * last)
    return start * last + (i * (end - start) * last) / np.float32(axis.after - 1)


COORDINATES: dict[str, Callable[[Array, Axis], Array]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _symmetric,
    "pytorch_half_pixel": lambda i, a: _half_pixel(i, a) if a.after > 1 else np.zeros_like(i),
    "align_corners": _corners,
    "asymmetric": lambda i, a: i / np.float32(a.scale),
    "tf_half_pixel_for_nn": lambda i, a: (i + np.float32(0.5)) / np.float32(a.scale),
    "tf_crop_and_resize": _crop,
}

NEAREST: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}


def coordinates(axis: Axis, transformation: str) -> Array:
    """Return where each element of the result lies in the operand, float32."""
    x = COORDINATES[transformation](np.arange(axis.after, dtype=np.float32), axis)
    return np.asarray(x, np.float32)


def nearest(axis: Axis, x: Array, mode: str) -> Array:
    """Return the position that each coordinate takes."""
    return np.clip(NEAREST[mode](x).astype(np.int64), 0, axis.before - 1)


def linear(axis: Axis, x: Array) -> Taps:
    """Return the two neighbours of each coordinate and their weights."""
    last = axis.before - 1
    clamped = np.clip(x, 0, np.float32(last))
    low = np.minimum(clamped.astype(np.int64), last)
    high = np.minimum(low + 1, last)
    above = (clamped - low).astype(np.float32)
    return np.stack([low, high], axis=1), np.stack([np.float32(1) - above, above], axis=1)


def cubic(axis: Axis, x: Array, a: float, exclude: bool) -> Taps:
    """Return the four neighbours of each coordinate and their weights (Keys, 1981).

    Neighbours outside repeat the border, or with `exclude` weigh nothing.
    """
    base = np.floor(x).astype(np.int64)
    at = base[:, None] + np.arange(-1, 3)
    weights = _keys(np.abs(x.astype(np.float64)[:, None] - at), a)
    return _inside(axis, at, weights, exclude)


def _keys(d: Array, a: float) -> Array:
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))  # noqa: PLR2004 - reach of the kernel


def most_taps(axis: Axis) -> int:
    """Return a number of taps that no method exceeds on this axis."""
    return floor(4 / min(axis.scale, 1.0)) + 2


def smoothed(axis: Axis, x: Array, a: float | None, exclude: bool) -> Taps:
    """Return the taps of an antialiasing filter: the kernel stretched over what is skipped.

    The kernel is linear without `a`, else cubic; where the axis grows it is not stretched.
    """
    stretch = min(axis.scale, 1.0)
    reach = (1.0 if a is None else 2.0) / stretch
    centre = x.astype(np.float64)
    first = np.floor(centre - reach).astype(np.int64) + 1
    at = first[:, None] + np.arange(floor(2 * reach) + 2)
    d = np.abs(at - centre[:, None]) * stretch
    weights = np.maximum(1 - d, 0) if a is None else _keys(d, a)
    return _inside(axis, at, weights / weights.sum(axis=1, keepdims=True), exclude)


def _inside(axis: Axis, at: Array, weights: Array, exclude: bool) -> Taps:
    if exclude:
        weights = np.where((at < 0) | (at >= axis.before), 0.0, weights)
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(at, 0, axis.before - 1), weights.astype(np.float32)
