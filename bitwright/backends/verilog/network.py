"""The units of a design and the streams between them, converters and forks included."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import gcd, lcm

from bitwright.backends.layers import Layer
from bitwright.backends.names import Names
from bitwright.backends.verilog.cell import Cell, Lanes, Sliding, Split
from bitwright.backends.verilog.cells import cells_of
from bitwright.backends.verilog.folding import DEFAULT_CYCLES, divisors, lanes_in, work_of
from bitwright.backends.verilog.formats import Format, format_of
from bitwright.backends.verilog.product_cells import factors_of
from bitwright.backends.verilog.window_timing import FullWindow, Window
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import AddInt, Concat, MulInt, Op, Reshape, Value


class Kind(Enum):
    """What a unit is."""

    ENTRY = "frame_in"
    EXIT = "frame_out"
    WIDTH = "width"
    FORK = "fork"
    LAYER = "layer"


@dataclass(frozen=True, slots=True)
class Link:
    """A stream between two units: `beats` of `lanes` elements per frame."""

    name: str
    format: Format
    lanes: int
    beats: int

    @property
    def bits(self) -> int:
        """Bits of a beat."""
        return self.lanes * self.format.bits

    @property
    def elements(self) -> int:
        """Elements of a frame."""
        return self.lanes * self.beats


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of the design, with the names of the links it reads and drives."""

    name: str
    kind: Kind
    inputs: tuple[Link, ...]
    outputs: tuple[Link, ...]
    cells: tuple[Cell, ...] = ()  # of a layer
    layer: Layer | None = None
    value: Value | None = None  # of an entry or an exit

    @property
    def main(self) -> Cell:
        """The cell that a layer is named after: the first behind a window."""
        return next(cell for cell in self.cells if not isinstance(cell.schedule, Sliding | Split))

    @property
    def ring(self) -> Window | FullWindow | None:
        """The sliding window of a layer."""
        found = (cell.schedule for cell in self.cells if isinstance(cell.schedule, Sliding))
        return next((schedule.window for schedule in found), None)


@dataclass(frozen=True, slots=True)
class Network:
    """Every unit, in the order of the data, and every link by name."""

    units: tuple[Unit, ...]

    @property
    def links(self) -> tuple[Link, ...]:
        """All links, in the order of the units that drive them."""
        return tuple(link for unit in self.units for link in unit.outputs)

    @property
    def traced(self) -> tuple[Unit, ...]:
        """The units whose results have a CRC under TRACE: inputs, then layers, in their order."""
        return self.of_kind(Kind.ENTRY) + self.of_kind(Kind.LAYER)

    def of_kind(self, kind: Kind) -> tuple[Unit, ...]:
        """Return the units of one kind."""
        return tuple(unit for unit in self.units if unit.kind is kind)


def build_network(
    graph: Graph, layers: Sequence[Layer], lanes: Mapping[str, Lanes], names: Names
) -> Network:
    """Return the design of a body without permutations, each layer folded as `lanes` says."""
    return _Builder(graph, layers, lanes, names).build()


class _Builder:
    """Walks the layers in execution order; `ready` holds, by value, a link for each reader to come."""

    def __init__(
        self, graph: Graph, layers: Sequence[Layer], lanes: Mapping[str, Lanes], names: Names
    ) -> None:
        self.graph, self.names, self.lanes = graph, names, lanes
        self.layers = [x for x in layers if not isinstance(x.first, Reshape)]
        self.root = {v.name: v.name for v in graph.inputs}
        for op in graph.ops:
            same = isinstance(op, Reshape)
            self.root[op.name] = self.root[op.inputs[0].name] if same else op.name
        self.units: list[Unit] = []
        self.ready: dict[str, list[Link]] = {}
        self.wanted = self._wanted()
        cycles = (work_of(layer, graph).cycles(lanes[layer.name]) for layer in self.layers)
        self.pace = max(cycles, default=DEFAULT_CYCLES)

    def build(self) -> Network:
        for v in self.graph.inputs:
            self._enter(v)
        for layer in self.layers:
            self._add_layer(layer)
        for v in self.graph.outputs:
            link = self._take(v)
            name = self.names.fresh(f"{v.name}_out")
            self.units.append(Unit(name, Kind.EXIT, (link,), (), value=v))
        return Network(tuple(self.units))

    def _wanted(self) -> dict[str, list[int]]:
        """Map each stream to the lanes that its readers take; 0 for an output, which takes any."""
        wanted: dict[str, list[int]] = {}
        for layer in self.layers:
            width = lanes_in(layer.first, self.graph, self.lanes[layer.name])
            for v in _operands(layer.first):
                wanted.setdefault(self._root_of(v, layer.first), []).append(width)
        for v in self.graph.outputs:
            if v.name not in self.root:
                raise UnsupportedError(f"output {v.name!r} is a constant, nothing computes it")
            wanted.setdefault(self.root[v.name], []).append(0)
        return wanted

    def _root_of(self, value: Value, op: Op) -> str:
        if value.name not in self.root:
            raise UnsupportedError(
                f"{op.loc}: the Verilog backend takes no constant operand ({value.name!r}) here"
            )
        return self.root[value.name]

    def _enter(self, value: Value) -> None:
        wanted = self.wanted.get(value.name)
        if not wanted:
            raise UnsupportedError(f"input {value.name!r} is read by nothing")
        size = value.type.size
        within = next(d for d in divisors(size) if size // d <= self.pace)
        lanes = max(wanted) or within
        name, fmt = self.names.fresh(f"{value.name}_in"), format_of(value.type.integer)
        link = Link(name, fmt, lanes, size // lanes)
        self.units.append(Unit(name, Kind.ENTRY, (), (link,), value=value))
        self._offer(value.name, link)

    def _add_layer(self, layer: Layer) -> None:
        lanes = self.lanes[layer.name]
        width = lanes_in(layer.first, self.graph, lanes)
        links = tuple(
            self._convert(self._take(v), width, f"{layer.name}_width")
            for v in _operands(layer.first)
        )
        cells: list[Cell] = []
        formats = tuple(link.format for link in links)
        for op in layer.ops:
            cells += cells_of(op, self.graph, formats, lanes)
            formats = (cells[-1].gives,)
        beats = layer.output.type.size // lanes.pe
        out = Link(self.names.fresh(f"{layer.name}_y"), formats[0], lanes.pe, beats)
        self.units.append(Unit(layer.name, Kind.LAYER, links, (out,), tuple(cells), layer))
        self._offer(layer.output.name, out)

    def _take(self, value: Value) -> Link:
        return self.ready[self.root[value.name]].pop(0)

    def _offer(self, stream: str, link: Link) -> None:
        """Fork `link` until each reader of `stream` has a copy."""
        copies = []
        for _ in range(len(self.wanted.get(stream, [0])) - 1):
            name = self.names.fresh(f"{link.name}_fork")
            pair = tuple(
                Link(self.names.fresh(f"{name}_{i}"), link.format, link.lanes, link.beats)
                for i in range(2)
            )
            self.units.append(Unit(name, Kind.FORK, (link,), pair))
            copies.append(pair[0])
            link = pair[1]
        self.ready[stream] = [*copies, link]

    def _convert(self, link: Link, lanes: int, name: str) -> Link:
        """Return `link` with `lanes` elements a beat.

        Where neither number divides the other, the way is through their greatest common divisor
        when that is quick enough, else through their least common multiple.
        """
        if link.lanes == lanes:
            return link
        if link.lanes % lanes and lanes % link.lanes:
            narrow = gcd(link.lanes, lanes)
            quick = link.elements // narrow <= self.pace
            link = self._width(link, narrow if quick else lcm(link.lanes, lanes), name)
        return self._width(link, lanes, name)

    def _width(self, link: Link, lanes: int, name: str) -> Link:
        fresh = self.names.fresh(name)
        out = Link(fresh, link.format, lanes, link.elements // lanes)
        self.units.append(Unit(fresh, Kind.WIDTH, (link,), (out,)))
        return out


def _operands(op: Op) -> tuple[Value, ...]:
    """Return the values that a layer's first op reads as streams."""
    if isinstance(op, MulInt):
        factors = factors_of(op)
        return factors.a, factors.b
    return op.inputs if isinstance(op, AddInt | Concat) else op.inputs[:1]
