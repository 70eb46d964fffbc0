"""Float networks whose channels can be removed, and what tests ask of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bitwright.ir.cost import macs
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    Concat,
    Conv,
    ConvTranspose,
    Function,
    Linear,
    Op,
    Reshape,
    Value,
)
from tests.graphs import samples
from tests.passes.conv_nets import ConvNet, window


class ChannelNet(ConvNet):
    """A network of floats; layers are named in the order in which they are made: conv0, fc1, ..."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.made = 0

    def name(self, kind: str) -> str:
        self.made += 1
        return f"{kind}{self.made - 1}"

    def around(self, x: Value, outputs: int, kernel: int = 3, **attrs: Any) -> Value:
        """Append a convolution; padded so that the size stays, unless `pad` says otherwise."""
        groups = attrs.get("groups", 1)
        pad = attrs.get("pad", kernel // 2)
        w = self.normal(outputs, kernel, kernel, x.shape[-1] // groups)
        made = window((kernel, kernel), strides=(1, 1), pad=pad)
        operands = (x, w, self.normal(outputs))
        name = self.name("conv")
        return self.b.op(Conv, operands, name, name, window=made, groups=groups)

    def upwards(self, x: Value, outputs: int) -> Value:
        """Append a transposed convolution that doubles the size."""
        operands = (x, self.normal(outputs, 2, 2, x.shape[-1]), self.normal(outputs))
        name = self.name("up")
        return self.b.op(ConvTranspose, operands, name, name, window=window((2, 2)))

    def full(self, x: Value, outputs: int) -> Value:
        operands = (x, self.normal(outputs, x.shape[-1]), self.normal(outputs))
        name = self.name("fc")
        return self.b.op(Linear, operands, name, name)

    def normal(self, *shape: int) -> Value:
        return self.b.constant("p", self.rng.normal(size=shape))

    def relu(self, x: Value) -> Value:
        return self.op(Activation, x, kind=Function.RELU)

    def sum(self, a: Value, b: Value) -> Value:
        return self.op(Arithmetic, a, b, kind=Arith.ADD)

    def product(self, a: Value, b: Value) -> Value:
        return self.op(Arithmetic, a, b, kind=Arith.MUL)

    def join(self, *parts: Value) -> Value:
        return self.op(Concat, *parts, axis=len(parts[0].shape) - 1)

    def flat(self, x: Value) -> Value:
        return self.op(Reshape, x, shape=(1, x.type.size))


def layers(graph: Graph) -> dict[str, Op]:
    return {op.name: op for op in graph.ops if macs(op)}


def widths(graph: Graph) -> dict[str, int]:
    """Return the number of output channels of each layer."""
    return {name: op.output.shape[-1] for name, op in layers(graph).items()}


def work(graph: Graph) -> int:
    return sum(map(macs, graph.ops))


def weights(graph: Graph) -> int:
    """Return the number of weights, biases not counted."""
    return sum(graph.constant(op.inputs[1]).size for op in layers(graph).values())


def silenced(graph: Graph, dead: Mapping[str, Array], bias: float = 0.0) -> Graph:
    """Return the graph with the weights of dead channels 0 and their biases `bias`."""
    constants = dict(graph.constants)
    ops = []
    for op in graph.ops:
        new = op
        if op.name in dead:
            arrays = [np.array(constants[v.name]) for v in op.inputs[1:]]
            for array, value in zip(arrays, (0.0, bias), strict=True):
                array[dead[op.name]] = value
            names = [f"{op.name}:silent{i}" for i in range(2)]
            constants |= zip(names, arrays, strict=True)
            operands = (replace(v, name=n) for v, n in zip(op.inputs[1:], names, strict=True))
            new = replace(op, inputs=(op.inputs[0], *operands))
        ops.append(new)
    return replace(graph, ops=tuple(ops), constants=constants)


def outputs(graph: Graph, count: int = 5) -> Array:
    (y,) = evaluate(graph, samples(graph, count)).values()
    return y


def same_function(a: Graph, b: Graph) -> None:
    want = outputs(a)
    assert np.ptp(want) > 0.1, "an output that is always the same would prove nothing"
    np.testing.assert_allclose(outputs(b), want, rtol=1e-12, atol=1e-12)
