"""Activation quantizers: what torch computes with is what `Plan.ranges` says."""

from math import sqrt

import torch

from bitwright.ir.types import Bipolar, Int
from bitwright.passes.compress.plan import Range
from bitwright.training.base import Module, Tensor
from bitwright.training.ste import nearest_pow2, rounded, scaled_gradient, sign

_LEAST = 1e-8


class BinaryAct(Module):
    """sign(x), +1 at 0; the gradient passes where |x| <= 1 (BNN, Courbariaux et al. 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return -1 or +1."""
        return sign(x)

    def range(self) -> Range:
        """Return what is deployed."""
        return Range(Bipolar(), 1.0)


class StepAct(Module):
    """clip(round(x / step), lo, hi) * step, the step fixed, or learned as in LSQ (Esser et al. 2020).

    The gradient of a learned step is scaled by 1 / sqrt(n hi), n being the elements of a sample.
    """

    def __init__(self, start: Range, *, learned: bool, pow2_scale: bool = False) -> None:
        """Start at a calibrated range."""
        super().__init__()
        assert isinstance(start.elem, Int)
        self.elem, self.learned, self.pow2_scale = start.elem, learned, pow2_scale
        step = torch.tensor(start.scale, dtype=torch.float32)
        if learned:
            self.step = torch.nn.Parameter(step)
        else:
            self.register_buffer("step", step)

    def size(self, elements: int = 1) -> Tensor:
        """Return the positive step."""
        step = self.step
        if self.learned:
            step = scaled_gradient(step, 1 / sqrt(elements * max(self.elem.hi, 1)))
            step = step.abs().clamp(min=_LEAST)
        return nearest_pow2(step) if self.pow2_scale else step

    def forward(self, x: Tensor) -> Tensor:
        """Return the reals that the codes stand for."""
        step = self.size(x[0].numel())
        return rounded(torch.clamp(x / step, self.elem.lo, self.elem.hi)) * step

    def range(self) -> Range:
        """Return what is deployed."""
        return Range(self.elem, float(self.size().detach()))


def dorefa_range(bits: int) -> Range:
    """Return the range of quantize_k(clip(x, 0, 1)) (DoReFa-Net, Zhou et al. 2016)."""
    return Range(Int(0, 2**bits - 1), 1 / (2**bits - 1))
