"""The scalar functions of ONNX in numpy, in the float type of their operand."""

from collections.abc import Callable
from fractions import Fraction
from math import erf, isfinite, sqrt
from typing import Any

import numpy as np

from bitwright.ir.graph import Array
from bitwright.ir.ops import Function

Scalar = Callable[[Array, float, float], Array]

_erf = np.vectorize(erf, otypes=[np.float64])
_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def in_type_of(x: Array, value: float) -> Any:
    """Return `value` as a number of the type in `x`; fractions, held as objects, stay exact."""
    if x.dtype == object and isfinite(value):
        return Fraction(value)
    return x.dtype.type(value)


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _erf_like(x: Array) -> Array:
    return np.asarray(_erf(x.astype(np.float64))) if x.size else x


def _hard_sigmoid(x: Array, a: float, b: float) -> Array:
    return np.asarray(np.clip(x * x.dtype.type(a) + x.dtype.type(b), 0, 1))


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


_TABLE: dict[Function, Scalar] = {
    Function.RELU: lambda x, _a, _b: np.maximum(x, 0),
    Function.LEAKY_RELU: lambda x, a, _b: np.where(x < 0, x * in_type_of(x, a), x),
    Function.SIGMOID: lambda x, _a, _b: _sigmoid(x),
    Function.TANH: lambda x, _a, _b: np.tanh(x),
    Function.HARD_SIGMOID: _hard_sigmoid,
    Function.HARD_SWISH: lambda x, _a, _b: x * _hard_sigmoid(x, 1 / 6, 0.5),
    Function.ELU: lambda x, a, _b: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x),
    Function.SELU: lambda x, a, b: b * np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x),
    Function.CELU: lambda x, a, _b: np.maximum(x, 0) + np.minimum(0, a * np.expm1(x / a)),
    Function.SOFTPLUS: lambda x, _a, _b: _softplus(x),
    Function.SOFTSIGN: lambda x, _a, _b: x / (1 + np.abs(x)),
    Function.THRESHOLDED_RELU: lambda x, a, _b: np.where(x > a, x, 0),
    Function.GELU: lambda x, _a, _b: 0.5 * x * (1 + _erf_like(x / sqrt(2))),
    Function.GELU_TANH: lambda x, _a, _b: _gelu_tanh(x),
    Function.MISH: lambda x, _a, _b: x * np.tanh(_softplus(x)),
    Function.SWISH: lambda x, a, _b: x * _sigmoid(x * a),
    Function.NEG: lambda x, _a, _b: -x,
    Function.ABS: lambda x, _a, _b: np.abs(x),
    Function.EXP: lambda x, _a, _b: np.exp(x),
    Function.LOG: lambda x, _a, _b: np.log(x),
    Function.SQRT: lambda x, _a, _b: np.sqrt(x),
    Function.RECIPROCAL: lambda x, _a, _b: 1 / x,
    Function.ERF: lambda x, _a, _b: _erf_like(x),
    Function.FLOOR: lambda x, _a, _b: np.floor(x),
    Function.CEIL: lambda x, _a, _b: np.ceil(x),
    Function.ROUND: lambda x, _a, _b: np.rint(x),
}


def scalar_function(kind: Function, x: Array, alpha: float, beta: float) -> Array:
    """Return `kind(x)` in the dtype of `x`."""
    with np.errstate(all="ignore"):
        return np.asarray(_TABLE[kind](x, alpha, beta)).astype(x.dtype)
