"""The control of the cells that follow a frame: windows, concatenations, frame memories."""

from math import inf

from bitwright.backends.verilog.actors import SLICE, Actor, Wire
from bitwright.backends.verilog.cell import Frames, Turns
from bitwright.backends.verilog.window_timing import PADDING, FullWindow, Window


class Turn(Actor):
    """bw_concat: so many beats of the first stream, then of the second, into a slice."""

    def __init__(self, inputs: tuple[Wire, ...], output: Wire, schedule: Turns) -> None:
        """Take turns by `schedule`."""
        super().__init__(inputs, (output,))
        self.first, self.cycle = schedule.beats[0], sum(schedule.beats)
        self.index = self.count = 0
        inputs[1].ready = False

    def step(self, now: int) -> None:
        """Take and give."""
        del now
        moved = self.inputs[0].fired or self.inputs[1].fired
        self.count += moved - self.outputs[0].fired
        self.index = (self.index + moved) % self.cycle
        room = self.count < SLICE
        self.inputs[0].ready = room and self.index < self.first
        self.inputs[1].ready = room and self.index >= self.first
        self.outputs[0].valid = self.count > 0


class Slide(Actor):
    """bw_window: a ring of `depth` beats that is read tap by tap."""

    def __init__(self, source: Wire, output: Wire, window: Window, depth: int) -> None:
        """Hold up to `depth` beats."""
        super().__init__((source,), (output,))
        self.needs: list[int] = window.needs.tolist()
        self.frees: list[int] = window.frees(depth).tolist()
        self.beats_out = len(self.needs)
        self.taken = self.frame_in = self.place_in = 0
        self.issued = self.place_out = 0
        self.first = 0  # of the frame that leaves: beats taken before it
        self.count = 0
        self.held = False  # a tap is on its way to the slice

    @property
    def _present(self) -> bool:
        need = self.needs[self.place_out]
        return need == PADDING or self.first + need < self.taken

    def step(self, now: int) -> None:
        """Take, read and give."""
        enabled, present = self.count < SLICE, self._present
        self.count -= self.outputs[0].fired
        if self.inputs[0].fired:
            self.taken += 1
            self.place_in += 1
            if self.place_in == len(self.frees):
                self.place_in, self.frame_in = 0, self.frame_in + 1
        if enabled:
            self.count += self.held
            self.held = present
            if present:
                self._issue()
        freed = self.frame_in * self.beats_out + self.frees[self.place_in]
        self.inputs[0].ready = self.issued > freed
        self.outputs[0].valid = self.count > 0
        moves = self.count < SLICE and (self.held or self._present)
        self.due = now + 1 if moves else inf

    def _issue(self) -> None:
        self.issued += 1
        self.place_out += 1
        if self.place_out == self.beats_out:
            self.place_out = 0
            self.first += len(self.frees)


class Scan(Actor):
    """bw_window_full: columns of a ring of `depth` pixels are read, and complete windows leave."""

    def __init__(self, source: Wire, output: Wire, window: FullWindow, depth: int) -> None:
        """Hold up to `depth` pixels."""
        super().__init__((source,), (output,))
        down, across = window.down, window.across
        fill = across.reach - across.pads[0]  # column that completes a row's first window
        last = int(across.taps[-1, -1])
        columns, self.stride = min(last + 1, across.size), across.stride
        rows = [min(y, down.size - 1) for y in down.taps[:, -1].tolist()]
        self.needs: list[int] = [y * across.size + x for y in rows for x in range(columns)]
        self.issues = [x >= fill and (x - fill) % across.stride == 0 for x in range(columns)]
        self.overhang = last + 1 - columns
        self.columns, self.pixels = columns, window.beats_in
        self.row = down.stride * across.size - columns + 1  # pixels freed by a row's last column
        self.rest = self.pixels - (len(rows) - 1) * down.stride * across.size - columns + 1
        self.place = self.first = self.over = self.taken = self.count = 0
        self.space = depth - down.pads[0] * across.size
        self.held = False  # a window is on its way to the slice

    @property
    def _enough(self) -> bool:
        after: int = max(self.over - 1, 0)
        return self.first + self.needs[self.place] + after < self.taken

    def step(self, now: int) -> None:
        """Take, read and give."""
        enabled, enough = self.count < SLICE, self._enough
        self.count -= self.outputs[0].fired
        self.taken += self.inputs[0].fired
        self.space -= self.inputs[0].fired
        if enabled:
            self.count += self.held
            column = self.place % self.columns
            over = self.over > 0 and (self.over - 1) % self.stride == 0
            self.held = over if self.over else enough and self.issues[column]
            self.over -= self.over > 0
            if enough:
                self._fetch(column)
        self.inputs[0].ready = self.space > 0
        self.outputs[0].valid = self.count > 0
        moves = self.count < SLICE and (self.held or self.over > 0 or self._enough)
        self.due = now + 1 if moves else inf

    def _fetch(self, column: int) -> None:
        """Read a column, and free the pixels that no other needs."""
        self.place += 1
        if column < self.columns - 1:
            self.space += 1
            return
        self.over = self.overhang
        if self.place < len(self.needs):
            self.space += self.row
            return
        self.space += self.rest
        self.place = 0
        self.first += self.pixels


class Frame(Actor):
    """bw_reorder: two frames, one coming in while the other leaves."""

    def __init__(self, source: Wire, output: Wire, schedule: Frames) -> None:
        """Run by `schedule`."""
        super().__init__((source,), (output,))
        self.schedule = schedule
        self.free, self.full, self.taken, self.given, self.count = SLICE, 0, 0, 0, 0
        self.stages: list[int | None] = [None, None]  # beats on their way to the slice

    def step(self, now: int) -> None:
        """Take, read and give."""
        enabled = self.count < SLICE
        self.count -= self.outputs[0].fired
        if self.inputs[0].fired:
            self.taken += 1
            if self.taken == self.schedule.beats_in:
                self.taken, self.free, self.full = 0, self.free - 1, self.full + 1
        if enabled:
            self._read()
        self.inputs[0].ready = self.free > 0
        self.outputs[0].valid = self.count > 0
        more = self.given > 0 or self.full > 0 or self.stages != [None, None]
        self.due = now + 1 if self.count < SLICE and more else inf

    def _read(self) -> None:
        """Move a beat from the memory, the last of a frame setting it free."""
        last = self.schedule.beats_out - 1
        self.count += self.stages[1] is not None
        self.free += self.stages[0] == last
        beat = None
        if self.given or self.full:
            beat = self.given
            self.full -= beat == 0
            self.given = 0 if beat == last else beat + 1
        self.stages = [beat, self.stages[0]]
