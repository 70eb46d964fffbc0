"""The kinds of weights: each turns float rows into integers and one scale per output."""

from dataclasses import dataclass
from enum import Enum
from functools import partial
from math import floor, log2

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array
from bitwright.passes.compress.grid import Grid, Levels
from bitwright.passes.weights import Weights


class Kind(Enum):
    """What values a weight may take."""

    BINARY = "binary"
    TERNARY = "ternary"
    TERNARY_RULE = "ternary:rule"
    POW2 = "pow2"
    APOT = "apot"
    INT = "int"


_WIDTHS = {Kind.POW2: (2, 6), Kind.APOT: (3, 5), Kind.INT: (2, 8)}
_TRIT_BITS = 1.6  # five to a byte
_WHOLE_RANGE_BITS = 8  # from here on the greatest weight sets the scale
_FAINT = 2.0**-8
_ROUNDS = 4
_OCTAVES = 6

# The terms of Additive Powers-of-Two by bits, over the least one: a level is the sum of one or no
# term of each group. The groups are those of the authors' code.
_TERMS = {
    3: ((4, 2, 1),),
    4: ((8, 4, 1), (2,)),
    5: ((32, 8, 2), (16, 4, 1)),
}


@dataclass(frozen=True, slots=True)
class WeightKind:
    """A kind, and for `pow2`, `apot` and `int` the bits of a weight."""

    kind: Kind
    bits: int = 1

    def __post_init__(self) -> None:
        """Reject widths that are not offered: pow2:6 already spans 2^15."""
        least, widest = _WIDTHS.get(self.kind, (1, 1))
        if not least <= self.bits <= widest:
            name = f"--weights {self.kind.value}:{self.bits}"
            raise CompileError(f"{name}: bits must be {least} to {widest}")

    @property
    def multiplies(self) -> bool:
        """Whether weights of this kind need multipliers."""
        return self.kind in (Kind.INT, Kind.APOT)

    def __str__(self) -> str:
        """Return the spelling of the command line."""
        return f"{self.kind.value}:{self.bits}" if self.bits > 1 else self.kind.value


def parse_weights(text: str) -> WeightKind:
    """Return the kind in `binary`, `ternary`, `ternary:rule`, `pow2:B`, `apot:B` or `int:B`."""
    name, _, bits = text.partition(":")
    sized = {k.value: k for k in _WIDTHS}
    if name in sized and bits.isdecimal():
        return WeightKind(sized[name], int(bits))
    plain = {k.value: k for k in (Kind.BINARY, Kind.TERNARY, Kind.TERNARY_RULE)}
    if text in plain:
        return WeightKind(plain[text])
    raise CompileError(
        f"--weights {text!r}: choose binary, ternary, ternary:rule, pow2:B (B 2 to 6), "
        "apot:B (B 3 to 5) or int:B (B 2 to 8)"
    )


def bits_of(kind: WeightKind) -> float:
    """Return the bits that one weight of this kind takes when packed; five trits take a byte."""
    return _TRIT_BITS if kind.kind in (Kind.TERNARY, Kind.TERNARY_RULE) else float(kind.bits)


def quantize_weights(w: Array, kind: WeightKind, *, pow2_scale: bool = False) -> Weights:
    """Return the integers (O, ..., I) and scales (O,) that stand for the float weights `w`.

    With `pow2_scale` every scale is a power of two.
    """
    rows = w.reshape(w.shape[0], -1).astype(np.float64)
    if kind.kind is Kind.TERNARY_RULE:  # its threshold is not half of its scale
        found = ternarize_by_rule(rows)
        scale = nearest_pow2(found.scale) if pow2_scale else found.scale
    else:
        found = choose_grid(rows, kind, pow2_scale=pow2_scale).nearest(rows)
        scale = found.scale
    return Weights(found.codes.reshape(w.shape), scale)


def choose_grid(w: Array, kind: WeightKind, *, pow2_scale: bool = False) -> Grid:
    """Return the levels of `kind` with, for each row of `w` (O, n), the scale of least squared error.

    With `pow2_scale` every scale is a power of two. `ternary:rule` gives the scale of its rule.
    """
    if kind.kind is Kind.BINARY:
        scale = binarize(w).scale
        return Grid(nearest_pow2(scale) if pow2_scale else scale, sign_levels)
    if kind.kind in (Kind.TERNARY, Kind.TERNARY_RULE):
        found = ternarize(w) if kind.kind is Kind.TERNARY else ternarize_by_rule(w)
        trits, scale = partial(integer_levels, top=1), found.scale
        if pow2_scale:
            units = [nearest_pow2(scale) * f for f in (1.0, 0.5, 2.0)]
            scale = _least_error(w, units, trits)
        return Grid(scale, trits)
    levels, top, factors = _ladder(kind)
    scale = _least_error(w, _units(w, top, factors, pow2_scale=pow2_scale), levels)
    free = factors.size > 1 and not pow2_scale
    return Grid(_settled(w, scale, levels) if free else scale, levels)


def _ladder(kind: WeightKind) -> tuple[Levels, int, Array]:
    """Return the levels, the greatest of them, and what fractions of the full scale to try."""
    if kind.kind is Kind.POW2:
        span = 2 ** (kind.bits - 1) // 2 - 1  # n1 - n2
        return partial(power_levels, span=span), 2**span, np.geomspace(0.1, 1.5, 37)
    if kind.kind is Kind.APOT:
        table = apot_levels(kind.bits)
        return partial(table_levels, table=table), int(table[-1]), np.geomspace(0.1, 1.2, 34)
    top = 2 ** (kind.bits - 1) - 1
    factors = np.geomspace(0.1, 1.0, 32) if kind.bits < _WHOLE_RANGE_BITS else np.array([1.0])
    return partial(integer_levels, top=top), top, factors


def binarize(w: Array) -> Weights:
    """Return sign(w) with sign(0) = +1 and alpha = mean |w| per row, which minimises |w - alpha b|.

    XNOR-Net (Rastegari et al. 2016), section 3.1. A row of zeros beside others gets a faint scale,
    for its weights cannot be 0.
    """
    alpha = np.abs(w).mean(axis=1)
    alive = alpha[alpha > 0]
    faint = alive.min() * _FAINT if alive.size else 1.0
    return Weights(sign_levels(w), np.where(alpha > 0, alpha, faint))


def ternarize(w: Array) -> Weights:
    """Return the ternary rows that minimise |w - alpha t| exactly, by sorting.

    Ternary Weight Networks (Li et al. 2016), equation 3: the best support holds the k largest
    magnitudes, with k the argument of the greatest S_k^2 / k, S_k their sum.
    """
    magnitude = np.sort(np.abs(w), axis=1)[:, ::-1]
    k = np.arange(1, w.shape[1] + 1)
    best = np.argmax(np.cumsum(magnitude, axis=1) ** 2 / k, axis=1)
    least = magnitude[np.arange(w.shape[0]), best][:, None]
    return _ternary(w, (np.abs(w) >= least) & (np.abs(w) > 0))


def ternarize_by_rule(w: Array, factor: float = 0.7) -> Weights:
    """Return ternary rows by the threshold rule delta = factor * mean |w| (Li et al. 2016)."""
    delta = factor * np.abs(w).mean(axis=1, keepdims=True)
    return _ternary(w, np.abs(w) > delta)


def _ternary(w: Array, kept: Array) -> Weights:
    count = np.maximum(kept.sum(axis=1), 1)
    alpha = np.where(kept, np.abs(w), 0).sum(axis=1) / count
    return Weights(np.where(kept, np.sign(w), 0).astype(np.int64), _alive(alpha))


def power_of_two(w: Array, bits: int, *, pow2_scale: bool = False) -> Weights:
    """Return +-2^e or 0 by INQ's levels, on the scale with the least squared error.

    Incremental Network Quantization (Zhou et al. 2017), equations 1 to 4: n1 = floor(log2(4s/3)),
    n2 = n1 + 1 - 2^(b-1)/2, one bit standing for zero. The integers are the levels over 2^n2, and
    per row the levels are tried on several scales, for the greatest weight is rarely the best guide.
    """
    return choose_grid(w, WeightKind(Kind.POW2, bits), pow2_scale=pow2_scale).nearest(w)


def inq_exponents(largest: float, bits: int) -> tuple[int, int]:
    """Return INQ's greatest and least exponents n1 and n2 for a layer whose max |w| is `largest`."""
    n1 = floor(log2(4 * largest / 3))
    return n1, n1 + 1 - 2 ** (bits - 1) // 2


def linear(w: Array, bits: int, *, pow2_scale: bool = False) -> Weights:
    """Return symmetric integers of `bits` bits; below 8 bits the scale has the least squared error."""
    return choose_grid(w, WeightKind(Kind.INT, bits), pow2_scale=pow2_scale).nearest(w)


def sign_levels(w: Array) -> Array:
    """Return +1 or -1 by the sign of w, +1 for 0."""
    return np.where(w >= 0, 1, -1).astype(np.int64)


def integer_levels(w: Array, top: int) -> Array:
    """Return the nearest integers from -top to top, ties to even."""
    return np.clip(np.rint(w), -top, top).astype(np.int64)


def power_levels(w: Array, span: int) -> Array:
    """Return w, whose unit is the least level, as integers 0 or +-2^0 ... +-2^span.

    A magnitude m becomes 2^e with e = floor(log2(m / 0.75)), which is the nearest level with ties
    up, and 0 below half of the least level; above the greatest level it stays there.
    """
    magnitude = np.abs(w)
    with np.errstate(divide="ignore"):
        e = np.floor(np.log2(magnitude / 0.75))
    level = 2.0 ** np.clip(e, 0, span)
    return np.where(magnitude < 0.5, 0, np.sign(w) * level).astype(np.int64)  # noqa: PLR2004


def apot_levels(bits: int) -> Array:
    """Return the magnitudes of Additive Powers-of-Two, ascending integers over the least term.

    Additive Powers-of-Two Quantization (Li et al. 2020), equation 5: sums of two powers of two,
    2^(bits-1) of them with 0, the sign apart. Three bits leave room for one term only.
    """
    sums = {0}
    for group in _TERMS[bits]:
        sums = {s + term for s in sums for term in (0, *group)}
    return np.array(sorted(sums))


def table_levels(w: Array, table: Array) -> Array:
    """Return the sign of w times the nearest of the magnitudes in `table`, ascending; ties up."""
    between = (table[1:] + table[:-1]) / 2
    nearest = table[np.searchsorted(between, np.abs(w), side="right")]
    return (np.sign(w) * nearest).astype(np.int64)


def _units(w: Array, top: int, factors: Array, *, pow2_scale: bool) -> list[Array]:
    """Return the scales to try, each (O,): fractions of the one that maps the greatest weight to top."""
    whole = _alive(np.abs(w).max(axis=1, initial=0)) / top
    if pow2_scale:
        least = np.ceil(np.log2(whole) - 1e-12)
        return [2.0 ** (least - i) for i in range(_OCTAVES)]
    return [whole * f for f in factors]


def _least_error(w: Array, units: list[Array], levels: Levels) -> Array:
    """Return, for each row, the scale with the least squared error."""
    scale, error = units[0], np.full(w.shape[0], np.inf)
    for unit in units:
        miss = ((w - levels(w / unit[:, None]) * unit[:, None]) ** 2).sum(axis=1)
        better = miss < error
        scale, error = np.where(better, unit, scale), np.where(better, miss, error)
    return scale


def _settled(w: Array, scale: Array, levels: Levels) -> Array:
    """Fit scale and codes to each other in turn (Lloyd), which never adds error."""
    for _ in range(_ROUNDS):
        codes = levels(w / scale[:, None])
        power = (codes**2).sum(axis=1)
        fitted = (w * codes).sum(axis=1) / np.maximum(power, 1)
        scale = np.where(power > 0, fitted, scale)
    return scale


def _alive(scale: Array) -> Array:
    """Give rows of zeros the scale 1, so that nothing divides by zero."""
    return np.where(scale > 0, scale, 1.0)


def nearest_pow2(scale: Array) -> Array:
    """Return the power of two nearest to each positive scale, in the logarithm."""
    return np.asarray(2.0 ** np.rint(np.log2(scale)))
