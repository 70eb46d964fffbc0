"""Convolutional designs in simulators: equal bits under any stall, and the cycles that were told."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from bitwright.backends.verilog import Fold, VerilogOptions
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import Concat, Encoding
from bitwright.ir.types import Int
from bitwright.sim.rtl import RtlOptions, Simulator, Stalls
from tests.backends.verilog.bodies import value
from tests.backends.verilog.conftest import MakeRig
from tests.backends.verilog.images import BODIES, SAME, Filters, conv, window
from tests.backends.verilog.test_rtl import assert_cycles, assert_equal

ICARUS = Simulator.ICARUS
needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="iverilog is missing")


@needs_icarus
@pytest.mark.parametrize("name", BODIES)
def test_icarus_gives_the_same_bits_and_cycles(name: str, rig: MakeRig) -> None:
    made = rig(BODIES[name](), frames=5)
    want = made.expected()

    free = made.run(RtlOptions(simulator=ICARUS))
    hard = made.run(RtlOptions(Stalls.BOTH, reset_midframe=True, simulator=ICARUS))

    assert_equal(free, want)
    assert_cycles(made, free)
    assert_equal(hard, want)


# A window that hangs over the right edge by two columns falls behind by a cycle, once.
LATE = {("in_time", Fold.MAX): (12, 11, 11)}


@needs_icarus
@pytest.mark.parametrize("fold", Fold)
@pytest.mark.parametrize("name", ["dense_conv", "separable", "in_time", "gated"])
def test_both_ends_of_folding(name: str, fold: Fold, rig: MakeRig) -> None:
    made = rig(BODIES[name](), VerilogOptions(fold=fold), frames=4)

    got = made.run(RtlOptions(simulator=ICARUS))

    assert_equal(got, made.expected())
    if (name, fold) in LATE:
        assert got.gaps == LATE[name, fold]
        got = replace(got, gaps=got.gaps[1:])
    assert_cycles(made, got)


@pytest.mark.parametrize("name", ["binary_conv", "residual_conv"])
def test_verilator_gives_the_same_bits_with_noise_in_every_register(
    name: str, rig: MakeRig
) -> None:
    made = rig(BODIES[name](), frames=6)
    want = made.expected()

    free = made.run(RtlOptions(taps=True))

    assert_equal(free, want)
    assert_cycles(made, free)
    assert free.taps.keys() == {t["name"] for t in made.report["trace"]}
    assert_equal(made.run(RtlOptions(Stalls.BOTH, seed=3, reset_midframe=True)), want)


WHOLE = {
    "same": (SAME, (6, 5, 2), (2, 18)),
    "overhang": (window((5, 5), pads=(2, 2, 2, 2)), (6, 7, 1), (4, 5)),
    "overhang_at_once": (window((5, 5), pads=(2, 2, 2, 2)), (6, 7, 1), (4, 25)),
    "few_cycles": (window((7, 7)), (9, 10, 1), (2, 49)),
    "stem": (window((7, 7), strides=(2, 2), pads=(3, 3, 3, 3)), (9, 9, 3), (4, 49)),
    "strided_overhang": (
        window((5, 7), strides=(2, 2), pads=(2, 3, 2, 3)),
        (6, 7, 1),
        (1, 35),
    ),
    "dilated": (window((2, 3), pads=(1, 2, 0, 2), dilations=(2, 2)), (7, 6, 3), (4, 9)),
    "in_time": (window((4,), strides=(2,), pads=(1, 2)), (11, 2), (2, 8)),
}


@needs_icarus
@pytest.mark.parametrize("name", WHOLE)
def test_whole_windows(name: str, rig: MakeRig) -> None:
    shape, image, lanes = WHOLE[name]
    b, rng = Builder(["x"]), np.random.default_rng(9)
    x = value("x", Int(0, 15), 1, *image)
    y = conv(b, rng, x, Filters(4, Encoding.INTEGER, shape, pad=3, bias=True))
    made = rig(b.graph("whole", [x], [y]), VerilogOptions(lanes={"conv": lanes}), frames=6)
    want = made.expected()

    free = made.run(RtlOptions(simulator=ICARUS))
    hard = made.run(RtlOptions(Stalls.BOTH, reset_midframe=True, simulator=ICARUS))

    assert "bw_window_full" in made.report["layers"][0]["cells"]
    assert_equal(free, want)
    assert_cycles(made, free)
    assert_equal(hard, want)


def rows_joined() -> Graph:
    """Return two images one above the other, each a batch of two, under one convolution."""
    b, rng = Builder(["x", "z"]), np.random.default_rng(8)
    x, z = value("x", Int(0, 3), 2, 2, 3, 2), value("z", Int(-4, 3), 2, 3, 3, 2)
    y = b.op(Concat, (x, z), "tall", "stack", axis=1)
    filters = Filters(2, Encoding.INTEGER, window((3, 2), pads=(0, 1, 0, 0)), pad=-4)
    return b.graph("rows joined", [x, z], [conv(b, rng, y, filters)])


@needs_icarus
def test_rows_are_joined_and_batches_pass(rig: MakeRig) -> None:
    made = rig(rows_joined(), frames=4)

    got = made.run(RtlOptions(simulator=ICARUS))

    assert_equal(got, made.expected())
    assert_cycles(made, got)


@needs_icarus
def test_a_wrong_weight_is_seen(rig: MakeRig) -> None:
    body = BODIES["dense_conv"]()
    made = rig(body, frames=4)
    w = body.constants["conv.w"].copy()
    w[1] = -w[1]
    mutant = replace(body, constants={**body.constants, "conv.w": w})
    other = rig(mutant, frames=4)

    assert_equal(other.run(RtlOptions(simulator=ICARUS)), other.expected())
    assert any((other.expected()[n] != a).any() for n, a in made.expected().items())
