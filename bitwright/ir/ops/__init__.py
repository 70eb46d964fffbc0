"""The operations of the IR: one frozen dataclass each; reading this list is reading the IR."""

from bitwright.ir.ops.base import Op, Value, build
from bitwright.ir.ops.index import Concat, Pad, Permute, Reshape, Take, Transpose
from bitwright.ir.ops.integer import (
    EXACT,
    AddInt,
    Encoding,
    Exactness,
    IntConv,
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
from bitwright.ir.ops.reduce import (
    LocalResponseNorm,
    Normalize,
    Reduce,
    Reduction,
    Resample,
)
from bitwright.ir.ops.spatial import (
    AveragePool,
    Conv,
    ConvTranspose,
    MaxPool,
    MinPool,
    SumPool,
)
from bitwright.ir.ops.window import Window, plain_window

ALL_OPS: tuple[type[Op], ...] = (
    Linear,
    Arithmetic,
    Activation,
    PRelu,
    Clip,
    BatchNorm,
    Softmax,
    Conv,
    ConvTranspose,
    AveragePool,
    Reduce,
    Normalize,
    LocalResponseNorm,
    Resample,
    Quantize,
    Binarize,
    Sign,
    CountThresholds,
    Dequantize,
    ArgMax,
    Reshape,
    Transpose,
    Permute,
    Take,
    Pad,
    Concat,
    MaxPool,
    MinPool,
    IntLinear,
    IntConv,
    SumPool,
    Steps,
    Requantize,
    Lookup,
    AddInt,
)

__all__ = [
    "ALL_OPS", "EXACT", "Activation", "AddInt", "ArgMax", "Arith", "Arithmetic", "AveragePool",
    "BatchNorm", "Binarize", "Clip", "Concat", "Conv", "ConvTranspose", "CountThresholds",
    "Dequantize", "Encoding", "Exactness", "Function", "IntConv", "IntLinear", "Linear",
    "LocalResponseNorm", "Lookup", "MaxPool", "MinPool", "Normalize", "Op", "PRelu", "Pad",
    "Permute", "Quantize", "Reduce", "Reduction", "Requantize", "Resample", "Reshape", "Round",
    "Rounding", "Sign", "Softmax", "Steps", "SumPool", "Take", "Transpose", "Value", "Window",
    "build", "plain_window",
]  # fmt: skip
