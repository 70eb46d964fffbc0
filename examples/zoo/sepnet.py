"""SEP-Net and its pattern residual block (Li et al. 2017)."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

GROUPS = 4


class PatternBlock(nn.Module):
    """A k x k convolution and a 1x1 convolution of the same input, added.

    Only the k x k one is meant for one bit a weight. In float both are one convolution (`merged`).
    """

    def __init__(self, channels: int, kernel: int = 3, groups: int = GROUPS) -> None:
        """Keep `channels` and the size of the image; `kernel` must be odd."""
        super().__init__()
        self.pattern = nn.Conv2d(
            channels, channels, kernel, padding=kernel // 2, groups=groups, bias=False
        )
        self.point = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, channels, height, width)."""
        y: torch.Tensor = self.pattern(x) + self.point(x)
        return y

    @torch.no_grad()
    def merged(self) -> nn.Conv2d:
        """Return one convolution that computes the same: the 1x1 weight on the centre tap."""
        wide = self.pattern
        size, channels = wide.kernel_size[0], wide.out_channels
        one = nn.Conv2d(channels, channels, size, padding=size // 2, groups=wide.groups, bias=False)
        one.weight.copy_(wide.weight)
        one.weight[:, :, size // 2, size // 2] += self.point.weight[:, :, 0, 0]
        return one


class SepModule(nn.Module):
    """Reduce by 1x1, two pattern blocks, recover by 1x1, and the input added."""

    def __init__(self, channels: int, inner: int) -> None:
        """Make all convolutions in groups of 4, a batch norm behind each block."""
        super().__init__()
        self.reduce = nn.Conv2d(channels, inner, 1, groups=GROUPS, bias=False)
        self.block1, self.block2 = PatternBlock(inner), PatternBlock(inner)
        self.recover = nn.Conv2d(inner, channels, 1, groups=GROUPS, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (inner, inner, inner, channels))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, channels, height, width)."""
        y = self.relu(self.norms[0](self.reduce(x)))
        y = self.relu(self.norms[1](self.block1(y)))
        y = self.relu(self.norms[2](self.block2(y)))
        return self.relu(x + self.norms[3](self.recover(y)))


def sepnet(
    widths: Sequence[int] = (64, 128, 256), colours: int = 3, classes: int = 10
) -> nn.Sequential:
    """Return a small SEP-Net: for each width a 3x3 convolution of stride 2 and a module."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    fan_in = colours
    for k, channels in enumerate(widths, start=1):
        layers[f"conv{k}"] = nn.Conv2d(fan_in, channels, 3, stride=2, padding=1, bias=False)
        layers[f"norm{k}"] = nn.BatchNorm2d(channels)
        layers[f"relu{k}"] = nn.ReLU()
        layers[f"module{k}"] = SepModule(channels, channels // 2)
        fan_in = channels
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(fan_in, classes)
    return nn.Sequential(layers)


def sepnet_small() -> nn.Sequential:
    """Return two modules of 16 and 32 channels, for 28x28 digits."""
    return sepnet((16, 32), colours=1)
