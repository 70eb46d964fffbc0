"""Where a window finds its taps: in the tensor itself, or gathered into a patch with its padding.

A kernel reads `runs` rows of `run` neighbours each, `step` objects apart. Windows that lie inside are
read in place where their taps are such rows; the others are copied, each tap outside as the code of
the padding, so that border and interior are one computation.
"""

from dataclasses import dataclass
from math import prod

from bitwright.backends.c.storage import Planes, Role, Storage
from bitwright.backends.c.tables import literal
from bitwright.ir.ops import Window

_MOST_AXES = 2  # axes of a window that is read in place


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial axis: sizes, the window along it, and the objects from one element to the next."""

    size: int
    outputs: int
    kernel: int
    stride: int
    before: int
    dilation: int
    step: int

    @property
    def last(self) -> int:
        """The greatest first tap of a window that lies inside; negative when none does."""
        return self.size - (self.kernel - 1) * self.dilation - 1

    @property
    def padded(self) -> bool:
        """Whether some tap of some position lies outside."""
        return self.before > 0 or (self.outputs - 1) * self.stride - self.before > self.last

    def taps(self, position: int) -> tuple[bool, ...]:
        """Tell of each tap of an output position whether it lies inside."""
        first = position * self.stride - self.before
        return tuple(0 <= first + k * self.dilation < self.size for k in range(self.kernel))


@dataclass(frozen=True, slots=True)
class PatchView:
    """What patch.h.j2 shows: a function that returns where a window is to be read."""

    name: str
    x_t: str
    axes: tuple[Axis, ...]
    run: int  # objects of a tap, in one plane
    x_apart: int  # from plane to plane
    apart: int
    fills: tuple[tuple[str, str], ...]  # of each plane: a word outside, and the last one of a tap
    in_place: bool
    fits: str  # C text: the whole window at `p0`, `p1`, ... lies inside
    inside: str  # C text: the tap at `q0`, `q1`, ... lies inside; empty when all do
    first: str  # C text: the first object of the window
    tap: str  # C text: the first object of the tap
    step: str  # in place: objects from one run to the next
    patch_step: str


@dataclass(frozen=True, slots=True)
class Geometry:
    """A window over a tensor of (batch, *spatial, channels), each pixel `pixel` objects."""

    batch: int
    axes: tuple[Axis, ...]
    pixel: int
    taps: int

    @property
    def padded(self) -> bool:
        """Whether some tap of some position lies outside."""
        return any(a.padded for a in self.axes)

    @property
    def image(self) -> int:
        """Objects of one batch item."""
        return self.pixel * prod(a.size for a in self.axes)

    @property
    def positions(self) -> int:
        """Windows of one batch item."""
        return prod(a.outputs for a in self.axes)

    @property
    def rows(self) -> bool:
        """Whether the taps of a whole pixel are one or several rows of neighbours."""
        *outer, inner = self.axes
        flat = all(a.kernel == 1 for a in outer[: 1 - _MOST_AXES])
        return flat and (inner.kernel == 1 or inner.dilation == 1)

    @property
    def runs(self) -> int:
        """Rows of neighbours that a window consists of, when it does."""
        return self.axes[-2].kernel if len(self.axes) > 1 else 1

    @property
    def run(self) -> int:
        """Objects of such a row."""
        return self.axes[-1].kernel * self.pixel


def geometry(x: tuple[int, ...], y: tuple[int, ...], window: Window, pixel: int) -> Geometry:
    """Return the geometry of `window` over `x`, (batch, *spatial, channels), that gives `y`."""
    axes: list[Axis] = []
    step = pixel
    for k in reversed(range(window.rank)):
        size = x[k + 1]
        axes.insert(
            0,
            Axis(
                size, y[k + 1], window.kernel[k], window.strides[k], window.before[k],
                window.dilations[k], step,
            ),
        )  # fmt: skip
        step *= size
    return Geometry(x[0], tuple(axes), pixel, window.taps)


def _texts(axes: tuple[Axis, ...]) -> dict[str, str]:
    padded = [(k, a) for k, a in enumerate(axes) if a.padded]
    return {
        "fits": " && ".join(f"p{k} >= 0 && p{k} <= {a.last}" for k, a in padded),
        "inside": " && ".join(f"q{k} >= 0 && q{k} < {a.size}" for k, a in padded),
        "first": " + ".join(f"p{k} * {a.step}" for k, a in enumerate(axes)),
        "tap": " + ".join(f"q{k} * {a.step}" for k, a in enumerate(axes)),
    }


def element_patch(g: Geometry, x_t: str, run: int, pad: int, *, in_place: bool) -> PatchView:
    """Return the function for elements, `run` of each pixel; `in_place` where windows are rows."""
    in_place = in_place and g.rows and run == g.pixel
    stepped = in_place and g.runs > 1
    kernel = "x".join(str(a.kernel) for a in g.axes)
    return PatchView(
        name=f"window_{kernel}x{run}",
        x_t=x_t,
        axes=g.axes,
        run=run,
        x_apart=0,
        apart=0,
        fills=((literal(pad, x_t),) * 2,),
        in_place=in_place,
        **_texts(g.axes),
        step=f"{g.axes[-2].step * g.axes[-2].dilation}u" if stepped else "",
        patch_step=f"{g.run}u" if stepped else "",
    )


def plane_patch(g: Geometry, x: Planes, tap: Planes, pad: int) -> PatchView:
    """Return the function for planes; `tap` is the storage of what is read of one pixel."""
    kernel = "x".join(str(a.kernel) for a in g.axes)
    last = (1 << (tap.size - 1) % x.word + 1) - 1
    full = (1 << x.word) - 1 if tap.words > 1 else last
    bits = code_bits(x, pad)
    fills = tuple((literal(full * bit, x.ctype), literal(last * bit, x.ctype)) for bit in bits)
    return PatchView(
        name=f"window_{kernel}x{tap.size}",
        x_t=x.ctype,
        axes=g.axes,
        run=tap.words,
        x_apart=x.words,
        apart=g.taps * tap.words,
        fills=fills,
        in_place=False,
        **_texts(g.axes),
        step="",
        patch_step="",
    )


def code_bits(x: Planes, code: int) -> tuple[int, ...]:
    """Return the bit of `code` in each plane; 0 under bipolar planes is a bit like -1."""
    if x.role is Role.BIPOLAR:
        return (int(code > 0),)
    if x.role is Role.TERNARY:
        return (int(code != 0), int(code < 0))
    return tuple(code >> b & 1 for b in range(x.planes))


def objects_of_pixel(s: Storage, channels: int) -> int:
    """Return the C objects, in one plane, from one pixel to the next; each group begins a word."""
    if not isinstance(s, Planes):
        return channels
    row = s.row if channels % s.row == 0 else channels
    return channels // row * -(-row // s.word)
