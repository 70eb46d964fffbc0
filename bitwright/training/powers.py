"""Weights that are powers of two: QNN's LogQuant, and INQ with its partition schedule."""

import torch

from bitwright.training.base import Tensor
from bitwright.training.quantizer import WeightQuantizer

_LINEAR = 0.75  # m becomes 2^floor(log2(m / 0.75)): the nearest level, as INQ has it
_LOGARITHMIC = 2**-0.5  # the nearest exponent


def exponents(largest: float, bits: int, middle: float = _LINEAR) -> tuple[int, int]:
    """Return the greatest and the least exponent, n1 and n2, for weights up to `largest`.

    INQ (Zhou et al. 2017): n1 = floor(log2(4 s / 3)), n2 = n1 + 1 - 2^(bits - 1) / 2.
    """
    n1 = int(_floor_log2(torch.tensor([largest or 1.0]) / middle))
    return n1, n1 + 1 - 2 ** (bits - 1) // 2


def _floor_log2(x: Tensor) -> Tensor:
    return torch.frexp(x).exponent - 1


def powers(w: Tensor, n1: int, n2: int, middle: float = _LINEAR) -> Tensor:
    """Return w in units of 2^n2 as 0 or +-2^0 ... +-2^(n1 - n2); above the greatest it stays there.

    `middle` m tells where rounding goes up: from 2 m 2^e on to 2^(e + 1). Below half of the least
    level (for m = 3/4; below m times it otherwise) a weight is 0.
    """
    magnitude = w.abs()
    e = torch.clamp(_floor_log2(magnitude / middle), n2, n1) - n2
    least = 0.5 if middle == _LINEAR else middle
    kept = magnitude >= least * 2.0**n2
    return torch.where(kept, torch.sign(w) * torch.exp2(e.to(w.dtype)), torch.zeros_like(w))


class LogQuant(WeightQuantizer):
    """clip(AP2(w), 2^n2, 2^n1) with AP2 the power of two nearest in the logarithm, or 0 below.

    Quantized Neural Networks (Hubara et al. 2016), section 3.1. A code stands for 0, as in INQ.
    """

    def __init__(self, w: Tensor, bits: int) -> None:
        """Choose the exponents from the weights."""
        super().__init__(w)
        self.n1, self.n2 = exponents(float(w.detach().abs().max()), bits, _LOGARITHMIC)
        self.clip = 2.0 ** (self.n1 + 0.5)

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the levels and their unit."""
        return powers(w, self.n1, self.n2, _LOGARITHMIC), w.new_full((1,), 2.0**self.n2)


class Incremental(WeightQuantizer):
    """Powers of two, a growing share of the weights frozen on them, the greatest first.

    Incremental Network Quantization (Zhou et al. 2017). Weights that are not frozen train as
    floats; n1 and n2 come from the weights before training.
    """

    def __init__(self, w: Tensor, bits: int) -> None:
        """Choose the exponents from the weights; nothing is frozen yet."""
        super().__init__(w)
        self.n1, self.n2 = exponents(float(w.detach().abs().max()), bits)
        self.register_buffer("frozen", torch.zeros(self.shape, dtype=torch.bool))
        self.register_buffer("fixed", torch.zeros(self.shape))

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the levels and their unit; frozen weights stay where they are."""
        unit = 2.0**self.n2
        now = torch.where(self.frozen, self.fixed.to(w.dtype), w)
        return powers(now, self.n1, self.n2), w.new_full((1,), unit)

    def values(self, w: Tensor) -> Tensor:
        """Return the frozen levels, and the others as floats."""
        return torch.where(self.frozen, self.fixed.to(w.dtype), w)

    def freeze(self, w: Tensor, share: float) -> None:
        """Freeze so many of the weights that are not pruned that `share` of them is frozen."""
        with torch.no_grad():
            now = torch.where(self.frozen, self.fixed, w)
            alive = torch.ones_like(self.frozen) if self.mask is None else self.mask > 0
            count = round(share * int(alive.sum())) - int((self.frozen & alive).sum())
            if count <= 0:
                return
            free = (alive & ~self.frozen).reshape(-1)
            rank = torch.where(free, now.abs().reshape(-1), -torch.ones_like(now.reshape(-1)))
            chosen = torch.sort(rank, descending=True, stable=True).indices[:count]
            levels = powers(now, self.n1, self.n2) * 2.0**self.n2
            self.fixed.view(-1)[chosen] = levels.reshape(-1)[chosen].to(self.fixed.dtype)
            self.frozen.view(-1)[chosen] = True
