"""Pools beside convolutions: on narrow codes where order allows, exact sums where they average."""

from typing import Any

import pytest

from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    AveragePool,
    Clip,
    Function,
    MaxPool,
    MinPool,
    Requantize,
    Steps,
    SumPool,
    Value,
    plain_window,
)
from bitwright.ir.types import Bipolar, Int, Integral
from tests.graphs import quantize
from tests.passes.conv_nets import ConvNet, check, kinds, of_kind


def layer(net: ConvNet, quantizer: str = "none", **spec: Any) -> Value:
    x = net.codes(Int(-8, 7), 1, 5, 4, 2)
    return net.conv(x, 3, weights="int4", pad=1, quantizer=quantizer, **spec)


@pytest.mark.parametrize("gamma", [(1.0,), (0.5, 2.0), (1.0, 0.0)], ids=str)
@pytest.mark.parametrize("quantizer", ["bipolar", "u2", "s8"])
def test_a_pool_before_a_rising_norm_reads_codes(gamma: tuple[float], quantizer: str) -> None:
    net = ConvNet()
    y = net.norm(net.max_pool(layer(net)), gamma)
    program = check(net.graph(quantize(net.b, y, quantizer, "q")))
    assert kinds(program) == ["IntConv", "Requantize" if quantizer == "s8" else "Steps", "MaxPool"]


@pytest.mark.parametrize("gamma", [(-1.0,), (-0.5, 2.0), (-1.0, 0.0)], ids=str)
def test_a_pool_before_a_falling_norm_reads_accumulators(gamma: tuple[float]) -> None:
    net = ConvNet()
    y = net.norm(net.max_pool(layer(net)), gamma)
    program = check(net.graph(quantize(net.b, y, "s4", "q")))
    assert kinds(program) == ["IntConv", "MaxPool", "Steps"]


@pytest.mark.parametrize("gamma", [(1.0,), (-1.0,), (0.0,), (-0.5, 2.0, 0.0)], ids=str)
def test_a_pool_behind_a_norm(gamma: tuple[float]) -> None:
    """The quantizer moves above the pool whatever the norm's signs."""
    net = ConvNet()
    y = net.op(Activation, net.norm(layer(net), gamma), kind=Function.RELU)
    pooled = net.max_pool(y, strides=(2, 1), before=(1, 0), after=(0, 1))
    program = check(net.graph(quantize(net.b, pooled, "u2", "q")))
    assert kinds(program) == ["IntConv", "Steps", "MaxPool"]


def test_a_pool_behind_a_norm_without_quantizer() -> None:
    """Channels that fall are negated around the pool."""
    net = ConvNet()
    pooled = net.max_pool(net.norm(layer(net), (-0.5, 2.0, 0.0)))
    program = check(net.graph(pooled))
    assert kinds(program) == ["IntConv", "Requantize", "MaxPool", "Requantize"]


@pytest.mark.parametrize("pool", [MaxPool, MinPool])
def test_pools_of_codes_and_of_signs(pool: type[MaxPool]) -> None:
    for elem in (Bipolar(), Int(0, 255)):
        net = ConvNet()
        x = net.codes(elem, 1, 4, 5, 2, zero=3 if elem != Bipolar() else 0)
        y = net.max_pool(x, strides=(1, 2), before=(1, 0))
        y = net.op(pool, y, window=plain_window((2, 1)))
        program = check(net.graph(net.conv(y, 2, (1, 1), quantizer="s4")))
        assert kinds(program)[:2] == ["MaxPool", pool.__name__]


def test_two_pools_in_a_row_over_a_clip() -> None:
    net = ConvNet()
    y = net.max_pool(net.op(Clip, net.max_pool(layer(net)), lo=0.0, hi=6.0), (2, 1))
    program = check(net.graph(net.quant(y, 0.0625, Int(0, 255))))
    assert kinds(program) == ["IntConv", "Requantize", "MaxPool", "MaxPool"]


@pytest.mark.parametrize(("factor", "pooled"), [(0.5, True), (-0.5, False)])
def test_a_pool_behind_a_sum_of_one_tensor_with_itself(factor: float, pooled: bool) -> None:
    """Where both sides rise so does the sum; where one falls nothing is known, and the host pools."""
    net = ConvNet()
    x = layer(net)
    other = net.op(Arithmetic, x, net.constant(factor), kind=Arith.MUL)
    program = check(net.graph(net.max_pool(net.op(Arithmetic, x, other, kind=Arith.ADD))))
    assert kinds(program) == ["IntConv", "MaxPool"][: 1 + pooled]


AVERAGES: list[dict[str, Any]] = [
    {},
    {"kernel": (3, 2), "strides": (1, 1)},
    {"kernel": (3, 3), "strides": (2, 1), "pad": 1},
    {"kernel": (3, 3), "strides": (2, 1), "pad": 1, "counted": True},
    {"kernel": (2, 2), "before": (1, 0), "after": (0, 1), "counted": True},
    {"kernel": (2, 2), "after": (1, 0)},  # ceil mode leaves a last row of one tap
    {"kernel": (5, 4), "strides": (1, 1)},
    {"kernel": (1, 1), "strides": (2, 2)},
    {"kernel": (2, 2), "strides": (1, 1), "dilations": (2, 1), "pad": 1},
]
CODES: dict[str, tuple[Integral, float]] = {
    "uint8": (Int(0, 255), 0), "zero point": (Int(-8, 7), 3), "outside": (Int(0, 15), -2),
    "no code is zero": (Int(0, 255), 123.625), "bipolar": (Bipolar(), 0),
    "shifted bipolar": (Bipolar(), 0.5),
}  # fmt: skip


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("spec", AVERAGES, ids=str)
def test_averages(spec: dict[str, Any], codes: str) -> None:
    net = ConvNet()
    elem, zero = CODES[codes]
    y = net.average_pool(net.codes(elem, 1, 5, 4, 2, zero=zero), **spec)
    program = check(net.graph(net.quant(y, 0.125, Int(-128, 127))))
    assert kinds(program)[0] == "SumPool"


def test_positions_with_other_divisors_have_classes() -> None:
    net = ConvNet()
    x = net.codes(Int(0, 255), 1, 4, 5, 2)
    program = check(net.graph(net.quant(net.average_pool(x, (3, 3), strides=(1, 1), pad=1), 0.5)))
    (function,) = of_kind(program, Requantize) or of_kind(program, Steps)
    assert function.classes == ((0, 1, 1, 0), (0, 1, 1, 1, 0))


def test_a_counted_padding_of_zeros_needs_no_classes() -> None:
    net = ConvNet()
    y = net.average_pool(net.codes(Int(0, 255), 1, 4, 5, 2), (3, 3), pad=1, counted=True)
    program = check(net.graph(net.quant(y, 0.5)))
    assert all(op.classes == () for op in (*of_kind(program, Requantize), *of_kind(program, Steps)))


def test_an_average_of_signs_counts_in_steps_of_two() -> None:
    net = ConvNet()
    program = check(net.graph(net.quant(net.average_pool(net.codes(Bipolar(), 1, 4, 4, 3)), 0.5)))
    (pool,) = of_kind(program, SumPool)
    assert pool.elem == Int(-4, 4)


def test_an_average_that_a_convolution_reads_without_a_quantizer() -> None:
    """A sum is an integer like any other; where all divisors agree it is a layer's input."""
    net = ConvNet()
    y = net.average_pool(net.codes(Int(0, 15), 1, 4, 4, 2))
    program = check(net.graph(net.conv(y, 3, (1, 1), weights="int4", quantizer="s4")))
    assert kinds(program) == ["SumPool", "IntConv", "Steps"]


def test_an_average_of_accumulators_at_the_end_is_the_hosts() -> None:
    net = ConvNet()
    program = check(net.graph(net.average_pool(layer(net), (5, 4))))
    assert kinds(program) == ["IntConv"]
    assert isinstance(program.tail.ops[-1], AveragePool)
