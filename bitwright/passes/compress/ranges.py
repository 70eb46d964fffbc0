"""Choose the codes and the scale of an activation quantizer from the values that samples give."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array
from bitwright.ir.types import Int
from bitwright.passes.compress.plan import Range

_EXACT_BITS = 8  # from here on the whole range is kept; below, the scale with the least error
_GRID = 50  # scales tried in each of two rounds
_LEAST_FACTOR = 0.01  # the least scale tried, over the one that covers every value
_HALVINGS = 8  # powers of two tried
_BINS = 2048
_LEAST_COUNT = 1e-4  # stands for an empty bin, whose logarithm would be infinite
_TINY = float(np.finfo(np.float32).tiny)  # scales are stored as float32
_CLOSE = 1e-12


class RangeKind(Enum):
    """How the clipping point of a tensor is chosen."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    MSE = "mse"
    KL = "kl"


@dataclass(frozen=True, slots=True)
class RangeMethod:
    """A kind, and for `percentile` the share of magnitudes, in percent, that is not clipped."""

    kind: RangeKind
    percent: float = 100.0

    def __post_init__(self) -> None:
        """Reject percentiles that are none."""
        if not 0 < self.percent <= 100:  # noqa: PLR2004
            raise CompileError(f"percentile:{self.percent:g}: give a number above 0, at most 100")

    def __str__(self) -> str:
        """Return the spelling of a recipe."""
        of_percent = self.kind is RangeKind.PERCENTILE
        return f"{self.kind.value}:{self.percent!r}" if of_percent else self.kind.value


def parse_range(text: str) -> RangeMethod:
    """Return the method in `minmax`, `percentile:P`, `mse` or `kl`."""
    name, _, percent = text.partition(":")
    if text in (RangeKind.MINMAX.value, RangeKind.MSE.value, RangeKind.KL.value):
        return RangeMethod(RangeKind(text))
    if name == RangeKind.PERCENTILE.value:
        try:
            return RangeMethod(RangeKind.PERCENTILE, float(percent))
        except ValueError:
            pass
    raise CompileError(
        f"{text!r} is no way to choose ranges: choose minmax, percentile:P (such as percentile:99.9), "
        "mse or kl"
    )


def default_method(bits: int, *, pow2: bool = False) -> RangeMethod:
    """Return minmax from 8 bits on and mse below; mse for every width among powers of two.

    The least power of two that covers a tensor may waste almost half of the codes.
    """
    exact = bits >= _EXACT_BITS and not pow2
    return RangeMethod(RangeKind.MINMAX if exact else RangeKind.MSE)


@dataclass(frozen=True, slots=True)
class _Values:
    """Values over their greatest magnitude; a scale is given as the clipping point, 1 covering all."""

    unit: Array
    elem: Int
    top: int


def choose_range(
    values: Array, bits: int, method: RangeMethod | None = None, *, pow2: bool, loc: str
) -> Range:
    """Return the range for a tensor: unsigned where nothing is negative, symmetric otherwise.

    `values` are what the tensor holds on samples, of any shape; without `method` the bits decide.
    With `pow2` the method chooses among powers of two; minmax and percentile take the least that
    covers. CompileError, naming `loc`, when values are NaN or infinite.
    """
    x = np.asarray(values, np.float64).reshape(-1)
    wrong = int(np.count_nonzero(~np.isfinite(x)))
    if wrong:
        raise CompileError(
            f"{loc}: its input becomes NaN or infinite on the calibration samples ({wrong} of "
            f"{x.size} values); check the samples and how they are preprocessed"
        )
    signed = bool((x < 0).any())
    elem = Int(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else Int(0, 2**bits - 1)
    top = max(elem.hi, 1)
    largest = float(np.abs(x).max(initial=0)) or 1.0
    whole = max(largest / top, _TINY)
    chosen = method or default_method(bits, pow2=pow2)
    known = _Values(x / (whole * top), elem, top)
    clips = _powers(whole) if pow2 else None
    scale = max(_CHOICES[chosen.kind](known, chosen, clips) * whole, _TINY)
    return Range(elem, 2.0 ** round(np.log2(scale)) if pow2 else scale)


def _powers(whole: float) -> Array:
    """Return the powers of two to try over `whole`, the least that covers every value first."""
    first = np.ceil(np.log2(whole) - _CLOSE)
    lowest = max(first - _HALVINGS + 1, np.log2(_TINY))
    return np.asarray(2.0 ** np.arange(first, lowest - 1, -1) / whole)


def _minmax(values: _Values, method: RangeMethod, powers: Array | None) -> float:
    del values, method
    return 1.0 if powers is None else float(powers[0])


def _percentile(values: _Values, method: RangeMethod, powers: Array | None) -> float:
    """Return the clipping point of the percentile; the whole range where that would be 0."""
    magnitude = np.abs(values.unit)
    clip = float(np.percentile(magnitude, method.percent)) if magnitude.size else 1.0
    clip = max(clip, _LEAST_FACTOR) if clip > 0 else 1.0
    return clip if powers is None else float(powers[powers >= clip - _CLOSE][-1])


def _mse(values: _Values, method: RangeMethod, powers: Array | None) -> float:
    """Return the clipping point with the least squared error: a coarse grid, then one around it."""
    del method
    loss = _squared_error(values)
    if powers is not None:
        return _best(powers, loss)
    coarse = np.geomspace(1.0, _LEAST_FACTOR, _GRID)
    best = _best(coarse, loss)
    ratio = coarse[0] / coarse[1]
    fine = np.geomspace(min(best * ratio, 1.0), best / ratio, _GRID)
    return _best(np.append(best, fine), loss)


def _squared_error(values: _Values) -> Callable[[float], float]:
    """Return the error as a function of the clipping point; the values are sorted only once.

    Between two thresholds of rounding all have one code c, and the sum of (x - c step)^2 follows
    from their number, sum and sum of squares.
    """
    x = np.sort(values.unit)
    total = np.concatenate([[0.0], np.cumsum(x)])
    codes = np.arange(values.elem.lo, values.elem.hi + 1)
    squares = float(np.dot(x, x))

    def error(clip: float) -> float:
        levels = codes * (clip / values.top)
        inner = np.searchsorted(x, (levels[1:] + levels[:-1]) / 2)
        ends = np.concatenate([[0], inner, [x.size]])
        count, part = np.diff(ends), np.diff(total[ends])
        return squares + float(np.dot(levels, levels * count - 2 * part))

    return error


def _best(clips: Array, loss: Callable[[float], float]) -> float:
    """Return the clipping point with the least loss, the first of equals."""
    return min((float(c) for c in clips), key=loss)


def _kl(values: _Values, method: RangeMethod, powers: Array | None) -> float:
    """Return the clipping point that keeps the distribution of magnitudes best.

    Migacz, 8-bit inference with TensorRT (GTC 2017): a histogram of 2048 bins, the clipped one
    against the one that the codes can tell apart, by Kullback-Leibler divergence. Zeros are left
    out, for they have a code of their own; cells are those of rounding to the nearest code.
    """
    del method
    magnitude = np.abs(values.unit[values.unit != 0])
    bins = np.histogram(magnitude, _BINS, (0.0, 1.0))[0].astype(np.float64)
    least = min(values.top + 1, _BINS)  # fewer bins than codes tell nothing about rounding
    if powers is None:
        clips = np.arange(_BINS, least - 1, -1) / _BINS
    else:
        clips = powers[(powers >= least / _BINS) | (powers == powers[0])]
    return _best(clips, lambda clip: divergence(bins, clip, values.top))


def divergence(bins: Array, clip: float, top: int) -> float:
    """Return KL(P || Q) for clipping a histogram over [0, 1] at `clip`, with codes 0 to `top`.

    Q spreads the mass of each code over the bins of P that round to it, and has next to nothing for
    all that is clipped, which is one bin of P. (TensorRT adds that to the last bin that is kept, but
    a tensor with many equal values, such as a background, then seems best clipped right there.)
    """
    kept = min(round(clip * bins.size), bins.size)
    inside, clipped = bins[:kept], bins[kept:].sum()
    used = inside > 0
    if not used.any():
        return float("inf") if clipped else 0.0
    centres = (np.arange(kept) + 0.5) / bins.size
    code = np.minimum(np.rint(centres * (top / clip)), top).astype(np.int64)
    share = np.bincount(code, inside) / np.maximum(np.bincount(code, used), 1)
    p, q = inside[used], share[code][used]
    if clipped:
        p, q = np.append(p, clipped), np.append(q, _LEAST_COUNT)
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


_CHOICES: dict[RangeKind, Callable[[_Values, RangeMethod, Array | None], float]] = {
    RangeKind.MINMAX: _minmax,
    RangeKind.PERCENTILE: _percentile,
    RangeKind.MSE: _mse,
    RangeKind.KL: _kl,
}
