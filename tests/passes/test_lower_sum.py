"""Sums that no single rounding folds become an exact sum on a common grid and a function of it."""

from collections.abc import Callable

import pytest

from bitwright.errors import CompileError
from bitwright.ir.ops import AddInt, Arith, Arithmetic, Steps, Value
from bitwright.ir.types import Int
from tests.graphs import quantize
from tests.passes.conv_nets import ConvNet, check, of_kind

Build = Callable[[ConvNet], Value]


def pair(net: ConvNet, scales: tuple[float, float], kind: Arith = Arith.ADD) -> Value:
    """Return the sum or difference of two inputs of codes."""
    a, b = (net.codes(Int(0, 15), 1, 3, 3, 2, scale=s) for s in scales)
    return net.op(Arithmetic, a, b, kind=kind)


def normed(net: ConvNet) -> Value:
    return net.quant(net.norm(pair(net, (0.25, 0.25)), (1.0, -0.5)))


def signed(net: ConvNet) -> Value:
    less = net.op(Arithmetic, pair(net, (0.5, 0.25)), net.constant(4.1), kind=Arith.SUB)
    return quantize(net.b, less, "bipolar", "q")


def thirds(net: ConvNet) -> Value:
    return net.quant(pair(net, (1.0, 2.0)), 6.0)


def difference(net: ConvNet) -> Value:
    return quantize(net.b, pair(net, (0.375, 0.25), Arith.SUB), "bipolar", "q")


@pytest.mark.parametrize("build", [normed, signed, thirds, difference])
def test_sums_on_a_common_grid_are_exact(build: Build) -> None:
    net = ConvNet()
    program = check(net.graph(build(net)))
    (total,) = of_kind(program, AddInt)
    assert isinstance(total, AddInt)
    assert total.shift == 0


def test_a_norm_by_channel_behind_a_sum_has_steps_by_channel() -> None:
    net = ConvNet()
    program = check(net.graph(normed(net)))
    (steps,) = of_kind(program, Steps)
    assert steps.inputs[1].shape[0] in {1, 2}


def test_scales_without_a_common_grid_are_refused() -> None:
    net = ConvNet()
    y = quantize(net.b, pair(net, (0.1, 0.0314159)), "bipolar", "q")
    with pytest.raises(CompileError, match="goes into a Binarize"):
        check(net.graph(y))
