"""The sum that a kernel computes, and how what follows it takes over its constants."""

from dataclasses import dataclass, replace

import numpy as np

from bitwright.backends.c.classes import Places
from bitwright.backends.c.post import Built, absorb_constants, keep, requantize, steps
from bitwright.ir.graph import Array
from bitwright.ir.ops import Op, Requantize, Steps
from bitwright.ir.types import Integral

INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Sum:
    """`acc = offset[r] + factor * dot + total_factor * total`, within [lo, hi] by row.

    A row is an output channel, or with border classes a channel of one class.
    """

    offset: Array
    factor: int
    total_factor: int
    lo: Array
    hi: Array


@dataclass(frozen=True, slots=True)
class Following:
    """The Steps or Requantize behind a sum, each table of one row or of as many as the sum."""

    op: Steps | Requantize
    tables: tuple[Array, ...]


def following(op: Op | None, tables: tuple[Array, ...]) -> Following | None:
    """Return what follows a sum; `tables` are those of `op`, by row."""
    return Following(op, tables) if isinstance(op, Steps | Requantize) else None


def fold(behind: Following | None, s: Sum, elem: Integral) -> tuple[Sum, Built]:
    """Move the offset, and where it can be the factor, into the parameters of what follows."""
    if behind is None:
        return s, keep(elem)
    first, second = behind.tables
    if isinstance(behind.op, Steps):
        return _fold_steps(behind.op, first, second, s)
    return _fold_requantize(behind.op, first.reshape(-1), second.reshape(-1), s)


def _fold_steps(op: Steps, limits: Array, codes: Array, s: Sum) -> tuple[Sum, Built]:
    if limits.shape[1] == 1:
        return _fold_compare(op, limits, codes, s)
    shared = limits.shape[0] == 1
    lo, hi = (s.lo.min(keepdims=True), s.hi.max(keepdims=True)) if shared else (s.lo, s.hi)
    limits = np.clip(limits, lo[:, None], hi[:, None] + 1)
    if shared and not bool((s.offset == s.offset[0]).all()):
        return s, steps(limits, codes, op.elem)
    limits = limits - (s.offset[:1] if shared else s.offset)[:, None]
    return replace(s, offset=np.zeros_like(s.offset)), steps(limits, codes, op.elem)


def _fold_compare(op: Steps, limits: Array, codes: Array, s: Sum) -> tuple[Sum, Built]:
    limits = np.clip(limits, s.lo[:, None], s.hi[:, None] + 1)
    limits, codes = absorb_constants(limits, codes, s.lo, s.hi)
    limits = limits - s.offset[:, None]
    zero = np.zeros_like(s.offset)
    if s.total_factor:
        return replace(s, offset=zero), steps(limits, codes, op.elem)
    plain = replace(s, offset=zero, factor=1)
    if s.factor > 0:
        return plain, steps(-(-limits // s.factor), codes, op.elem)
    most = np.maximum(limits // s.factor + 1, 0)  # acc >= t is dot < t / factor + 1
    return plain, steps(most, codes, op.elem, op="<")


def _fold_requantize(op: Requantize, mul: Array, add: Array, s: Sum) -> tuple[Sum, Built]:
    zero = np.zeros_like(s.offset)
    lo, hi = s.lo - s.offset, s.hi - s.offset
    add = add + mul * s.offset
    if s.total_factor:
        return replace(s, offset=zero), requantize(op, mul, add, (lo, hi))
    # |dot| is at most |factor * dot|, so the bounds of the product still hold
    reach = np.maximum(np.abs(lo), np.abs(hi)) // abs(s.factor) + 1
    inner = replace(s, offset=zero, factor=1)
    return inner, requantize(op, mul * s.factor, add, (-reach, reach))


def spread_sum(s: Sum, found: Places) -> Sum:
    """Return the sum with a row for each class and channel."""
    if found.count == 1:
        return s
    rows = (found.spread(a) for a in (s.offset, s.lo, s.hi))
    return Sum(next(rows), s.factor, s.total_factor, *rows)


def acc_type(s: Sum, most: int) -> str:
    """Return the type that holds every partial result of the accumulator of dots up to `most`."""
    reach = max(int(np.abs(s.lo).max()), int(np.abs(s.hi).max())) + int(np.abs(s.offset).max())
    return "int32_t" if 2 * most + reach <= INT32_MAX else "int64_t"
