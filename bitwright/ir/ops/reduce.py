"""Real operations over whole axes: reductions, normalizations, resampling."""

from dataclasses import dataclass
from enum import Enum

from bitwright.ir.ops.base import Op
from bitwright.ir.types import Real, TensorType


class Reduction(Enum):
    """How a reduction joins elements."""

    MEAN = "mean"
    SUM = "sum"
    MAX = "max"
    MIN = "min"
    PROD = "prod"
    L1 = "l1"
    L2 = "l2"
    SUM_SQUARE = "sum_square"
    LOG_SUM = "log_sum"
    LOG_SUM_EXP = "log_sum_exp"


def _check_axes(op: Op, axes: tuple[int, ...]) -> None:
    rank = len(op.inputs[0].shape)
    ok = list(axes) == sorted(set(axes)) and all(0 <= a < rank for a in axes)
    op.expect(ok, f"axes {axes} are not ascending axes of {op.inputs[0].shape}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduce(Op):
    """Join all elements along `axes`, which become 1, or vanish unless `keep`."""

    kind: Reduction
    axes: tuple[int, ...]
    keep: bool = True

    def infer(self) -> TensorType:
        """Shrink or drop the axes."""
        _check_axes(self, self.axes)
        x = self.inputs[0].shape
        kept = ((1 if i in self.axes else d) for i, d in enumerate(x))
        dropped = (d for i, d in enumerate(x) if i not in self.axes)
        return TensorType(Real(), tuple(kept) if self.keep else tuple(dropped))


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalize(Op):
    """`y = (x - mean) / sqrt(variance + epsilon)`, mean and variance taken along `axes`."""

    axes: tuple[int, ...]
    epsilon: float

    def infer(self) -> TensorType:
        """Keep the shape."""
        _check_axes(self, self.axes)
        return TensorType(Real(), self.inputs[0].shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalResponseNorm(Op):
    """`y = x / (bias + alpha / size * sum of squares)^beta`; the sum runs over channels nearby.

    These are `size` channels of the last axis, from (size - 1) // 2 before to size // 2 after.
    """

    size: int
    alpha: float
    beta: float
    bias: float

    def infer(self) -> TensorType:
        """Keep the shape."""
        self.expect(self.size >= 1, f"size {self.size} is less than 1")
        return TensorType(Real(), self.inputs[0].shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resample(Op):
    """`y[.., i, ..] = sum_t weights[i, t] * x[.., positions[i, t], ..]` along `axis`.

    Operands x, positions (n, T) int64 and weights (n, T): linear and cubic interpolation.
    """

    axis: int

    def infer(self) -> TensorType:
        """Give `axis` as many elements as there are rows of weights."""
        x, p, w = (v.shape for v in self.inputs)
        self.expect(0 <= self.axis < len(x), f"axis {self.axis} is outside {x}")
        self.expect(len(p) == 2 and p == w, f"positions {p} and weights {w} differ")  # noqa: PLR2004
        return TensorType(Real(), (*x[: self.axis], p[0], *x[self.axis + 1 :]))
