"""Integer operations: exact, and the same bits in numpy, C and Verilog. Channels lie last."""

from dataclasses import dataclass
from enum import Enum
from math import prod

from bitwright.errors import VerifyError
from bitwright.ir.ops.base import Op, Value, broadcast
from bitwright.ir.ops.spatial import check_filters, window_shape
from bitwright.ir.ops.window import Window
from bitwright.ir.types import Bipolar, Element, Int, Integral, Real, TensorType, Ternary


class Encoding(Enum):
    """How weights are stored, and so which arithmetic they need."""

    BIPOLAR = "bipolar"
    TERNARY = "ternary"
    POWER_OF_TWO = "power_of_two"
    INTEGER = "integer"


class Round(Enum):
    """How Requantize and AddInt drop their low bits."""

    FLOOR = "floor"
    HALF_EVEN = "half_even"


@dataclass(frozen=True, slots=True)
class Exactness:
    """How a folded chain relates to the real one: `wrong` of `checked` accumulators differ.

    `codes` is the greatest difference in codes; 0 means equal on every reachable accumulator.
    """

    codes: int = 0
    wrong: int = 0
    checked: int = 0

    def __str__(self) -> str:
        """Return `exact`, or the distance and its share."""
        if self.codes == 0:
            return "exact"
        share = 100 * self.wrong / max(self.checked, 1)
        return f"within {self.codes} codes on {share:.3g} % of accumulators"


EXACT = Exactness()


def coded(op: Op, elem: Element) -> None:
    """Raise VerifyError unless the data operand and the result are integers."""
    op.expect(not isinstance(op.inputs[0].elem, Real), "the operand is real")
    op.expect(not isinstance(elem, Real), "the result is real")


Classes = tuple[tuple[int, ...], ...]


def class_count(classes: Classes) -> int:
    """Return how many border classes there are; 1 when positions do not matter."""
    return prod(max(axis, default=0) + 1 for axis in classes)


def per_channel(op: Op, value: Value, rank: int = 1, classes: Classes = ()) -> None:
    """Raise VerifyError unless axis 0 of `value` is 1 or the number of channels of the operand.

    With border classes it may also be classes times channels.
    """
    x = op.inputs[0].shape
    channels = x[-1] if x else 1
    sizes = {1, channels, class_count(classes) * channels}
    ok = len(value.shape) == rank and value.shape[0] in sizes
    op.expect(ok, f"{value.name!r} is {value.shape}, operand is {x}")
    if classes:
        fits = tuple(map(len, classes)) == x[1:-1]
        op.expect(fits, f"border classes of {tuple(map(len, classes))} do not fit {x}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IntLinear(Op):
    """`a[..., o] = sum_i w[o, i] * x[..., i] (+ b[o])` in integers; operands x, w and, when given, b.

    Weights are the integers themselves; `encoding` says how they are stored. `elem` is the
    interval that these weights can reach.
    """

    encoding: Encoding
    elem: Int

    def infer(self) -> TensorType:
        """Keep all axes of x but the last, which becomes the number of outputs."""
        coded(self, self.elem)
        x, w = self.inputs[0].shape, self.inputs[1].shape
        self.expect(len(w) == 2, f"the weight has shape {w}, expected two axes")  # noqa: PLR2004
        self.expect(bool(x) and x[-1] == w[1], f"input {x} does not fit weight {w}")
        for bias in self.inputs[2:]:
            self.expect(bias.shape == (w[0],), f"the bias has shape {bias.shape}")
        return TensorType(self.elem, (*x[:-1], w[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class IntConv(Op):
    """Conv in integers; operands x (N, *S, C), w (O, *K, C / groups) and, when given, b (O,).

    A tap outside reads the code `pad` (the zero point of x; 0 leaves the tap out, as under bipolar
    activations). Weights are the integers themselves; `elem` is the interval that they can reach.
    """

    window: Window
    groups: int
    encoding: Encoding
    elem: Int
    pad: int = 0

    def infer(self) -> TensorType:
        """Take the positions of the window and the number of filters."""
        coded(self, self.elem)
        filters = check_filters(self, self.window.kernel, self.groups)
        return TensorType(self.elem, (*window_shape(self, self.window), filters))


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps(Op):
    """`y = codes[c, number of t in thresholds[c] with x >= t]`; operands x, thresholds, codes.

    Thresholds (1 or C, T) ascend; codes are (1 or C, T + 1). "Never" is x's hi + 1. With border
    `classes` (per spatial axis the class of each position) there is a row for each class and
    channel: row = (class of axis 1 * classes of axis 2 + class of axis 2) * C + c.
    """

    elem: Integral
    exactness: Exactness = EXACT
    classes: Classes = ()

    def infer(self) -> TensorType:
        """Keep the shape."""
        coded(self, self.elem)
        _, thresholds, codes = self.inputs
        per_channel(self, thresholds, 2, self.classes)
        per_channel(self, codes, 2, self.classes)
        self.expect(codes.shape[1] == thresholds.shape[1] + 1, "one code more than thresholds")
        return TensorType(self.elem, self.inputs[0].shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requantize(Op):
    """`y = clamp(round((x * mul[c] + add[c]) / 2^shift) + zero)`; operands x, mul, add.

    FLOOR is floor division; HALF_EVEN rounds to nearest, ties to even, and needs shift >= 1.
    The clamp is to the interval of `elem`. Border `classes` are as those of Steps.
    """

    elem: Int
    shift: int
    zero: int
    rounding: Round
    exactness: Exactness = EXACT
    classes: Classes = ()

    def infer(self) -> TensorType:
        """Keep the shape."""
        coded(self, self.elem)
        per_channel(self, self.inputs[1], 1, self.classes)
        per_channel(self, self.inputs[2], 1, self.classes)
        check_shift(self, self.shift, self.rounding)
        return TensorType(self.elem, self.inputs[0].shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup(Op):
    """`y = table[x - x.lo]`; operands x and table (one code per integer of x's interval)."""

    elem: Integral
    exactness: Exactness = EXACT

    def infer(self) -> TensorType:
        """Keep the shape."""
        coded(self, self.elem)
        x, table = self.inputs
        want = x.type.integer.hi - x.type.integer.lo + 1
        self.expect(
            table.shape == (want,), f"the table has shape {table.shape}, expected ({want},)"
        )
        return TensorType(self.elem, x.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddInt(Op):
    """`y = clamp(round((a * mul_a + b * mul_b + add) / 2^shift) + zero)`: one rounding for both."""

    elem: Int
    mul_a: int
    mul_b: int
    add: int
    shift: int
    zero: int
    rounding: Round
    exactness: Exactness = EXACT

    def infer(self) -> TensorType:
        """Keep the shape that both operands share."""
        coded(self, self.elem)
        a, b = self.inputs
        self.expect(a.shape == b.shape, f"{a.shape} and {b.shape} differ")
        self.expect(not isinstance(b.elem, Real), "the second operand is real")
        check_shift(self, self.shift, self.rounding)
        return TensorType(self.elem, a.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class MulInt(Op):
    """`y = (a - zero_a) * (b - zero_b)` with numpy broadcasting; `elem` is the interval of the products."""

    elem: Int
    zero_a: int = 0
    zero_b: int = 0

    def infer(self) -> TensorType:
        """Broadcast the two shapes."""
        a, b = self.inputs
        for v in self.inputs:
            self.expect(not isinstance(v.elem, Real), f"the operand {v.name!r} is real")
        return TensorType(self.elem, broadcast(self.loc, a.shape, b.shape))


def check_shift(op: Op, shift: int, rounding: Round) -> None:
    """Raise VerifyError unless a backend can express this shift under this rounding."""
    least = 1 if rounding is Round.HALF_EVEN else 0
    op.expect(least <= shift <= 62, f"shift {shift} is outside {least}..62")  # noqa: PLR2004


def tightest(lo: int, hi: int, holes: frozenset[int] = frozenset()) -> Integral:
    """Return the narrowest element type for [lo, hi] without the values in `holes`."""
    if (lo, hi) == (-1, 1):
        return Bipolar() if 0 in holes else Ternary()
    if lo > hi:
        raise VerifyError(f"empty interval [{lo}, {hi}]")
    return Int(lo, hi)
