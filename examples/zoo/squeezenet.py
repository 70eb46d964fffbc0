"""SqueezeNet 1.0 and its Fire module (Iandola et al. 2016, sections 3.2 and 3.3)."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

# Stages of (squeeze, expand 1x1, expand 3x3), a pool behind each stage but the last.
STAGES_1_0 = (
    ((16, 64, 64), (16, 64, 64), (32, 128, 128)),
    ((32, 128, 128), (48, 192, 192), (48, 192, 192), (64, 256, 256)),
    ((64, 256, 256),),
)
STAGES_SMALL = (((4, 8, 8), (4, 8, 8)), ((8, 16, 16),))


class Fire(nn.Module):
    """Squeeze by 1x1, then expand by 1x1 and by 3x3 side by side, concatenated."""

    def __init__(self, inputs: int, squeeze: int, expand1: int, expand3: int) -> None:
        """Make s(M + 1) + e1(s + 1) + e3(9s + 1) parameters."""
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1 = nn.Conv2d(squeeze, expand1, 1)
        self.expand3 = nn.Conv2d(squeeze, expand3, 3, padding=1)
        self.relu = nn.ReLU()
        self.outputs = expand1 + expand3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, expand1 + expand3, height, width)."""
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.expand1(x)), self.relu(self.expand3(x))], dim=1)


def squeezenet(
    stem: nn.Conv2d | None = None,
    stages: Sequence[Sequence[tuple[int, int, int]]] = STAGES_1_0,
    classes: int = 1000,
) -> nn.Sequential:
    """Return SqueezeNet; as it stands version 1.0, 1,248,424 parameters for 224x224 images."""
    stem = stem or nn.Conv2d(3, 96, 7, stride=2)
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv1=stem, relu1=nn.ReLU())
    channels, number = stem.out_channels, 1
    for stage in stages:
        layers[f"pool{number}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        for sizes in stage:
            number += 1
            fire = Fire(channels, *sizes)
            layers[f"fire{number}"] = fire
            channels = fire.outputs
    layers["drop"] = nn.Dropout()
    layers["conv10"] = nn.Conv2d(channels, classes, 1)
    layers["relu10"] = nn.ReLU()
    layers["pool10"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    return nn.Sequential(layers)


def squeezenet_small() -> nn.Sequential:
    """Return three Fire modules behind a 3x3 convolution, for 28x28 digits."""
    return squeezenet(nn.Conv2d(1, 16, 3, padding=1), STAGES_SMALL, 10)
