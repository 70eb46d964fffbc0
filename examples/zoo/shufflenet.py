"""ShuffleNet v1: 1x1 convolutions in groups, with a channel shuffle (Zhang et al. 2017)."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn


def shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Move channel c of (n, channels, height, width) to (c mod m) * groups + c // m.

    m is the number of channels of a group. A shuffle with m groups undoes it.
    """
    per_group = x.shape[1] // groups
    return x.unflatten(1, (groups, per_group)).transpose(1, 2).flatten(1, 2)


class ShuffleUnit(nn.Module):
    """1x1 in groups, shuffle, 3x3 of each channel alone, 1x1 in groups; a shortcut beside it."""

    def __init__(self, inputs: int, outputs: int, groups: int, stride: int, first: int) -> None:
        """Make the unit of figure 2; `first` is the number of groups of the first 1x1.

        With stride 2 the shortcut is an average pool, and the outputs are both, concatenated.
        """
        super().__init__()
        inner = outputs // 4
        made = outputs - inputs if stride == 2 else outputs
        self.groups = groups
        self.reduce = nn.Conv2d(inputs, inner, 1, groups=first, bias=False)
        self.reduce_norm = nn.BatchNorm2d(inner)
        self.depthwise = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(inner)
        self.expand = nn.Conv2d(inner, made, 1, groups=groups, bias=False)
        self.expand_norm = nn.BatchNorm2d(made)
        self.pool = nn.AvgPool2d(3, 2, padding=1) if stride == 2 else None
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, outputs, height / stride, width / stride)."""
        y = self.relu(self.reduce_norm(self.reduce(x)))
        y = self.depthwise_norm(self.depthwise(shuffle(y, self.groups)))
        y = self.expand_norm(self.expand(y))
        if self.pool is None:
            return self.relu(x + y)
        return self.relu(torch.cat([self.pool(x), y], dim=1))


@dataclass(frozen=True)
class Layout:
    """Colours, channels of the stem, (channels, units) of each stage, and classes."""

    colours: int
    stem: int
    stages: tuple[tuple[int, int], ...]
    classes: int


FULL = Layout(3, 24, ((240, 4), (480, 8), (960, 4)), 1000)
SMALL = Layout(1, 12, ((36, 2), (72, 2)), 10)


def shufflenet(groups: int = 3, layout: Layout = FULL, *, pool: bool = True) -> nn.Sequential:
    """Return ShuffleNet; as it stands 1x with 3 groups, for 224x224 images (table 1).

    The first 1x1 of all is not in groups, because it reads few channels. `pool` is the max pool
    behind the stem, which small images do without.
    """
    channels = layout.stem
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Conv2d(layout.colours, channels, 3, stride=2, padding=1, bias=False),
        stem_norm=nn.BatchNorm2d(channels),
        stem_relu=nn.ReLU(),
    )
    if pool:
        layers["stem_pool"] = nn.MaxPool2d(3, 2, padding=1)
    for number, (outputs, units) in enumerate(layout.stages, start=2):
        for k in range(units):
            first = 1 if number == 2 and k == 0 else groups
            stride = 2 if k == 0 else 1
            layers[f"stage{number}_{k + 1}"] = ShuffleUnit(channels, outputs, groups, stride, first)
            channels = outputs
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, layout.classes)
    return nn.Sequential(layers)


def shufflenet_small() -> nn.Sequential:
    """Return four units in 3 groups, for 28x28 digits."""
    return shufflenet(3, SMALL, pool=False)
