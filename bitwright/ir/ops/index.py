"""Index maps: operations that only move elements. They hold for real and integer tensors."""

from dataclasses import dataclass

from bitwright.ir.ops.base import Op, same_size
from bitwright.ir.types import TensorType


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
