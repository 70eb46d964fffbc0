"""Where a device parts from the integer graph: the first layer, channel and index, and why.

A point is an input or a layer's result that both know; report.json of each target lists them
under `trace`, in execution order.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from bitwright.errors import CompileError, VerifyError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Conv, ConvTranspose, Linear
from bitwright.sim.host_c import trace_c
from bitwright.sim.rtl import RtlOptions, RtlResult, run_design

TOLERANCE = 1e-5  # of the greatest value, where a layer is real
_FEW = 0.5  # share of the channels


@dataclass(frozen=True, slots=True)
class Point:
    """An input or a layer: its name on the device, the user's node, the value of the graph."""

    name: str
    node: str
    value: str
    reads: tuple[str, ...]
    tables: tuple[str, ...]

    @property
    def is_input(self) -> bool:
        """Whether nothing on the device computes it."""
        return not self.node

    def __str__(self) -> str:
        """Return how sentences call it."""
        return self.name if self.is_input else f"layer {self.name!r} (node {self.node!r})"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element that differs, at the first point that does."""

    point: Point
    sample: int
    index: tuple[int, ...]
    got: float
    expected: float
    count: int
    size: int
    channels: tuple[int, ...]  # that differ somewhere
    of_channels: int

    def __str__(self) -> str:
        """Return the place, both numbers, and the likely causes."""
        channel = f"channel {self.index[-1]}, " if self.index else ""
        return (
            f"{self.point}: sample {self.sample}, {channel}index {list(self.index)}: got {self.got}"
            f", expected {self.expected} ({self.count} of {self.size} values differ); {self.cause}"
        )

    @property
    def cause(self) -> str:
        """The likely causes: what lies before this point agrees."""
        if self.point.is_input:
            return "the input edge: how the input is packed, ordered or sent"
        where = "this layer"
        if len(self.channels) <= _FEW * self.of_channels:
            numbers = ", ".join(map(str, self.channels[:4]))
            more = ", ..." if len(self.channels) > 4 else ""  # noqa: PLR2004  # as many as listed
            where = f"channel {numbers}{more} of this layer"
        tables = f" ({', '.join(self.point.tables)})" if self.point.tables else ""
        if tables:
            return f"its inputs agree: likely weights or thresholds of {where}{tables}"
        return f"its inputs agree and it reads no table: likely its arithmetic in {where}"


def points_of(folder: Path) -> tuple[Point, ...]:
    """Return the points of a target's folder, in execution order."""
    path = folder / "report.json"
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text())["trace"]
        return tuple(
            Point(e["name"], e["node"], e["stream"]["name"], tuple(e["reads"]), tuple(e["tables"]))
            for e in entries
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise CompileError(f"{path} does not tell the layers; compile again") from None


def values_of(body: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return every value of the integer graph by name, inputs included."""
    seen = {v.name: np.asarray(inputs[v.name]) for v in body.inputs}
    evaluate(body, inputs, dtype=np.float32, tap=lambda op, y: seen.__setitem__(op.name, y))
    return seen


def tolerance_of(body: Graph) -> float:
    """Return how far a real layer may be off, as a share of its greatest value.

    A sum of n terms in float32 is exact within n * 2^-24 of the sum of its magnitudes, whatever
    the order in which it is added.
    """
    dots = (op.inputs[1].shape for op in body.ops if isinstance(op, Linear | Conv | ConvTranspose))
    return max(TOLERANCE, max((prod(shape[1:]) for shape in dots), default=0) * 2.0**-24)


def first_difference(
    points: Sequence[Point],
    want: Mapping[str, Array],
    got: Mapping[str, Array],
    tolerance: float = TOLERANCE,
) -> Difference | None:
    """Return the first difference; `want` by value of the graph, `got` by name of the point."""
    for point in points:
        reference, mine = want[point.value], got[point.name]
        if reference.dtype.kind == "f" and mine.dtype.kind == "i":
            mine = mine.astype(np.int32).view(np.float32)  # a trace carries the bits
        difference = _differences(point, reference, mine.reshape(reference.shape), tolerance)
        if difference is not None:
            return difference
    return None


def _differences(point: Point, want: Array, got: Array, tolerance: float) -> Difference | None:
    if want.dtype.kind == "f":
        wrong = np.abs(got - want) > tolerance * (np.abs(want).max(initial=0) or 1.0)
    else:
        wrong = got != want
    if not wrong.any():
        return None
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    by_channel = wrong.reshape(-1, wrong.shape[-1] if wrong.ndim > 1 else 1).any(axis=0)
    return Difference(
        point,
        at[0],
        at[1:],
        got[at].item(),
        want[at].item(),
        int(wrong.sum()),
        wrong.size,
        tuple(int(c) for c in np.flatnonzero(by_channel)),
        by_channel.size,
    )


def layers_c(
    folder: Path, body: Graph, inputs: Mapping[str, Array], compiler: str, work: Path
) -> Difference | None:
    """Return the first difference of the C in `folder`, traced, from the integer graph."""
    got = seen_c(folder, inputs, compiler, work)
    want = values_of(body, inputs)
    return first_difference(points_of(folder), want, got, tolerance_of(body))


def seen_c(
    folder: Path, inputs: Mapping[str, Array], compiler: str, work: Path
) -> dict[str, Array]:
    """Return what a traced run of the C tells of each point: (samples, elements) by its name."""
    _, trace = trace_c(folder, inputs, compiler=compiler, work=work / "traced")
    points = points_of(folder)
    return {p.name: np.stack([values[p.name] for values in trace.values]) for p in points}


def layers_rtl(
    folder: Path, body: Graph, inputs: Mapping[str, Array], options: RtlOptions, work: Path
) -> Difference | None:
    """Return the first difference of the RTL in `folder`, tapped, from the integer graph."""
    result = run_design(folder, inputs, work=work, options=replace(options, taps=True))
    return tapped_difference(folder, body, inputs, result)


def tapped_difference(
    folder: Path, body: Graph, inputs: Mapping[str, Array], result: RtlResult
) -> Difference | None:
    """Return the first difference of a run with taps; VerifyError when a layer gave too little."""
    points, want = points_of(folder), values_of(body, inputs)
    for p in points:
        if len(result.taps[p.name]) != len(want[p.value]):
            raise VerifyError(f"{p} gave {len(result.taps[p.name])} of {len(want[p.value])} frames")
    return first_difference(points, want, result.taps)


def sentence(find: Callable[[], Difference | None], first: int = 0) -> str:
    """Return where a device that is wrong at its outputs differs, or why that is not known.

    `first` is the number of the first sample that `find` looks at.
    """
    try:
        found = find()
    except VerifyError as error:
        return f"its layers cannot be seen: {error}"
    if found is None:
        return "every layer agrees: likely the output edge, or what only this run shows"
    return str(replace(found, sample=found.sample + first))
