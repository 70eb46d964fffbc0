"""LeNet-300-100 and LeNet-5, the networks of 28x28 digits that compression papers start from."""

from collections import OrderedDict

from torch import nn

PIXELS, CLASSES = 28, 10


def lenet_300_100() -> nn.Sequential:
    """Return 784-300-100-10 with ReLU, 266,610 parameters (LeCun et al. 1998, section III)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        flatten=nn.Flatten(),
        fc1=nn.Linear(PIXELS * PIXELS, 300),
        relu1=nn.ReLU(),
        fc2=nn.Linear(300, 100),
        relu2=nn.ReLU(),
        fc3=nn.Linear(100, CLASSES),
    )
    return nn.Sequential(layers)


def lenet5(*, norm: bool = False) -> nn.Sequential:
    """Return the LeNet-5 that Caffe ships: two 5x5 convolutions, two layers, 431,080 parameters.

    Caffe has no activation behind its convolutions; here a ReLU stands behind each pool, so that
    activations of few bits have a place. With `norm`, a batch norm stands before every ReLU and
    the layers before it have no bias: the form that training with one bit needs.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(1, 20, 5, bias=not norm),
        pool1=nn.MaxPool2d(2),
        norm1=nn.BatchNorm2d(20),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(20, 50, 5, bias=not norm),
        pool2=nn.MaxPool2d(2),
        norm2=nn.BatchNorm2d(50),
        relu2=nn.ReLU(),
        flatten=nn.Flatten(),
        fc1=nn.Linear(50 * 4 * 4, 500, bias=not norm),
        norm3=nn.BatchNorm1d(500),
        relu3=nn.ReLU(),
        fc2=nn.Linear(500, CLASSES),
    )
    kept = {name: layer for name, layer in layers.items() if norm or not name.startswith("norm")}
    return nn.Sequential(OrderedDict(kept))
