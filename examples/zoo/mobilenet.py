"""MobileNet v1 with its width multiplier (Howard et al. 2017, table 1)."""

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Layout:
    """Colours, channels of the first convolution, (channels, stride) of each block, classes."""

    colours: int
    stem: int
    blocks: tuple[tuple[int, int], ...]
    classes: int


FULL = Layout(
    3, 32,
    ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2),
     (1024, 1)),
    1000,
)  # fmt: skip
SMALL = Layout(1, 64, ((128, 1), (256, 2), (256, 1), (512, 2), (512, 1)), 10)


def _normed(conv: nn.Conv2d) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=conv, norm=nn.BatchNorm2d(conv.out_channels), relu=nn.ReLU()
    )
    return nn.Sequential(layers)


def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return a 3x3 convolution of each channel alone, then 1x1; each with batch norm and ReLU."""
    depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
    pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        depthwise=_normed(depthwise), pointwise=_normed(pointwise)
    )
    return nn.Sequential(layers)


def mobilenet(width: float = 1.0, layout: Layout = FULL) -> nn.Sequential:
    """Return MobileNet v1, all channels times `width`; 4,231,976 parameters as it stands.

    The resolution multiplier is the size of the images: any size will do, the net ends in a global
    average pool.
    """
    channels = int(layout.stem * width)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=_normed(nn.Conv2d(layout.colours, channels, 3, stride=2, padding=1, bias=False))
    )
    for k, (outputs, stride) in enumerate(layout.blocks, start=1):
        wanted = int(outputs * width)
        layers[f"block{k}"] = separable(channels, wanted, stride)
        channels = wanted
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, layout.classes)
    return nn.Sequential(layers)


def mobilenet_small() -> nn.Sequential:
    """Return five blocks at a quarter of the width, for 28x28 digits."""
    return mobilenet(0.25, SMALL)
