"""What of a convolutional model cannot be integers is named, with the node and what to do."""

from collections.abc import Callable

import pytest

from bitwright.compiler import lower, quantize
from bitwright.errors import CompileError
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    Concat,
    Conv,
    Function,
    LocalResponseNorm,
    Pad,
    Value,
    plain_window,
)
from bitwright.ir.types import Int, Real
from bitwright.options import CompileOptions
from bitwright.passes import SIMPLIFY, run
from tests.passes.conv_nets import ConvNet

U4, WIDE = Int(0, 15), Int(0, 4095)


def unquantized(net: ConvNet) -> Value:
    return net.quant(net.conv(net.entry(Real(), 1, 3, 3, 2), 2))


def unquantized_pool(net: ConvNet) -> Value:
    x = net.codes(U4, 1, 3, 3, 2)
    total = net.op(Arithmetic, x, net.entry(Real(), 1, 3, 3, 2), kind=Arith.MUL)
    return net.conv(net.max_pool(total), 2, (1, 1), quantizer="u2")


def unquantized_average(net: ConvNet) -> Value:
    return net.quant(net.average_pool(net.conv(net.codes(U4, 1, 4, 4, 2), 2)))


def computed_weights(net: ConvNet) -> Value:
    x = net.codes(U4, 2, 1, 1, 2)
    return net.quant(net.op(Conv, x, x, window=plain_window((1, 1))))


def float_weights(net: ConvNet) -> Value:
    w = net.b.constant("w", net.rng.normal(size=(2, 1, 1, 2)))
    return net.quant(net.op(Conv, net.codes(U4, 1, 3, 3, 2), w, window=plain_window((1, 1))))


def curved(net: ConvNet) -> Value:
    x = net.op(Activation, net.codes(U4, 1, 3, 3, 2), kind=Function.SIGMOID)
    return net.conv(x, 2, quantizer="u2")


def two_scales(net: ConvNet) -> Value:
    x = net.codes(U4, 1, 3, 3, 2)
    y = net.quant(net.conv(x, 2, (1, 1)), 0.75, U4)
    return net.conv(net.op(Concat, x, y, axis=3), 2, quantizer="u2")


def wide_sum(net: ConvNet) -> Value:
    x, y = (net.codes(WIDE, 1, 3, 3, 2, scale=s) for s in (0.1, 0.0314159))
    return net.quant(net.op(Arithmetic, x, y, kind=Arith.ADD))


def sum_with_a_float(net: ConvNet) -> Value:
    x = net.conv(net.codes(U4, 1, 3, 3, 2), 2, pad=1, quantizer="u2")
    return net.quant(net.op(Arithmetic, x, net.entry(Real(), 1, 3, 3, 2), kind=Arith.ADD))


def neighbours(net: ConvNet) -> Value:
    y = net.conv(net.codes(U4, 1, 3, 3, 2), 2)
    normal = net.op(LocalResponseNorm, y, size=3, alpha=0.1, beta=0.75, bias=1.0)
    return net.quant(normal)


def padded_between(net: ConvNet) -> Value:
    """No code stands for the padding."""
    x = net.codes(U4, 1, 3, 3, 2, zero=0.5)
    wide = net.op(Pad, x, before=(0, 1, 0, 0), after=(0, 0, 0, 0))
    return net.quant(net.norm(wide, (1.0, -1.0)))


def bent_pool(net: ConvNet) -> Value:
    y = net.op(Activation, net.conv(net.codes(U4, 1, 4, 4, 2), 2), kind=Function.HARD_SWISH)
    return net.quant(net.norm(net.max_pool(y), (-1.0,)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (unquantized, r"conv0: its input 'x0' is not quantized; give .* --input .* --calibrate"),
        (unquantized_pool, r"conv\d+: its input 'x1' is not quantized; give .* --calibrate"),
        (unquantized_average, r"averagepool: .* not one straight line .*quantize the layer's input"),
        (computed_weights, "conv: its weights are computed at run time"),
        (float_weights, "conv: its weights are floats; choose .* --weights int:8"),
        (curved, r"conv\d+: between the codes 'x0' and this layer lies a function that is not one"),
        (two_scales, r"conv\d+: its input 'concat' joins 'x0' and '.*', whose scales differ; quantize"),
        (wide_sum, "quant: a sum of 4096 by 4096 values .* quantize both inputs of the sum to 10"),
        (sum_with_a_float, "quant: adds 'x1', which is not quantized; give its codes with --input"),
        (neighbours, "localresponsenorm: LocalResponseNorm lies between quantizers and is no funct"),
        (padded_between, "pad: Pad lies between quantizers"),
        (bent_pool, "maxpool: Activation activation lies between it and the last quantizer, and do"),
    ],
)  # fmt: skip
def test_what_cannot_be_integers_is_named(build: Callable[[ConvNet], Value], message: str) -> None:
    net = ConvNet()
    graph = net.graph(build(net))
    options = CompileOptions()
    with pytest.raises(CompileError, match=message):
        lower(quantize(run(graph, SIMPLIFY), options), options)
