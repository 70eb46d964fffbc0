"""The networks of the zoo by name, with the shape of one input."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from examples.zoo.finn import cnv, fully_connected
from examples.zoo.lenet import lenet5, lenet_300_100
from examples.zoo.mobilenet import mobilenet, mobilenet_small
from examples.zoo.sepnet import sepnet, sepnet_small
from examples.zoo.shufflenet import shufflenet, shufflenet_small
from examples.zoo.squeezenet import squeezenet, squeezenet_small
from examples.zoo.vgg import alexnet, bnn_cifar, vgg16


class Entry(NamedTuple):
    """A function that makes the network with random weights, and (channels, height, width)."""

    build: Callable[[], nn.Module]
    shape: tuple[int, int, int]


DIGIT = (1, 28, 28)
CIFAR = (3, 32, 32)
IMAGENET = (3, 224, 224)

ZOO: dict[str, Entry] = {
    "lenet-300-100": Entry(lenet_300_100, DIGIT),
    "lenet5": Entry(lenet5, DIGIT),
    "lenet5-bn": Entry(partial(lenet5, norm=True), DIGIT),
    "tfc": Entry(partial(fully_connected, 64), DIGIT),
    "tfc-sign": Entry(partial(fully_connected, 64, sign=True), DIGIT),
    "sfc": Entry(partial(fully_connected, 256), DIGIT),
    "lfc": Entry(partial(fully_connected, 1024), DIGIT),
    "cnv": Entry(cnv, CIFAR),
    "bnn-cifar": Entry(bnn_cifar, CIFAR),
    "squeezenet": Entry(squeezenet, IMAGENET),
    "squeezenet-small": Entry(squeezenet_small, DIGIT),
    "mobilenet": Entry(mobilenet, IMAGENET),
    "mobilenet-small": Entry(mobilenet_small, DIGIT),
    "shufflenet": Entry(shufflenet, IMAGENET),
    "shufflenet-small": Entry(shufflenet_small, DIGIT),
    "sepnet": Entry(sepnet, CIFAR),
    "sepnet-small": Entry(sepnet_small, DIGIT),
    "alexnet": Entry(alexnet, (3, 227, 227)),
    "vgg16": Entry(vgg16, IMAGENET),
}
