"""What the Verilog templates see: finished numbers, names and connections."""

from dataclasses import dataclass

from bitwright.backends.names import Names, comment
from bitwright.backends.verilog.cells import Cell, Rom
from bitwright.backends.verilog.fifos import Sizing
from bitwright.backends.verilog.formats import Format
from bitwright.backends.verilog.network import Kind, Link, Network, Unit

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a module: its parameters and connections, as Verilog text."""

    module: str
    name: str
    parameters: Pairs
    ports: Pairs
    count_bits: int = 0  # of a FIFO's fill level, which nothing reads


@dataclass(frozen=True, slots=True)
class Stream:
    """Wires of one stream inside a module."""

    name: str
    bits: int
    note: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """Lanes of unsigned or bipolar elements made two's complement, `count` of them."""

    source: str
    result: str
    count: int
    bits: int
    wide: int
    bipolar: bool


@dataclass(frozen=True, slots=True)
class EdgeView:
    """One AXI4-Stream of the top."""

    prefix: str  # of the ports
    constant: str  # of the local parameters
    note: str
    elements: int
    element_bits: int
    beats: int
    bits: int  # that carry elements
    padded: int  # whole bytes
    link: str  # the stream inside
    unit: str


@dataclass(frozen=True, slots=True)
class TraceView:
    """A stream that is checked under TRACE."""

    unit: str
    link: str
    bits: int  # of an element
    lanes: int
    signed: int
    bipolar: int
    beats: int


@dataclass(frozen=True, slots=True)
class TopView:
    """The top of a design."""

    module: str
    notes: tuple[str, ...]
    memory: bool
    inputs: tuple[EdgeView, ...]
    outputs: tuple[EdgeView, ...]
    streams: tuple[Stream, ...]
    instances: tuple[Instance, ...]
    traces: tuple[TraceView, ...]


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
    memory: bool
    inputs: tuple[PortView, ...]
    output: PortView
    adapters: tuple[Adapter, ...]
    streams: tuple[Stream, ...]
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class ModuleNames:
    """Module of each layer by unit name, and of the top."""

    top: str
    layers: dict[str, str]


def rom_file(unit: Unit, rom: Rom) -> str:
    """Return the name of a memory file."""
    return f"{unit.name}_{rom.role}.mem"


def stream_ports(prefix: str, wires: str) -> Pairs:
    """Return the connections of the stream `prefix` of an instance to the stream `wires`."""
    return tuple((f"{prefix}_{p}", f"{wires}_{p}") for p in ("tdata", "tvalid", "tready"))


_CLOCK: Pairs = (("clk", "clk"), ("rst_n", "rst_n"))
_TIED: dict[str, Pairs] = {"bw_mvu": (("s_axis_tuser", "1'b1"),)}  # every beat counts


def layer_view(unit: Unit, module: str) -> LayerView:
    """Return the module of a layer."""
    inputs = tuple(
        PortView(_operand(i, len(unit.inputs)), link.bits, elements_text(link))
        for i, link in enumerate(unit.inputs)
    )
    data = [f"{p.prefix}_tdata" for p in inputs]
    adapters, streams, instances = [], [], []
    names = [p.prefix for p in inputs]
    formats = [link.format for link in unit.inputs]
    for i, cell in enumerate(unit.cells):
        lanes = unit.inputs[0].lanes if i == 0 else cell.lanes.pe
        for k, (have, want) in enumerate(zip(formats, cell.takes, strict=True)):
            if have != want:
                wide = f"operand_{k}" if len(formats) > 1 else "operand"
                adapters.append(_adapter(data[k], wide, lanes, have, want))
                data[k] = wide
        last = i == len(unit.cells) - 1
        result = "m_axis" if last else f"{_short(cell)}_y"
        if not last:
            bits = cell.lanes.pe * cell.gives.bits
            streams.append(Stream(result, bits, f"{cell.lanes.pe} x {cell.gives.text}"))
        instances.append(_cell_instance(unit, cell, list(zip(names, data, strict=True)), result))
        names, data, formats = [result], [f"{result}_tdata"], [cell.gives]
    out = unit.outputs[0]
    return LayerView(
        module,
        layer_notes(unit),
        any(cell.roms for cell in unit.cells),
        inputs,
        PortView("m_axis", out.bits, elements_text(out)),
        tuple(adapters),
        tuple(streams),
        tuple(instances),
    )


def layer_notes(unit: Unit) -> tuple[str, ...]:
    """Return the head of a layer's file: the user's node and what is computed how."""
    cell = unit.cells[0]
    values = dict(cell.parameters)
    if cell.code:
        rows, columns = cell.code.raw.shape
        text = f"{rows} x {columns} matrix of {cell.code.name} weights, PE {values['PE']}, SIMD "
        text += f"{values['SIMD']}: {values['SF']} x {values['NF']} cycles a vector."
    else:
        text = f"{elements_text(unit.inputs[0])} a beat, {unit.inputs[0].beats} beats a frame."
    note = unit.layer.note if unit.layer else ""
    return (f"Layer {note}.", text[0].upper() + text[1:])


def elements_text(link: Link) -> str:
    """Return how many elements a beat holds, and of which format."""
    return f"{link.lanes} x {link.format.text}"


def _operand(index: int, count: int) -> str:
    return "s_axis" if count == 1 else f"s{index}_axis"


def _short(cell: Cell) -> str:
    return cell.module.removeprefix("bw_")


def _adapter(source: str, result: str, count: int, have: Format, want: Format) -> Adapter:
    return Adapter(source, result, count, have.bits, want.bits, have.bipolar)


def _cell_instance(
    unit: Unit, cell: Cell, operands: list[tuple[str, str]], result: str
) -> Instance:
    files = tuple((r.parameter, f'{{MEM_DIR, "{rom_file(unit, r)}"}}') for r in cell.roms)
    ports = list(_CLOCK)
    for i, (stream, data) in enumerate(operands):
        prefix = _operand(i, len(operands))
        ports += [(f"{prefix}_tdata", data), *stream_ports(prefix, stream)[1:]]
    ports += _TIED.get(cell.module, ())
    ports += stream_ports("m_axis", result)
    return Instance(cell.module, f"u_{_short(cell)}", cell.parameters + files, tuple(ports))


def top_view(
    network: Network, sizing: Sizing, modules: ModuleNames, names: Names, notes: tuple[str, ...]
) -> TopView:
    """Return the top of a design."""
    after = {name: names.fresh(f"{name}_fifo") for name in sizing.depths}
    streams, instances = [], []
    for unit in network.units:
        if unit.kind in _SIMPLE or unit.kind is Kind.LAYER:
            instances.append(_unit_instance(unit, modules, after))
        for link in unit.outputs:
            streams.append(_stream(link, link.name))
            if link.name in after:
                streams.append(_stream(link, after[link.name]))
                instances.append(_fifo(link, sizing.depths[link.name], after[link.name]))
    entries, exits = network.of_kind(Kind.ENTRY), network.of_kind(Kind.EXIT)
    return TopView(
        modules.top,
        notes,
        any(cell.roms for unit in network.units for cell in unit.cells),
        tuple(_edge(u, "s_axis", len(entries), names, u.outputs[0].name) for u in entries),
        tuple(
            _edge(u, "m_axis", len(exits), names, after.get(u.inputs[0].name, u.inputs[0].name))
            for u in exits
        ),
        tuple(streams),
        tuple(instances),
        tuple(_trace(unit) for unit in network.traced),
    )


def _trace(unit: Unit) -> TraceView:
    link = unit.outputs[0]
    f = link.format
    return TraceView(
        unit.name, link.name, f.bits, link.lanes, int(f.signed), int(f.bipolar), link.beats
    )


_SIMPLE = {Kind.WIDTH: "bw_width", Kind.FORK: "bw_fork"}


def _stream(link: Link, name: str) -> Stream:
    return Stream(name, link.bits, f"{elements_text(link)}, {link.beats} beats a frame")


def _unit_instance(unit: Unit, modules: ModuleNames, after: dict[str, str]) -> Instance:
    ports = list(_CLOCK)
    for i, link in enumerate(unit.inputs):
        ports += stream_ports(_operand(i, len(unit.inputs)), after.get(link.name, link.name))
    for i, link in enumerate(unit.outputs):
        prefix = "m_axis" if len(unit.outputs) == 1 else f"m{i}_axis"
        ports += stream_ports(prefix, link.name)
    parameters: Pairs = ()
    if unit.kind is Kind.WIDTH:
        (source,), (output,) = unit.inputs, unit.outputs
        parameters = (
            ("W_ELEM", str(source.format.bits)),
            ("N_IN", str(source.lanes)),
            ("N_OUT", str(output.lanes)),
        )
    elif unit.kind is Kind.FORK:
        parameters = (("W", str(unit.inputs[0].bits)),)
    elif any(cell.roms for cell in unit.cells):
        parameters = (("MEM_DIR", "MEM_DIR"),)
    module = _SIMPLE.get(unit.kind) or modules.layers[unit.name]
    return Instance(module, f"u_{unit.name}", parameters, tuple(ports))


def _fifo(link: Link, depth: int, name: str) -> Instance:
    ports = [*_CLOCK, *stream_ports("s_axis", link.name), *stream_ports("m_axis", name)]
    parameters = (("W", str(link.bits)), ("DEPTH", str(depth)))
    ports.append(("count", f"unused_u_{name}"))
    return Instance("bw_fifo", f"u_{name}", parameters, tuple(ports), depth.bit_length())


def _edge(unit: Unit, side: str, count: int, names: Names, inside: str) -> EdgeView:
    link = (unit.outputs or unit.inputs)[0]
    value = unit.value.name if unit.value else unit.name
    prefix = side if count == 1 else f"{side}_{edge_id(names, value)}"
    return EdgeView(
        prefix,
        prefix.upper(),
        f"tensor {comment(value)}: {elements_text(link)} a beat, {link.beats} beats a frame",
        link.lanes,
        link.format.bits,
        link.beats,
        link.bits,
        -(-link.bits // 8) * 8,
        inside,
        unit.name,
    )


def edge_id(names: Names, value: str) -> str:
    """Return the identifier of a tensor in the names of the top's ports."""
    return names(f"port {value}").removeprefix("port_")
