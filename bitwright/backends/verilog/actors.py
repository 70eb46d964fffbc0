"""The control of each library cell, cycle by cycle, without its data.

An actor sees the handshakes of the cycle that ends and shows valid and ready for the next one, as
the cell's registers do. `due` is the next cycle in which it acts without a handshake.
"""

from collections import deque
from dataclasses import dataclass
from math import inf

from bitwright.backends.verilog.cell import Join as Joined
from bitwright.backends.verilog.cell import Pipeline

SLICE = 2  # beats that a register slice holds


class Wire:
    """The handshake of one stream: who drives it, and whether a beat moves in this cycle."""

    __slots__ = ("fired", "reader", "ready", "valid", "writer")

    def __init__(self) -> None:
        """Start idle."""
        self.valid = self.ready = self.fired = False
        self.writer: Actor
        self.reader: Actor


class Actor:
    """One cell; `step` is called after every cycle in which one of its wires moved or it was due."""

    due: float = inf

    def __init__(self, inputs: tuple[Wire, ...], outputs: tuple[Wire, ...]) -> None:
        """Join the wires and show the state after reset."""
        self.inputs, self.outputs, self.wires = inputs, outputs, inputs + outputs
        for wire in inputs:
            wire.reader, wire.ready = self, True
        for wire in outputs:
            wire.writer = self

    def step(self, now: int) -> None:
        """Do what the clock edge that ends cycle `now` does."""
        raise NotImplementedError


class Source(Actor):
    """Offers a beat in every cycle and keeps the cycles at which frames began."""

    def __init__(self, output: Wire, beats: int) -> None:
        """Offer frames of `beats` beats."""
        super().__init__((), (output,))
        output.valid = True
        self.beats, self.count = beats, 0
        self.begun: list[int] = []

    def step(self, now: int) -> None:
        """Count a beat."""
        if self.count % self.beats == 0:
            self.begun.append(now)
        self.count += 1


class Sink(Actor):
    """Takes every beat and keeps the cycles at which frames ended."""

    def __init__(self, source: Wire, beats: int) -> None:
        """Take frames of `beats` beats."""
        super().__init__((source,), ())
        self.beats, self.count = beats, 0
        self.ended: list[int] = []

    def step(self, now: int) -> None:
        """Count a beat."""
        self.count += 1
        if self.count % self.beats == 0:
            self.ended.append(now)


class Queue(Actor):
    """A FIFO or a register slice; `most` is the greatest number of beats it held."""

    def __init__(self, source: Wire, output: Wire, depth: int = SLICE) -> None:
        """Hold up to `depth` beats."""
        super().__init__((source,), (output,))
        self.depth, self.count, self.most = depth, 0, 0

    def step(self, now: int) -> None:
        """Take and give."""
        del now
        self.count += self.inputs[0].fired - self.outputs[0].fired
        self.most = max(self.most, self.count)
        self.inputs[0].ready = self.count < self.depth
        self.outputs[0].valid = self.count > 0


class Fork(Actor):
    """bw_fork: a beat enters both output slices at once."""

    def __init__(self, source: Wire, first: Wire, second: Wire) -> None:
        """Copy `source`."""
        super().__init__((source,), (first, second))
        self.counts = [0, 0]

    def step(self, now: int) -> None:
        """Take and give."""
        del now
        for i, wire in enumerate(self.outputs):
            self.counts[i] += self.inputs[0].fired - wire.fired
            wire.valid = self.counts[i] > 0
        self.inputs[0].ready = max(self.counts) < SLICE


class Widen(Actor):
    """bw_width, `ratio` beats into one."""

    def __init__(self, source: Wire, output: Wire, ratio: int) -> None:
        """Join `ratio` beats."""
        super().__init__((source,), (output,))
        self.ratio, self.index, self.count = ratio, 0, 0

    def step(self, now: int) -> None:
        """Take and give."""
        del now
        self.count -= self.outputs[0].fired
        if self.inputs[0].fired:
            self.index = (self.index + 1) % self.ratio
            self.count += self.index == 0
        self.inputs[0].ready = self.count < SLICE
        self.outputs[0].valid = self.count > 0


class Narrow(Actor):
    """bw_width, one beat into `ratio`: the first in the cycle of the wide one."""

    def __init__(self, source: Wire, output: Wire, ratio: int) -> None:
        """Split into `ratio` beats."""
        super().__init__((source,), (output,))
        self.ratio, self.index, self.count = ratio, 0, 0

    def step(self, now: int) -> None:
        """Take, split and give."""
        moves = self.inputs[0].fired or (self.index > 0 and self.count < SLICE)
        self.count += moves - self.outputs[0].fired
        self.index = (self.index + moves) % self.ratio
        room = self.count < SLICE
        self.inputs[0].ready = room and self.index == 0
        self.outputs[0].valid = self.count > 0
        self.due = now + 1 if room and self.index else inf


@dataclass(slots=True)
class _Clock:
    """A pipeline's own time: it stands still while the clock enable is low."""

    lag: int = 0  # cycles stood still so far
    stopped: int | None = None  # since this cycle

    def enable(self, on: bool, following: int) -> None:
        """Set the clock enable from cycle `following` on."""
        if on and self.stopped is not None:
            self.lag += following - self.stopped
            self.stopped = None
        elif not on and self.stopped is None:
            self.stopped = following


class Pipe(Actor):
    """bw_mvu, bw_steps and all that have one pipeline behind one clock enable.

    `gather` beats are taken, then read again until `passes` are through; each pass ends in an
    output beat, `delay` enabled cycles later. Vectors that come in turn end with their last beats.
    """

    def __init__(self, inputs: tuple[Wire, ...], output: Wire, schedule: Pipeline) -> None:
        """Run by `schedule`."""
        super().__init__(inputs, (output,))
        self.schedule = schedule
        self.clock = _Clock()
        self.pending: deque[int] = deque()  # own times at which results reach the output slice
        self.taken = self.count = 0
        self.open_at = 0  # own time from which input is taken

    def step(self, now: int) -> None:
        """Move the pipeline unless it stands still."""
        own = now - self.clock.lag
        enabled = self.count < SLICE
        self.count -= self.outputs[0].fired
        if enabled:
            if self.pending and self.pending[0] == own:
                self.pending.popleft()
                self.count += 1
            self._take(own)
        self._show(now + 1)

    def _take(self, own: int) -> None:
        if self.inputs[0].fired:
            self._issue(own)

    def _issue(self, own: int) -> None:
        """Take a beat; the last of a vector settles when all its results will come."""
        plan = self.schedule
        self.taken += 1
        if self.taken > (plan.gather - 1) * plan.blocks:
            if self.taken == plan.gather * plan.blocks:
                self.taken = 0
            ends = range(own, own + plan.passes * plan.gather, plan.gather)
            self.pending.extend(end + plan.delay for end in ends)
            self.open_at = ends[-1] + 1

    def _show(self, following: int) -> None:
        enabled = self.count < SLICE
        self.clock.enable(enabled, following)
        own = following - self.clock.lag
        self.outputs[0].valid = self.count > 0
        self.inputs[0].ready = enabled and own >= self.open_at
        self.due = self._next(own) + self.clock.lag if enabled else inf

    def _next(self, own: int) -> float:
        """Return the own time of what happens next by itself."""
        soonest = self.pending[0] if self.pending else inf
        return min(soonest, self.open_at - 1) if own < self.open_at else soonest


class Join(Pipe):
    """bw_add, bw_mul: a slice for each operand before the pipeline."""

    def __init__(self, inputs: tuple[Wire, ...], output: Wire, plan: Joined) -> None:
        """Give the result by `plan`."""
        super().__init__(inputs, output, Pipeline(1, 1, plan.delay))
        self.held = [0] * len(inputs)
        self.fresh = plan.beats  # beats of a cycle that meet one of the second operand, not a copy
        self.cycle = plan.beats * plan.repeat
        self.place = 0

    @property
    def _present(self) -> bool:
        return self.held[0] > 0 and (self.held[1] > 0 or self.place >= self.fresh)

    def _take(self, own: int) -> None:
        if self._present:
            self.held[0] -= 1
            self.held[1] -= self.place < self.fresh
            self.place = (self.place + 1) % self.cycle
            self._issue(own)

    def _show(self, following: int) -> None:
        super()._show(following)
        for i, wire in enumerate(self.inputs):
            self.held[i] += wire.fired
            wire.ready = self.held[i] < SLICE
        if self._present and self.count < SLICE:
            self.due = following
