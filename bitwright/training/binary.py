"""Binary weights: BinaryConnect, BNN, BWN (XNOR-Net) and the binary case of DoReFa."""

from math import prod, sqrt

import torch

from bitwright.training.base import Tensor, per_row, rows
from bitwright.training.quantizer import WeightQuantizer
from bitwright.training.ste import nearest_pow2, sign, through


def signs(w: Tensor) -> Tensor:
    """Return -1 or +1, at 0 too +1."""
    return torch.where(w >= 0, 1.0, -1.0).to(w.dtype)


def glorot(shape: tuple[int, ...]) -> float:
    """Return H = sqrt(1.5 / (fan_in + fan_out)) for weights (O, ..., I)."""
    outputs, field, inputs = shape[0], prod(shape[1:-1]), shape[-1]
    return sqrt(1.5 / ((inputs + outputs) * field))


class FixedSign(WeightQuantizer):
    """+-H for a constant H: BNN with H = 1, deterministic BinaryConnect with Glorot's H.

    BinaryConnect (Courbariaux et al. 2015), section 2.3; BNN (2016). A batch norm after the layer
    absorbs H.
    """

    def __init__(self, w: Tensor, size: float, *, pow2_scale: bool = False) -> None:
        """Take H, rounded to a power of two where that is asked for."""
        super().__init__(w, pow2_scale=pow2_scale)
        self.size = float(nearest_pow2(torch.tensor(size))) if pow2_scale else size
        self.clip = self.size

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return signs and H."""
        return signs(w), w.new_full((1,), self.size)

    def values(self, w: Tensor) -> Tensor:
        """Return +-H; the gradient passes where |w| <= H."""
        return through(signs(w) * self.size, torch.clamp(w, -self.size, self.size))


class StochasticSign(FixedSign):
    """+H with probability clip((w / H + 1) / 2, 0, 1), drawn anew for each batch while training.

    BinaryConnect, section 2.3. What is deployed is the sign, with batch norms estimated for it.
    """

    def values(self, w: Tensor) -> Tensor:
        """Return +-H, by chance in training mode."""
        if not self.training:
            return super().values(w)
        chance = torch.clamp((w.detach() / self.size + 1) / 2, 0, 1)
        drawn = torch.where(torch.rand_like(chance) < chance, self.size, -self.size).to(w.dtype)
        return through(drawn, torch.clamp(w, -self.size, self.size))


class ScaledSign(WeightQuantizer):
    """alpha * sign(w) with alpha = mean |w| of an output, or of the layer (DoReFa).

    XNOR-Net (Rastegari et al. 2016), section 3.1; of a pruned output alpha is the mean of what is
    left. The gradient is that of the product: through alpha, and through the sign where |w| <= 1.
    """

    clip = 1.0

    def __init__(self, w: Tensor, *, by_output: bool = True, pow2_scale: bool = False) -> None:
        """Choose whether each output has an alpha of its own."""
        super().__init__(w, pow2_scale=pow2_scale)
        self.by_output = by_output

    def scale(self, w: Tensor) -> Tensor:
        """Return alpha, (O,) or (1,)."""
        flat = rows(w) if self.by_output else w.reshape(1, -1)
        if self.mask is None:
            return self.alive(flat.abs().mean(dim=1))
        kept = self.mask.reshape(flat.shape).sum(dim=1)
        return self.alive(flat.abs().sum(dim=1) / torch.clamp(kept, min=1))

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return signs and alpha."""
        return signs(w), self.scale(w)

    def values(self, w: Tensor) -> Tensor:
        """Return alpha times the sign."""
        return sign(w) * per_row(self.scale(w), w.ndim)
