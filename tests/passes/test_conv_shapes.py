"""Convolutions of every shape: strides, dilations, uneven padding, groups, one axis, one pixel."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bitwright.ir.graph import Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    Function,
    IntConv,
    IntLinear,
    Lookup,
    Pad,
    Reduce,
    Reduction,
    Reshape,
    Steps,
    SumPool,
    Transpose,
    Value,
    plain_window,
)
from bitwright.ir.types import Bipolar, Int, Integral
from tests.graphs import quantize
from tests.passes.conv_nets import ConvNet, check, convolution, kinds, of_kind

INPUTS: list[tuple[Integral, float]] = [(Bipolar(), 0), (Int(0, 255), 9), (Int(-8, 7), 0.5)]
SHAPES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((5, 4, 3), {"strides": (2, 1)}),
    ((5, 4, 3), {"strides": (2, 3), "pad": 1}),
    ((5, 6, 2), {"dilations": (2, 3), "kernel": (3, 2)}),
    ((5, 6, 2), {"dilations": (2, 2), "before": (2, 1), "after": (0, 2)}),
    ((4, 4, 2), {"before": (0, 2), "after": (1, 0)}),
    ((4, 4, 2), {"kernel": (1, 5), "before": (0, 4), "after": (0, 4)}),
    ((4, 5, 4), {"kernel": (2, 3), "groups": 2, "pad": 1}),
    ((4, 3, 6), {"groups": 6, "outputs": 6, "pad": 1}),
    ((4, 3, 3), {"groups": 3, "outputs": 6, "strides": (2, 2), "pad": 1}),
    ((4, 3, 5), {"kernel": (1, 1)}),
    ((4, 3, 5), {"kernel": (1, 1), "strides": (2, 2)}),
    ((1, 1, 3), {"pad": 1}),
    ((1, 1, 1), {"kernel": (1, 1), "outputs": 1}),
    ((3, 2, 1), {"outputs": 1, "pad": 1}),
    ((3, 3, 2), {"kernel": (3, 3)}),
    ((7, 2), {"kernel": (3,), "strides": (2,), "before": (2,)}),
    ((6, 3), {"kernel": (2,), "dilations": (3,), "groups": 3, "outputs": 3, "pad": 1}),
    ((1, 1), {"kernel": (3,), "pad": 1, "outputs": 1}),
    ((2, 3, 2, 2), {"kernel": (2, 2, 1), "pad": 1}),
]


@pytest.mark.parametrize(("elem", "zero"), INPUTS, ids=["bipolar", "uint8", "int4"])
@pytest.mark.parametrize(("shape", "spec"), SHAPES, ids=str)
def test_windows(shape: tuple[int, ...], spec: dict[str, Any], elem: Integral, zero: float) -> None:
    net = ConvNet(7)
    usual: dict[str, Any] = {"outputs": 4, "weights": "int4", "quantizer": "s4"}
    spec = usual | spec
    y = net.conv(net.codes(elem, 1, *shape, zero=zero), spec.pop("outputs"), **spec)
    program = check(net.graph(y))
    assert convolution(program).groups == spec.get("groups", 1)


def test_a_batch_of_two() -> None:
    net = ConvNet()
    y = net.conv(net.codes(Int(0, 255), 2, 3, 3, 2, zero=1.5), 3, pad=1, quantizer="s4")
    check(net.graph(net.max_pool(net.conv(y, 2, pad=1, quantizer="u2"))))


def test_a_filter_wider_than_its_input() -> None:
    """Most taps lie outside at every position."""
    net = ConvNet()
    x = net.codes(Int(0, 15), 1, 2, 2, 1, zero=2.5)
    check(net.graph(net.conv(x, 2, (5, 5), weights="int8", pad=3, quantizer="s8")))


def test_a_pad_of_zeros_joins_the_window() -> None:
    net = ConvNet()
    x = net.codes(Int(0, 15), 1, 3, 3, 2, scale=0.5)
    wide = net.op(Pad, x, before=(0, 1, 0, 0), after=(0, 2, 1, 0))
    program = check(net.graph(net.conv(wide, 3, pad=1, quantizer="s4")))
    assert convolution(program).window.after == (3, 2)
    assert Pad.__name__ not in kinds(program)


def test_a_pad_of_ones_is_a_code() -> None:
    net = ConvNet()
    x = net.codes(Int(0, 15), 1, 3, 3, 2, scale=0.5, zero=4)
    wide = net.op(Pad, x, before=(0, 1, 0, 0), after=(0, 2, 1, 0), value=1.0)
    (pad,) = of_kind(check(net.graph(net.conv(wide, 3, pad=1, quantizer="s4"))), Pad)
    assert pad.value == 6


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_signs_padded_with_a_sign_stay_signs(value: float) -> None:
    net = ConvNet()
    x = net.codes(Bipolar(), 1, 3, 3, 2, scale=1.0)
    wide = net.op(Pad, x, before=(0, 1, 1, 0), after=(0, 1, 1, 0), value=value)
    program = check(net.graph(net.conv(wide, 3, quantizer="bipolar")))
    assert isinstance(convolution(program).inputs[0].elem, Bipolar)


def test_a_pad_of_codes_with_a_zero_point() -> None:
    """Where a pool stands between, the pad moves to the codes and pads with the zero point."""
    net = ConvNet()
    x = net.codes(Int(0, 15), 1, 3, 3, 2, scale=0.5, zero=4)
    wide = net.op(Pad, x, before=(0, 1, 0, 0), after=(0, 0, 1, 1))
    program = check(net.graph(net.quant(net.max_pool(wide), 0.25)))
    (pad,) = of_kind(program, Pad)
    assert pad.value == 4


def channels_first(net: ConvNet, x: Value, body: Callable[[Value], Value]) -> Value:
    y = body(net.op(Transpose, x, perm=(0, 2, 3, 1)))
    return net.op(Transpose, y, perm=(0, 3, 1, 2))


def imported(quantizer: str) -> Graph:
    """Two convolutions and a dense layer as an importer of channels-first models leaves them."""
    net = ConvNet()
    x = net.codes(Int(-8, 7), 1, 3, 4, 5)
    for n in (4, 2):
        x = channels_first(net, x, lambda v, n=n: net.conv(v, n, pad=1, quantizer=quantizer))  # type: ignore[misc]
        x = channels_first(net, x, net.max_pool)
    flat = net.op(Reshape, x, shape=(1, 2))
    return net.graph(net.layer(flat, 3, weights="int8", quantizer="none"))


@pytest.mark.parametrize("quantizer", ["bipolar", "s4"])
def test_no_transpose_stays_on_the_device(quantizer: str) -> None:
    program = check(imported(quantizer))
    assert Transpose.__name__ not in kinds(program)
    assert len(of_kind(program, IntLinear)) == 1


def test_sign_of_a_sign_and_a_half() -> None:
    """Sign(Sign(x) + c), which exporters write for a sign without zero, is one threshold."""
    net = ConvNet()
    y = net.conv(net.codes(Bipolar(), 1, 3, 3, 4), 3, pad=1, batch_norm=True)
    one = quantize(net.b, y, "sign", "first")
    half = net.op(Arithmetic, one, net.constant(0.5), kind=Arith.ADD)
    sign = quantize(net.b, half, "sign", "second")
    program = check(net.graph(net.conv(sign, 2, quantizer="u2")))
    assert isinstance(of_kind(program, IntConv)[1].inputs[0].elem, Bipolar)


def test_a_dense_layer_over_positions() -> None:
    net = ConvNet()
    y = net.layer(net.codes(Int(0, 3), 1, 2, 3, 4), 3, weights="int8", batch_norm=False)
    check(net.graph(y))


def test_a_curved_activation_becomes_a_table() -> None:
    net = ConvNet()
    y = net.quant(net.conv(net.codes(Int(0, 3), 1, 3, 3, 2), 3, pad=1), 0.03125)
    curved = net.quant(net.op(Activation, y, kind=Function.HARD_SWISH), 0.03125)
    program = check(net.graph(net.conv(curved, 2, weights="int8")))
    assert Lookup.__name__ in kinds(program)


def test_a_mean_over_positions_is_a_sum() -> None:
    net = ConvNet()
    y = net.conv(net.codes(Int(0, 3), 1, 3, 5, 2), 3, weights="int8", quantizer="s8")
    mean = net.op(Reduce, y, kind=Reduction.MEAN, axes=(1, 2), keep=False)
    program = check(net.graph(net.layer(net.quant(mean, 0.25), 2, weights="int8")))
    (pool,) = of_kind(program, SumPool)
    assert pool.window == plain_window((1, 3))


def test_constants_along_an_axis_of_space() -> None:
    """A factor per row between two quantizers makes a class of each row."""
    net = ConvNet()
    rows = net.b.constant("rows", np.linspace(0.5, 2, 3).reshape(1, 3, 1, 1))
    y = net.op(Arithmetic, net.conv(net.codes(Int(0, 3), 1, 5, 4, 2), 2), rows, kind=Arith.MUL)
    program = check(net.graph(net.quant(y, 0.25, Int(-4, 3))))
    (steps,) = of_kind(program, Steps)
    assert steps.classes == ((0, 1, 2), (0, 0))
