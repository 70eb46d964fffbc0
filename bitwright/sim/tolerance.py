"""How far real results are from a reference, where NaN and infinity are never close by accident."""

import numpy as np

from bitwright.ir.graph import Array


def relative_errors(mine: Array, reference: Array) -> Array:
    """Return |mine - reference| over the greatest finite |reference|, element by element.

    Equal values, NaN beside NaN included, give 0; any other NaN or infinity gives infinity.
    """
    a, b = np.asarray(mine, np.float64), np.asarray(reference, np.float64)
    scale = float(np.abs(b[np.isfinite(b)]).max(initial=0)) or 1.0
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        error = np.abs(a - b) / scale
    return np.where(same, 0.0, np.where(np.isfinite(error), error, np.inf))
