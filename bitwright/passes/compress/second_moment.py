"""The second moment of a layer's inputs, which says what a change of its weights costs.

With H = E[x x^T] a change e of one row of weights changes that output by E[(x e)^2] = e H e^T.
"""

import numpy as np

from bitwright.ir.graph import Array

DAMPENING = 0.01
_CHUNK = 4096  # input rows multiplied at once


def hessian(rows: Array) -> Array:
    """Return H = X^T X / rows, (n, n) in float64, for inputs X (rows, n)."""
    total = np.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, rows.shape[0], _CHUNK):
        x = rows[start : start + _CHUNK].astype(np.float64)
        total += x.T @ x
    return np.asarray(total / max(rows.shape[0], 1))


def layer_error(w: Array, v: Array, h: Array) -> float:
    """Return the mean squared change of the outputs, summed over them, from weights w to v (O, n)."""
    e = w - v
    return float(np.sum((e @ h) * e))


def dampened(h: Array) -> Array:
    """Return H with a hundredth of its mean diagonal added, so that it is positive definite.

    Inputs that were always 0 do not count in the mean, and stand alone in the result.
    """
    diagonal = np.diag(h)
    alive = diagonal > 0
    mean = diagonal[alive].mean() if alive.any() else 1.0
    out = h + DAMPENING * mean * np.eye(h.shape[0])
    dead = np.flatnonzero(~alive)
    out[dead] = out[:, dead] = 0
    out[dead, dead] = DAMPENING * mean
    return out


def factor(h: Array) -> Array:
    """Return the lower triangular F with H = F^T F.

    1 / F_qq^2 is [H^-1]_qq with the inputs before q left out: the inverse of F is the Cholesky
    factor of H^-1, which needs no inverse to be found.
    """
    lower = np.linalg.cholesky(h[::-1, ::-1])
    return np.ascontiguousarray(lower.T[::-1, ::-1])
