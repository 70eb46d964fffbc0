"""Positions and taps of a window as C text: which taps lie inside, where the first one is.

An axis counts output positions `p0`, `p1`, ... from the outside in. Batch and spatial axes that a
kernel of one tap leaves in order are merged, axes of one position vanish.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

from bitwright.backends.c.nest import LONGEST, part_of
from bitwright.ir.ops import Window

_SHORTEST = 32  # products of a part


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis under a window; `step` is how far apart its neighbours lie, `unit` its taps."""

    size: int
    out: int
    kernel: int
    stride: int
    before: int
    dilation: int
    step: int
    unit: int
    source: int  # which axis of the tensor

    def taps(self, p: int) -> range:
        """Return the taps of output position `p` that lie inside."""
        start = p * self.stride - self.before
        first = -(start // self.dilation) if start < 0 else 0
        end = -((start - self.size) // self.dilation)
        return range(min(first, self.kernel), max(min(end, self.kernel), min(first, self.kernel)))

    @property
    def padded(self) -> bool:
        """Whether some position has taps outside."""
        return any(len(self.taps(p)) < self.kernel for p in range(self.out))

    @property
    def empty(self) -> bool:
        """Whether some position has no tap inside."""
        return any(not self.taps(p) for p in range(self.out))

    @property
    def inside(self) -> range:
        """The positions all of whose taps lie inside, which are neighbours."""
        full = [p for p in range(self.out) if len(self.taps(p)) == self.kernel]
        return range(full[0], full[-1] + 1) if full else range(0)

    @property
    def plain(self) -> bool:
        """Whether output position and input position are the same."""
        single = (self.kernel, self.stride, self.before) == (1, 1, 0)
        return single and self.size == self.out


@dataclass(frozen=True, slots=True)
class AxisText:
    """The C of one axis: declarations per position, first tap, its input position, tap count."""

    axis: Axis
    p: str
    setup: tuple[str, ...]
    first: str  # empty where it is always tap 0
    start: str  # empty where it is always element 0
    count: str
    varies: bool


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop over taps: how often, and how far operand and weights move; `count` is C text."""

    count: str
    fixed: bool  # whether the number of rounds is always `most`
    most: int
    step: int
    unit: int


def axes_of(
    shape: tuple[int, ...], out: tuple[int, ...], window: Window, inner: int, unit: int
) -> tuple[Axis, ...]:
    """Return batch and spatial axes of (batch, *spatial) `shape` and `out`.

    Neighbours on the last axis lie `inner` elements apart; the last axis' taps, `unit` weights.
    """
    axes: list[Axis] = []
    numbers = zip(window.kernel, window.strides, window.before, window.dilations, strict=True)
    every = [(1, 1, 0, 1), *numbers]
    for i in reversed(range(len(every))):
        axes.insert(0, Axis(shape[i], out[i], *every[i], inner, unit, i))
        inner, unit = inner * shape[i], unit * every[i][0]
    return _merged([a for a in axes if a.out > 1 or a.kernel > 1 or a.padded])


def _merged(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    out: list[Axis] = []
    for a in axes:
        last = out[-1] if out else None
        if last and last.plain and a.plain and last.step == a.size * a.step:
            out[-1] = replace(a, size=last.size * a.size, out=last.out * a.out)
        else:
            out.append(a)
    return tuple(out)


def axis_text(axis: Axis, n: int) -> AxisText:
    """Return the C of axis number `n`."""
    p = f"p{n}" if axis.out > 1 else "0u"
    scaled = f"{p} * {axis.stride}u" if axis.stride > 1 else p
    if axis.out == 1:
        taps = axis.taps(0)
        begin = taps.start * axis.dilation - axis.before if taps else 0
        return AxisText(axis, p, (), _count(taps.start), _count(begin), f"{len(taps)}u", False)
    if not axis.padded:
        start = _sum(scaled, axis.taps(0).start * axis.dilation - axis.before)
        return AxisText(axis, p, (), "", start, f"{axis.kernel}u", False)
    if axis.empty:
        return _clamped(axis, n, scaled)
    first, setup = _first(axis, n, scaled)
    return _with_count(axis, n, (first, setup), scaled)


def _count(value: int) -> str:
    return f"{value}u" if value else ""


def _sum(text: str, add: int) -> str:
    if add == 0:
        return text
    return f"{text} + {add}u" if add > 0 else f"{text} - {-add}u"


def _first(axis: Axis, n: int, scaled: str) -> tuple[str, tuple[str, ...]]:
    """Return the name of the first tap inside, and its declaration."""
    late = -(-axis.before // axis.stride)  # positions before it begin outside
    if late == 0:
        return "", ()
    missing = f"{axis.before}u - {scaled}"
    if axis.dilation > 1:
        missing = f"({axis.before + axis.dilation - 1}u - {scaled}) / {axis.dilation}u"
    name = f"first{n}"
    test = "" if late >= axis.out else f"p{n} < {late}u ? "
    return name, (f"const size_t {name} = {test}{missing}{' : 0u' if test else ''};",)


def _with_count(axis: Axis, n: int, first: tuple[str, tuple[str, ...]], scaled: str) -> AxisText:
    """Return the C of a padded axis whose every position has a tap inside."""
    name, setup = first
    ends = [p for p in range(axis.out) if axis.taps(p).stop < axis.kernel]
    end = f"{axis.kernel}u"
    if ends:
        room = axis.size + axis.before + axis.dilation - 1
        cut = f"{room}u - {scaled}"
        if axis.dilation > 1:
            cut = f"({cut}) / {axis.dilation}u"
        end = cut if len(ends) == axis.out else f"p{n} < {ends[0]}u ? {axis.kernel}u : {cut}"
    if name:
        end = f"({end}) - {name}" if "?" in end else f"{end} - {name}"
    setup = (*setup, f"const size_t count{n} = {end};")
    start = _sum(_with_first(axis, scaled, name), -axis.before)
    return AxisText(axis, f"p{n}", setup, name, start, f"count{n}", True)


def _with_first(axis: Axis, scaled: str, name: str) -> str:
    if not name:
        return scaled
    return f"{scaled} + {name}" + (f" * {axis.dilation}u" if axis.dilation > 1 else "")


def _clamped(axis: Axis, n: int, scaled: str) -> AxisText:
    """Return the C of an axis where the window may lie outside as a whole."""
    k, b, d, far = axis.kernel, axis.before, axis.dilation, axis.size + axis.before
    by, up = (f" / {d}u", f" + {d - 1}u") if d > 1 else ("", "")
    top, first, end, count = (f"{word}{n}" for word in ("top", "first", "end", "count"))
    missing = f"{top} < {b}u ? ({b}u - {top}{up}){by} : 0u" if b else "0u"
    setup = (
        f"const size_t {top} = {scaled};",
        f"size_t {first} = {missing};",
        f"size_t {end} = {top} < {far}u ? ({far}u - {top}{up}){by} : 0u;",
        f"{first} = {first} < {k}u ? {first} : {k}u;",
        f"{end} = {end} < {k}u ? {end} : {k}u;",
        f"const size_t {count} = {end} > {first} ? {end} - {first} : 0u;",
        f"const size_t start{n} = {count} > 0u ? {_sum(_with_first(axis, top, first), -b)} : 0u;",
    )
    return AxisText(axis, f"p{n}", setup, first, f"start{n}", count, True)


def place(texts: Sequence[AxisText]) -> str:
    """Return the C text of the element under the first tap inside."""
    return joined((t.start, t.axis.step) for t in texts)


def first_tap(texts: Sequence[AxisText]) -> str:
    """Return the C text of the number of the first tap inside, empty where it is always 0."""
    return joined((t.first, t.axis.unit) for t in texts)


def joined(terms: Iterable[tuple[str, int]]) -> str:
    """Return the C text of a sum of `text * factor`, leaving out empty texts."""
    parts = []
    for text, factor in terms:
        if text:
            wrapped = f"({text})" if " " in text and factor > 1 else text
            parts.append(f"{wrapped} * {factor}u" if factor > 1 else text)
    return " + ".join(parts)


def loops_of(texts: Sequence[AxisText], channels: int) -> tuple[Loop, ...]:
    """Return the loops over taps and, innermost, `channels` of each.

    A loop that runs once is left out; neighbours are merged, as long as a loop stays short enough
    for one float to add up its products.
    """
    loops = [
        Loop(t.count, not t.varies, t.axis.kernel if t.varies else int(t.count[:-1]),
             t.axis.step * t.axis.dilation, t.axis.unit)
        for t in texts
    ]  # fmt: skip
    part = part_of(channels)
    loops.append(Loop(f"{channels // part}u", True, channels // part, part, part))
    loops.append(Loop(f"{part}u", True, part, 1, 1))
    out: list[Loop] = []
    for loop in reversed(loops):
        if loop.fixed and loop.most == 1:
            continue
        inner = out[0] if out else None
        if inner and _follows(loop, inner) and loop.most * inner.most <= LONGEST:
            most = loop.most * inner.most
            count = f"{most}u" if loop.fixed else f"{loop.count} * {inner.count}"
            out[0] = Loop(count, loop.fixed, most, inner.step, inner.unit)
        else:
            out.insert(0, loop)
    return tuple(out)


def _follows(loop: Loop, inner: Loop) -> bool:
    reach = inner.most * inner.step, inner.most * inner.unit
    return inner.fixed and (loop.step, loop.unit) == reach


def parts_from(loops: Sequence[Loop]) -> int:
    """Return how many of the outer loops add up parts, so that long sums stay exact; 0 for none.

    Each part is what the other loops add up, at least _SHORTEST products where there are so many.
    """
    if prod(loop.most for loop in loops) <= LONGEST:
        return 0
    depth, products = len(loops), 1
    while depth and products < _SHORTEST:
        depth -= 1
        products *= loops[depth].most
    return depth
