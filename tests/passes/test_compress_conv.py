"""Compressing float convolutional graphs: where quantizers go, what weights become, exactness."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bitwright.compiler import lower
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Activation,
    AddInt,
    Arith,
    Arithmetic,
    BatchNorm,
    Concat,
    Conv,
    Dequantize,
    Encoding,
    Function,
    IntConv,
    Linear,
    Quantize,
    Reshape,
    Value,
)
from bitwright.ir.types import Int, Real
from bitwright.options import CompileOptions
from bitwright.passes import QUANTIZED, run
from bitwright.passes.compress import Recipe, compress, parse_weights
from bitwright.passes.compress.sites import find_sites
from tests.graphs import samples
from tests.passes.conv_nets import ConvNet, window

ENCODINGS = {
    "binary": Encoding.BIPOLAR, "ternary": Encoding.TERNARY, "pow2:4": Encoding.POWER_OF_TWO,
    "int:4": Encoding.INTEGER, "int:8": Encoding.INTEGER,
}  # fmt: skip
Body = Callable[["FloatNet"], Value]


class FloatNet(ConvNet):
    """A model whose weights and activations are floats."""

    def real_conv(self, x: Value, outputs: int, kernel: int = 3, **attrs: Any) -> Value:
        """Append a convolution that keeps the size, with a bias."""
        groups = attrs.get("groups", 1)
        shape = (outputs, kernel, kernel, x.shape[-1] // groups)
        w = self.b.constant("w", self.rng.normal(size=shape))
        bias = self.b.constant("b", self.rng.normal(size=outputs))
        around = window((kernel, kernel), strides=(1, 1), pad=kernel // 2)
        return self.op(Conv, x, w, bias, window=around, groups=groups)

    def relu(self, x: Value) -> Value:
        return self.op(Activation, x, kind=Function.RELU)


def chain(net: FloatNet) -> Value:
    x = net.entry(Real(), 1, 6, 5, 2)
    y = net.relu(net.norm(net.real_conv(x, 4), (1.0, -1.0)))
    y = net.relu(net.real_conv(net.max_pool(y), 4, groups=4))
    y = net.relu(net.real_conv(y, 3, 1))
    return net.real_conv(net.average_pool(y), 2, 1)


def residual(net: FloatNet) -> Value:
    x = net.relu(net.real_conv(net.entry(Real(), 1, 4, 4, 2), 3))
    y = net.norm(net.real_conv(net.relu(net.real_conv(x, 3)), 3), (2.0,))
    total = net.relu(net.op(Arithmetic, y, x, kind=Arith.ADD))
    return net.real_conv(total, 2)


def fire(net: FloatNet) -> Value:
    """Squeeze, then two expansions side by side."""
    x = net.relu(net.real_conv(net.entry(Real(), 1, 4, 4, 2), 3, 1))
    sides = [net.relu(net.real_conv(x, 4, k)) for k in (1, 3)]
    y = net.op(Concat, *sides, axis=3)
    flat = net.op(Reshape, net.average_pool(net.real_conv(y, 2, 1), (4, 4)), shape=(1, 2))
    w = net.b.constant("w", net.rng.normal(size=(3, 2)))
    return net.op(Linear, flat, w)


BODIES = [chain, residual, fire]


def float_graph(body: Body) -> Graph:
    net = FloatNet(5)
    return net.graph(body(net))


def compressed(body: Body, weights: str, bits: int, **more: Any) -> tuple[Graph, dict[str, Array]]:
    graph = float_graph(body)
    x = samples(graph, 40)
    return compress(graph, Recipe(parse_weights(weights), bits, **more), x), x


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("weights", ENCODINGS)
def test_the_program_is_exact(body: Body, bits: int, weights: str) -> None:
    quantized, x = compressed(body, weights, bits, pow2_scales=True)
    program = lower(run(quantized, QUANTIZED), CompileOptions())
    want, got = evaluate(quantized, x), program.run(x)
    for name, w in want.items():
        np.testing.assert_allclose(got[name], w, rtol=1e-12, atol=1e-12)
    assert not any(isinstance(op.output.elem, Real) for op in program.body.ops)
    inner = [op for op in program.body.ops if isinstance(op, IntConv)][1:-1]
    assert all(op.encoding is ENCODINGS[weights] for op in inner)


def test_arbitrary_scales_are_exact_without_a_sum() -> None:
    quantized, x = compressed(chain, "int:8", 8)
    program = lower(run(quantized, QUANTIZED), CompileOptions())
    want, got = evaluate(quantized, x), program.run(x)
    assert all(np.allclose(got[n], want[n], rtol=1e-12, atol=1e-12) for n in want)


def test_eight_bits_stay_close_to_the_floats() -> None:
    for body in BODIES:
        quantized, x = compressed(body, "int:8", 8)
        graph = float_graph(body)
        (y, q), (name,) = (evaluate(g, x) for g in (graph, quantized)), [graph.outputs[0].name]
        assert np.abs(y[name] - q[name]).max() < 0.05 * np.abs(y[name]).max()


def test_batch_norms_join_the_weights() -> None:
    quantized, _ = compressed(chain, "ternary", 4)
    assert not any(isinstance(op, BatchNorm) for op in quantized.ops)


def test_each_filter_has_its_scale() -> None:
    quantized, _ = compressed(chain, "binary", 4)
    producers = quantized.producers()
    for op in quantized.ops:
        if isinstance(op, Conv):
            w = producers[op.inputs[1].name]
            assert isinstance(w, Dequantize)
            assert w.axis == 0
            assert w.inputs[1].shape == (op.output.shape[-1],)


def test_edges_have_eight_bits_and_the_middle_what_is_asked() -> None:
    quantized, _ = compressed(chain, "binary", 2)
    codes = [
        quantized.constant(quantized.producers()[op.inputs[1].name].inputs[0])
        for op in quantized.ops
        if isinstance(op, Conv)
    ]
    assert [np.unique(c).size > 2 for c in codes] == [True, False, False, True]
    bits = [op.elem.bits for op in quantized.ops if isinstance(op, Quantize)]
    assert bits[0] == 8
    assert max(bits[1:]) == 2


def test_a_pool_inherits_the_quantizer_before_it() -> None:
    """One quantizer for each layer that reads; the max pool between has none of its own."""
    sites = find_sites(float_graph(chain))
    assert len(sites) == 5  # the input, three activations, the average
    kinds = [type(float_graph(chain).producers().get(s.value.name)).__name__ for s in sites]
    assert "MaxPool" not in kinds


def test_what_a_concat_joins_shares_one_scale() -> None:
    sites = [s for s in find_sites(float_graph(fire)) if s.group]
    assert len({s.group for s in sites if s.value.name.startswith("activation")}) <= 2
    quantized, _ = compressed(fire, "int:8", 8)
    (join,) = [op for op in quantized.ops if isinstance(op, Concat)]
    scales = {
        float(quantized.constant(quantized.producers()[v.name].inputs[1]).item())
        for v in join.inputs
    }
    assert len(scales) == 1


def test_a_shortcut_becomes_one_sum() -> None:
    quantized, _ = compressed(residual, "ternary", 4, pow2_scales=True)
    program = lower(run(quantized, QUANTIZED), CompileOptions())
    (add,) = [op for op in program.body.ops if isinstance(op, AddInt)]
    assert all(isinstance(v.elem, Int) and v.elem.bits <= 4 for v in add.inputs)
