"""Choose FIFO depths: the least with which the design keeps the pace of its slowest unit."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitwright.backends.verilog.network import Kind, Link, Network, Unit
from bitwright.backends.verilog.schedule import Timing, simulate, slowest_cycles
from bitwright.errors import VerifyError

_ROOM = 4  # beats more than a whole vector, for what registers hold


@dataclass(frozen=True, slots=True)
class Sizing:
    """Depth of the FIFO in front of the reader of each link that needs one, and the timing."""

    depths: Mapping[str, int]
    timing: Timing


def size_fifos(network: Network) -> Sizing:
    """Return FIFO depths none of which can be less by one without losing cycles.

    The pace kept is that of generous FIFOs. A matrix-vector unit with several passes reads its
    input in the first alone, and a join waits for its later operand: only these can need one.
    """
    none = simulate(network, {})
    if none is not None and none.interval <= slowest_cycles(network):
        return Sizing({}, none)
    readers = {link.name: unit for unit, link in _candidates(network)}
    links = {link.name: link for link in network.links}
    most = {name: _enough(network, links[name], unit) for name, unit in readers.items()}
    generous = simulate(network, most)
    if generous is None:
        raise VerifyError("the design deadlocks whatever its FIFOs hold")
    if none is not None and none.interval <= generous.interval:
        return Sizing({}, none)
    # One more than was held: a full FIFO takes no beat in the cycle in which it gives one.
    depths = {name: min(depth, generous.held[name] + 1) for name, depth in most.items()}

    def cost(name: str) -> tuple[bool, int, str]:  # a join's FIFO covers what others hold: last
        return readers[name].cells[0].schedule.join, -links[name].bits * depths[name], name

    return _shrink(network, dict(sorted(depths.items(), key=lambda d: cost(d[0]))), generous)


def _shrink(network: Network, depths: dict[str, int], generous: Timing) -> Sizing:
    """Bisect each depth in turn, in short simulations, then prove the result in full ones."""
    quick = dict(depths)
    for name, depth in depths.items():
        quick[name] = _least(depth, _Pace(network, quick, name, generous.interval, True))
    timing = simulate(network, _used(quick))
    kept = timing is not None and timing.interval <= generous.interval
    depths = quick if kept else depths
    while True:
        before = dict(depths)
        for name, depth in before.items():
            pace = _Pace(network, depths, name, generous.interval, False)
            if depth and pace(depth - 1):
                depths[name] = _least(depth - 1, pace)
        if depths == before:
            break
    return Sizing(_used(depths), simulate(network, _used(depths)) or generous)


def _used(depths: Mapping[str, int]) -> dict[str, int]:
    return {name: depth for name, depth in depths.items() if depth}


@dataclass(frozen=True, slots=True)
class _Pace:
    """Tells whether the design keeps its pace with one FIFO at another depth."""

    network: Network
    depths: Mapping[str, int]
    name: str
    interval: int
    hasty: bool

    def __call__(self, depth: int) -> bool:
        """Simulate, with the depths as they are now."""
        depths = {**self.depths, self.name: depth}
        timing = simulate(self.network, depths, limit=self.interval, hasty=self.hasty)
        return timing is not None and timing.interval <= self.interval


def _least(most: int, keeps: _Pace) -> int:
    """Return the least depth that keeps the pace, `most` being known to.

    0 is none; 1 is left out, for such a FIFO moves a beat every other cycle only.
    """
    if most == 0 or keeps(0):
        return 0
    low, high = min(2, most), most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle + 1, high)
    return high


def _candidates(network: Network) -> list[tuple[Unit, Link]]:
    """Return the links in front of which a FIFO can help, with their readers."""
    return [
        (unit, link)
        for unit in network.of_kind(Kind.LAYER)
        for link in unit.inputs
        if unit.cells[0].schedule.join or unit.cells[0].schedule.passes > 1
    ]


def _enough(network: Network, link: Link, unit: Unit) -> int:
    """Return a depth beyond which nothing can be gained."""
    if unit.cells[0].schedule.join:
        return (link.beats + _ROOM) * (len(network.units) + 1)
    return 2 * unit.cells[0].schedule.gather + _ROOM
