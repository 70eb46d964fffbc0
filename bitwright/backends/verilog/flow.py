"""When the beats of a frame move, for whole frames at once: bounds on arrays instead of a run.

A unit is a chain of events, each `cost` cycles after the one before; beats are taken by events and
results leave some cycles after them. Frames follow one another by a fixed period, so one frame
tells all. Registers are counted, register slices and FIFOs are as deep as they have to be.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import inf

import numpy as np
import numpy.typing as npt

from bitwright.backends.verilog.cell import (
    Cell,
    Frames,
    Join,
    Pipeline,
    Split,
    Turns,
)
from bitwright.backends.verilog.network import Kind, Unit
from bitwright.backends.verilog.window_timing import FREE, PADDING, READ, WINDOW

Indices = npt.NDArray[np.int64]
Times = npt.NDArray[np.float64]

_FRAME_LAG = 3  # cycles from the last beat of a frame to the first that leaves a bw_reorder


@dataclass(frozen=True, slots=True)
class Port:
    """The events `at` which beats are taken, `lag` cycles after they came.

    With `needs`, beats lie in a memory: event at[j] reads beat needs[j], or none (PADDING).
    """

    at: Indices
    lag: int = 0
    needs: Indices | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """The events of a unit in a frame; result i leaves `off` cycles after event src[i]."""

    cost: Indices
    ports: tuple[Port, ...]
    src: Indices
    off: int

    @property
    def busy(self) -> int:
        """Return the cycles of a frame that its events take."""
        return int(self.cost.sum())


@dataclass(frozen=True, slots=True)
class Moves:
    """Cycles of a unit's events, and of the handshakes of each input."""

    events: Times
    taken: tuple[Times, ...]


def flow_of(unit: Unit) -> Flow:
    """Return how a unit moves."""
    beats = [link.beats for link in unit.inputs]
    if unit.kind is Kind.LAYER:
        return _layer_flow(unit)
    if unit.kind is Kind.ENTRY:
        return _even(unit.outputs[0].beats, (), 1)
    ports = (Port(np.arange(beats[0])),)
    if unit.kind is not Kind.WIDTH:
        return _even(beats[0], ports, 1)
    out = unit.outputs[0].beats
    if out <= beats[0]:
        ratio = beats[0] // out
        src = np.arange(out) * ratio + ratio - 1
        return Flow(np.ones(beats[0], np.int64), ports, src, 1)
    return _even(out, (Port(np.arange(beats[0]) * (out // beats[0])),), 1)


def _even(count: int, ports: tuple[Port, ...], off: int) -> Flow:
    """Return the flow of one event a result."""
    return Flow(np.ones(count, np.int64), ports, np.arange(count), off)


def _layer_flow(unit: Unit) -> Flow:
    head = unit.cells.index(unit.main)
    schedule = unit.cells[head].schedule
    tail = unit.cells[head + 1 :]
    beats = unit.inputs[0].beats
    if isinstance(schedule, Turns):
        return _turns_flow(unit)
    if isinstance(schedule, Frames):
        out = unit.outputs[0].beats
        needs = np.arange(out) // schedule.beats_out * schedule.beats_in + schedule.beats_in - 1
        return _even(out, (Port(np.arange(out), _FRAME_LAG, needs),), 0)
    more = sum(_registers(cell) for cell in tail)
    if isinstance(schedule, Join):
        events = np.arange(beats)
        fresh = events.reshape(-1, schedule.repeat, schedule.beats)[:, 0].reshape(-1)
        return _even(beats, (Port(events, 1), Port(fresh, 1)), schedule.delay + 1 + more)
    if not isinstance(schedule, Pipeline):
        return _even(beats, (Port(np.arange(beats)),), 1 + more)
    ring = unit.ring
    split = next((c.schedule.ratio for c in unit.cells if isinstance(c.schedule, Split)), 1)
    taps = beats if ring is None else beats // ring.beats_in * ring.beats_out * split
    flow = _pipeline_flow(schedule, taps)
    if ring is not None:
        images = np.arange(beats // ring.beats_in)[:, None] * ring.beats_in
        needs = np.where(ring.needs == PADDING, PADDING, ring.needs + images).reshape(-1)
        port = Port(flow.ports[0].at[::split], WINDOW + int(split > 1), needs)
        flow = Flow(flow.cost, (port,), flow.src, flow.off)
    return Flow(flow.cost, flow.ports, flow.src, flow.off + more)


def _registers(cell: Cell) -> int:
    return cell.schedule.delay + 1 if isinstance(cell.schedule, Pipeline) else 1


def _pipeline_flow(plan: Pipeline, beats: int) -> Flow:
    """Return an event for each beat, and one for the end of each further pass."""
    off = plan.delay + 1
    if plan.passes == 1:
        at = np.arange(beats)
        last = at.reshape(-1, plan.gather, plan.blocks)[:, -1]
        return Flow(np.ones(beats, np.int64), (Port(at),), last.reshape(-1), off)
    vectors, size = beats // plan.gather, plan.gather + plan.passes - 1
    cost = np.ones((vectors, size), np.int64)
    cost[:, plan.gather :] = plan.gather
    events = np.arange(vectors * size).reshape(vectors, size)
    at, src = events[:, : plan.gather], events[:, plan.gather - 1 :]
    return Flow(cost.reshape(-1), (Port(at.reshape(-1)),), src.reshape(-1), off)


def _turns_flow(unit: Unit) -> Flow:
    """Return the flow of operands that follow one another in every pixel."""
    plans = [cell.schedule for cell in unit.cells if isinstance(cell.schedule, Turns)]
    sizes = [plans[0].beats[0], *(plan.beats[1] for plan in plans)]
    out = unit.outputs[0].beats
    place = np.arange(out) % sum(sizes)
    ends = np.cumsum([0, *sizes])
    ports = tuple(
        Port(np.flatnonzero((place >= low) & (place < high))) for low, high in pairwise(ends)
    )
    return _even(out, ports, len(plans))


def soonest(flow: Flow, arrivals: tuple[Times, ...], period: float = inf) -> Moves:
    """Return the moves of a unit as soon as its inputs arrive; with no period of a first frame."""
    bounds = np.full(flow.cost.size, -inf if flow.ports else 0.0)
    came = []
    for port, arrival in zip(flow.ports, arrivals, strict=True):
        bound = arrival
        if port.needs is not None:
            bound = forward(arrival, np.ones(arrival.size), period)
            came.append(bound)
            bound = np.where(port.needs == PADDING, -inf, bound[port.needs])
        bounds[port.at] = np.maximum(bounds[port.at], bound + port.lag)
    events = forward(bounds, flow.cost, period)
    return Moves(events, _taken(flow, events, came))


def latest(flow: Flow, deadlines: Times, sizes: tuple[int, ...], period: float) -> Moves:
    """Return the moves of a unit as late as its results, due at `deadlines`, allow."""
    bounds = np.full(flow.cost.size, inf)
    bounds[flow.src] = deadlines - flow.off
    return unhurried(flow, backward(bounds, flow.cost, period), sizes, period)


def unhurried(flow: Flow, events: Times, sizes: tuple[int, ...], period: float) -> Moves:
    """Return moves with these events, inputs of `sizes` beats coming as late as they allow."""
    came = []
    for port, size in zip(flow.ports, sizes, strict=True):
        if port.needs is not None:
            real = port.needs != PADDING
            last = np.full(size, inf)
            np.minimum.at(last, port.needs[real], events[port.at[real]] - port.lag)
            came.append(backward(last, np.ones(size), period))
    return Moves(events, _taken(flow, events, came))


def _taken(flow: Flow, events: Times, came: list[Times]) -> tuple[Times, ...]:
    """Return the handshakes of each input; `came` are those into memories."""
    waiting = list(came)
    return tuple(
        events[port.at] - port.lag if port.needs is None else waiting.pop(0) for port in flow.ports
    )


def results(flow: Flow, moves: Moves) -> Times:
    """Return when the results of a unit are on show."""
    return moves.events[flow.src] + flow.off


def forward(bounds: Times, cost: Indices | Times, period: float) -> Times:
    """Return the soonest chain of events at or after `bounds`, frames repeating by `period`."""
    both = np.concatenate([bounds - period, bounds])
    way = np.cumsum(np.concatenate([cost, cost]))
    return (way + np.maximum.accumulate(both - way))[bounds.size :]


def backward(bounds: Times, cost: Indices | Times, period: float) -> Times:
    """Return the latest chain of events at or before `bounds`, frames repeating by `period`."""
    both = np.concatenate([bounds, bounds + period])
    way = np.cumsum(np.concatenate([cost, cost]))
    return (way + np.minimum.accumulate((both - way)[::-1])[::-1])[: bounds.size]


def most_waiting(shown: Times, taken: Times, period: float) -> int:
    """Return the most beats that wait at once, shown and not taken in the same cycle."""
    frames = int(np.ceil(max((taken - shown).max(), 0) / period)) + 1
    every = np.concatenate([taken - k * period for k in range(frames, -1, -1)])
    gone = np.searchsorted(every, shown, side="right")
    return int((np.arange(shown.size) + 1 + frames * shown.size - gone).max())


def ring_depth(unit: Unit, flow: Flow, moves: Moves, came: Times, period: float) -> int:
    """Return the beats that a window has to hold for all to come in when they do."""
    ring = unit.ring
    if ring is None:
        return 0
    issued = moves.events[flow.ports[0].at] - flow.ports[0].lag + READ
    images = np.arange(came.size // ring.beats_in)[:, None]

    def holds(depth: int) -> bool:
        frees = (ring.frees(depth) + images * ring.beats_out).reshape(-1)
        frame, beat = np.divmod(frees, issued.size)
        return bool(np.all(issued[beat] + frame * period + FREE <= came))

    low = high = ring.least_depth
    while not holds(high):
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return high
