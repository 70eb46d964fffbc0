"""Settle the cheapest weight of each row next, whichever it is: exact, for layers of few inputs.

Optimal Brain Surgeon (Hassibi and Stork 1993), row by row with a downdated inverse as in Optimal
Brain Compression (Frantar and Alistarh 2022). n steps of n^2 for each row.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array
from bitwright.passes.compress.grid import Grid
from bitwright.passes.compress.refit import refit_rows

WIDEST = 512
_BATCH = 1 << 21  # numbers in the factors of the rows that are settled together


@dataclass(frozen=True, slots=True)
class Trace:
    """What was settled: weights (R, n) at the end, and by step (R, steps) the input and its cost."""

    w: Array
    inputs: Array
    cost: Array


def greedy(
    w: Array, inverse: Array, target: Callable[[Array], Array], first: Array, steps: int
) -> Trace:
    """Set, `steps` times in each row, the weight that costs least to its target; the rest adapts.

    `target` maps rows (R, n) to what each weight would become, and `first` (R, n) says which go
    before all others. The cost L_q = e_q^2 / (2 [H^-1]_qq) is the growth of 1/2 e H e^T; the change
    of the others is -e_q / [H^-1]_qq H^-1[:, q], H^-1 being that of the weights still free.
    """
    rows = np.arange(w.shape[0])
    w, free = w.copy(), np.ones(w.shape, bool)
    spent = np.zeros((w.shape[0], steps, w.shape[1]))  # H^-1 lost the squares of these
    diagonal = np.tile(np.diag(inverse), (w.shape[0], 1))
    inputs = np.zeros((w.shape[0], steps), np.int64)
    cost = np.zeros(inputs.shape)
    for step in range(steps):
        wanted = target(w)
        each = np.where(free, (w - wanted) ** 2 / diagonal / 2, np.inf)
        q = np.argmin(np.where(first & free, -1, each), axis=1)
        gone = spent[rows, :step, q][:, None, :] @ spent[:, :step]
        column = np.where(free, inverse[q] - gone[:, 0], 0)
        pivot = column[rows, q]
        inputs[:, step], cost[:, step] = q, each[rows, q]
        w -= ((w[rows, q] - wanted[rows, q]) / pivot)[:, None] * column
        w[rows, q], free[rows, q] = wanted[rows, q], False
        spent[:, step] = column / np.sqrt(pivot)[:, None]
        diagonal = np.where(free, diagonal - spent[:, step] ** 2, 1.0)
    return Trace(w, inputs, cost)


def exact_prune(w: Array, h: Array, kept: int) -> Array:
    """Return rows (O, n) with `kept` nonzero weights in all, chosen one by one by their cost.

    `h` (n, n) is positive definite. A row's costs are taken as ascending, since no weight can go
    before those that went before it.
    """
    inverse, none = np.linalg.inv(h), np.zeros(w.shape, bool)
    inputs, cost = np.zeros(w.shape, np.int64), np.zeros(w.shape)
    for part in _parts(w):
        trace = greedy(w[part], inverse, np.zeros_like, none[part], w.shape[1])
        inputs[part], cost[part] = trace.inputs, np.maximum.accumulate(trace.cost, axis=1)
    cheapest = np.argsort(cost, axis=None, kind="stable")[: w.size - kept]
    mask = ~none
    mask[cheapest // w.shape[1], inputs.reshape(-1)[cheapest]] = False
    return refit_rows(w, h, mask)


def exact_quantize(w: Array, h: Array, grid: Grid, mask: Array) -> Array:
    """Return rows (O, n) on the grid, and 0 outside `mask`; the zeros are settled first.

    `h` (n, n) is positive definite. Optimal Brain Quantizer (Frantar and Alistarh 2022).
    """
    inverse, out = np.linalg.inv(h), np.zeros_like(w)
    for part in _parts(w):
        own, kept = grid.rows(part), mask[part]

        def target(v: Array, own: Grid = own, kept: Array = kept) -> Array:
            return np.where(kept, own.values(v), 0)

        out[part] = greedy(w[part], inverse, target, ~kept, w.shape[1]).w
    return out


def _parts(w: Array) -> list[slice]:
    step = max(_BATCH // (w.shape[1] ** 2), 1)
    return [slice(s, s + step) for s in range(0, w.shape[0], step)]
