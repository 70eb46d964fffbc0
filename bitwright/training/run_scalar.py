"""The scalar functions of the IR in torch."""

from collections.abc import Callable
from math import pi, sqrt

import torch
from torch.nn import functional

from bitwright.ir.ops import Function as Scalar
from bitwright.training.base import Tensor
from bitwright.training.ste import rounded, through

Curve = Callable[[Tensor, float, float], Tensor]
_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def _hard_sigmoid(x: Tensor, a: float, b: float) -> Tensor:
    return torch.clamp(x * a + b, 0, 1)


def _softplus(x: Tensor) -> Tensor:
    return torch.clamp(x, min=0) + torch.log1p(torch.exp(-x.abs()))


def _elu(x: Tensor, a: float) -> Tensor:
    return torch.where(x < 0, a * torch.expm1(torch.clamp(x, max=0)), x)


def _gelu_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))


CURVES: dict[Scalar, Curve] = {
    Scalar.RELU: lambda x, _a, _b: functional.relu(x),
    Scalar.LEAKY_RELU: lambda x, a, _b: torch.where(x < 0, x * a, x),
    Scalar.SIGMOID: lambda x, _a, _b: torch.sigmoid(x),
    Scalar.TANH: lambda x, _a, _b: torch.tanh(x),
    Scalar.HARD_SIGMOID: _hard_sigmoid,
    Scalar.HARD_SWISH: lambda x, _a, _b: x * _hard_sigmoid(x, 1 / 6, 0.5),
    Scalar.ELU: lambda x, a, _b: _elu(x, a),
    Scalar.SELU: lambda x, a, b: b * _elu(x, a),
    Scalar.CELU: lambda x, a, _b: (
        torch.clamp(x, min=0) + a * torch.expm1(torch.clamp(x / a, max=0))
    ),
    Scalar.SOFTPLUS: lambda x, _a, _b: _softplus(x),
    Scalar.SOFTSIGN: lambda x, _a, _b: x / (1 + x.abs()),
    Scalar.THRESHOLDED_RELU: lambda x, a, _b: torch.where(x > a, x, torch.zeros_like(x)),
    Scalar.GELU: lambda x, _a, _b: 0.5 * x * (1 + torch.erf(x / sqrt(2))),
    Scalar.GELU_TANH: lambda x, _a, _b: _gelu_tanh(x),
    Scalar.MISH: lambda x, _a, _b: x * torch.tanh(_softplus(x)),
    Scalar.SWISH: lambda x, a, _b: x * torch.sigmoid(x * a),
    Scalar.NEG: lambda x, _a, _b: -x,
    Scalar.ABS: lambda x, _a, _b: x.abs(),
    Scalar.EXP: lambda x, _a, _b: torch.exp(x),
    Scalar.LOG: lambda x, _a, _b: torch.log(x),
    Scalar.SQRT: lambda x, _a, _b: torch.sqrt(x),
    Scalar.RECIPROCAL: lambda x, _a, _b: 1 / x,
    Scalar.ERF: lambda x, _a, _b: torch.erf(x),
    Scalar.FLOOR: lambda x, _a, _b: through(torch.floor(x), x),
    Scalar.CEIL: lambda x, _a, _b: through(torch.ceil(x), x),
    Scalar.ROUND: lambda x, _a, _b: rounded(x),
}
