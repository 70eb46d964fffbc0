"""Parameters and multiplications of torch networks, counted without allocating a weight."""

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import torch
from torch import nn

Shape = tuple[int, int, int]


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Return the network with shapes alone."""
    with torch.device("meta"):
        return build().eval()


def parameters(modules: Iterable[nn.Module]) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def weights(model: nn.Module) -> int:
    """Return the weights of convolutions and fully connected layers, without biases."""
    return sum(m.weight.numel() for m in dot_products(model).values())


def dot_products(model: nn.Module) -> dict[str, Any]:
    kinds = (nn.Conv2d, nn.Linear)
    return {name: m for name, m in model.named_modules() if isinstance(m, kinds)}


def macs(model: nn.Module, shape: Shape) -> dict[str, int]:
    """Return the multiplications of each layer for one image of `shape`."""
    found: dict[str, int] = {}
    for name, module in dot_products(model).items():

        def note(m: Any, _: Any, y: Any, name: str = name) -> None:
            found[name] = int(y.numel()) * prod(m.weight.shape[1:])

        module.register_forward_hook(note)
    model(torch.zeros(1, *shape, device="meta"))
    return found
