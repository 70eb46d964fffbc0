"""When the sliding windows read each beat and when they can take the next: their token order.

Beats are counted from 0 in each frame; a number below 0 is a beat of the frames before. With t the
cycle of a beat's input handshake and u that in which an output beat is issued,

    u(j) >= u(j-1) + 1,  u(j) >= t(needs[j]) + READ      (the second unless the tap is padding)
    t(i) >= t(i-1) + 1,  t(i) >= u(frees[i]) + FREE      (likewise across frames)

and output beat j is on show at u(j) + SHOW. Unstalled, each is as soon as these allow.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

READ = 1  # from an input handshake to the issue of its tap
SHOW = 2  # from the issue of a tap to its output handshake
FREE = 1  # from the issue of a window's last tap to the handshake of an input beat in its place
WINDOW = READ + SHOW  # from the handshake of a beat that is waited for to that of its tap

PADDING = -1  # in `needs`: no input beat

Pair = tuple[int, int]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial axis of a sliding window: sizes in pixels, `pads` before and after."""

    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    pads: Pair = (0, 0)

    @property
    def windows(self) -> int:
        """Return the number of output positions; at least 1 in a legal window."""
        return (self.size + sum(self.pads) - self.reach - 1) // self.stride + 1

    @property
    def reach(self) -> int:
        """Return the pixels from the first tap to the last."""
        return (self.kernel - 1) * self.dilation

    @property
    def taps(self) -> Indices:
        """Return the pixel of each tap, (windows, kernel); outside [0, size) it is padding."""
        starts = np.arange(self.windows)[:, None] * self.stride - self.pads[0]
        return starts + np.arange(self.kernel) * self.dilation


class Ring(ABC):
    """A ring of input beats from which windows leave: what they wait for and what they free."""

    __slots__ = ()

    @property
    @abstractmethod
    def beats_in(self) -> int:
        """Return the input beats of a frame."""

    @property
    @abstractmethod
    def beats_out(self) -> int:
        """Return the output beats of a frame."""

    @property
    @abstractmethod
    def needs(self) -> Indices:
        """Return the input beat that each output beat of a frame waits for, or PADDING."""

    @property
    @abstractmethod
    def least_depth(self) -> int:
        """Return the beats of the smallest ring in which no window waits for itself (DEPTH)."""

    @property
    @abstractmethod
    def _ends(self) -> Indices:
        """Return the oldest beat kept after each window of a frame."""

    @property
    @abstractmethod
    def _grain(self) -> int:
        """Return the beats by which rings are made larger: those of a pixel."""

    def frees(self, depth: int) -> Indices:
        """Return the output beat that must be issued before an input beat can enter a ring.

        For each input beat of a frame; `depth` beats fit in the ring.
        """
        ends = self._ends
        frames = 2 + depth // self.beats_in
        period = np.arange(-frames, 1)[:, None]
        oldest = (ends + period * self.beats_in).ravel()
        per_window = self.beats_out // ends.size
        last = (np.arange(1, ends.size + 1) * per_window - 1 + period * self.beats_out).ravel()
        wanted = np.arange(self.beats_in) - depth
        return last[np.searchsorted(oldest, wanted, side="right")]

    @property
    def smooth_depth(self) -> int:
        """Return the beats of the smallest ring, in whole pixels, with which nothing waits.

        Then a beat leaves, or if fewer leave than come one enters, in every cycle, across frames.
        """
        low = -(-self.least_depth // self._grain) * self._grain
        high = low
        while not self.is_smooth(high):
            low, high = high + self._grain, 2 * high
        while low < high:
            middle = (low + high) // 2 // self._grain * self._grain
            if self.is_smooth(middle):
                high = middle
            else:
                low = middle + self._grain
        return high

    def is_smooth(self, depth: int) -> bool:
        """Tell whether the busier side of a ring moves a beat in every cycle."""
        needs, frees = self.needs, self.frees(depth)
        real = needs != PADDING
        if self.beats_out >= self.beats_in:
            taken = _soonest(frees + FREE, self.beats_out)
            return bool(np.all(taken[needs[real]] + READ <= np.flatnonzero(real)))
        issued = _soonest(np.where(real, needs + READ, -inf), self.beats_in)
        frame, beat = np.divmod(frees, self.beats_out)
        freed = issued[beat] + frame * self.beats_in
        return bool(np.all(freed + FREE <= np.arange(self.beats_in)))


@dataclass(frozen=True, slots=True)
class Window(Ring):
    """A bw_window: its axes down and across, beats of a pixel, blocks that leave in turn."""

    down: Axis
    across: Axis
    beats: int = 1  # CB
    blocks: int = 1  # BLOCKS, divides `beats`

    @property
    def beats_in(self) -> int:
        """Return the input beats of a frame."""
        return self.down.size * self._row

    @property
    def beats_out(self) -> int:
        """Return the output beats of a frame."""
        windows = self.down.windows * self.across.windows
        return windows * self.down.kernel * self.across.kernel * self.beats

    @property
    def needs(self) -> Indices:
        """Return the input beat that each output beat of a frame waits for, or PADDING.

        It is the one that it repeats; a frame's first tap waits for the first beat in any case.
        """
        rows, columns = self.down.taps[:, None, :, None], self.across.taps[None, :, None, :]
        inside = (rows >= 0) & (rows < self.down.size)
        inside = inside & (columns >= 0) & (columns < self.across.size)
        pixels = np.where(inside, rows * self.across.size + columns, PADDING)
        part = self.beats // self.blocks
        beats = np.arange(self.beats).reshape(self.blocks, 1, 1, part)
        pixels = pixels[:, :, None, :, :, None]  # row, column, block, ky, kx, beat
        needs = np.where(pixels == PADDING, PADDING, pixels * self.beats + beats).ravel()
        needs[0] = 0
        return needs

    @property
    def least_depth(self) -> int:
        """Return the beats of the smallest ring in which no window waits for itself (DEPTH)."""
        down, across = self.down, self.across
        span = down.reach * self._row + self.beats
        span += (
            across.reach * self.beats if self._by_column else self._row + self._left - self.beats
        )
        if self._hold == down.windows - 1:
            return span
        rest = (down.size - self._hold * down.stride + down.pads[0]) * self._row
        return max(span, rest + self._left - self._wide)

    @property
    def _grain(self) -> int:
        return self.beats

    @property
    def _row(self) -> int:
        return self.across.size * self.beats

    @property
    def _left(self) -> int:
        return self.across.pads[0] * self.beats

    @property
    def _by_column(self) -> bool:
        """Tell whether windows free beats as they go across, or (huge pads) row by row."""
        return (self.across.windows - 1) * self.across.stride <= self.across.size

    @property
    def _wide(self) -> int:
        """Return the beats freed across a row, but for the last window."""
        across = self.across
        return (across.windows - 1) * across.stride * self.beats if self._by_column else 0

    @property
    def _hold(self) -> int:
        """Return the row of windows after which, up to the frame's end, nothing is freed."""
        return min(self.down.windows - 1, (self.down.size - 1) // self.down.stride)

    @property
    def _ends(self) -> Indices:
        """Return the oldest beat kept after each window of a frame."""
        down, across = np.arange(self.down.windows), np.arange(self.across.windows)
        held = np.minimum(down, self._hold)[:, None]
        step = self.across.stride * self.beats if self._by_column else 0
        columns = np.where(down[:, None] > self._hold, self._wide, across * step)
        first = self.down.pads[0] * self._row + self._left
        starts = (held * self.down.stride * self._row + columns).ravel() - first
        return np.append(starts[1:], self.beats_in - first)


@dataclass(frozen=True, slots=True)
class FullWindow(Ring):
    """A bw_window_full: whole pixels in, a whole window a beat out."""

    down: Axis
    across: Axis

    @property
    def fits(self) -> bool:
        """Tell whether the cell takes it.

        It wants pads before a window's first tap within the kernel, fewer windows, in strides,
        than pixels, so that each row and frame follows at once, and some window of a row that ends
        in the image.
        """
        down, across = self.down, self.across
        return across.reach - across.pads[0] < across.size and all(
            a.pads[0] <= a.reach and (a.windows - 1) * a.stride < a.size for a in (down, across)
        )

    @property
    def beats_in(self) -> int:
        """Return the input beats of a frame, its pixels."""
        return self.down.size * self.across.size

    @property
    def beats_out(self) -> int:
        """Return the output beats of a frame, its windows."""
        return self.down.windows * self.across.windows

    @property
    def needs(self) -> Indices:
        """Return the pixel that each window of a frame waits for.

        It is that of the last tap, or in its place that of the image's last row or column. When
        windows hang over the right edge by more than one column, a row may in addition begin
        late, by as many cycles less one; it does so once, and keeps behind from then on.
        """
        rows = np.minimum(self.down.taps[:, -1], self.down.size - 1)
        columns = np.minimum(self.across.taps[:, -1], self.across.size - 1)
        return (rows[:, None] * self.across.size + columns).ravel()

    @property
    def least_depth(self) -> int:
        """Return the pixels of the smallest ring in which no window waits for itself (DEPTH)."""
        ends = self._ends
        before = np.append(ends[-1] - self.beats_in, ends[:-1])
        span = max(int(np.max(self.needs - before)), self.down.reach * self.across.size)
        return span + 1 + max(self.overhang - 1, 0)

    @property
    def overhang(self) -> int:
        """Return the columns by which the last window of a row lies over the right edge."""
        return max(int(self.across.taps[-1, -1]) - self.across.size + 1, 0)

    @property
    def _grain(self) -> int:
        return 1

    @property
    def _ends(self) -> Indices:
        """Return the oldest pixel kept after each window: that below the next column's first tap."""
        down, across = self.down, self.across
        last = across.taps[:, -1]
        starts = (np.arange(down.windows + 1) * down.stride - down.pads[0]) * across.size
        starts[-1] = (down.size - down.pads[0]) * across.size
        inside = starts[:-1, None] + last + 1
        return np.where(last < min(last[-1], across.size - 1), inside, starts[1:, None]).ravel()


def _soonest(bounds: npt.NDArray[np.float64] | Indices, period: int) -> npt.NDArray[np.float64]:
    """Return the soonest cycles of a frame's beats, one a cycle, none before its bound.

    Each frame follows the one before by `period` cycles, at least its beats.
    """
    count = bounds.size
    both = np.concatenate([bounds - float(period), bounds])
    index = np.arange(-count, count, dtype=np.float64)
    return (index + np.maximum.accumulate(both - index))[count:]
