"""The base of every weight quantizer: what torch computes with is what will be deployed."""

import numpy as np
import torch

from bitwright.passes.weights import Weights
from bitwright.training.base import Module, Tensor, per_row
from bitwright.training.ste import nearest_pow2, through


class WeightQuantizer(Module):
    """Weights (O, ..., I) to integers times a scale of each output.

    `grid` is the method; `forward` gives codes times scale with the gradient of the weights (the
    straight-through estimator), unless a method has its own in `values`. A `mask` keeps pruned
    weights at 0. `clip`, where it is not 0, bounds the weights after each step.
    """

    clip = 0.0

    def __init__(self, w: Tensor, *, pow2_scale: bool = False) -> None:
        """Prepare for weights like `w`."""
        super().__init__()
        self.pow2_scale = pow2_scale
        self.register_buffer("mask", None)
        self.shape = tuple(w.shape)

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes, like `w` but whole numbers, and the scale, (O,) or (1,)."""
        raise NotImplementedError

    def values(self, w: Tensor) -> Tensor:
        """Return what stands for `w`, with gradients; pruned weights are 0 in `w` already."""
        with torch.no_grad():
            codes, scale = self.grid(w)
            found = codes * per_row(scale, w.ndim)
        return through(found, w)

    def forward(self, w: Tensor) -> Tensor:
        """Return the weights that the layer computes with."""
        return self.values(w) if self.mask is None else self.values(w * self.mask) * self.mask

    def codes_and_scale(self, w: Tensor) -> Weights | None:
        """Return exactly what is deployed; None where the layer keeps its floats."""
        with torch.no_grad():
            kept = w if self.mask is None else w * self.mask
            codes, scale = self.grid(kept)
            codes = codes if self.mask is None else codes * self.mask
        whole = codes.to(torch.int64).numpy().copy()
        each = scale.detach().to(torch.float64).numpy().reshape(-1)
        return Weights(whole, np.array(np.broadcast_to(each, (whole.shape[0],))))

    def alive(self, scale: Tensor) -> Tensor:
        """Return positive scales, as powers of two where that is asked for; 1 where one is 0."""
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        return nearest_pow2(scale) if self.pow2_scale else scale


class Float(WeightQuantizer):
    """Weights that stay as they are, but for the pruned ones."""

    def values(self, w: Tensor) -> Tensor:
        """Return the weights."""
        return w

    def codes_and_scale(self, w: Tensor) -> Weights | None:
        """Return None: nothing is coded."""
        del w
        return None
