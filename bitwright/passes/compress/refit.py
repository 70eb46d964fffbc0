"""Fit the weights that are still free to the layer's outputs by least squares."""

import numpy as np

from bitwright.ir.graph import Array
from bitwright.passes.weights import Weights

_DIRECT = 512  # inputs up to which each row's equations are solved at once
_STEPS = 20
_TOLERANCE = 1e-12
_BATCH = 1 << 22  # numbers in the equations solved together


def refit_rows(w: Array, h: Array, mask: Array) -> Array:
    """Return the rows (O, n), 0 outside `mask`, whose outputs are nearest to those of `w`.

    `h` (n, n) is positive definite. More than 512 inputs are fitted by conjugate gradients.
    """
    if mask.all():
        return w.copy()
    if h.shape[0] > _DIRECT:
        return descend(w, np.where(mask, w, 0), h, mask, _STEPS)
    n = h.shape[0]
    out = np.zeros_like(w)
    step = max(_BATCH // (n * n), 1)
    for start in range(0, w.shape[0], step):
        kept = mask[start : start + step]
        equations = h * (kept[:, :, None] & kept[:, None, :])
        equations[:, np.arange(n), np.arange(n)] += ~kept
        wanted = np.where(kept, w[start : start + step] @ h, 0)
        out[start : start + step] = np.linalg.solve(equations, wanted[:, :, None])[:, :, 0]
    return np.where(mask, out, 0)


def descend(w: Array, v: Array, h: Array, mask: Array, steps: int) -> Array:
    """Return `v` (O, n), 0 outside `mask`, brought nearer to the outputs of `w`, all rows at once.

    Conjugate gradients with the diagonal of H as preconditioner; no step adds error.
    """
    scale = np.diag(h)
    residual = np.where(mask, (w - v) @ h, 0)
    direction = z = residual / scale
    power = (residual * z).sum(axis=1)
    enough = _TOLERANCE * power
    for _ in range(steps):
        if (power <= enough).all():
            break
        image = np.where(mask, direction @ h, 0)
        length = _ratio(power, (direction * image).sum(axis=1))
        v = v + length * direction
        residual = residual - length * image
        z = residual / scale
        after = (residual * z).sum(axis=1)
        direction = z + _ratio(after, power) * direction
        power = after
    return v


def _ratio(a: Array, b: Array) -> Array:
    """Return a / b as a column, 0 where b is not positive."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)[:, None]


def refit_scale(w: Array, h: Array, found: Weights) -> Weights:
    """Return the codes (O, n) with the scales that bring the outputs nearest to those of `w`."""
    image = found.codes @ h
    power = (image * found.codes).sum(axis=1)
    fitted = (image * w).sum(axis=1) / np.where(power > 0, power, 1.0)
    return Weights(found.codes, np.where(fitted > 0, fitted, found.scale))
