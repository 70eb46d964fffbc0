"""Small quantized convolutional graphs, channels last, and their comparison with the program."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bitwright.compiler import lower, quantize
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    AveragePool,
    BatchNorm,
    Dequantize,
    IntConv,
    MaxPool,
    Op,
    Take,
    Value,
    Window,
)
from bitwright.ir.program import Program
from bitwright.ir.types import Element
from bitwright.options import CompileOptions
from bitwright.passes import SIMPLIFY, run
from tests.graphs import ConvSpec, conv, samples
from tests.passes.test_programs import Net


class ConvNet(Net):
    """A model under construction, with short names for convolutions and pools."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def codes(self, elem: Element, *shape: int, scale: float = 0.25, zero: float = 0) -> Value:
        """Append an input of codes and its meaning, `scale * (code - zero)`."""
        parameters = self.constant(scale), self.constant(zero)
        return self.b.op(Dequantize, (self.entry(elem, *shape), *parameters), "in", "input")

    def conv(self, x: Value, outputs: int, kernel: tuple[int, ...] = (3, 3), **spec: Any) -> Value:
        """Append a convolution; `pad` pads all sides alike."""
        pad = (spec.pop("pad", 0),) * len(kernel)
        usual: dict[str, Any] = {"before": pad, "after": pad, "quantizer": "none"}
        made = ConvSpec(outputs, kernel=kernel, **({"batch_norm": False} | usual | spec))
        return conv(self.b, self.rng, x, made, f"conv{len(self.b.ops)}")

    def norm(self, x: Value, gamma: Sequence[float]) -> Value:
        """Append a batch norm with these gammas, repeated over the channels."""
        n = x.shape[-1]
        shift = [self.b.constant(p, self.rng.normal(size=n)) for p in ("beta", "mean")]
        var = self.b.constant("var", self.rng.uniform(0.1, 2, n))
        g = self.b.constant("gamma", np.resize(np.array(gamma, np.float64), n))
        return self.op(BatchNorm, x, g, *shift, var, epsilon=1e-5, axis=len(x.shape) - 1)

    def max_pool(self, x: Value, kernel: tuple[int, ...] = (2, 2), **spec: Any) -> Value:
        return self.op(MaxPool, x, window=window(kernel, **spec))

    def average_pool(
        self, x: Value, kernel: tuple[int, ...] = (2, 2), *, counted: bool = False, **spec: Any
    ) -> Value:
        """Append an average pool; `counted` tells whether padding counts as zeros."""
        made = window(kernel, **spec)
        none = (0,) * made.rank
        before, after = (made.before, made.after) if counted else (none, none)
        return self.op(AveragePool, x, window=made, counted_before=before, counted_after=after)

    def take(self, x: Value, indices: Sequence[int], axis: int = -1) -> Value:
        order = self.b.constant("indices", np.array(indices, np.int64))
        return self.op(Take, x, order, axis=axis % len(x.shape))


def window(kernel: tuple[int, ...], **spec: Any) -> Window:
    """Return a window that steps by its kernel; `pad` pads all sides alike."""
    pad = (spec.pop("pad", 0),) * len(kernel)
    usual = {"strides": kernel, "before": pad, "after": pad, "dilations": (1,) * len(kernel)}
    return Window(kernel, **(usual | spec))


def check(graph: Graph, x: Mapping[str, Array] | None = None, count: int = 12) -> Program:
    """Compile and compare every output on samples; return the program."""
    program = lower(quantize(run(graph, SIMPLIFY), CompileOptions()), CompileOptions())
    x = samples(graph, count) if x is None else x
    want, got = evaluate(graph, x), program.run(x)
    assert list(want) == list(got)
    for name, w in want.items():
        np.testing.assert_allclose(got[name], w, rtol=1e-12, atol=1e-12, err_msg=name)
    return program


def kinds(program: Program) -> list[str]:
    """Return what the ops of the device's part are, in order."""
    return [type(op).__name__ for op in program.body.ops]


def of_kind(program: Program, kind: type[Op]) -> list[Any]:
    """Return the ops of one kind in the device's part, in order."""
    return [op for op in program.body.ops if isinstance(op, kind)]


def convolution(program: Program) -> IntConv:
    """Return the only convolution of the device's part."""
    (found,) = of_kind(program, IntConv)
    assert isinstance(found, IntConv)
    return found
