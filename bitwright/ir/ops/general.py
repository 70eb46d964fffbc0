"""Operations between computed tensors: comparisons, selections, integer arithmetic, products."""

from dataclasses import dataclass
from enum import Enum

from bitwright.ir.ops.base import Op, broadcast
from bitwright.ir.types import Element, Int, Real, TensorType, is_integral


class Order(Enum):
    """A comparison of two numbers."""

    EQUAL = "equal"
    LESS = "less"
    LESS_EQUAL = "less_equal"


class Whole(Enum):
    """A binary function of two integers; LEFT and RIGHT shift by the second."""

    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    MIN = "min"
    MAX = "max"
    AND = "and"
    OR = "or"
    XOR = "xor"
    LEFT = "left"
    RIGHT = "right"


_MATRIX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class IntArithmetic(Op):
    """`y = kind(a, b)` of integers with numpy broadcasting, wrapped around into elem.

    A quotient is cut toward 0 and is 0 where b is 0. A shift by the width of elem or more gives 0.
    """

    kind: Whole
    elem: Int

    def infer(self) -> TensorType:
        """Broadcast the two shapes; elem holds all integers of some width."""
        a, b = self.inputs
        self.expect(is_integral(a.elem) and is_integral(b.elem), "an operand is real")
        count = self.elem.hi - self.elem.lo + 1
        self.expect(
            count & (count - 1) == 0 and self.elem.lo in {0, -(count >> 1)},
            f"{self.elem} is not the interval of all integers of a width",
        )
        return TensorType(self.elem, broadcast(self.loc, a.shape, b.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare(Op):
    """`q = 1 if kind(a, b) else 0` with numpy broadcasting; both operands real or both integers."""

    kind: Order

    def infer(self) -> TensorType:
        """Broadcast the two shapes."""
        a, b = self.inputs
        self.expect(is_integral(a.elem) == is_integral(b.elem), "only one operand is real")
        return TensorType(Int(0, 1), broadcast(self.loc, a.shape, b.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Select(Op):
    """`y = a where c is not 0, else b` with numpy broadcasting; operands c (integers), a, b."""

    def infer(self) -> TensorType:
        """Broadcast the three shapes; the interval holds those of both choices."""
        c, a, b = self.inputs
        self.expect(is_integral(c.elem), "the condition is real")
        shape = broadcast(self.loc, c.shape, a.shape, b.shape)
        return TensorType(self._hull(a.elem, b.elem), shape)

    def _hull(self, a: Element, b: Element) -> Element:
        if isinstance(a, Real) or isinstance(b, Real):
            self.expect(a == b, "only one of the choices is real")
            return a
        return a if a == b else Int(min(a.lo, b.lo), max(a.hi, b.hi))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToInt(Op):
    """`q = x` cut toward 0, clamped to `reach` and wrapped around into elem; NaN is as -infinity."""

    elem: Int

    @property
    def reach(self) -> Int:
        """The integers of 32 bits, or of 64 where elem holds others."""
        bits = 32 if self.elem.lo >= -(1 << 31) and self.elem.hi < 1 << 31 else 64
        return Int(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    def infer(self) -> TensorType:
        """Keep the shape."""
        self.expect(isinstance(self.inputs[0].elem, Real), "the operand is no real")
        return TensorType(self.elem, self.inputs[0].shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatMul(Op):
    """`y[..., m, n] = sum_k a[..., m, k] * b[..., k, n]`; the axes in front broadcast."""

    def infer(self) -> TensorType:
        """Broadcast the axes in front of the last two."""
        a, b = (v.shape for v in self.inputs)
        self.expect(min(len(a), len(b)) >= _MATRIX and a[-1] == b[-2], f"{a} does not fit {b}")
        self.expect(not any(is_integral(v.elem) for v in self.inputs), "an operand is no real")
        return TensorType(Real(), (*broadcast(self.loc, a[:-2], b[:-2]), a[-2], b[-1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TopK(Op):
    """The k greatest (or least) elements along `axis` in order, or where they are.

    Of equal elements the one with the lowest index comes first.
    """

    axis: int
    k: int
    largest: bool = True
    places: bool = False

    def infer(self) -> TensorType:
        """Shrink `axis` to k elements."""
        x = self.inputs[0].shape
        self.expect(0 <= self.axis < len(x), f"axis {self.axis} is outside {x}")
        self.expect(1 <= self.k <= x[self.axis], f"k is {self.k}, the axis has {x[self.axis]}")
        shape = (*x[: self.axis], self.k, *x[self.axis + 1 :])
        elem = Int(0, x[self.axis] - 1) if self.places else self.inputs[0].elem
        return TensorType(elem, shape)
