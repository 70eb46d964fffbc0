"""Chains of index maps that keep every element: find the simplest ops that move them as asked."""

from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array, Builder
from bitwright.ir.ops import Permute, Reshape, Take, Transpose, Value

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A value that is not computed yet: the elements of `source` in another order.

    `perm` is the permutation of axes, or None where only `order` tells: element i of the result is
    element `order[i]` of the source, both flat.
    """

    source: Value
    shape: Shape
    perm: Shape | None
    order: Array | None = None

    def positions(self) -> Array:
        """Return the flat position in the source of each element."""
        if self.order is not None:
            return self.order
        own = np.arange(self.source.type.size).reshape(self.source.shape)
        return own.transpose(self.perm).reshape(-1)

    @property
    def identity(self) -> bool:
        """Whether the elements keep their flat order."""
        if self.perm is None:
            return bool(np.array_equal(self.positions(), np.arange(self.source.type.size)))
        wide = [p for p in self.perm if self.source.shape[p] != 1]
        return wide == sorted(wide)


def unmoved(value: Value) -> Moved:
    """Return `value` as it is."""
    return Moved(value, value.shape, tuple(range(len(value.shape))))


def transposed(x: Moved, perm: Shape) -> Moved:
    """Return `x` with its axes permuted."""
    shape = tuple(x.shape[p] for p in perm)
    if x.perm is not None:
        return Moved(x.source, shape, tuple(x.perm[p] for p in perm))
    order = x.positions().reshape(x.shape).transpose(perm)
    return Moved(x.source, shape, None, order.reshape(-1))


def reshaped(x: Moved, shape: Shape) -> Moved:
    """Return `x` under another shape."""
    if shape == x.shape:
        return x
    if x.identity and shape == x.source.shape:
        return unmoved(x.source)
    return Moved(x.source, shape, None, x.positions())


def inverse(perm: Shape) -> Shape:
    """Return the permutation that undoes `perm`."""
    return tuple(int(i) for i in np.argsort(perm))


def emit(b: Builder, x: Moved, name: str, loc: str) -> Value:
    """Append the fewest ops that give `x` and return it under `name` (the source itself, if equal)."""
    if x.identity and x.shape == x.source.shape:
        return x.source
    if x.identity:
        return b.op(Reshape, (x.source,), name, loc, shape=x.shape)
    if x.perm is not None:
        return b.op(Transpose, (x.source,), name, loc, perm=x.perm)
    order = x.positions()
    taken = _along_one_axis(x, order)
    if taken is not None:
        indices = b.constant(f"{name}:indices", taken[1])
        return b.op(Take, (x.source, indices), name, loc, axis=taken[0])
    digits = factor(order)
    if digits is None:
        table = b.constant(f"{name}:order", order)
        return b.op(Permute, (x.source, table), name, loc, shape=x.shape)
    return _by_digits(b, x, digits, name, loc)


def as_take(x: Moved) -> tuple[int, Array, Shape] | None:
    """Return axis, indices and perm where `x` is the source, cut along one axis and then permuted.

    Tried are no permutation, and the one from channels last to channels first.
    """
    rank = len(x.source.shape)
    for perm in (tuple(range(rank)), (0, rank - 1, *range(1, rank - 1))):
        if len(x.shape) != rank or tuple(x.source.shape[p] for p in perm) != x.shape:
            continue
        order = x.positions().reshape(x.shape).transpose(inverse(perm)).reshape(-1)
        if np.array_equal(order, np.arange(order.size)):
            return 0, np.arange(x.source.shape[0] if rank else 0), perm
        found = _along_one_axis(Moved(x.source, x.source.shape, None, order), order)
        if found is not None:
            return (*found, perm)
    return None


def _along_one_axis(x: Moved, order: Array) -> tuple[int, Array] | None:
    """Return the axis and the indices where the order only moves slices of one axis."""
    if x.shape != x.source.shape:
        return None
    index = np.array(np.unravel_index(order, x.shape)).reshape(len(x.shape), *x.shape)
    own = np.indices(x.shape)
    moving = [a for a in range(len(x.shape)) if not np.array_equal(index[a], own[a])]
    if len(moving) != 1:
        return None
    axis = moving[0]
    rows = np.moveaxis(index[axis], axis, -1).reshape(-1, x.shape[axis])
    return (axis, rows[0].astype(np.int64)) if (rows == rows[0]).all() else None


def factor(order: Array) -> tuple[tuple[int, int], ...] | None:
    """Write `order[i]` as a sum of digits of i times strides: (size, stride), slowest digit first.

    None when it is no such sum.
    """
    digits: list[tuple[int, int]] = []
    rest = order
    while rest.size > 1:
        stride = int(rest[1] - rest[0])
        breaks = np.nonzero(np.diff(rest) != stride)[0]
        size = int(breaks[0]) + 1 if breaks.size else rest.size
        if rest.size % size:
            return None
        blocks = rest.reshape(-1, size)
        if (blocks - blocks[:, :1] != np.arange(size) * stride).any():
            return None
        digits.insert(0, (size, stride))
        rest = blocks[:, 0]
    ascending = sorted(digits, key=lambda d: d[1])
    step = 1
    for size, stride in ascending:
        if stride != step:
            return None
        step *= size
    return tuple(digits)


def _by_digits(
    b: Builder, x: Moved, digits: tuple[tuple[int, int], ...], name: str, loc: str
) -> Value:
    """Append Reshape, Transpose, Reshape."""
    by_stride = sorted(range(len(digits)), key=lambda i: -digits[i][1])
    split = tuple(digits[i][0] for i in by_stride)
    perm = inverse(tuple(by_stride))
    result = tuple(d for d, _ in digits)
    y = x.source
    if split != x.source.shape:
        y = b.op(Reshape, (y,), f"{name}:split", loc, shape=split)
    last = result == x.shape
    y = b.op(Transpose, (y,), name if last else f"{name}:moved", loc, perm=perm)
    return y if last else b.op(Reshape, (y,), name, loc, shape=x.shape)
