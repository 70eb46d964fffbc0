"""What the Verilog templates see: finished numbers, names and connections."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitwright.backends.names import Names, comment
from bitwright.backends.verilog.cell import RING, Rom
from bitwright.backends.verilog.fifos import Sizing
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
    user: bool = False  # it has a TUSER


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


CLOCK: Pairs = (("clk", "clk"), ("rst_n", "rst_n"))


def elements_text(link: Link) -> str:
    """Return how many elements a beat holds, and of which format."""
    return f"{link.lanes} x {link.format.text}"


def operand(index: int, count: int) -> str:
    """Return the prefix of one of an instance's input streams."""
    return "s_axis" if count == 1 else f"s{index}_axis"


def top_view(
    network: Network, sizing: Sizing, modules: ModuleNames, names: Names, notes: tuple[str, ...]
) -> TopView:
    """Return the top of a design."""
    after = {name: names.fresh(f"{name}_fifo") for name in sizing.depths}
    streams, instances = [], []
    for unit in network.units:
        if unit.kind in _SIMPLE or unit.kind is Kind.LAYER:
            instances.append(_unit_instance(unit, modules, after, sizing.rings))
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


def _unit_instance(
    unit: Unit, modules: ModuleNames, after: dict[str, str], rings: Mapping[str, int]
) -> Instance:
    ports = list(CLOCK)
    for i, link in enumerate(unit.inputs):
        ports += stream_ports(operand(i, len(unit.inputs)), after.get(link.name, link.name))
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
    else:
        memory = any(cell.roms for cell in unit.cells)
        ring = ((RING, str(rings[unit.name])),) if unit.ring else ()
        parameters = (("MEM_DIR", "MEM_DIR"),) * memory + ring
    module = _SIMPLE.get(unit.kind) or modules.layers[unit.name]
    return Instance(module, f"u_{unit.name}", parameters, tuple(ports))


def _fifo(link: Link, depth: int, name: str) -> Instance:
    ports = [*CLOCK, *stream_ports("s_axis", link.name), *stream_ports("m_axis", name)]
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
