"""Straight-through estimators: forward a step, backward a gradient that can be followed."""

from typing import Any

import torch

from bitwright.training.base import Function, Tensor


class _Sign(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


def sign(x: Tensor) -> Tensor:
    """Return -1 or +1, at 0 too +1; the gradient passes where |x| <= 1.

    BNN (Courbariaux et al. 2016), equation 4.
    """
    return _Sign.apply(x)


def through(forward: Tensor, x: Tensor) -> Tensor:
    """Return exactly `forward`, with the gradient of `x`."""
    return forward.detach() + (x - x.detach()) if x.requires_grad else forward


def rounded(x: Tensor) -> Tensor:
    """Return x rounded half to even; the gradient passes unchanged."""
    return through(torch.round(x.detach()), x)


def scaled_gradient(x: Tensor, factor: float) -> Tensor:
    """Return `x`, whose gradient is multiplied by `factor`."""
    return through(x.detach(), x * factor)


def nearest_pow2(scale: Tensor) -> Tensor:
    """Return the power of two nearest in the logarithm; the gradient passes unchanged."""
    return through(torch.exp2(torch.round(torch.log2(scale.detach()))), scale)
