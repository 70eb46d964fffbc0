"""Joins, cuts and shortcuts between convolutions become joins of codes."""

import pytest

from bitwright.ir.ops import (
    Activation,
    AddInt,
    Arith,
    Arithmetic,
    Concat,
    Function,
    IntConv,
    Pad,
    Requantize,
    Take,
    Value,
)
from bitwright.ir.types import Bipolar, Int
from tests.passes.conv_nets import ConvNet, check, kinds, of_kind

INT8 = Int(-128, 127)
SCALES = [(0.25, 0.25, 0.25), (0.25, 0.5, 0.25), (0.25, 0.0625, 0.5), (0.171, 0.0397, 0.2113)]


@pytest.mark.parametrize("scales", SCALES, ids=str)
@pytest.mark.parametrize("kind", [Arith.ADD, Arith.SUB])
@pytest.mark.parametrize("relu", [False, True])
def test_shortcuts(scales: tuple[float, ...], kind: Arith, relu: bool) -> None:
    net = ConvNet()
    x = net.quant(net.codes(INT8, 1, 4, 3, 3), scales[0])
    y = net.quant(net.conv(x, 3, weights="int4", pad=1), scales[1], zero=3)
    total = net.op(Arithmetic, x, y, kind=kind)
    total = net.op(Activation, total, kind=Function.RELU) if relu else total
    program = check(net.graph(net.conv(net.quant(total, scales[2]), 2, quantizer="s4")))
    assert len(of_kind(program, AddInt)) == 1


def test_a_shortcut_around_two_layers_with_strides() -> None:
    """The shortcut is a 1x1 convolution, as where a network halves its size."""
    net = ConvNet()
    x = net.quant(net.codes(Int(0, 255), 1, 5, 5, 2), 0.5)
    y = net.conv(x, 4, weights="ternary", strides=(2, 2), pad=1, batch_norm=True, quantizer="u2")
    y = net.quant(net.conv(y, 4, weights="int4", pad=1), 0.25)
    side = net.quant(net.conv(x, 4, (1, 1), weights="int4", strides=(2, 2)), 0.25)
    total = net.op(Activation, net.op(Arithmetic, y, side, kind=Arith.ADD), kind=Function.RELU)
    program = check(net.graph(net.quant(total, 0.25)))
    assert len(of_kind(program, AddInt)) == 1


def test_a_shortcut_of_fewer_channels_is_cut_and_padded() -> None:
    """Option A of residual networks: every second pixel, zeros for the new channels."""
    net = ConvNet()
    x = net.quant(net.codes(INT8, 1, 4, 4, 2), 0.5)
    side = net.take(net.take(x, (0, 2), axis=1), (0, 2), axis=2)
    side = net.op(Pad, side, before=(0, 0, 0, 1), after=(0, 0, 0, 1))
    y = net.quant(net.conv(x, 4, weights="int4", strides=(2, 2), pad=1), 0.5)
    program = check(net.graph(net.quant(net.op(Arithmetic, y, side, kind=Arith.ADD), 0.5)))
    assert {"Take", "Pad", "AddInt"} <= set(kinds(program))


def branches(net: ConvNet, left: float, right: float) -> Value:
    x = net.codes(Int(0, 3), 1, 3, 4, 2)
    a = net.quant(net.conv(x, 3, weights="int4", pad=1), left, Int(0, 15))
    c = net.quant(net.conv(x, 2, (1, 1), weights="int4"), right, Int(0, 15))
    return net.op(Concat, a, c, axis=3)


def test_a_concat_of_one_scale_joins_codes() -> None:
    net = ConvNet()
    y = net.conv(branches(net, 0.5, 0.5), 2, weights="ternary", pad=1, quantizer="s4")
    assert len(of_kind(check(net.graph(y)), Concat)) == 1


def test_a_concat_of_two_scales_before_a_quantizer_requantizes_each() -> None:
    net = ConvNet()
    y = net.quant(branches(net, 0.5, 0.375), 0.625, Int(0, 255))
    program = check(net.graph(net.conv(y, 2, weights="ternary", pad=1, quantizer="s4")))
    (join,) = of_kind(program, Concat)
    producers = program.body.producers()
    codes = [producers[v.name] for v in join.inputs]
    assert not any(isinstance(op, IntConv) for op in codes)
    assert join.output.elem.bits <= 4 + 1


def test_a_concat_before_a_norm_and_a_sign() -> None:
    """As in densely connected binary networks: each side gets its part of the norm."""
    net = ConvNet()
    x = net.codes(Bipolar(), 1, 3, 4, 2)
    dense = net.op(Concat, x, net.conv(x, 3, pad=1, batch_norm=True), axis=3)
    y = net.norm(dense, (0.5, -1.0, 2.0))
    program = check(net.graph(net.conv(net.quant(y, 1.0, Int(-1, 1)), 2, pad=1, quantizer="s4")))
    (join,) = of_kind(program, Concat)
    assert all(v.elem.bits <= 2 for v in join.inputs)


def test_a_concat_of_an_input_and_of_positions() -> None:
    net = ConvNet()
    x = net.codes(Int(0, 15), 1, 2, 3, 2, scale=0.5)
    tall = net.op(Concat, x, x, axis=1)
    program = check(net.graph(net.conv(tall, 2, pad=1, weights="int4", quantizer="bipolar")))
    assert kinds(program)[0] == "Concat"


def test_a_split_and_a_shuffle() -> None:
    """Half of the channels pass a layer, then both halves are interleaved."""
    net = ConvNet()
    x = net.quant(net.codes(INT8, 1, 3, 3, 4), 0.5)
    left, right = net.take(x, (0, 1)), net.take(x, (2, 3))
    y = net.quant(net.conv(right, 2, weights="int8", groups=2, pad=1), 0.5)
    mixed = net.take(net.op(Concat, left, y, axis=3), (0, 2, 1, 3))
    program = check(net.graph(net.conv(mixed, 3, (1, 1), weights="int8", quantizer="s8")))
    assert len(of_kind(program, Take)) == 3
    assert all(v.elem.bits <= 8 for op in of_kind(program, Take) for v in op.inputs[:1])


def test_a_shuffle_of_accumulators_waits_for_the_quantizer() -> None:
    net = ConvNet()
    y = net.conv(net.codes(Int(0, 3), 1, 3, 3, 4), 4, groups=2, weights="int8")
    mixed = net.op(Activation, net.take(y, (0, 2, 1, 3)), kind=Function.RELU)
    program = check(
        net.graph(net.conv(net.quant(mixed, 4.0, Int(0, 3)), 2, (1, 1), quantizer="s4"))
    )
    (take,) = of_kind(program, Take)
    assert take.inputs[0].elem.bits == 2


def test_a_norm_of_the_one_channel_that_is_taken() -> None:
    net = ConvNet()
    y = net.take(net.conv(net.codes(Int(0, 3), 1, 3, 3, 2), 3, weights="int4"), (2,))
    check(net.graph(net.quant(net.norm(y, (-0.5,)), 0.25, Int(-4, 3))))


def test_a_tensor_that_two_layers_and_the_output_read() -> None:
    net = ConvNet()
    x = net.conv(net.codes(Int(0, 3), 1, 4, 4, 2), 3, pad=1, quantizer="u2", weights="ternary")
    a = net.conv(x, 2, pad=1, quantizer="s4")
    c = net.average_pool(net.max_pool(x))
    program = check(net.graph(net.quant(c, 0.125), x, a))
    assert len(program.body.outputs) == 3


def test_a_requantization_alone() -> None:
    """Two quantizers in a row are two integer ops, never one."""
    net = ConvNet()
    y = net.conv(net.codes(INT8, 1, 3, 3, 2), 3, weights="int8")
    y = net.quant(net.quant(y, 0.5), 0.75)
    assert len(of_kind(check(net.graph(y)), Requantize)) == 2
