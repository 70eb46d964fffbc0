"""The base of every operation: what it reads, what it defines, where it came from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeVar

from bitwright.errors import VerifyError
from bitwright.ir.types import Element, Real, TensorType


@dataclass(frozen=True, slots=True)
class Value:
    """A named tensor: a graph input, a constant, or what one op defines."""

    name: str
    type: TensorType

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor."""
        return self.type.shape

    @property
    def elem(self) -> Element:
        """The element type of the tensor."""
        return self.type.elem


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation. Reads `inputs`, defines `output`, came from the ONNX node `loc`."""

    inputs: tuple[Value, ...]
    output: Value
    loc: str

    def infer(self) -> TensorType:
        """Return the type of the result; VerifyError where the operands do not fit."""
        raise NotImplementedError

    def verify(self) -> None:
        """Raise VerifyError unless operands and result fit this operation."""
        want = self.infer()
        if self.output.type != want:
            raise VerifyError(f"{self.loc}: result is {self.output.type}, expected {want}")

    @property
    def name(self) -> str:
        """The name of the value this op defines."""
        return self.output.name

    def expect(self, rule: bool, text: str) -> None:
        """Raise VerifyError with this op's location unless `rule` holds."""
        if not rule:
            raise VerifyError(f"{self.loc}: {type(self).__name__}: {text}")


_PENDING = TensorType(Real(), ())
T = TypeVar("T", bound=Op)


def build(
    kind: Callable[..., T], inputs: tuple[Value, ...], name: str, loc: str, /, **attributes: Any
) -> T:
    """Build an op whose result type is inferred from its operands and attributes."""
    probe = kind(inputs=inputs, output=Value(name, _PENDING), loc=loc, **attributes)
    return replace(probe, output=Value(name, probe.infer()))


def rebuilt(op: T, inputs: tuple[Value, ...], name: str, /, **attributes: Any) -> T:
    """Return `op` on other operands under another name, its result type inferred again."""
    probe = replace(op, inputs=inputs, output=Value(name, _PENDING), **attributes)
    return replace(probe, output=Value(name, probe.infer()))


def broadcast(loc: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that numpy broadcasting gives, or raise VerifyError."""
    rank = max(len(s) for s in shapes)
    padded = [(1,) * (rank - len(s)) + s for s in shapes]
    out = []
    for dims in zip(*padded, strict=True):
        sizes = {d for d in dims if d != 1}
        if len(sizes) > 1:
            raise VerifyError(f"{loc}: shapes {' and '.join(map(str, shapes))} do not broadcast")
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


def channel_shape(size: int, axis: int, rank: int) -> tuple[int, ...]:
    """Return the shape that lays `size` parameters along `axis` of a rank-`rank` tensor."""
    if size == 1:
        return (1,) * rank
    return tuple(size if i == axis % rank else 1 for i in range(rank))


def same_size(loc: str, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    """Raise VerifyError unless both shapes hold the same number of elements."""
    if prod(before) != prod(after):
        raise VerifyError(f"{loc}: cannot reshape {before} to {after}")
