"""Evenly spaced weights: n-bit integers, LSQ, QNN's LinearQuant and DoReFa."""

from math import ceil, log2, sqrt

import torch

from bitwright.training.base import Tensor, per_row, rows
from bitwright.training.quantizer import WeightQuantizer
from bitwright.training.ste import nearest_pow2, rounded, scaled_gradient, through

_LEAST = 1e-8
_BYTE = 8


def ends(bits: int) -> tuple[int, int]:
    """Return the least and the greatest code; 8 bits leave -128 out."""
    top = 2 ** (bits - 1) - 1
    return (-top if bits >= _BYTE else -top - 1), top


class Integer(WeightQuantizer):
    """Symmetric integers; the greatest magnitude of an output has the greatest code."""

    def __init__(self, w: Tensor, bits: int, *, pow2_scale: bool = False) -> None:
        """Take the bits of a weight."""
        super().__init__(w, pow2_scale=pow2_scale)
        self.top = 2 ** (bits - 1) - 1

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest codes and the scales."""
        largest = rows(w.abs()).amax(dim=1)
        scale = self.alive(largest / self.top)
        codes = torch.round(w / per_row(scale, w.ndim))
        return torch.clamp(codes, -self.top, self.top), scale


class LearnedStep(WeightQuantizer):
    """Integers whose step is learned, one for each output.

    LSQ (Esser et al. 2020): the step starts at 2 mean |w| / sqrt(Q) and its gradient is scaled by
    1 / sqrt(n Q), with Q the greatest code and n the weights that share the step.
    """

    def __init__(self, w: Tensor, bits: int, *, pow2_scale: bool = False) -> None:
        """Start the steps from the weights."""
        super().__init__(w, pow2_scale=pow2_scale)
        self.lo, self.hi = ends(bits)
        mean = rows(w.detach().abs()).mean(dim=1)
        start = torch.where(mean > 0, 2 * mean / sqrt(self.hi), torch.ones_like(mean))
        self.step = torch.nn.Parameter(start.clone())
        self.factor = 1 / sqrt(w[0].numel() * self.hi)

    def steps(self) -> Tensor:
        """Return the positive steps (O,), with gradients."""
        step = scaled_gradient(self.step, self.factor).abs().clamp(min=_LEAST)
        return nearest_pow2(step) if self.pow2_scale else step

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest codes and the steps."""
        scale = self.steps()
        return torch.round(torch.clamp(w / per_row(scale, w.ndim), self.lo, self.hi)), scale

    def values(self, w: Tensor) -> Tensor:
        """Return codes times steps, with gradients for both."""
        scale = per_row(self.steps(), w.ndim)
        return rounded(torch.clamp(w / scale, self.lo, self.hi)) * scale


class LinearQuant(WeightQuantizer):
    """clip(round(w / step) step, -R, R - step) with 2^bits codes; R is the power of two over max |w|.

    Quantized Neural Networks (Hubara et al. 2016), section 3.1, where R is 1.
    """

    def __init__(self, w: Tensor, bits: int) -> None:
        """Choose R from the weights."""
        super().__init__(w)
        largest = float(w.detach().abs().max()) or 1.0
        self.clip = 2.0 ** ceil(log2(largest))
        self.half = 2 ** (bits - 1)

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest codes and the step."""
        step = self.clip / self.half
        return torch.clamp(torch.round(w / step), -self.half, self.half - 1), w.new_full((1,), step)


def quantize_k(r: Tensor, bits: int) -> Tensor:
    """Return r in [0, 1] on the 2^bits levels of DoReFa's equation 5, straight through."""
    top = 2**bits - 1
    return rounded(r * top) / top


class DoReFa(WeightQuantizer):
    """2 quantize_k(tanh(w) / (2 max |tanh(w)|) + 1/2) - 1: odd codes, 0 is not among them.

    DoReFa-Net (Zhou et al. 2016), equation 9. The values fill [-1, 1], so that a batch norm follows.
    """

    def __init__(self, w: Tensor, bits: int) -> None:
        """Take the bits of a weight, at least 2."""
        super().__init__(w)
        self.bits, self.top = bits, 2**bits - 1

    def squashed(self, w: Tensor) -> Tensor:
        """Return the weights in [0, 1]."""
        curve = torch.tanh(w)
        return curve / (2 * curve.detach().abs().max().clamp(min=_LEAST)) + 0.5

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the odd codes and 1 / (2^bits - 1)."""
        codes = 2 * torch.round(self.squashed(w) * self.top) - self.top
        return codes, w.new_full((1,), 1 / self.top)

    def values(self, w: Tensor) -> Tensor:
        """Return the quantized weights; the gradient goes through the tanh."""
        codes, scale = self.grid(w.detach())
        return through(codes * scale, 2 * self.squashed(w) - 1)
