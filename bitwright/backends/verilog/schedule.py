"""Predict a design's cycles by running its control alone: unstalled, frames back to back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bitwright.backends.verilog.actors import (
    Actor,
    Fork,
    Join,
    Narrow,
    Pipe,
    Queue,
    Sink,
    Source,
    Widen,
    Wire,
)
from bitwright.backends.verilog.network import Kind, Link, Network, Unit

MIN_FRAMES = 4
MAX_FRAMES = 24
_STEADY = 3  # equal gaps that make an interval


@dataclass(frozen=True, slots=True)
class Timing:
    """Cycles of an unstalled run.

    `latency` runs from the first beat in to the last beat out, of the first frame; `interval`
    from last beat out to last beat out. `held` is the most that each FIFO held.
    """

    latency: int
    interval: int
    held: Mapping[str, int]


@dataclass
class _Machine:
    """Actors and wires of a network with FIFOs of the given depths, in front of their readers."""

    actors: list[Actor] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    drive: dict[str, Wire] = field(default_factory=dict)  # by link: the wire of its writer
    read: dict[str, Wire] = field(default_factory=dict)  # by link: the wire of its reader
    fifos: dict[str, Queue] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    sinks: list[Sink] = field(default_factory=list)

    def wire(self) -> Wire:
        self.wires.append(Wire())
        return self.wires[-1]

    def link(self, link: Link, depth: int) -> None:
        self.drive[link.name] = self.read[link.name] = self.wire()
        if depth:
            self.read[link.name] = self.wire()
            fifo = Queue(self.drive[link.name], self.read[link.name], depth)
            self.fifos[link.name] = fifo
            self.actors.append(fifo)


def simulate(
    network: Network, depths: Mapping[str, int], *, limit: float = float("inf")
) -> Timing | None:
    """Return the timing with FIFOs of `depths` beats by link, or None when it deadlocks.

    None too when a frame takes more than `limit` cycles after the one before it.
    """
    machine = _Machine()
    for link in network.links:
        machine.link(link, depths.get(link.name, 0))
    for unit in network.units:
        _BUILD[unit.kind](machine, unit)
    now = 0
    while not all(map(_settled, machine.sinks)):
        following = _advance(machine, now)
        if following is None or _late(machine.sinks, now, limit):
            return None
        now = following
    return _timing(machine)


def _advance(machine: _Machine, now: int) -> int | None:
    """Run cycle `now` and return the next one in which anything happens; None when nothing will."""
    moved = [wire for wire in machine.wires if wire.valid and wire.ready]
    awake = {a: None for a in machine.actors if a.due == now}
    for wire in moved:
        wire.fired = True
        awake[wire.writer] = awake[wire.reader] = None  # type: ignore[index]
    for actor in awake:
        actor.step(now)
    for wire in moved:
        wire.fired = False
    if moved:
        return now + 1
    if any(wire.valid and wire.ready for wire in machine.wires):
        return now + 1
    soonest = min(actor.due for actor in machine.actors)
    return None if soonest == float("inf") else max(int(soonest), now + 1)


def _settled(sink: Sink) -> bool:
    """Tell whether an output has kept one interval for some frames."""
    frames = len(sink.ended)
    steady = frames >= MIN_FRAMES and len(set(_gaps(sink))) == 1
    return steady or frames >= MAX_FRAMES


def _late(sinks: Sequence[Sink], now: int, limit: float) -> bool:
    return any(
        len(s.ended) >= MIN_FRAMES and (now - s.ended[-1] > limit or _gaps(s)[-1] > limit)
        for s in sinks
    )


def _gaps(sink: Sink) -> list[int]:
    """Return the last cycles between ends of frames."""
    ends = sink.ended[-_STEADY - 1 :]
    return [b - a for a, b in zip(ends, ends[1:], strict=False)]


def _timing(machine: _Machine) -> Timing:
    begun = min(source.begun[0] for source in machine.sources)
    return Timing(
        max(sink.ended[0] for sink in machine.sinks) - begun,
        max(max(_gaps(sink)) for sink in machine.sinks),
        {name: fifo.most for name, fifo in machine.fifos.items()},
    )


def _entry(machine: _Machine, unit: Unit) -> None:
    wire, link = machine.wire(), unit.outputs[0]
    machine.sources.append(Source(wire, link.beats))
    machine.actors += [machine.sources[-1], Queue(wire, machine.drive[link.name])]


def _exit(machine: _Machine, unit: Unit) -> None:
    wire, link = machine.wire(), unit.inputs[0]
    machine.sinks.append(Sink(wire, link.beats))
    machine.actors += [Queue(machine.read[link.name], wire), machine.sinks[-1]]


def _width(machine: _Machine, unit: Unit) -> None:
    (source,), (output,) = unit.inputs, unit.outputs
    ends = machine.read[source.name], machine.drive[output.name]
    if output.lanes > source.lanes:
        machine.actors.append(Widen(*ends, output.lanes // source.lanes))
    else:
        machine.actors.append(Narrow(*ends, source.lanes // output.lanes))


def _fork(machine: _Machine, unit: Unit) -> None:
    first, second = (machine.drive[link.name] for link in unit.outputs)
    machine.actors.append(Fork(machine.read[unit.inputs[0].name], first, second))


def _layer(machine: _Machine, unit: Unit) -> None:
    inputs = tuple(machine.read[link.name] for link in unit.inputs)
    for i, cell in enumerate(unit.cells):
        last = i == len(unit.cells) - 1
        output = machine.drive[unit.outputs[0].name] if last else machine.wire()
        kind = Join if cell.schedule.join else Pipe
        machine.actors.append(kind(inputs, output, cell.schedule))
        inputs = (output,)


_BUILD = {
    Kind.ENTRY: _entry,
    Kind.EXIT: _exit,
    Kind.WIDTH: _width,
    Kind.FORK: _fork,
    Kind.LAYER: _layer,
}
