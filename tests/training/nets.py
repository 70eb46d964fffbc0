"""Small float networks and data that they can learn."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    BatchNorm,
    Conv,
    Function,
    Linear,
    MaxPool,
    Op,
    Reshape,
    Softmax,
    Value,
    Window,
    plain_window,
)
from bitwright.ir.types import Real, TensorType
from bitwright.training.settings import Samples


class FloatNet:
    """A float model under construction."""

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.b = Builder(["x"])
        self.rng = np.random.default_rng(seed)
        self.x = Value("x", TensorType(Real(), shape))

    def op(self, of: type[Op], name: str, *inputs: Value, **attrs: Any) -> Value:
        return self.b.op(of, inputs, name, f"node_{name}", **attrs)

    def weights(self, name: str, *shape: int) -> Value:
        fan = int(np.prod(shape[1:]))
        return self.b.constant(name, self.rng.normal(0, (2 / fan) ** 0.5, shape))

    def linear(self, x: Value, outputs: int, name: str) -> Value:
        bias = self.b.constant(f"{name}.b", self.rng.normal(0, 0.1, outputs))
        return self.op(Linear, name, x, self.weights(f"{name}.w", outputs, x.shape[-1]), bias)

    def conv(self, x: Value, outputs: int, name: str, groups: int = 1) -> Value:
        bias = self.b.constant(f"{name}.b", self.rng.normal(0, 0.1, outputs))
        w = self.weights(f"{name}.w", outputs, 3, 3, x.shape[-1] // groups)
        window = Window((3, 3), (1, 1), (1, 1), (1, 1), (1, 1))
        return self.op(Conv, name, x, w, bias, window=window, groups=groups)

    def norm(self, x: Value, name: str) -> Value:
        n = x.shape[-1]
        start = {"g": np.ones(n), "b": np.zeros(n), "m": np.zeros(n), "v": np.ones(n)}
        operands = [self.b.constant(f"{name}.{p}", a) for p, a in start.items()]
        return self.op(BatchNorm, name, x, *operands, epsilon=1e-5, axis=len(x.shape) - 1)

    def relu(self, x: Value, name: str) -> Value:
        return self.op(Activation, name, x, kind=Function.RELU)

    def graph(self, *outputs: Value) -> Graph:
        found = self.b.graph("net", [self.x], outputs)
        found.verify()
        return found


def mlp(
    widths: Sequence[int] = (12, 24, 16, 3), *, norms: bool = False, softmax: bool = False
) -> Graph:
    """Return layers fc0, fc1, ... with relus between them."""
    net = FloatNet(1, widths[0])
    y = net.x
    for i, n in enumerate(widths[1:]):
        y = net.linear(y, n, f"fc{i}")
        if i < len(widths) - 2:
            y = net.norm(y, f"norm{i}") if norms else y
            y = net.relu(y, f"relu{i}")
    return net.graph(net.op(Softmax, "soft", y, axis=1, end=2) if softmax else y)


def cnn() -> Graph:
    """Return conv0, relu, conv1, relu, pool, fc over 6x6 images."""
    net = FloatNet(1, 6, 6, 2)
    y = net.relu(net.conv(net.x, 6, "conv0"), "relu0")
    y = net.relu(net.conv(y, 8, "conv1", groups=2), "relu1")
    y = net.op(MaxPool, "pool", y, window=plain_window((2, 2), (2, 2)))
    y = net.op(Reshape, "flat", y, shape=(1, y.type.size))
    return net.graph(net.linear(y, 3, "fc"))


def task(graph: Graph, count: int = 300, seed: int = 1) -> Samples:
    """Return samples around one centre for each class, and their classes."""
    rng = np.random.default_rng(seed)
    (x,), classes = graph.inputs, graph.outputs[0].shape[-1]
    centres = np.random.default_rng(99).normal(0, 1, (classes, *x.shape))
    y = rng.integers(0, classes, count)
    noise: Array = rng.normal(0, 0.7, (count, *x.shape))
    return Samples({x.name: (centres[y] + noise).astype(np.float32)}, y)
