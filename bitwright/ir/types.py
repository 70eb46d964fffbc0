"""What a value is: its element type, the integers or reals that can occur, and its shape."""

from dataclasses import dataclass
from math import prod

from bitwright.errors import VerifyError

MAX_BITS = 64


@dataclass(frozen=True, slots=True)
class Real:
    """A real number; float32 in the model, float64 when bitwright evaluates a chain."""

    def __str__(self) -> str:
        """Return the text form."""
        return "real"


@dataclass(frozen=True, slots=True)
class Int:
    """An integer in the closed interval [lo, hi] of values that can occur."""

    lo: int
    hi: int

    def __post_init__(self) -> None:
        """Reject empty intervals and those that no backend can store."""
        if self.lo > self.hi:
            raise VerifyError(f"empty interval [{self.lo}, {self.hi}]")
        if self.bits > MAX_BITS:
            raise VerifyError(
                f"[{self.lo}, {self.hi}] needs {self.bits} bits, more than {MAX_BITS}"
            )

    @property
    def signed(self) -> bool:
        """Whether negative values occur."""
        return self.lo < 0

    @property
    def bits(self) -> int:
        """Width in bits: two's complement when signed, at least 1."""
        if self.signed:
            return max((-self.lo - 1).bit_length(), self.hi.bit_length()) + 1
        return max(self.hi.bit_length(), 1)

    def __str__(self) -> str:
        """Return the text form."""
        return f"int[{self.lo},{self.hi}]"


@dataclass(frozen=True, slots=True)
class Bipolar:
    """-1 or +1, stored as the bit 0 or 1."""

    lo: int = -1
    hi: int = 1
    bits: int = 1
    signed: bool = True

    def __str__(self) -> str:
        """Return the text form."""
        return "bipolar"


@dataclass(frozen=True, slots=True)
class Ternary:
    """-1, 0 or +1."""

    lo: int = -1
    hi: int = 1
    bits: int = 2
    signed: bool = True

    def __str__(self) -> str:
        """Return the text form."""
        return "ternary"


Integral = Int | Bipolar | Ternary
Element = Real | Integral


def is_integral(elem: Element) -> bool:
    """Tell whether `elem` is one of the integer types."""
    return not isinstance(elem, Real)


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and shape of one value. The shape is ONNX's, a batch axis of 1 included."""

    elem: Element
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def integer(self) -> Integral:
        """The element type, known to be an integer one; VerifyError when it is real."""
        if isinstance(self.elem, Real):
            raise VerifyError("an integer tensor was expected, this one is real")
        return self.elem

    def __str__(self) -> str:
        """Return the text form, such as `int[0,3](1,64)`."""
        return f"{self.elem}({','.join(map(str, self.shape))})"
