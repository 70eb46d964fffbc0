"""The networks that FINN made known for one-bit weights and activations, in float.

FINN (Umuroglu et al. 2017), section 4; the sizes of TFC are those of its later examples.
"""

from collections import OrderedDict

import torch
from torch import nn


class Sign(nn.Module):
    """+1 where x >= 0, else -1; the gradient passes straight through where |x| <= 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the signs of x; while training, with the gradient of a hard tanh."""
        signs = torch.where(x >= 0, 1.0, -1.0)
        if not self.training:
            return signs
        straight = x.clamp(-1, 1)
        return straight + (signs - straight).detach()


def fully_connected(width: int, *, sign: bool = False) -> nn.Sequential:
    """Return 784-w-w-w-10 without biases, a batch norm and ReLU (or Sign) behind all but the last.

    A width of 64 is TFC, 256 SFC, 1024 LFC (also the MNIST network of BinaryConnect).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for k, fan_in in enumerate((784, width, width), start=1):
        layers[f"fc{k}"] = nn.Linear(fan_in, width, bias=False)
        layers[f"norm{k}"] = nn.BatchNorm1d(width)
        layers[f"act{k}"] = Sign() if sign else nn.ReLU()
    layers["fc4"] = nn.Linear(width, 10, bias=False)
    return nn.Sequential(layers)


def cnv(width: int = 64, colours: int = 3, classes: int = 10) -> nn.Sequential:
    """Return CNV for 32x32 images: six 3x3 convolutions without padding, two pools, three layers.

    The first convolutions have `width` channels, then twice and four times as many; the hidden
    layers have eight times as many. With 64 there are 1,542,848 weights.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    fan_in = colours
    for k, channels in enumerate((width, width, 2 * width, 2 * width, 4 * width, 4 * width), 1):
        layers[f"conv{k}"] = nn.Conv2d(fan_in, channels, 3, bias=False)
        layers[f"norm{k}"] = nn.BatchNorm2d(channels)
        layers[f"relu{k}"] = nn.ReLU()
        if k in (2, 4):
            layers[f"pool{k}"] = nn.MaxPool2d(2)
        fan_in = channels
    layers["flatten"] = nn.Flatten()
    for k in (1, 2):
        layers[f"fc{k}"] = nn.Linear(fan_in, 8 * width, bias=False)
        layers[f"fc_norm{k}"] = nn.BatchNorm1d(8 * width)
        layers[f"fc_relu{k}"] = nn.ReLU()
        fan_in = 8 * width
    layers["fc3"] = nn.Linear(fan_in, classes, bias=False)
    return nn.Sequential(layers)
