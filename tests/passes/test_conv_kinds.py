"""Every kind of weights on every kind of activations: a convolution's integers mean its reals."""

from typing import Any

import numpy as np
import pytest

from bitwright.ir.ops import Encoding, IntConv, Requantize, Steps, Value
from bitwright.ir.types import Bipolar, Int, Integral, Ternary
from tests.passes.conv_nets import ConvNet, check, convolution, of_kind

WEIGHTS = ["bipolar", "ternary", "pow2", "int4", "int8"]
WHOLE: dict[str, tuple[Integral, float]] = {
    "bipolar": (Bipolar(), 0),
    "ternary": (Ternary(), 0),
    "uint2": (Int(0, 3), 0),
    "int4": (Int(-8, 7), 0),
    "int8": (Int(-128, 127), 0),
    "uint8 zero inside": (Int(0, 255), 117),
    "uint2 zero inside": (Int(0, 3), 1),
}
BY_POSITION: dict[str, tuple[Integral, float]] = {
    "zero outside": (Int(0, 255), -3),
    "zero between codes": (Int(0, 255), 123.625),
    "bipolar, zero is a code": (Bipolar(), 1),
    "bipolar, zero between codes": (Bipolar(), 0.5),
}
KINDS = WHOLE | BY_POSITION
ENCODING = {
    "bipolar": Encoding.BIPOLAR, "ternary": Encoding.TERNARY, "pow2": Encoding.POWER_OF_TWO,
    "int4": Encoding.INTEGER, "int8": Encoding.INTEGER,
}  # fmt: skip


def entry(net: ConvNet, kind: str, *shape: int) -> Value:
    elem, zero = KINDS[kind]
    return net.codes(elem, *shape, scale=160 / 1024, zero=zero)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_padded_convolutions(weights: str, kind: str) -> None:
    net = ConvNet(len(weights))
    x = entry(net, kind, 1, 4, 3, 3)
    y = net.conv(x, 4, weights=weights, pad=1, batch_norm=True, bias="real", quantizer="s4")
    z = net.conv(y, 2, weights=weights, pad=1, quantizer="u2", corner="zero row")
    program = check(net.graph(z))
    first, second = of_kind(program, IntConv)
    assert first.encoding is second.encoding is ENCODING[weights]
    steps = of_kind(program, Steps)
    assert bool(steps[0].classes) == (kind in BY_POSITION)
    assert steps[1].classes == ()


@pytest.mark.parametrize("kind", WHOLE)
def test_a_tap_outside_reads_the_zero_point(kind: str) -> None:
    net = ConvNet()
    y = net.conv(entry(net, kind, 1, 3, 3, 2), 3, weights="int4", pad=1)
    assert convolution(check(net.graph(y))).pad == KINDS[kind][1]


@pytest.mark.parametrize("kind", BY_POSITION)
def test_without_padding_any_zero_point_is_a_bias(kind: str) -> None:
    net = ConvNet()
    y = net.conv(entry(net, kind, 1, 3, 3, 2), 3, (2, 2), weights="int4", quantizer="s4")
    program = check(net.graph(y))
    assert not any(op.classes for op in of_kind(program, Steps))


def test_border_classes_hold_positions_with_equal_taps() -> None:
    """A 3x3 kernel padded by one sees three kinds of rows and of columns, whatever the size."""
    net = ConvNet()
    x = entry(net, "zero between codes", 1, 6, 5, 2)
    program = check(net.graph(net.conv(x, 3, weights="int8", pad=1, quantizer="s4")))
    (steps,) = of_kind(program, Steps)
    assert steps.classes == ((0, 1, 1, 1, 1, 2), (0, 1, 1, 1, 2))
    assert program.body.constant(steps.inputs[1]).shape[0] == 9 * 3


def test_border_classes_of_a_multiplication() -> None:
    net = ConvNet()
    x = entry(net, "zero between codes", 1, 4, 4, 2)
    y = net.quant(net.conv(x, 2, (2, 2), weights="int8", before=(1, 0)), 0.375)
    (requantize,) = of_kind(check(net.graph(y)), Requantize)
    assert requantize.classes == ((0, 1, 1, 1), (0, 0, 0))
    assert program_rows(requantize.inputs[2]) == 2 * 2


def program_rows(parameter: Value) -> int:
    return parameter.shape[0]


def test_rows_that_sum_to_zero_need_no_classes() -> None:
    """Where the weights of every tap are zero no position differs."""
    net = ConvNet()
    x = entry(net, "zero between codes", 1, 4, 4, 1)
    y = net.conv(x, 1, weights="int8", pad=1, corner="zero row", bias="real")
    z = net.max_pool(y, strides=(1, 1))
    program = check(net.graph(net.quant(z, 0.25)))
    assert not any(op.classes for op in of_kind(program, Steps))


@pytest.mark.parametrize("kind", ["int8", "uint8 zero inside", "zero between codes"])
@pytest.mark.parametrize("bias", ["none", "real", "own", "grid"])
def test_biases(bias: str, kind: str) -> None:
    net = ConvNet()
    y = net.conv(entry(net, kind, 1, 3, 3, 2), 5, weights="int8", pad=1, bias=bias)
    program = check(net.graph(net.quant(y, 0.125)))
    folded = len(convolution(program).inputs) == 3
    assert folded == (bias == "grid" or kind == "uint8 zero inside")


def test_each_filter_has_its_scale() -> None:
    net = ConvNet()
    y = net.conv(entry(net, "int8", 1, 2, 2, 3), 6, (1, 1), weights="int4")
    (scale,) = [a for n, a in net.b.constants.items() if n.endswith(".ws")]
    assert np.unique(scale).size == 6
    check(net.graph(net.quant(y, 0.5), y))


@pytest.mark.parametrize("quantizer", ["bipolar", "sign", "u2", "s4", "s8"])
@pytest.mark.parametrize("corner", ["", "gamma 0", "plus", "minus"])
def test_quantizers_behind_batch_norms(quantizer: str, corner: str) -> None:
    net = ConvNet(3)
    x = entry(net, "ternary", 1, 3, 4, 3)
    spec: dict[str, Any] = {"batch_norm": True, "corner": corner, "quantizer": quantizer}
    y = net.conv(x, 4, weights="ternary", pad=1, relu=quantizer == "u2", **spec)
    check(net.graph(net.conv(y, 3, (2, 2), weights="int4", **spec)))
