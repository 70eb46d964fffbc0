"""Sizes from a schedule of whole frames against runs of the design's control, beat by beat."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.backends.verilog import Fold, VerilogOptions
from bitwright.backends.verilog.cell import Pipeline
from bitwright.backends.verilog.design import network_of
from bitwright.backends.verilog.fifos import size_fifos
from bitwright.backends.verilog.flow import backward, forward, most_waiting
from bitwright.backends.verilog.network import Network
from bitwright.backends.verilog.plan import first_latency, planned_sizes
from bitwright.backends.verilog.schedule import simulate, slowest_cycles
from tests.backends.verilog import bodies
from tests.backends.verilog.images import BODIES

FOLDS = {"": VerilogOptions(), **{f.value: VerilogOptions(fold=f) for f in Fold}}
ALL = {**BODIES, "bipolar_mlp": bodies.bipolar_mlp, "mixed": bodies.mixed}


def least(network: Network) -> dict[str, int]:
    return {unit.name: unit.ring.least_depth for unit in network.units if unit.ring}


def bits(network: Network, sizes: Mapping[str, int]) -> int:
    widths = {link.name: link.bits for link in network.links}
    widths |= {unit.name: unit.inputs[0].bits for unit in network.units if unit.ring}
    return sum(widths[name] * size for name, size in sizes.items())


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("name", ALL)
def test_planned_sizes_keep_the_pace(name: str, fold: str) -> None:
    network = network_of(ALL[name](), FOLDS[fold])
    slowest = slowest_cycles(network)

    timing = simulate(network, least(network) | planned_sizes(network, slowest))

    assert timing is not None
    assert timing.interval == slowest
    assert abs(first_latency(network) - timing.latency) <= max(
        2 * len(network.units), 0.02 * timing.latency
    )


def test_a_plan_is_near_the_least_that_keeps_the_pace() -> None:
    planned = found = 0
    for name in ("dense_conv", "binary_conv", "separable", "in_time"):
        network = network_of(BODIES[name](), VerilogOptions(fold=Fold.MIN))
        sizing = size_fifos(network)
        planned += bits(network, least(network) | planned_sizes(network, slowest_cycles(network)))
        found += bits(network, {**sizing.depths, **sizing.rings})

    assert planned <= 1.1 * found


def test_a_smaller_ring_or_fifo_costs_cycles() -> None:
    network = network_of(BODIES["residual_conv"](), VerilogOptions(fold=Fold.MAX))
    sizing = size_fifos(network)
    sizes = {**sizing.depths, **sizing.rings}

    assert sizing.depths
    floor = dict.fromkeys(sizing.depths, 2) | least(network)  # no FIFO has depth 1
    tried = [name for name, size in sizes.items() if size > floor[name]]
    assert len(tried) > 1
    for name in tried:
        less = simulate(network, {**sizes, name: sizes[name] - 1})
        assert less is None or less.interval > sizing.timing.interval


def test_a_join_of_a_short_branch_deadlocks_without_a_fifo() -> None:
    network = network_of(BODIES["residual_conv"](), VerilogOptions())

    assert simulate(network, least(network)) is None


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), min_size=1, max_size=12),
    st.integers(0, 20),
)
def test_chains_are_the_soonest_and_the_latest(steps: list[tuple[int, int]], spare: int) -> None:
    bounds = np.array([b for b, _ in steps], np.float64)
    cost = np.array([c for _, c in steps])
    period = int(cost.sum()) + spare
    soon, late = forward(bounds, cost, period), backward(bounds, cost, period)

    gaps = np.append(cost[1:], cost[0])
    for times in (soon, late):
        following = np.append(times[1:], times[0] + period)
        assert (following - times >= gaps).all()
    assert (soon >= bounds).all()
    assert (late <= bounds).all()
    before = np.append(soon[-1] - period, soon[:-1])
    np.testing.assert_array_equal(soon, np.maximum(bounds, before + cost))


def test_beats_that_pass_in_the_cycle_that_shows_them_do_not_wait() -> None:
    shown = np.array([0.0, 1.0, 2.0, 3.0])

    assert most_waiting(shown, shown, 10) == 0
    assert most_waiting(shown, np.array([9.0, 10.0, 11.0, 12.0]), 10) == 4
    assert most_waiting(shown, shown + 20, 10) == 8


def test_a_pool_of_whole_pixels_gives_with_the_last_one() -> None:
    network = network_of(BODIES["separable"](), VerilogOptions(fold=Fold.MIN))

    schedule = network.units[-2].cells[0].schedule

    assert isinstance(schedule, Pipeline)
    assert (schedule.gather, schedule.blocks) == (12, 18)
