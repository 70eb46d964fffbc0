"""Shared weights: few values for a layer, learned, each the sum of its members' gradients."""

import numpy as np
import torch

from bitwright.passes.compress.share import cluster
from bitwright.training.base import Tensor
from bitwright.training.quantizer import WeightQuantizer
from bitwright.training.ste import nearest_pow2, rounded

_TOP = 127
_LEAST = 1e-8


class Shared(WeightQuantizer):
    """Each weight is one of a few centroids; membership stays as k-means found it.

    Deep Compression (Han et al. 2016), section 3. Centroids lie on a grid of 8 bits, the greatest
    magnitude at its end.
    """

    def __init__(
        self, w: Tensor, count: int, mask: Tensor | None = None, *, pow2_scale: bool = False
    ) -> None:
        """Cluster the weights that `mask` leaves, to at most `count` centroids, by linear start."""
        super().__init__(w, pow2_scale=pow2_scale)
        flat = w.detach().reshape(-1)
        alive = flat if mask is None else flat[mask.reshape(-1) > 0]
        found = cluster(alive.numpy().astype(np.float64), count) if alive.numel() else np.zeros(1)
        start = torch.tensor(found, dtype=w.dtype)
        middles = (start[1:] + start[:-1]) / 2
        self.register_buffer("labels", torch.bucketize(flat, middles).reshape(self.shape))
        self.centroids = torch.nn.Parameter(start)

    def step(self) -> Tensor:
        """Return the unit of the centroids, (1,)."""
        greatest = self.centroids.detach().abs().max().reshape(1).clamp(min=_LEAST)
        if self.pow2_scale:
            return nearest_pow2(greatest / _TOP * 2**0.5)
        return greatest / _TOP

    def codes(self) -> Tensor:
        """Return the centroids in units of the step."""
        return rounded(torch.clamp(self.centroids / self.step(), -_TOP, _TOP))

    def grid(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the code of each weight's centroid, and the step."""
        del w
        return self.codes()[self.labels], self.step()

    def values(self, w: Tensor) -> Tensor:
        """Return each weight's centroid; gradients go to the centroids alone."""
        del w
        return (self.codes() * self.step())[self.labels]
