"""Small members of every family, from torch through ONNX to C."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bitwright.compiler import compile_model, load
from bitwright.ir.cost import macs
from bitwright.ir.evaluate import evaluate
from bitwright.options import CompileOptions, OutputKind, Target
from examples.zoo.export import export
from examples.zoo.finn import cnv, fully_connected
from examples.zoo.table import CIFAR, DIGIT, ZOO
from examples.zoo.vgg import bnn_cifar
from tests.zoo import counts

SMALL: dict[str, tuple[Callable[[], nn.Module], counts.Shape]] = {
    "lenet5": ZOO["lenet5"],
    "lenet5-bn": ZOO["lenet5-bn"],
    "fully-connected": (partial(fully_connected, 16), DIGIT),
    "fully-connected-sign": (partial(fully_connected, 16, sign=True), DIGIT),
    "cnv": (partial(cnv, 4), CIFAR),
    "bnn-cifar": (partial(bnn_cifar, (4, 8, 8), 16), CIFAR),
    "squeezenet-small": ZOO["squeezenet-small"],
    "mobilenet-small": ZOO["mobilenet-small"],
    "shufflenet-small": ZOO["shufflenet-small"],
    "sepnet-small": ZOO["sepnet-small"],
}


def lively(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return the network, ready for inference, its activations of one size from layer to layer."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    with torch.no_grad():
        model.train()(images)
    return model.eval()


@pytest.mark.parametrize("name", SMALL)
def test_means_the_same_when_imported(name: str, tmp_path: Path) -> None:
    build, shape = SMALL[name]
    torch.manual_seed(0)
    images = torch.rand(16, *shape) * torch.linspace(0.2, 1, 16).reshape(-1, 1, 1, 1)
    model, path = lively(build(), images), tmp_path / "net.onnx"
    export(model, shape, path)
    graph = load(path, CompileOptions())
    with torch.no_grad():
        want = model(images).numpy()
    got = evaluate(graph, {"image": images[:, None].numpy()}, dtype=np.float32)["logits"]
    spread = np.ptp(want, axis=0).max()
    assert spread > 0.05 * np.abs(want).max(), "images that score alike would prove nothing"
    error = np.abs(got.reshape(want.shape) - want).max()
    assert error < 1e-5 * np.abs(want).max()
    expected = sum(counts.macs(counts.on_meta(build), shape).values())
    assert sum(map(macs, graph.ops)) == expected


@pytest.mark.parametrize("name", [name for name in SMALL if not name.endswith("-sign")])
def test_compiles_as_float(name: str, tmp_path: Path) -> None:
    """Signs are codes: a network of signs is no float network, and needs weights of few bits."""
    build, shape = SMALL[name]
    export(build(), shape, tmp_path / "net.onnx")
    options = CompileOptions(targets=(Target.C,), output=OutputKind.MODEL)
    artifact = compile_model(tmp_path / "net.onnx", options).artifacts[Target.C]
    assert any(file.endswith(".c") for file in artifact.files)
