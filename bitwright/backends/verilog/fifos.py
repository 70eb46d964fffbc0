"""Choose FIFO depths: the least with which the design keeps the pace of its slowest unit."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitwright.backends.verilog.network import Kind, Link, Network, Unit
from bitwright.backends.verilog.schedule import Timing, simulate
from bitwright.errors import VerifyError

_ROOM = 4  # beats more than a whole vector, for what registers hold


@dataclass(frozen=True, slots=True)
class Sizing:
    """Depth of the FIFO in front of the reader of each link that needs one, and the timing."""

    depths: Mapping[str, int]
    timing: Timing


def size_fifos(network: Network) -> Sizing:
    """Return the shallowest FIFOs found that lose no cycle against generous ones.

    A matrix-vector unit with several passes reads its input in the first alone, and a join waits
    for its later operand: only these can need one. Each depth is found by bisection in simulation,
    the widest FIFO first.
    """
    most = {link.name: _enough(network, link, unit) for unit, link in _candidates(network)}
    none = simulate(network, {})
    if none is not None and none.interval <= slowest_cycles(network):
        return Sizing({}, none)
    generous = simulate(network, most)
    if generous is None:
        raise VerifyError("the design deadlocks whatever its FIFOs hold")
    if none is not None and none.interval <= generous.interval:
        return Sizing({}, none)
    depths = {name: min(depth, generous.held[name]) for name, depth in most.items()}
    links = {link.name: link for link in network.links}
    for name in sorted(depths, key=lambda n: (-links[n].bits * depths[n], n)):
        depths[name] = _least(network, depths, name, generous.interval)
    used = {name: depth for name, depth in depths.items() if depth}
    timing = simulate(network, used)
    if timing is None:
        raise VerifyError("the design deadlocks with the FIFOs chosen for it")
    return Sizing(used, timing)


def slowest_cycles(network: Network) -> int:
    """Return the busy cycles a frame of the slowest unit."""
    return max(unit_cycles(unit) for unit in network.units)


def unit_cycles(unit: Unit) -> int:
    """Return the busy cycles a frame of one unit."""
    beats = [link.beats for link in (*unit.inputs, *unit.outputs)]
    passes = [cell.schedule.passes for cell in unit.cells]
    return max(*beats, *(n * unit.inputs[0].beats for n in passes), 1)


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


def _least(network: Network, depths: Mapping[str, int], name: str, interval: int) -> int:
    """Return the least depth of one FIFO that keeps the interval, the others as they are.

    0 is none; 1 is left out, for such a FIFO moves a beat every other cycle only.
    """

    def keeps(depth: int) -> bool:
        timing = simulate(network, {**depths, name: depth}, limit=interval)
        return timing is not None and timing.interval <= interval

    if depths[name] == 0 or keeps(0):
        return 0
    low, high = min(2, depths[name]), depths[name]
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle + 1, high)
    return high
