"""Choose FIFO and ring depths: the least with which the design keeps the pace of its slowest unit."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitwright.backends.verilog.cell import Join, Pipeline, Turns
from bitwright.backends.verilog.network import Kind, Network, Unit
from bitwright.backends.verilog.plan import first_latency, planned_sizes
from bitwright.backends.verilog.schedule import (
    MIN_FRAMES,
    Timing,
    moves_of,
    simulate,
    slowest_cycles,
)
from bitwright.errors import VerifyError

_ROOM = 4  # beats more than a whole vector, for what registers hold
_EFFORT = 1_200_000  # moves in runs to make sizes less: some seconds
_SHARES = 8  # steps in which all sizes shrink at once
_CHECK = 150_000  # moves a frame up to which the result is run


@dataclass(frozen=True, slots=True)
class Sizing:
    """Depth of the FIFO in front of the reader of each link that needs one, and the timing.

    `rings` are the beats that the window of each layer holds, if it has one.
    """

    depths: Mapping[str, int]
    rings: Mapping[str, int]
    timing: Timing


def size_fifos(network: Network) -> Sizing:
    """Return depths with which the slowest unit never waits.

    They come from a schedule that is run, unless that takes more than seconds. Then they are made
    less as long as no cycle is lost: in small designs until none can be less by one.
    """
    sizes, timing = _sized(network)
    rings = {unit.name: sizes[unit.name] for unit in network.units if unit.ring}
    depths = {name: depth for name, depth in sizes.items() if depth and name not in rings}
    return Sizing(depths, rings, timing)


def _sized(network: Network) -> tuple[dict[str, int], Timing]:
    least = {unit.name: unit.ring.least_depth for unit in network.units if unit.ring}
    slowest, moves = slowest_cycles(network), moves_of(network)
    if moves <= _CHECK:
        none = simulate(network, least)
        if none is not None and none.interval <= slowest:
            return least, none
    planned = least | planned_sizes(network, slowest)
    if moves > _CHECK:
        return planned, Timing(first_latency(network), slowest, {})
    timing = simulate(network, planned)
    if timing is None or timing.interval > slowest:
        planned, timing = _widened(network, planned)
    # One more than was held: a full FIFO takes no beat in the cycle in which it gives one.
    start = {name: min(d, timing.held.get(name, d) + 1) for name, d in planned.items()}
    return _Shrinker(network, least, timing, _EFFORT // moves).shrink(start, timing)


def _widened(network: Network, planned: Mapping[str, int]) -> tuple[dict[str, int], Timing]:
    """Return sizes beyond which nothing can be gained, with what they give."""
    frame = {link.name: link.beats for link in network.links}
    sizes = dict(planned)
    for unit in network.of_kind(Kind.LAYER):
        joins = any(isinstance(cell.schedule, Join | Turns) for cell in unit.cells)
        for link in unit.inputs:
            if unit.ring:
                sizes[unit.name] = planned[unit.name] + link.beats
            elif joins:
                sizes[link.name] = (frame[link.name] + _ROOM) * (len(network.units) + 1)
            elif _passes(unit) > 1:
                sizes[link.name] = max(planned.get(link.name, 0), 2 * _gather(unit) + _ROOM)
    timing = simulate(network, sizes)
    if timing is None:
        raise VerifyError("the design deadlocks whatever its FIFOs hold")
    return sizes, timing


def _passes(unit: Unit) -> int:
    schedule = unit.main.schedule
    return schedule.passes if isinstance(schedule, Pipeline) else 1


def _gather(unit: Unit) -> int:
    schedule = unit.main.schedule
    return schedule.gather if isinstance(schedule, Pipeline) else 1


@dataclass(slots=True)
class _Shrinker:
    """Makes sizes less, none below its `least`, while the pace of `goal` is kept.

    It stops when `frames` are through.
    """

    network: Network
    least: Mapping[str, int]
    goal: Timing
    frames: int

    def shrink(self, sizes: Mapping[str, int], timing: Timing) -> tuple[dict[str, int], Timing]:
        """Bisect each size in short runs and prove it in a full one, until nothing gives way."""
        order = sorted(sizes, key=lambda name: self._cost(name, sizes[name]))
        best, timing = self._all_less({name: sizes[name] for name in order}, timing)
        before: dict[str, int] = {}
        hasty = True
        while best != before and self.frames > 0:
            before = dict(best)
            for name, size in before.items():
                if size == self._floor(name):
                    continue
                smaller = {**best, name: size - 1}
                if not hasty and self._run(smaller) is None:
                    continue
                smaller[name] = self._least(name, size, best, hasty=hasty)
                kept = self._run(smaller) if smaller[name] < size else None
                best, timing = (smaller, kept) if kept else (best, timing)
            if hasty:
                hasty, before = False, {}
        return best, timing

    def _all_less(self, sizes: dict[str, int], timing: Timing) -> tuple[dict[str, int], Timing]:
        """Take off all sizes, at once, the greatest share that none of them misses."""
        low, high, best = 0, _SHARES, sizes
        while low < high:
            middle = (low + high) // 2
            fewer = {n: self._share(n, size, middle) for n, size in sizes.items()}
            kept = self._run(fewer)
            best, timing = (fewer, kept) if kept else (best, timing)
            low, high = (low, middle) if kept else (middle + 1, high)
        return best, timing

    def _share(self, name: str, size: int, share: int) -> int:
        floor = self._floor(name)
        left = -((floor - size) * share // _SHARES)
        return max(floor + left, 2) if left else floor

    def _cost(self, name: str, size: int) -> tuple[bool, int, str]:
        """Sort the FIFOs of joins last, for these cover what others hold."""
        for unit in self.network.units:
            for link in unit.inputs:
                if name in {unit.name, link.name}:
                    joins = any(isinstance(c.schedule, Join | Turns) for c in unit.cells)
                    return joins, -link.bits * size, name
        return False, 0, name

    def _floor(self, name: str) -> int:
        return self.least.get(name, 0)

    def _run(self, sizes: Mapping[str, int], *, hasty: bool = False) -> Timing | None:
        """Return the timing with these sizes if the pace is kept; None too when it is late."""
        self.frames -= MIN_FRAMES if hasty else 2 * MIN_FRAMES
        if self.frames < 0:
            return None
        timing = simulate(self.network, sizes, limit=self.goal.interval, hasty=hasty)
        return timing if timing is not None and timing.interval <= self.goal.interval else None

    def _least(self, name: str, most: int, sizes: Mapping[str, int], *, hasty: bool) -> int:
        """Return the least size that keeps the pace, `most` being known to.

        No FIFO has depth 1, for such a one moves a beat every other cycle only.
        """
        floor = self._floor(name)
        if self._run({**sizes, name: floor}, hasty=hasty):
            return floor
        low, high = min(max(floor + 1, 2), most), most
        while low < high:
            middle = (low + high) // 2
            keeps = self._run({**sizes, name: middle}, hasty=hasty)
            low, high = (low, middle) if keeps else (middle + 1, high)
        return high
