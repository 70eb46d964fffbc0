"""Move quantized weights one input at a time to where the layer's error is least."""

import numpy as np

from bitwright.ir.graph import Array
from bitwright.passes.compress.grid import Grid

_BLOCK = 128


def sweep(w: Array, codes: Array, h: Array, grid: Grid, kept: Array) -> Array:
    """Return codes (O, n) that cost no more than `codes`, each chosen anew once.

    Coordinate descent on (w - v) H (w - v)^T with v = scale * codes: while all others stay, the best
    real value of a weight is known, and its nearest level is the best one. Codes outside `kept`
    stay. `h` (n, n) is positive definite.
    """
    scale = grid.scale
    now = np.ascontiguousarray(codes.T)
    lost = w.T - now * scale
    for start in range(0, w.shape[1], _BLOCK):
        end = min(start + _BLOCK, w.shape[1])
        slope = h[start:end] @ lost
        for k in range(start, end):
            wanted = now[k] + slope[k - start] / (h[k, k] * scale)
            level = np.where(kept[:, k], grid.levels(wanted), now[k])
            change = (level - now[k]) * scale
            slope[k - start :] -= np.outer(h[k:end, k], change)
            lost[k] -= change
            now[k] = level
    return now.T.copy()
