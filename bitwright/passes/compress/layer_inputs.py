"""What each output of a layer sums over, as rows: the matrix that a least-squares method reads."""

import numpy as np

from bitwright.ir.evaluate.spatial import taps
from bitwright.ir.graph import Array
from bitwright.ir.ops import Conv
from bitwright.passes.compress.plan import Layer

MAX_ROWS = 1 << 15


def input_rows(op: Layer, x: Array, limit: int = MAX_ROWS) -> Array:
    """Return the inputs of every position as (groups, rows, n), evenly thinned to `limit` rows.

    `x` is (samples, *shape of the layer's input); n = weights of one output, in the order of
    `grouped_rows`. A tap outside the tensor is 0, as the layer reads it (im2col).
    """
    if not isinstance(op, Conv):
        rows = x.reshape(1, -1, x.shape[-1])
        return rows[:, :: -(-rows.shape[1] // limit) or 1]
    seen = list(taps(x, op.window, 0))
    stride = -(-(seen[0].size // seen[0].shape[-1]) // limit) or 1
    depth = seen[0].shape[-1] // op.groups
    thin = [s.reshape(-1, op.groups, depth)[::stride] for s in seen]
    rows = np.stack(thin, axis=2)  # (rows, groups, taps, depth)
    return np.asarray(rows.transpose(1, 0, 2, 3).reshape(op.groups, rows.shape[0], -1))


def grouped_rows(op: Layer, w: Array) -> Array:
    """Return weights (O, ..., I) as (groups, O / groups, n); a view, so that it can be written to."""
    groups = op.groups if isinstance(op, Conv) else 1
    return w.reshape(groups, w.shape[0] // groups, -1)
