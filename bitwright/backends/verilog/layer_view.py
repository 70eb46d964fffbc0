"""What the template of a layer's module sees: its cells in a row, and what lies between them."""

from dataclasses import dataclass

from bitwright.backends.verilog.cell import RING, Cell
from bitwright.backends.verilog.formats import Format
from bitwright.backends.verilog.network import Unit
from bitwright.backends.verilog.views import (
    CLOCK,
    Instance,
    Stream,
    elements_text,
    operand,
    rom_file,
    stream_ports,
)


@dataclass(frozen=True, slots=True)
class Adapter:
    """Elements of `bits` made `wide` bits each; result i is element order[i] of the source."""

    source: str
    result: str
    order: tuple[int, ...]
    bits: int
    wide: int
    fill: str  # zero, sign or bipolar
    partial: bool  # some elements of the source are dropped

    @property
    def plain(self) -> bool:
        """Whether the elements stay in their order."""
        return self.order == tuple(range(len(self.order)))

    def element(self, index: int | str) -> str:
        """Return an element of the source, by number or by the name of one, in its new width."""
        more = self.wide - self.bits
        low = f"{index}*{self.bits}" if isinstance(index, str) else index * self.bits
        top = f"{low} + {self.bits - 1}" if isinstance(low, str) else low + self.bits - 1
        sign = f"{self.source}[{top if self.bits > 1 else low}]"
        if self.fill == "bipolar" and more:
            return f"{{{{{more}{{!{sign}}}}}, 1'b1}}"
        same = f"{self.source}[{low} +: {self.bits}]"
        head = f"{{{more}{{{sign}}}}}" if self.fill == "sign" else f"{more}'d0"
        return f"{{{head}, {same}}}" if more else same


@dataclass(frozen=True, slots=True)
class PortView:
    """One stream port of a layer's module."""

    prefix: str
    bits: int
    note: str


@dataclass(frozen=True, slots=True)
class LayerView:
    """The module of one layer: its cells in a row."""

    module: str
    notes: tuple[str, ...]
    parameters: tuple[tuple[str, str, str], ...]  # name, default, comment
    inputs: tuple[PortView, ...]
    output: PortView
    adapters: tuple[Adapter, ...]
    streams: tuple[Stream, ...]
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class _Operand:
    """A stream at hand: the prefix of its wires, its data, what it carries."""

    wires: str
    data: str
    format: Format
    lanes: int
    user: bool = False


def layer_view(unit: Unit, module: str) -> LayerView:
    """Return the module of a layer."""
    inputs = tuple(
        PortView(operand(i, len(unit.inputs)), link.bits, elements_text(link))
        for i, link in enumerate(unit.inputs)
    )
    row = _Row(unit, inputs)
    for cell in unit.cells:
        row.append(cell)
    out = unit.outputs[0]
    return LayerView(
        module,
        layer_notes(unit),
        parameters_of(unit),
        inputs,
        PortView("m_axis", out.bits, elements_text(out)),
        tuple(row.adapters),
        tuple(row.streams),
        tuple(row.instances),
    )


def parameters_of(unit: Unit) -> tuple[tuple[str, str, str], ...]:
    """Return the parameters of a layer's module: name, default, comment."""
    found: list[tuple[str, str, str]] = []
    if any(cell.roms for cell in unit.cells):
        found.append(("MEM_DIR", '"mem/"', "folder of the .mem files, with its final slash"))
    if unit.ring:
        found.append((RING, str(unit.ring.least_depth), "beats that the window holds"))
    return tuple(found)


class _Row:
    """Connects cell after cell; further operands of a cell are the next inputs of the module."""

    def __init__(self, unit: Unit, inputs: tuple[PortView, ...]) -> None:
        self.unit = unit
        self.waiting = [
            _Operand(port.prefix, f"{port.prefix}_tdata", link.format, link.lanes)
            for port, link in zip(inputs, unit.inputs, strict=True)
        ]
        self.last: _Operand | None = None
        self.adapters: list[Adapter] = []
        self.streams: list[Stream] = []
        self.instances: list[Instance] = []
        self.used: dict[str, int] = {}

    def append(self, cell: Cell) -> None:
        taken = [self.last] if self.last else []
        count = len(cell.takes) - len(taken)
        taken += self.waiting[:count]
        self.waiting = self.waiting[count:]
        operands = [self._adapted(x, want, cell) for x, want in zip(taken, cell.takes, strict=True)]
        name = self._fresh(cell.module.removeprefix("bw_"))
        final = len(self.instances) == len(self.unit.cells) - 1
        result = "m_axis" if final else f"{name}_y"
        if not final:
            bits = cell.leaves * cell.gives.bits
            note = f"{cell.leaves} x {cell.gives.text}"
            self.streams.append(Stream(result, bits, note, cell.user))
        self.last = _Operand(result, f"{result}_tdata", cell.gives, cell.leaves, cell.user)
        self.instances.append(_instance(self.unit, cell, (operands, result), f"u_{name}"))

    def _fresh(self, name: str) -> str:
        self.used[name] = self.used.get(name, 0) + 1
        return name if self.used[name] == 1 else f"{name}_{self.used[name]}"

    def _adapted(self, x: _Operand, want: Format, cell: Cell) -> _Operand:
        if x.format == want and not cell.order:
            return x
        result = self._fresh("operand")
        order = cell.order or tuple(range(x.lanes))
        fill = "bipolar" if x.format.bipolar else "sign" if x.format.signed else "zero"
        partial = len(set(order)) < x.lanes
        self.adapters.append(
            Adapter(x.data, result, order, x.format.bits, want.bits, fill, partial)
        )
        return _Operand(x.wires, result, want, len(order), x.user)


_TAKES_USER = {"bw_mvu", "bw_depthwise", "bw_pool"}


def _instance(unit: Unit, cell: Cell, streams: tuple[list[_Operand], str], name: str) -> Instance:
    operands, result = streams
    files = tuple((r.parameter, f'{{MEM_DIR, "{rom_file(unit, r)}"}}') for r in cell.roms)
    ports: list[tuple[str, str]] = list(CLOCK)
    for i, x in enumerate(operands):
        prefix = operand(i, len(operands))
        ports += [(f"{prefix}_tdata", x.data), *stream_ports(prefix, x.wires)[1:]]
        if cell.module in _TAKES_USER:  # without a window every beat counts
            ports.append((f"{prefix}_tuser", f"{x.wires}_tuser" if x.user else "1'b1"))
    if cell.user:
        ports.append(("m_axis_tuser", f"{result}_tuser"))
    ports += stream_ports("m_axis", result)
    return Instance(cell.module, name, cell.parameters + files, tuple(ports))


def layer_notes(unit: Unit) -> tuple[str, ...]:
    """Return the head of a layer's file: the user's node and what is computed how."""
    cell = unit.main
    values: dict[str, str] = dict(cell.parameters)
    link = unit.inputs[0]
    if cell.module == "bw_mvu" and cell.code:
        rows, columns = cell.code.raw.shape[0], cell.code.raw[0].size
        text = f"{rows} x {columns} matrix of {cell.code.name} weights, PE {values['PE']}, SIMD "
        text += f"{values['SIMD']}: {values['SF']} x {values['NF']} cycles a vector."
        if "GROUPS" in values:
            text = f"{values['GROUPS']} groups: " + text
    elif cell.code:
        text = f"{len(cell.code.raw)} kernels of {cell.code.raw[0].size} {cell.code.name} weights, "
        text += f"PE {values['PE']}."
    else:
        text = f"{elements_text(link)} a beat, {link.beats} beats a frame."
    if "VALUES" in values:
        text += f" Weights are indices into {values['VALUES']} values."
    note = unit.layer.note if unit.layer else ""
    return (f"Layer {note}.", text[0].upper() + text[1:])
