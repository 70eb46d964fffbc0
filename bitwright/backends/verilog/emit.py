"""Write a body as Verilog: fold, connect, size the FIFOs, fill the templates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bitwright.backends.artifact import Artifact
from bitwright.backends.layers import layers_of
from bitwright.backends.names import Names, comment, identifier
from bitwright.backends.render import render
from bitwright.backends.verilog.bench import bench_files
from bitwright.backends.verilog.fifos import Sizing, size_fifos
from bitwright.backends.verilog.folding import fold_layers
from bitwright.backends.verilog.index_maps import fold_index_maps
from bitwright.backends.verilog.library import library, needed
from bitwright.backends.verilog.network import Kind, Network, build_network
from bitwright.backends.verilog.options import Vectors, VerilogOptions
from bitwright.backends.verilog.report import report_of, to_json
from bitwright.backends.verilog.syntax import Port, parse_ports
from bitwright.backends.verilog.texts import project_files
from bitwright.backends.verilog.views import (
    ModuleNames,
    TopView,
    layer_view,
    rom_file,
    top_view,
)
from bitwright.errors import UnsupportedError, VerifyError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Reshape
from bitwright.ir.types import Bipolar, Int, Integral

_MODEL_LENGTH = 30
_FRAMES = 4  # of made-up vectors
_RESERVED = frozenset({"clk", "rst_n", "frame_error", "s_axis", "m_axis", "mem_dir"})


@dataclass(frozen=True, slots=True)
class Design:
    """All that the files of one design are written from."""

    model: str
    modules: ModuleNames
    network: Network
    sizing: Sizing
    top: TopView


def emit(body: Graph, name: str, options: VerilogOptions) -> Artifact:
    """Return the files and the report of `body`, an integer graph, as a streaming design.

    Raises UnsupportedError for an op without a unit, and CompileError for cycles that cannot be
    met.
    """
    _check_body(body)
    design = design_of(body, name, options)
    rtl = dict(_rtl(design))
    ports = _gate(rtl, design.modules.top)
    vectors = options.vectors or random_vectors(body)
    report = report_of(design, body, options)
    files: dict[str, bytes] = {f"rtl/{path}": data for path, data in rtl.items()}
    files |= {f"rtl/mem/{path}": data for path, data in _memories(design.network)}
    files |= bench_files(design.network, design.sizing.timing, design.top, ports, vectors)
    files |= project_files(design.model, design.top, report, sorted(files))
    files["report.json"] = to_json(report)
    return Artifact(dict(sorted(files.items())), report)


def design_of(body: Graph, name: str, options: VerilogOptions) -> Design:
    """Fold, connect and size a body."""
    model = identifier(name, "model")[:_MODEL_LENGTH].strip("_")
    names = Names(_RESERVED)
    flat = fold_index_maps(body)
    layers = layers_of(flat, names)
    busy = [layer for layer in layers if not isinstance(layer.first, Reshape)]
    network = build_network(flat, layers, fold_layers(busy, options), names)
    sizing = size_fifos(network)
    taken = Names(frozenset(library()))
    modules = ModuleNames(
        taken.fresh(f"{model}_top"),
        {u.name: taken.fresh(f"{model}_{u.name}") for u in network.of_kind(Kind.LAYER)},
    )
    notes = (
        f"{comment(name)}: {len(modules.layers)} layers, one frame every "
        f"{sizing.timing.interval} cycles, {sizing.timing.latency} cycles from its first beat in "
        "to its last beat out.",
        "Scale and zero point of each stream stand in README.md.",
    )
    return Design(model, modules, network, sizing, top_view(network, sizing, modules, names, notes))


def _rtl(design: Design) -> Iterator[tuple[str, bytes]]:
    used = {i.module for i in design.top.instances} | {"bw_frame_in", "bw_frame_out"}
    yield f"{design.modules.top}.v", render("verilog/top.v.j2", design.top).encode()
    for unit in design.network.of_kind(Kind.LAYER):
        view = layer_view(unit, design.modules.layers[unit.name])
        used |= {i.module for i in view.instances}
        yield f"{view.module}.v", render("verilog/layer.v.j2", view).encode()
    for cell in needed(used):
        yield f"lib/{cell}.v", library()[cell]


def _memories(network: Network) -> Iterator[tuple[str, bytes]]:
    for unit in network.of_kind(Kind.LAYER):
        for cell in unit.cells:
            yield from ((rom_file(unit, rom), rom.content) for rom in cell.roms)


def _gate(rtl: Mapping[str, bytes], top: str) -> tuple[Port, ...]:
    """Parse every generated file and return the ports of the top."""
    found: dict[str, tuple[Port, ...]] = {}
    for path, data in rtl.items():
        if path.startswith("lib/"):
            continue
        try:
            found |= parse_ports(data.decode())
        except VerifyError as error:
            raise VerifyError(f"{path}: {error}") from error
    return found[top]


def _check_body(body: Graph) -> None:
    for v in (*body.inputs, *body.outputs):
        if not isinstance(v.elem, Integral):
            raise UnsupportedError(f"{v.name!r} is real; the Verilog backend takes integers only")
        if v.type.size == 0:
            raise UnsupportedError(f"{v.name!r} has no elements")


def random_vectors(body: Graph) -> Vectors:
    """Return a few random frames and what they become; the first two all least, all greatest."""
    rng = np.random.default_rng(0)
    inputs = {}
    for v in body.inputs:
        frames = _draw(rng, v.type.integer, (_FRAMES, *v.shape))
        frames[0], frames[1] = v.type.integer.lo, v.type.integer.hi
        inputs[v.name] = frames
    return Vectors(inputs, evaluate(body, inputs))


def _draw(rng: np.random.Generator, elem: Integral, shape: tuple[int, ...]) -> np.ndarray:
    if isinstance(elem, Bipolar):
        return rng.choice([-1, 1], shape)
    ends = elem if isinstance(elem, Int) else Int(elem.lo, elem.hi)
    return rng.integers(ends.lo, ends.hi, shape, endpoint=True)
