"""Index maps in numpy. Axis 0 of every array counts samples; the tensor's own axes follow."""

from functools import singledispatch

from bitwright.errors import VerifyError
from bitwright.ir.graph import Array
from bitwright.ir.ops import Op, Permute, Reshape, Transpose


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
