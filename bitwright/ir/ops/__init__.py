"""The operations of the IR: one frozen dataclass each; reading this list is reading the IR."""

from bitwright.ir.ops.base import Op, Value, build
from bitwright.ir.ops.index import Permute, Reshape, Transpose
from bitwright.ir.ops.integer import (
    EXACT,
    AddInt,
    Encoding,
    Exactness,
    IntLinear,
    Lookup,
    Requantize,
    Round,
    Steps,
)
from bitwright.ir.ops.real import (
    Activation,
    ArgMax,
    Arith,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    CountThresholds,
    Dequantize,
    Function,
    Linear,
    PRelu,
    Quantize,
    Rounding,
    Sign,
    Softmax,
)

ALL_OPS: tuple[type[Op], ...] = (
    Linear,
    Arithmetic,
    Activation,
    PRelu,
    Clip,
    BatchNorm,
    Softmax,
    Quantize,
    Binarize,
    Sign,
    CountThresholds,
    Dequantize,
    ArgMax,
    Reshape,
    Transpose,
    Permute,
    IntLinear,
    Steps,
    Requantize,
    Lookup,
    AddInt,
)

__all__ = [
    "ALL_OPS", "EXACT", "Activation", "AddInt", "ArgMax", "Arith", "Arithmetic", "BatchNorm",
    "Binarize", "Clip", "CountThresholds", "Dequantize", "Encoding", "Exactness", "Function",
    "IntLinear", "Linear", "Lookup", "Op", "PRelu", "Permute", "Quantize", "Requantize", "Reshape",
    "Round", "Rounding", "Sign", "Softmax", "Steps", "Transpose", "Value", "build",
]  # fmt: skip
