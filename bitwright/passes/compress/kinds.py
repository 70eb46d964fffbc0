"""The kinds of weights: each turns float rows into integers and one scale per output."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import floor, log2

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array
from bitwright.passes.weights import Weights


class Kind(Enum):
    """What values a weight may take."""

    BINARY = "binary"
    TERNARY = "ternary"
    TERNARY_RULE = "ternary:rule"
    POW2 = "pow2"
    INT = "int"


_WIDEST = {Kind.POW2: 6, Kind.INT: 8}


@dataclass(frozen=True, slots=True)
class WeightKind:
    """A kind, and for `pow2` and `int` the bits of a weight."""

    kind: Kind
    bits: int = 1

    def __post_init__(self) -> None:
        """Reject widths that are not offered: pow2:6 already spans 2^15."""
        widest = _WIDEST.get(self.kind)
        if widest and not 2 <= self.bits <= widest:  # noqa: PLR2004
            name = f"--weights {self.kind.value}:{self.bits}"
            raise CompileError(f"{name}: bits must be 2 to {widest}")

    def __str__(self) -> str:
        """Return the spelling of the command line."""
        return f"{self.kind.value}:{self.bits}" if self.bits > 1 else self.kind.value


def parse_weights(text: str) -> WeightKind:
    """Return the kind in `binary`, `ternary`, `ternary:rule`, `pow2:B` or `int:B`."""
    name, _, bits = text.partition(":")
    sized = {"pow2": Kind.POW2, "int": Kind.INT}
    if name in sized and bits.isdecimal():
        return WeightKind(sized[name], int(bits))
    plain = {k.value: k for k in (Kind.BINARY, Kind.TERNARY, Kind.TERNARY_RULE)}
    if text in plain:
        return WeightKind(plain[text])
    raise CompileError(
        f"--weights {text!r}: choose binary, ternary, ternary:rule, pow2:B (B 2 to 6) or int:B (B 2 to 8)"
    )


def quantize_weights(w: Array, kind: WeightKind, *, pow2_scale: bool = False) -> Weights:
    """Return the integers (O, ..., I) and scales (O,) that stand for the float weights `w`.

    With `pow2_scale` every scale is a power of two.
    """
    found = _quantize_rows(w.reshape(w.shape[0], -1).astype(np.float64), kind, pow2_scale)
    return Weights(found.codes.reshape(w.shape), found.scale)


def _quantize_rows(w: Array, kind: WeightKind, pow2_scale: bool) -> Weights:
    if kind.kind is Kind.POW2:
        return power_of_two(w, kind.bits, pow2_scale=pow2_scale)
    if kind.kind is Kind.INT:
        return linear(w, kind.bits, pow2_scale=pow2_scale)
    plain = {
        Kind.BINARY: binarize,
        Kind.TERNARY: ternarize,
        Kind.TERNARY_RULE: ternarize_by_rule,
    }
    found = plain[kind.kind](w)
    return Weights(found.codes, nearest_pow2(found.scale)) if pow2_scale else found


def binarize(w: Array) -> Weights:
    """Return sign(w) with sign(0) = +1 and alpha = mean |w| per row, which minimises |w - alpha b|.

    XNOR-Net (Rastegari et al. 2016), section 3.1.
    """
    return Weights(np.where(w >= 0, 1, -1).astype(np.int64), _alive(np.abs(w).mean(axis=1)))


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
    span = 2 ** (bits - 1) // 2 - 1  # n1 - n2
    units = _units(w, 2**span, np.linspace(0.3, 1.5, 49), pow2_scale=pow2_scale)
    return _least_error(w, units, lambda a: power_levels(a, span))


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


def inq_exponents(largest: float, bits: int) -> tuple[int, int]:
    """Return INQ's greatest and least exponents n1 and n2 for a layer whose max |w| is `largest`."""
    n1 = floor(log2(4 * largest / 3))
    return n1, n1 + 1 - 2 ** (bits - 1) // 2


def linear(w: Array, bits: int, *, pow2_scale: bool = False) -> Weights:
    """Return symmetric integers of `bits` bits; below 8 bits the scale has the least squared error."""
    top = 2 ** (bits - 1) - 1
    factors = np.array([1.0]) if bits >= 8 else np.linspace(0.4, 1.0, 61)  # noqa: PLR2004
    units = _units(w, top, factors, pow2_scale=pow2_scale)
    return _least_error(w, units, lambda a: np.clip(np.rint(a), -top, top).astype(np.int64))


def _units(w: Array, top: int, factors: Array, *, pow2_scale: bool) -> list[Array]:
    """Return the scales to try, each (O,): fractions of the one that maps the greatest weight to top."""
    whole = _alive(np.abs(w).max(axis=1, initial=0)) / top
    if pow2_scale:
        least = np.ceil(np.log2(whole) - 1e-12)
        return [2.0 ** (least - i) for i in range(3)]
    return [whole * f for f in factors]


def _least_error(w: Array, units: list[Array], levels: Callable[[Array], Array]) -> Weights:
    """Return, for each row, the codes on the scale with the least squared error."""
    best, scale = np.zeros(w.shape, np.int64), units[0]
    error = np.full(w.shape[0], np.inf)
    for unit in units:
        codes = levels(w / unit[:, None])
        miss = ((w - codes * unit[:, None]) ** 2).sum(axis=1)
        better = miss < error
        best = np.where(better[:, None], codes, best)
        scale, error = np.where(better, unit, scale), np.where(better, miss, error)
    return Weights(best, scale)


def _alive(scale: Array) -> Array:
    """Give rows of zeros the scale 1, so that nothing divides by zero."""
    return np.where(scale > 0, scale, 1.0)


def nearest_pow2(scale: Array) -> Array:
    """Return the power of two nearest to each positive scale, in the logarithm."""
    return np.asarray(2.0 ** np.rint(np.log2(scale)))
