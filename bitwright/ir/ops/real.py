"""Real operations: what ONNX means, float32 in the model, any float type in evaluation."""

from dataclasses import dataclass
from enum import Enum
from math import inf

from bitwright.ir.ops.base import Op, broadcast
from bitwright.ir.types import Bipolar, Element, Int, Real, TensorType, Ternary


class Arith(Enum):
    """A binary function of two broadcast operands."""

    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    POW = "pow"
    MIN = "min"
    MAX = "max"


class Function(Enum):
    """A scalar function; `alpha` and `beta` are ONNX's attributes of those names."""

    RELU = "relu"
    LEAKY_RELU = "leaky_relu"
    SIGMOID = "sigmoid"
    TANH = "tanh"
    HARD_SIGMOID = "hard_sigmoid"
    HARD_SWISH = "hard_swish"
    ELU = "elu"
    SELU = "selu"
    CELU = "celu"
    SOFTPLUS = "softplus"
    SOFTSIGN = "softsign"
    THRESHOLDED_RELU = "thresholded_relu"
    GELU = "gelu"
    GELU_TANH = "gelu_tanh"
    MISH = "mish"
    SWISH = "swish"
    NEG = "neg"
    ABS = "abs"
    EXP = "exp"
    LOG = "log"
    SQRT = "sqrt"
    RECIPROCAL = "reciprocal"
    ERF = "erf"
    FLOOR = "floor"
    CEIL = "ceil"
    ROUND = "round"


class Rounding(Enum):
    """How a real becomes an integer; the names are QONNX's."""

    HALF_EVEN = "ROUND"
    HALF_UP = "HALF_UP"
    HALF_DOWN = "HALF_DOWN"
    FLOOR = "FLOOR"
    CEIL = "CEIL"
    UP = "UP"
    DOWN = "DOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Op):
    """`y[..., o] = sum_i w[o, i] * x[..., i] (+ b[o])`; operands x, w and, when given, b."""

    def infer(self) -> TensorType:
        """Keep all axes of x but the last, which becomes the number of outputs."""
        x, w = self.inputs[0].shape, self.inputs[1].shape
        self.expect(len(w) == 2, f"the weight has shape {w}, expected two axes")  # noqa: PLR2004
        self.expect(len(x) >= 1 and x[-1] == w[1], f"input {x} does not fit weight {w}")
        if len(self.inputs) == 3:  # noqa: PLR2004
            bias = self.inputs[2].shape
            self.expect(bias == (w[0],), f"the bias has shape {bias}, expected ({w[0]},)")
        return TensorType(Real(), (*x[:-1], w[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic(Op):
    """`y = kind(a, b)` with numpy broadcasting."""

    kind: Arith

    def infer(self) -> TensorType:
        """Broadcast the two shapes."""
        return TensorType(Real(), broadcast(self.loc, self.inputs[0].shape, self.inputs[1].shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation(Op):
    """`y = kind(x)`, element by element."""

    kind: Function
    alpha: float = 0.0
    beta: float = 0.0

    def infer(self) -> TensorType:
        """Keep the shape."""
        return TensorType(Real(), self.inputs[0].shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class PRelu(Op):
    """`y = x if x >= 0 else slope * x`; the slope broadcasts."""

    def infer(self) -> TensorType:
        """Keep the shape of x."""
        x, slope = (v.shape for v in self.inputs)
        self.expect(broadcast(self.loc, x, slope) == x, f"slope {slope} does not fit {x}")
        return TensorType(Real(), x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(Op):
    """`y = min(max(x, lo), hi)`."""

    lo: float = -inf
    hi: float = inf

    def infer(self) -> TensorType:
        """Keep the shape."""
        return TensorType(Real(), self.inputs[0].shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm(Op):
    """`y = (x - mean) / sqrt(var + epsilon) * gamma + beta` along `axis`; x, gamma, beta, mean, var."""

    epsilon: float
    axis: int = 1

    def infer(self) -> TensorType:
        """Keep the shape; every parameter has one number per channel."""
        x = self.inputs[0].shape
        self.expect(0 <= self.axis < len(x), f"axis {self.axis} is outside {x}")
        for v in self.inputs[1:]:
            self.expect(v.shape == (x[self.axis],), f"{v.name!r} is {v.shape}, input is {x}")
        return TensorType(Real(), x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(Op):
    """Softmax (or its logarithm) over the axes from `axis` up to, not including, `end`."""

    axis: int
    end: int
    log: bool = False

    def infer(self) -> TensorType:
        """Keep the shape."""
        x = self.inputs[0].shape
        self.expect(0 <= self.axis < self.end <= len(x), f"{self.axis}..{self.end} is outside {x}")
        return TensorType(Real(), x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantize(Op):
    """`q = round(clamp(x / scale + zero, lo, hi))`; operands x, scale, zero; lo and hi of `elem`.

    Scale and zero are scalars (one element) or lie along `axis`. With `zero_after`, as ONNX (not
    QONNX) has it, `q = clamp(round(x / scale) + zero, lo, hi)`: ties differ where zero is odd.
    """

    elem: Int
    rounding: Rounding = Rounding.HALF_EVEN
    axis: int = -1
    zero_after: bool = False

    def infer(self) -> TensorType:
        """Keep the shape."""
        check_parameters(self, self.axis)
        return TensorType(self.elem, self.inputs[0].shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binarize(Op):
    """`q = +1 if x >= 0 else -1`."""

    def infer(self) -> TensorType:
        """Keep the shape."""
        return TensorType(Bipolar(), self.inputs[0].shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign(Op):
    """`q = -1, 0 or +1`, ONNX's Sign: sign(0) = 0."""

    def infer(self) -> TensorType:
        """Keep the shape."""
        return TensorType(Ternary(), self.inputs[0].shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountThresholds(Op):
    """`q = number of t in thresholds[c] with x >= t`; operands x and thresholds (1 or C, T)."""

    axis: int

    def infer(self) -> TensorType:
        """Keep the shape; the code is at most the number of thresholds."""
        x, t = (v.shape for v in self.inputs)
        self.expect(0 <= self.axis < len(x), f"axis {self.axis} is outside {x}")
        self.expect(len(t) == 2 and t[0] in (1, x[self.axis]), f"thresholds {t} do not fit {x}")  # noqa: PLR2004
        return TensorType(Int(0, t[1]), x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dequantize(Op):
    """`y = scale * (q - zero)`; operands q, scale, zero; parameters scalar or along `axis`."""

    axis: int = -1

    def infer(self) -> TensorType:
        """Keep the shape."""
        check_parameters(self, self.axis)
        return TensorType(Real(), self.inputs[0].shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgMax(Op):
    """Index of the greatest element along `axis`, the lowest index of equals; the axis becomes 1."""

    axis: int

    def infer(self) -> TensorType:
        """Shrink `axis` to one element."""
        x = self.inputs[0].shape
        self.expect(0 <= self.axis < len(x), f"axis {self.axis} is outside {x}")
        shape = tuple(1 if i == self.axis else d for i, d in enumerate(x))
        return TensorType(Int(0, max(x[self.axis] - 1, 0)), shape)


def check_parameters(op: Op, axis: int) -> None:
    """Raise VerifyError unless scale and zero are scalar or fit `axis` of the first operand."""
    x = op.inputs[0].shape
    for v in op.inputs[1:]:
        size = v.type.size
        fits = size == 1 or (-len(x) <= axis < len(x) and size == x[axis])
        op.expect(fits, f"{v.name!r} is {v.shape}, input is {x}")


def real_type(elem: Element) -> bool:
    """Tell whether `elem` is the real element type."""
    return isinstance(elem, Real)
