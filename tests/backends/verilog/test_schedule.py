from collections.abc import Callable

import pytest

from bitwright.backends.verilog import Fold, VerilogOptions
from bitwright.backends.verilog.design import Design, design_of
from bitwright.backends.verilog.schedule import simulate, slowest_cycles
from bitwright.ir.graph import Graph
from tests.backends.verilog import bodies

OPTIONS = [
    VerilogOptions(),
    VerilogOptions(cycles=17),
    VerilogOptions(cycles=40),
    VerilogOptions(fold=Fold.MIN),
    VerilogOptions(fold=Fold.MAX),
]
BODIES = [bodies.bipolar_mlp, bodies.residual, bodies.mixed, bodies.single, bodies.two_inputs]


def made(body: Graph, options: VerilogOptions) -> Design:
    return design_of(body, body.name, options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("body", BODIES)
def test_the_slowest_unit_never_waits(body: Callable[[], Graph], options: VerilogOptions) -> None:
    design = made(body(), options)

    assert design.sizing.timing.interval == slowest_cycles(design.network)
    assert options.cycles is None or design.sizing.timing.interval <= options.cycles


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_no_fifo_is_deeper_than_it_has_to_be(options: VerilogOptions) -> None:
    design = made(bodies.residual(), options)

    assert design.sizing.depths
    for name, depth in design.sizing.depths.items():
        less = simulate(design.network, {**design.sizing.depths, name: depth - 1})
        assert less is None or less.interval > design.sizing.timing.interval


def test_a_join_without_room_deadlocks() -> None:
    network = made(bodies.residual(), VerilogOptions(fold=Fold.MIN)).network

    assert simulate(network, {}) is None


def test_the_interval_is_that_of_full_buffers_not_of_filling_ones() -> None:
    network = made(bodies.residual(), VerilogOptions(fold=Fold.MAX)).network
    timing = simulate(network, {})

    assert timing is not None
    assert timing.interval > 1  # the shortcut's slices pass three frames before they are full
