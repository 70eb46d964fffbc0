"""Predict a design's cycles by running its control alone: unstalled, frames back to back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

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
from bitwright.backends.verilog.cell import Cell, Frames, Pipeline, Sliding, Split, Turns
from bitwright.backends.verilog.cell import Join as Joined
from bitwright.backends.verilog.frame_actors import Frame, Scan, Slide, Turn
from bitwright.backends.verilog.network import Kind, Link, Network, Unit
from bitwright.backends.verilog.window_timing import FullWindow

MIN_FRAMES = 4


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
    depths: Mapping[str, int] = field(default_factory=dict)
    timed: list[Actor] = field(default_factory=list)  # those that act without a handshake too
    touched: dict[Wire, None] = field(default_factory=dict)  # wires that may move a beat next

    @property
    def frames(self) -> int:
        """Frames that have left by every output."""
        return min(len(sink.ended) for sink in self.sinks)

    def wire(self) -> Wire:
        self.wires.append(Wire())
        return self.wires[-1]

    def link(self, link: Link) -> None:
        depth = self.depths.get(link.name, 0)
        self.drive[link.name] = self.read[link.name] = self.wire()
        if depth:
            self.read[link.name] = self.wire()
            fifo = Queue(self.drive[link.name], self.read[link.name], depth)
            self.fifos[link.name] = fifo
            self.actors.append(fifo)


def simulate(
    network: Network, depths: Mapping[str, int], *, limit: float = inf, hasty: bool = False
) -> Timing | None:
    """Return the timing with FIFOs of `depths` beats by link, or None when it deadlocks.

    The rings of windows have `depths` too, by unit, and else their least.
    Enough frames run for every buffer on the way to fill; the interval is the mean of the later
    half, rounded up. When `hasty`, few frames run, and None is returned too when a frame takes
    more than `limit` cycles: the answer then wants checking.
    """
    machine = _Machine(depths=depths)
    for link in network.links:
        machine.link(link)
    for unit in network.units:
        _BUILD[unit.kind](machine, unit)
    machine.timed = [actor for actor in machine.actors if isinstance(actor, _TIMED)]
    machine.touched = dict.fromkeys(machine.wires)
    now, frames = 0, MIN_FRAMES
    while machine.frames < frames:
        following = _advance(machine, now)
        if following is None or (hasty and _late(machine.sinks, now, limit)):
            return None
        if machine.frames == 1 and not hasty:
            frames = _enough_frames(machine, slowest_cycles(network))
        now = following
    return _timing(machine)


def _enough_frames(machine: _Machine, slowest: int) -> int:
    """Return twice the frames that can be under way at once, and some more."""
    latency = max(sink.ended[0] for sink in machine.sinks)
    return MIN_FRAMES + 2 * -(-latency // slowest)


def _advance(machine: _Machine, now: int) -> int | None:
    """Run cycle `now` and return the next one in which anything happens; None when nothing will.

    Only a wire of an actor that acted in the cycle before can move a beat.
    """
    awake = {a: None for a in machine.timed if a.due == now}
    moved = [wire for wire in machine.touched if wire.valid and wire.ready]
    for wire in moved:
        wire.fired = True
        awake[wire.writer] = awake[wire.reader] = None
    for actor in awake:
        actor.step(now)
    for wire in moved:
        wire.fired = False
    machine.touched = {wire: None for actor in awake for wire in actor.wires}
    if any(wire.valid and wire.ready for wire in machine.touched):
        return now + 1
    soonest = min((actor.due for actor in machine.timed), default=inf)
    return None if soonest == inf else int(soonest)


def _late(sinks: Sequence[Sink], now: int, limit: float) -> bool:
    """Tell whether a frame after the first two takes too long."""
    return any(
        len(s.ended) > 1
        and (now - s.ended[-1] > limit or (len(s.ended) > 2 and s.ended[-1] - s.ended[-2] > limit))  # noqa: PLR2004
        for s in sinks
    )


def _timing(machine: _Machine) -> Timing:
    begun = min(source.begun[0] for source in machine.sources)
    return Timing(
        max(sink.ended[0] for sink in machine.sinks) - begun,
        max(_interval(sink.ended) for sink in machine.sinks),
        {name: fifo.most for name, fifo in machine.fifos.items()},
    )


def _interval(ended: Sequence[int]) -> int:
    """Return the mean cycles of a frame in the later half of a run, rounded up."""
    half = len(ended) // 2
    return -(-(ended[-1] - ended[half - 1]) // (len(ended) - half))


def slowest_cycles(network: Network) -> int:
    """Return the busy cycles a frame of the slowest unit."""
    return max(unit_cycles(unit) for unit in network.units)


def moves_of(network: Network) -> int:
    """Return the beats that move in a frame, those between the cells of a unit included."""
    links = sum(link.beats for link in network.links)
    return links + sum(busy for unit in network.units for busy, _ in cell_beats(unit))


def unit_cycles(unit: Unit) -> int:
    """Return the busy cycles a frame of one unit."""
    beats = [link.beats for link in (*unit.inputs, *unit.outputs)]
    return max(*beats, *(busy for busy, _ in cell_beats(unit)), 1)


def cell_beats(unit: Unit) -> list[tuple[int, int]]:
    """Return for each cell of a layer its busy cycles a frame and the beats that it gives."""
    found: list[tuple[int, int]] = []
    operands = [link.beats for link in unit.inputs]
    for cell in unit.cells:
        beats = operands.pop(0) if not found else found[-1][1]
        if isinstance(cell.schedule, Turns):
            beats += operands.pop(0)
        elif isinstance(cell.schedule, Joined):
            operands.pop(0)
        found.append(_cell_beats(cell, beats))
    return found


def _cell_beats(cell: Cell, beats: int) -> tuple[int, int]:
    schedule = cell.schedule
    if isinstance(schedule, Sliding):
        window = schedule.window
        out = beats // window.beats_in * window.beats_out
        return max(beats, out), out
    if isinstance(schedule, Pipeline):
        return beats * schedule.passes, beats // schedule.gather * schedule.passes
    if isinstance(schedule, Frames):
        out = beats // schedule.beats_in * schedule.beats_out
        return max(beats, out), out
    if isinstance(schedule, Split):
        return beats * schedule.ratio, beats * schedule.ratio
    return beats, beats


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
    waiting = [machine.read[link.name] for link in unit.inputs]
    results: list[Wire] = []
    for i, cell in enumerate(unit.cells):
        last = i == len(unit.cells) - 1
        output = machine.drive[unit.outputs[0].name] if last else machine.wire()
        count = len(cell.takes) - len(results)
        inputs = (*results, *waiting[:count])
        waiting = waiting[count:]
        ring = machine.depths.get(unit.name, 0)
        machine.actors.append(_actor(cell, inputs, output, ring))
        results = [output]


def _actor(cell: Cell, inputs: tuple[Wire, ...], output: Wire, ring: int) -> Actor:
    schedule = cell.schedule
    if isinstance(schedule, Pipeline):
        return Pipe(inputs, output, schedule)
    if isinstance(schedule, Joined):
        return Join(inputs, output, schedule)
    if isinstance(schedule, Turns):
        return Turn(inputs, output, schedule)
    if isinstance(schedule, Split):
        return Narrow(inputs[0], output, schedule.ratio)
    return _memory(cell, inputs[0], output, ring)


def _memory(cell: Cell, source: Wire, output: Wire, ring: int) -> Actor:
    """Return the actor of a cell that holds beats: a window, a frame memory or a slice."""
    if isinstance(cell.schedule, Frames):
        return Frame(source, output, cell.schedule)
    if not isinstance(cell.schedule, Sliding):
        return Queue(source, output)
    window = cell.schedule.window
    depth = ring or window.least_depth
    if isinstance(window, FullWindow):
        return Scan(source, output, window, depth)
    return Slide(source, output, window, depth)


_TIMED = (Pipe, Narrow, Slide, Scan, Frame)  # act without a handshake too
_BUILD = {
    Kind.ENTRY: _entry,
    Kind.EXIT: _exit,
    Kind.WIDTH: _width,
    Kind.FORK: _fork,
    Kind.LAYER: _layer,
}
