"""Plain stacks of convolutions: AlexNet and VGG16 for their counts, BinaryNet's for CIFAR-10."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def _head(fan_in: int, hidden: int, classes: int) -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        flatten=nn.Flatten(),
        fc6=nn.Linear(fan_in, hidden), relu6=nn.ReLU(), drop6=nn.Dropout(),
        fc7=nn.Linear(hidden, hidden), relu7=nn.ReLU(), drop7=nn.Dropout(),
        fc8=nn.Linear(hidden, classes),
    )  # fmt: skip


def alexnet() -> nn.Sequential:
    """Return Caffe's AlexNet for 227x227 images, 60,965,224 parameters; conv2, 4, 5 in 2 groups."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, 96, 11, stride=4), relu1=nn.ReLU(),
        norm1=nn.LocalResponseNorm(5), pool1=nn.MaxPool2d(3, 2),
        conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2), relu2=nn.ReLU(),
        norm2=nn.LocalResponseNorm(5), pool2=nn.MaxPool2d(3, 2),
        conv3=nn.Conv2d(256, 384, 3, padding=1), relu3=nn.ReLU(),
        conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2), relu4=nn.ReLU(),
        conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2), relu5=nn.ReLU(),
        pool5=nn.MaxPool2d(3, 2),
    )  # fmt: skip
    return nn.Sequential(layers | _head(256 * 6 * 6, 4096, 1000))


def vgg16() -> nn.Sequential:
    """Return VGG16 for 224x224 images, 138,357,544 parameters (Simonyan and Zisserman 2014)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    fan_in = 3
    for stage, widths in enumerate(VGG16, start=1):
        for k, channels in enumerate(widths, start=1):
            layers[f"conv{stage}_{k}"] = nn.Conv2d(fan_in, channels, 3, padding=1)
            layers[f"relu{stage}_{k}"] = nn.ReLU()
            fan_in = channels
        layers[f"pool{stage}"] = nn.MaxPool2d(2)
    return nn.Sequential(layers | _head(fan_in * 7 * 7, 4096, 1000))


def bnn_cifar(
    widths: Sequence[int] = (128, 256, 512), hidden: int = 1024, colours: int = 3
) -> nn.Sequential:
    """Return BinaryNet's network for 32x32 images in float: 14,022,016 weights.

    Two 3x3 convolutions of each width, the second one pooled, then two hidden layers; a batch norm
    behind everything (Hubara et al. 2016, section 2.1).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    fan_in = colours
    for stage, channels in enumerate(widths, start=1):
        for k in (1, 2):
            layers[f"conv{stage}_{k}"] = nn.Conv2d(fan_in, channels, 3, padding=1, bias=False)
            if k == 2:
                layers[f"pool{stage}"] = nn.MaxPool2d(2)
            layers[f"norm{stage}_{k}"] = nn.BatchNorm2d(channels)
            layers[f"relu{stage}_{k}"] = nn.ReLU()
            fan_in = channels
    layers["flatten"] = nn.Flatten()
    fan_in *= (32 >> len(widths)) ** 2
    for k in (1, 2):
        layers[f"fc{k}"] = nn.Linear(fan_in, hidden, bias=False)
        layers[f"fc_norm{k}"] = nn.BatchNorm1d(hidden)
        layers[f"fc_relu{k}"] = nn.ReLU()
        fan_in = hidden
    layers["fc3"] = nn.Linear(hidden, 10, bias=False)
    layers["norm3"] = nn.BatchNorm1d(10)
    return nn.Sequential(layers)
