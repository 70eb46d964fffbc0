"""The plot of a front: bytes against accuracy, as a picture that any browser shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bitwright.backends.render import render
from bitwright.backends.report.axes import percent_axis, size_axis

_WIDTH, _LEFT, _RIGHT = 760, 70, 560
_TOP, _BOTTOM, _ROW = 48, 380, 17
_KILO = 1000


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A compressed model: its name, the bytes of its weights, the percentage of right classes."""

    label: str
    bytes: int
    percent: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A named place on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A drawn point; `label` stands beside it."""

    x: float
    y: float
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Key:
    """A line of the list on the right."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class PlotView:
    """What the template draws."""

    title: str
    percent_text: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    key_x: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    path: str
    front: tuple[Dot, ...]
    uniform: tuple[Dot, ...]
    keys: tuple[Key, ...]
    float_y: float
    float_text: str


def front_svg(
    title: str,
    front: Sequence[FrontPoint],
    original: FrontPoint,
    uniform: Sequence[FrontPoint] = (),
    *,
    labelled: bool = True,
) -> bytes:
    """Return SVG of the front's points, joined and numbered, and of others by their labels.

    `original` is the float model, drawn as a line; its bytes are told in words. `labelled` says
    that percentages are of right classes and not of those that the float model chooses.
    """
    drawn = sorted(front, key=lambda p: p.bytes)
    everything = [*drawn, *uniform]
    x = size_axis([float(p.bytes) for p in everything], _LEFT, _RIGHT)
    y = percent_axis([p.percent for p in (*everything, original)], _BOTTOM, _TOP)
    dots = tuple(
        Dot(x.at(p.bytes), y.at(p.percent), str(i), _told(p)) for i, p in enumerate(drawn, 1)
    )
    others = tuple(Dot(x.at(p.bytes), y.at(p.percent), escape(p.label), _told(p)) for p in uniform)
    keys = tuple(
        Key(_TOP + 34 + _ROW * i, f"{i + 1}: {_size(p.bytes)}, {p.percent:.2f} %")
        for i, p in enumerate(drawn)
    )
    view = PlotView(
        title=escape(title),
        percent_text="right classes" if labelled else "same class as the float model",
        width=_WIDTH, height=max(_BOTTOM + 60, _TOP + 60 + _ROW * len(keys)),
        left=_LEFT, right=_RIGHT, top=_TOP, bottom=_BOTTOM, key_x=_RIGHT + 20,
        x_ticks=tuple(Tick(x.at(t), f"{t / _KILO:g}") for t in x.ticks()),
        y_ticks=tuple(Tick(y.at(t), f"{t:g}") for t in y.ticks() if t <= 100),  # noqa: PLR2004
        path=" ".join(f"{d.x},{d.y}" for d in dots), front=dots, uniform=others, keys=keys,
        float_y=y.at(original.percent),
        float_text=f"float: {original.percent:.2f} %, {_size(original.bytes)}",
    )  # fmt: skip
    return render("report/front.svg.j2", view).encode()


def _size(count: int) -> str:
    return f"{count / _KILO:.2f} KB"


def _told(p: FrontPoint) -> str:
    return escape(f"{p.label}: {p.bytes:,} bytes, {p.percent:.2f} %")
