"""Change the weights of one layer so that its outputs change least: one engine for all methods.

With H = E[x x^T], a change e of a row of weights costs 1/2 e H e^T (Optimal Brain Surgeon, Hassibi
and Stork 1993; layer by layer: L-OBS, Dong et al. 2017). Weights are settled in a fixed order and
each makes up for what those before it lost, as in GPTQ and SparseGPT (Frantar et al. 2023).
"""

from collections.abc import Callable

import numpy as np

from bitwright.ir.graph import Array
from bitwright.passes.compress.exact_obs import WIDEST, exact_prune, exact_quantize
from bitwright.passes.compress.grid import Grid
from bitwright.passes.compress.polish import sweep
from bitwright.passes.compress.refit import descend, refit_rows, refit_scale
from bitwright.passes.compress.second_moment import dampened, factor
from bitwright.passes.weights import Weights

BLOCK = 128
SWEEPS = 4  # how often each quantized weight is chosen anew
ROUNDS = 12  # in which weights are pruned
STEPS = 4  # of conjugate gradients after each round

Settle = Callable[[int, Array], Array]
Step = Callable[[Array, Array, Array], Settle]


def compensate(
    w: Array, h: Array, step: Step, *, order: Array | None = None, group: int = BLOCK
) -> Array:
    """Return rows (O, n) settled column by column, each after the best answer to those before it.

    `h` (n, n) is positive definite; `order` (n,) lists the columns as they are settled. For every
    `group` of columns, step(columns, w, curvature) gets their weights as they stand, (O, group),
    and 1 / [H^-1]_qq of the inputs not settled before q. It returns the function that settles the
    column at a place of the group: weights (O,) in, what is left of them (O,) out.
    """
    n = w.shape[1]
    places = np.arange(n) if order is None else order
    f = factor(h[np.ix_(places, places)])
    before = w.T[places]
    after, lost = np.zeros_like(before), np.zeros_like(before)
    block = max(BLOCK // group, 1) * group
    for start in range(0, n, block):
        end = min(start + block, n)
        owed = f[start:end, :start] @ lost[:start]
        for s in range(start, end, group):
            cut = slice(s, min(s + group, end))
            part = owed[s - start : cut.stop - start] + f[cut, start:s] @ lost[start:s]
            now = before[cut] + np.linalg.solve(f[cut, cut], part)
            settle = step(places[cut], now.T, np.diag(f[cut, cut]) ** 2)
            for i, k in enumerate(range(cut.start, cut.stop)):
                debt = part[i] + f[k, s:k] @ lost[s:k]
                after[k] = settle(i, before[k] + debt / f[k, k])
                lost[k] = before[k] - after[k]
    out = np.empty_like(w)
    out[:, places] = after.T
    return out


def quantize_rows(
    w: Array,
    h: Array,
    grid: Grid,
    *,
    mask: Array | None = None,
    exact: bool = False,
    free_scale: bool = False,
) -> Weights:
    """Return codes on the grid for rows (O, n), with errors made up for by other weights.

    `h` is E[x x^T] (n, n) of the inputs. What `mask` (O, n) leaves out becomes 0, as do weights of
    inputs that never were anything else, where the grid has a 0. Columns go by falling second
    moment, or with `exact` and up to 512 inputs in each row's own order; then each weight is chosen
    anew a few times. With `free_scale` the scales follow the codes, which lowers the error most for
    one and two bits; without it they stay those of the grid.
    """
    sound = dampened(h)
    w = w if mask is None else refit_rows(w, sound, mask)
    kept = np.ones(w.shape, bool) if mask is None else mask
    if not grid.levels(np.zeros(1)).any():
        kept = kept & (np.diag(h) > 0)
        w = np.where(kept, w, 0)
    if exact and w.shape[1] <= WIDEST:
        v = exact_quantize(w, sound, grid, kept)
    else:
        order = np.argsort(-np.diag(h), kind="stable")
        v = compensate(w, sound, _onto(grid, kept), order=order)
    found = Weights(np.where(kept, grid.codes(v), 0), grid.scale)
    for _ in range(SWEEPS):
        found = refit_scale(w, sound, found) if free_scale else found
        grid = Grid(found.scale, grid.levels)
        found = Weights(sweep(w, found.codes, sound, grid, kept), grid.scale)
    return refit_scale(w, sound, found) if free_scale else found


def prune_rows(w: Array, h: Array, density: float, *, exact: bool = False) -> Array:
    """Return rows (O, n) with round(density * O * n) nonzero weights, which make up for the others.

    `h` is E[x x^T] (n, n) of the inputs; the layer's cheapest weights go, whatever their row. With
    `exact` and up to 512 inputs they go one by one; otherwise in rounds (a cubic schedule, Zhu and
    Gupta 2018) by least w^2 / [H^-1]_qq, after each of which the others are fitted again.
    """
    sound, kept = dampened(h), round(density * w.size)
    if exact and w.shape[1] <= WIDEST:
        return exact_prune(w, sound, kept)
    worth = 1 / np.diag(np.linalg.inv(sound))
    v, mask = w, np.ones(w.shape, bool)
    for r in range(ROUNDS - 1, -1, -1):
        count = kept + round((w.size - kept) * (r / ROUNDS) ** 3)
        mask = _dearest(v**2 * worth, count)
        v = descend(w, np.where(mask, v, 0), sound, mask, STEPS)
    return refit_rows(w, sound, mask)


def _dearest(worth: Array, count: int) -> Array:
    """Return the mask of the `count` greatest elements."""
    mask = np.zeros(worth.size, bool)
    mask[np.argsort(-worth, axis=None, kind="stable")[:count]] = True
    return mask.reshape(worth.shape)


def prune_pattern(w: Array, h: Array, n: int, m: int) -> Array:
    """Return rows with at most `n` nonzero weights in each `m` inputs; a rest keeps at most n too.

    `h` is E[x x^T] of the inputs. The mask is chosen for `m` columns when they are reached, by
    least w^2 / [H^-1]_qq (SparseGPT, Frantar and Alistarh 2023, section 3.3).
    """
    sound = dampened(h)
    mask = np.ones(w.shape, bool)

    def step(columns: Array, now: Array, curvature: Array) -> Settle:
        rank = np.argsort(np.argsort(-(now**2) * curvature, axis=1, kind="stable"), axis=1)
        mask[:, columns] = rank < n
        return lambda i, t: np.where(mask[:, columns[i]], t, 0)

    compensate(w, sound, step, group=m)
    return refit_rows(w, sound, mask)


def _onto(grid: Grid, kept: Array) -> Step:
    def step(columns: Array, _now: Array, _curvature: Array) -> Settle:
        return lambda i, t: np.where(kept[:, columns[i]], grid.values(t[:, None])[:, 0], 0)

    return step
