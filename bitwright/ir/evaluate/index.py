"""Index maps in numpy. Axis 0 of every array counts samples; the tensor's own axes follow."""

from functools import singledispatch

import numpy as np

from bitwright.errors import VerifyError
from bitwright.ir.graph import Array
from bitwright.ir.ops import Concat, Op, Pad, Permute, Reshape, Take, Transpose


@singledispatch
def index_map(op: Op, x: Array, *rest: Array) -> Array:
    """Return what `op`, an index map, does to `x` of shape (samples, *shape)."""
    del x, rest
    raise VerifyError(f"{op.loc}: {type(op).__name__} is no index map")


@index_map.register
def _(op: Reshape, x: Array) -> Array:
    return x.reshape(x.shape[0], *op.shape)


@index_map.register
def _(op: Transpose, x: Array) -> Array:
    return x.transpose(0, *(p + 1 for p in op.perm))


@index_map.register
def _(op: Permute, x: Array, order: Array) -> Array:
    flat = x.reshape(x.shape[0], -1)[:, order.reshape(-1)]
    return flat.reshape(x.shape[0], *op.shape)


@index_map.register
def _(op: Take, x: Array, indices: Array) -> Array:
    return np.take(x, indices.astype(np.int64), axis=op.axis + 1)


@index_map.register
def _(op: Pad, x: Array) -> Array:
    ends = [(0, 0), *zip(op.before, op.after, strict=True)]
    value = op.value if x.dtype.kind == "f" else int(op.value)
    return np.pad(x, ends, constant_values=value)


@index_map.register
def _(op: Concat, *parts: Array) -> Array:
    return np.concatenate(parts, axis=op.axis + 1)
