"""Sizes of FIFOs and window rings from one schedule in which the slowest unit never waits.

Units in front of the first slowest one move as late as it allows, all others as soon as they can:
what then waits anywhere has to wait there. As the schedule is feasible with these sizes, the
design neither deadlocks nor falls behind.
"""

from dataclasses import dataclass, field

import numpy as np

from bitwright.backends.verilog.flow import (
    Flow,
    Moves,
    Times,
    flow_of,
    forward,
    latest,
    most_waiting,
    results,
    ring_depth,
    soonest,
    unhurried,
)
from bitwright.backends.verilog.network import Kind, Network, Unit

_FREE_SLOTS = 2  # beats that may wait where there is no FIFO: those of a register slice


@dataclass
class _Plan:
    """The moves of every unit, one frame each `period` cycles."""

    network: Network
    period: int
    flows: dict[str, Flow] = field(default_factory=dict)
    moves: dict[str, Moves] = field(default_factory=dict)
    shown: dict[str, Times] = field(default_factory=dict)  # by link
    taken: dict[str, Times] = field(default_factory=dict)  # by link

    def put(self, unit: Unit, moves: Moves) -> None:
        self.moves[unit.name] = moves
        for link, times in zip(unit.inputs, moves.taken, strict=True):
            self.taken[link.name] = times
        times = results(self.flows[unit.name], moves)
        for link in unit.outputs:
            self.shown[link.name] = times

    def hurry(self, unit: Unit, period: float) -> None:
        arrivals = tuple(self.shown[link.name] for link in unit.inputs)
        self.put(unit, soonest(self.flows[unit.name], arrivals, period))

    def delay(self, unit: Unit, followers: set[str]) -> None:
        due = [self.taken[link.name] for link in unit.outputs if link.name in followers]
        sizes = tuple(link.beats for link in unit.inputs)
        deadlines = np.minimum.reduce(due)
        self.put(unit, latest(self.flows[unit.name], deadlines, sizes, self.period))

    def relax(self, unit: Unit) -> None:
        sizes = tuple(link.beats for link in unit.inputs)
        events = self.moves[unit.name].events
        self.put(unit, unhurried(self.flows[unit.name], events, sizes, self.period))


def first_latency(network: Network) -> int:
    """Return the cycles from the first beat in to the last beat out of a first frame."""
    plan = _Plan(network, 0, {unit.name: flow_of(unit) for unit in network.units})
    for unit in network.units:
        plan.hurry(unit, np.inf)
    ends = [plan.taken[u.inputs[0].name][-1] + 1 for u in network.of_kind(Kind.EXIT)]
    return int(max(ends))


def planned_sizes(network: Network, period: int) -> dict[str, int]:
    """Return depths of FIFOs by link and of rings by unit, for a frame each `period` cycles."""
    plan = _Plan(network, period, {unit.name: flow_of(unit) for unit in network.units})
    for unit in network.units:
        plan.hurry(unit, period)
    slowest = {name for name, flow in plan.flows.items() if flow.busy == period}
    after, before = _reached(network, slowest)
    followers = {
        link.name for unit in network.units if unit.name in before | slowest for link in unit.inputs
    }
    for unit in reversed(network.units):
        if unit.name in slowest - after:
            plan.relax(unit)
        elif unit.name in before - after:
            plan.delay(unit, followers)
    for unit in network.units:  # what passes through early units is held where it is read
        if unit.name not in before - after - slowest or unit.kind is Kind.WIDTH:
            plan.hurry(unit, period)
    return _sizes(plan)


def _reached(network: Network, slowest: set[str]) -> tuple[set[str], set[str]]:
    """Return the units behind any of `slowest`, and those in front of any."""
    writers = {link.name: unit.name for unit in network.units for link in unit.outputs}
    after: set[str] = set()
    for unit in network.units:
        if {writers[link.name] for link in unit.inputs} & (after | slowest):
            after.add(unit.name)
    before: set[str] = set()
    for unit in reversed(network.units):
        if unit.name in before | slowest:
            before |= {writers[link.name] for link in unit.inputs}
    return after, before


def _sizes(plan: _Plan) -> dict[str, int]:
    found: dict[str, int] = {}
    for unit in plan.network.units:
        if unit.ring:
            came = forward(
                plan.shown[unit.inputs[0].name], np.ones(unit.inputs[0].beats), plan.period
            )
            flow, moves = plan.flows[unit.name], plan.moves[unit.name]
            found[unit.name] = ring_depth(unit, flow, moves, came, plan.period)
            continue
        for link in unit.inputs:
            most = most_waiting(plan.shown[link.name], plan.taken[link.name], plan.period)
            if link.beats == plan.period and most > 1:
                found[link.name] = most + 1  # a full FIFO takes no beat while it gives one
            elif most > _FREE_SLOTS:
                found[link.name] = most
    return found
