"""Joins, cuts and pools end up on integers, and only where both orders agree bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Graph
from bitwright.ir.ops import (
    Activation,
    Concat,
    CountThresholds,
    Dequantize,
    Function,
    MaxPool,
    Pad,
    Quantize,
    Take,
    Value,
)
from bitwright.ir.types import Bipolar, Int, Real, Ternary, is_integral
from bitwright.passes.settle import settle
from tests.graphs import samples
from tests.passes.conv_nets import ConvNet

U4 = Int(0, 15)
Body = Callable[[ConvNet], Value]


def settled(body: Body) -> Graph:
    """Return the settled graph, which computes what the old one does."""
    net = ConvNet()
    graph = net.graph(body(net))
    after = settle(graph)
    after.verify()
    x = samples(graph, 20)
    want, got = evaluate(graph, x), evaluate(after, x)
    for name, w in want.items():
        assert np.array_equal(got[name], w), name
    return after


def moving(graph: Graph) -> list[tuple[str, bool]]:
    """Return each join, cut and pool, and whether it is on integers."""
    kinds = (Take, Pad, Concat, MaxPool)
    return [
        (type(op).__name__, is_integral(op.output.elem))
        for op in graph.ops
        if isinstance(op, kinds)
    ]


def wide(net: ConvNet, x: Value, value: float = 0.0) -> Value:
    return net.op(Pad, x, before=(0, 1, 0, 0), after=(0, 0, 2, 0), value=value)


def by_channel(net: ConvNet, *scales: float, axis: int = 3) -> Value:
    x = net.entry(U4, 1, 3, 3, len(scales))
    return net.b.op(Dequantize, (x, net.constant(*scales), net.constant(0)), "in", "in", axis=axis)


def quantized(net: ConvNet, x: Value, *scales: float) -> Value:
    parameters = net.constant(*scales or (0.5,)), net.constant(0)
    return net.b.op(Quantize, (x, *parameters), "q", "q", elem=U4, axis=3)


def x(net: ConvNet, zero: float = 0, channels: int = 3) -> Value:
    return net.codes(U4, 1, 3, 3, channels, scale=0.25, zero=zero)


LIFTED: dict[str, Body] = {
    "pool": lambda n: n.max_pool(x(n, 0.5)),
    "pool of channels": lambda n: n.max_pool(by_channel(n, 0.25, 0.5)),
    "take": lambda n: n.take(x(n, 0.5), (2, 0)),
    "take of rows of channels": lambda n: n.take(by_channel(n, 0.25, 0.5), (2, 0, 0), axis=1),
    "pad": lambda n: wide(n, x(n, 3)),
    "pad outside": lambda n: wide(n, x(n, -3)),
    "pad with a code": lambda n: wide(n, x(n, 3), 0.5),
    "pad of signs": lambda n: wide(n, n.codes(Bipolar(), 1, 3, 3, 2, scale=0.5), -0.5),
    "concat": lambda n: n.op(Concat, x(n), x(n), axis=3),
    "two at once": lambda n: n.take(n.max_pool(x(n)), (1, 0)),
}
STAYING: dict[str, Body] = {
    "pool under a negative scale": lambda n: n.max_pool(by_channel(n, 0.25, -0.5)),
    "take of channels": lambda n: n.take(by_channel(n, 0.25, 0.5), (1, 0)),
    "pad between codes": lambda n: wide(n, x(n, 0.5)),
    "pad with no code": lambda n: wide(n, x(n), 0.1),
    "pad of signs with none": lambda n: wide(n, n.codes(Bipolar(), 1, 3, 3, 2, scale=0.5)),
    "concat of two scales": lambda n: n.op(Concat, x(n), by_channel(n, 0.5, 0.5), axis=3),
    "concat with reals": lambda n: n.op(Concat, x(n), n.entry(Real(), 1, 3, 3, 1), axis=3),
    "pool of a real input": lambda n: n.max_pool(n.entry(Real(), 1, 3, 3, 1)),
}


@pytest.mark.parametrize("name", LIFTED)
def test_above_a_dequantize(name: str) -> None:
    assert all(integral for _, integral in moving(settled(LIFTED[name])))


@pytest.mark.parametrize("name", STAYING)
def test_what_stays_real(name: str) -> None:
    assert not any(integral for _, integral in moving(settled(STAYING[name])))


def relu(net: ConvNet, y: Value) -> Value:
    return net.op(Activation, y, kind=Function.RELU)


def counted(net: ConvNet, y: Value) -> Value:
    t = net.b.constant("t", np.sort(net.rng.normal(size=(y.shape[-1], 3)), axis=1))
    return net.b.op(CountThresholds, (y, t), "count", "count", axis=3)


def real(net: ConvNet, channels: int = 3) -> Value:
    return net.entry(Real(), 1, 4, 4, channels)


SUNK: dict[str, Body] = {
    "pool": lambda n: quantized(n, relu(n, n.max_pool(real(n)))),
    "pool, norm that rises": lambda n: quantized(n, n.norm(n.max_pool(real(n)), (1, 0, 2))),
    "pool, thresholds by channel": lambda n: counted(n, n.max_pool(real(n))),
    "take": lambda n: quantized(n, relu(n, n.take(real(n), (2, 2, 0)))),
    "take of one channel, norm": lambda n: quantized(n, n.norm(n.take(real(n), (2,)), (-1,))),
    "take of rows, norm": lambda n: quantized(n, n.norm(n.take(real(n), (3, 0), 1), (-1, 2))),
    "take of a row, one channel": lambda n: quantized(n, n.norm(n.take(real(n, 1), (3,), 1), (2,))),
    "pad": lambda n: quantized(n, relu(n, wide(n, real(n), 0.7))),
    "concat": lambda n: quantized(n, relu(n, n.op(Concat, real(n), real(n), axis=3))),
    "concat, norm": lambda n: quantized(n, n.norm(n.op(Concat, real(n), real(n), axis=3), (-1, 2))),
    "concat, thresholds": lambda n: counted(n, n.op(Concat, real(n, 1), real(n, 2), axis=3)),
    "concat of rows, norm": lambda n: quantized(
        n, n.norm(n.op(Concat, real(n), real(n), axis=1), (-1, 2))
    ),
    "quantizer by channel": lambda n: quantized(n, n.op(Concat, real(n, 1), real(n, 2), axis=3),
                                                0.5, 0.25, 2.0),
}  # fmt: skip
BLOCKED: dict[str, Body] = {
    "pool, norm that falls": lambda n: quantized(n, n.norm(n.max_pool(real(n)), (1, -1))),
    "pool, swish": lambda n: quantized(n, n.op(Activation, n.max_pool(real(n)),
                                               kind=Function.HARD_SWISH)),
    "take, norm by channel": lambda n: quantized(n, n.norm(n.take(real(n), (1, 0)), (1, 2))),
    "pad, norm by channel": lambda n: quantized(n, n.norm(wide(n, real(n)), (1, 2))),
    "two readers": lambda n: n.op(Concat, relu(n, p := n.max_pool(real(n))), p, axis=3),
}  # fmt: skip


@pytest.mark.parametrize("name", SUNK)
def test_below_the_quantizer(name: str) -> None:
    assert all(integral for _, integral in moving(settled(SUNK[name])))


@pytest.mark.parametrize("name", BLOCKED)
def test_what_is_not_moved_below(name: str) -> None:
    assert not any(integral for _, integral in moving(settled(BLOCKED[name])))


def test_an_output_is_not_moved_away() -> None:
    net = ConvNet()
    pooled = net.max_pool(real(net))
    graph = net.graph(pooled, quantized(net, pooled))
    assert settle(graph) == graph


def test_a_pad_of_ternary_codes_keeps_them_ternary() -> None:
    (pad,) = [
        op
        for op in settled(lambda n: wide(n, n.codes(Ternary(), 1, 3, 3, 2))).ops
        if isinstance(op, Pad)
    ]
    assert pad.output.elem == Ternary()
