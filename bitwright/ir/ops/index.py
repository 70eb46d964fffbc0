"""Index maps: operations that only move elements. They hold for real and integer tensors."""

from dataclasses import dataclass

from bitwright.ir.ops.base import Op, same_size
from bitwright.ir.types import Bipolar, Element, Int, Real, TensorType, Ternary


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape(Op):
    """The same elements in row-major order under another shape."""

    shape: tuple[int, ...]

    def infer(self) -> TensorType:
        """Take the new shape."""
        x = self.inputs[0]
        same_size(self.loc, x.shape, self.shape)
        return TensorType(x.elem, self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpose(Op):
    """Axis `i` of the result is axis `perm[i]` of the operand."""

    perm: tuple[int, ...]

    def infer(self) -> TensorType:
        """Permute the shape."""
        x = self.inputs[0]
        self.expect(
            sorted(self.perm) == list(range(len(x.shape))),
            f"perm {self.perm} does not fit {x.shape}",
        )
        return TensorType(x.elem, tuple(x.shape[p] for p in self.perm))


@dataclass(frozen=True, slots=True, kw_only=True)
class Permute(Op):
    """`y.flat[i] = x.flat[order[i]]`: any rearrangement; operands x and order (int64, one per element)."""

    shape: tuple[int, ...]

    def infer(self) -> TensorType:
        """Take the new shape."""
        x, order = self.inputs
        same_size(self.loc, x.shape, self.shape)
        self.expect(order.type.size == x.type.size, f"{order.type.size} indices for {x.shape}")
        return TensorType(x.elem, self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Take(Op):
    """`y[.., i, ..] = x[.., indices[i], ..]` along `axis`; operands x and indices (n,) int64.

    Slices, splits, nearest-neighbour resizing, tiling and gathering with constant indices.
    """

    axis: int

    def infer(self) -> TensorType:
        """Give `axis` as many elements as there are indices."""
        x, indices = self.inputs
        self.expect(0 <= self.axis < len(x.shape), f"axis {self.axis} is outside {x.shape}")
        self.expect(len(indices.shape) == 1, f"the indices have shape {indices.shape}")
        if isinstance(indices.elem, Int) and indices.type.size:
            inside = indices.elem.lo >= 0 and indices.elem.hi < x.shape[self.axis]
            self.expect(inside, f"indices {indices.elem} leave axis {self.axis} of {x.shape}")
        shape = (*x.shape[: self.axis], indices.type.size, *x.shape[self.axis + 1 :])
        return TensorType(x.elem, shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad(Op):
    """Put `value` around the tensor: `before` and `after` elements along each axis."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float = 0.0

    def infer(self) -> TensorType:
        """Grow every axis; an integer interval grows to hold `value`."""
        x = self.inputs[0]
        same = len(x.shape) == len(self.before) == len(self.after)
        self.expect(same, f"padding {self.before} and {self.after} does not fit {x.shape}")
        ends = (*self.before, *self.after)
        self.expect(min(ends, default=0) >= 0, "padding must not be negative")
        elem: Element = x.elem
        if not isinstance(elem, Real) and any(ends):
            self.expect(float(self.value).is_integer(), f"{self.value} is no integer")
            elem = union(elem, Int(int(self.value), int(self.value)))
        shape = zip(x.shape, self.before, self.after, strict=True)
        return TensorType(elem, tuple(d + b + a for d, b, a in shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Op):
    """The operands one after another along `axis`; all real, or all integers."""

    axis: int

    def infer(self) -> TensorType:
        """Add up the sizes along `axis`; the interval of integers is the union."""
        first = self.inputs[0]
        rank = len(first.shape)
        self.expect(0 <= self.axis < rank, f"axis {self.axis} is outside {first.shape}")
        elem = first.elem
        for v in self.inputs[1:]:
            fits = len(v.shape) == rank and all(
                a == b or i == self.axis
                for i, (a, b) in enumerate(zip(v.shape, first.shape, strict=True))
            )
            self.expect(fits, f"{v.shape} does not fit {first.shape} along axis {self.axis}")
            both = isinstance(elem, Real) == isinstance(v.elem, Real)
            self.expect(both, "reals and integers are joined")
            elem = (
                elem if isinstance(elem, Real) or isinstance(v.elem, Real) else union(elem, v.elem)
            )
        total = sum(v.shape[self.axis] for v in self.inputs)
        return TensorType(elem, (*first.shape[: self.axis], total, *first.shape[self.axis + 1 :]))


def union(a: Int | Bipolar | Ternary, b: Int | Bipolar | Ternary) -> Int | Bipolar | Ternary:
    """Return the narrowest element type that holds the values of both."""
    if a == b or (isinstance(a, Bipolar) and b in (Int(-1, -1), Int(1, 1))):
        return a
    lo, hi = min(a.lo, b.lo), max(a.hi, b.hi)
    narrow = all(isinstance(e, Bipolar | Ternary) or (e.lo >= -1 and e.hi <= 1) for e in (a, b))
    return Ternary() if narrow and (lo, hi) == (-1, 1) else Int(lo, hi)
