"""Ternary weights: TWN with its exact optimum, and TTQ with two learned sizes."""

import torch

from bitwright.training.base import Tensor, rows
from bitwright.training.quantizer import WeightQuantizer
from bitwright.training.ste import nearest_pow2, rounded, through

_TOP = 127  # the codes of TTQ's two sizes
_LEAST = 1e-8


class Ternary(WeightQuantizer):
    """alpha * {-1, 0, +1} by output, the best by squared error, found by sorting.

    Ternary Weight Networks (Li et al. 2016): equation 3 is maximised exactly by the k greatest
    magnitudes with S_k^2 / k greatest, S_k their sum; alpha = S_k / k.
    """

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ternary codes and alpha."""
        magnitude = rows(w.abs())
        ordered = torch.sort(magnitude, dim=1, descending=True).values
        count = torch.arange(1, ordered.shape[1] + 1, dtype=w.dtype)
        best = torch.argmax(ordered.cumsum(dim=1) ** 2 / count, dim=1, keepdim=True)
        kept = (magnitude >= ordered.gather(1, best)) & (magnitude > 0)
        total = torch.where(kept, magnitude, 0.0).sum(dim=1)
        alpha = self.alive(total / torch.clamp(kept.sum(dim=1), min=1))
        return torch.where(kept.reshape(w.shape), torch.sign(w), torch.zeros_like(w)), alpha


class TrainedTernary(WeightQuantizer):
    """+Wp where w > delta, -Wn where w < -delta, else 0; Wp and Wn are learned, one pair a layer.

    Trained Ternary Quantization (Zhu et al. 2017): delta = 0.05 max |w|; the gradient of w is
    scaled by Wp, 1 or Wn. Both sizes lie on one grid of 127 steps, the greater at its end, so that
    the weights are codes of 8 bits with three values.
    """

    def __init__(self, w: Tensor, *, threshold: float = 0.05, pow2_scale: bool = False) -> None:
        """Start with the mean magnitude on each side."""
        super().__init__(w, pow2_scale=pow2_scale)
        self.threshold = threshold
        above, below = self.sides(w.detach())
        starts = [
            w.detach().abs()[side].mean() if side.any() else w.new_tensor(1.0)
            for side in (above, below)
        ]
        self.sizes = torch.nn.Parameter(torch.stack(starts).clone())

    def sides(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return where weights are positive and where they are negative."""
        delta = self.threshold * w.abs().max()
        return w > delta, w < -delta

    def step(self) -> Tensor:
        """Return the unit of both sizes, (1,)."""
        greatest = self.sizes.detach().abs().max().reshape(1).clamp(min=_LEAST)
        if self.pow2_scale:
            return nearest_pow2(greatest / _TOP * 2**0.5)
        return greatest / _TOP

    def codes(self) -> Tensor:
        """Return Wp and Wn in units of the step, whole numbers of 1 to 127."""
        return rounded(torch.clamp(self.sizes.abs() / self.step(), 1, _TOP))

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes of three values and the step."""
        above, below = self.sides(w)
        up, down = self.codes()
        return above * up - below * down, self.step()

    def values(self, w: Tensor) -> Tensor:
        """Return the ternary weights, with gradients for w and for both sizes."""
        above, below = self.sides(w.detach())
        up, down = self.codes() * self.step()
        slope = torch.where(above, up.detach(), torch.where(below, down.detach(), 1.0))
        value = above * up - below * down
        return value + through(torch.zeros_like(w), w * slope)
