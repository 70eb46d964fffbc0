"""Write a body as Verilog: fold, connect, size the FIFOs, fill the templates."""

from collections.abc import Iterator, Mapping

import numpy as np

from bitwright.backends.artifact import Artifact
from bitwright.backends.render import render
from bitwright.backends.verilog.bench import bench_files
from bitwright.backends.verilog.design import Design, design_of, model_name, modules_of, network_of
from bitwright.backends.verilog.layer_view import layer_view
from bitwright.backends.verilog.library import library, needed
from bitwright.backends.verilog.network import Kind, Network
from bitwright.backends.verilog.options import Vectors, VerilogOptions
from bitwright.backends.verilog.report import report_of, to_json
from bitwright.backends.verilog.syntax import Port, parse_ports
from bitwright.backends.verilog.texts import project_files
from bitwright.backends.verilog.views import ModuleNames, rom_file
from bitwright.errors import UnsupportedError, VerifyError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.types import Bipolar, Int, Integral

_FRAMES = 4  # of made-up vectors
_MOST_FRAMES = 16  # of given ones
_MOST_ELEMENTS = 1_000_000  # of given frames, though two are always taken


def emit(body: Graph, name: str, options: VerilogOptions) -> Artifact:
    """Return the files and the report of `body`, an integer graph, as a streaming design.

    Raises UnsupportedError for an op without a unit, and CompileError for cycles that cannot be
    met.
    """
    _check_body(body)
    design = design_of(body, name, options)
    rtl = dict(_rtl(design))
    ports = _gate(rtl, design.modules.top)
    vectors = _first(options.vectors) if options.vectors else random_vectors(body)
    report = report_of(design, body, options)
    files: dict[str, bytes] = {f"rtl/{path}": data for path, data in rtl.items()}
    files |= dict(_memories(design.network))
    files |= bench_files(design.network, design.sizing.timing, design.top, ports, vectors)
    files |= project_files(design.model, design.top, report, sorted(files))
    files["report.json"] = to_json(report)
    return Artifact(dict(sorted(files.items())), report)


def _rtl(design: Design) -> Iterator[tuple[str, bytes]]:
    used = {i.module for i in design.top.instances} | {"bw_frame_in", "bw_frame_out", "bw_trace"}
    yield f"{design.modules.top}.v", render("verilog/top.v.j2", design.top).encode()
    used |= {c.module for unit in design.network.units for c in unit.cells}
    yield from _layers(design.network, design.modules)
    for cell in needed(used):
        yield f"lib/{cell}.v", library()[cell]


def _layers(network: Network, modules: ModuleNames) -> Iterator[tuple[str, bytes]]:
    for unit in network.of_kind(Kind.LAYER):
        view = layer_view(unit, modules.layers[unit.name])
        yield f"{view.module}.v", render("verilog/layer.v.j2", view).encode()


def _memories(network: Network) -> Iterator[tuple[str, bytes]]:
    for unit in network.of_kind(Kind.LAYER):
        for cell in unit.cells:
            yield from ((f"rtl/mem/{rom_file(unit, rom)}", rom.content) for rom in cell.roms)


def layer_files(body: Graph, model: str, options: VerilogOptions) -> dict[str, bytes]:
    """Return the files of `emit` that hold the constants: memories and the layers' modules.

    `model` is the name that `emit` is given.
    """
    network = network_of(body, options)
    modules = modules_of(network, model_name(model))
    return dict(_memories(network)) | {
        f"rtl/{path}": data for path, data in _layers(network, modules)
    }


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


def _first(vectors: Vectors) -> Vectors:
    """Return the first frames: a bench that is read by people stays short."""
    largest = max(a[0].size for side in (vectors.inputs, vectors.outputs) for a in side.values())
    most = min(_MOST_FRAMES, max(_MOST_ELEMENTS // largest, 2))
    inputs, outputs = (
        {name: array[:most] for name, array in side.items()}
        for side in (vectors.inputs, vectors.outputs)
    )
    return Vectors(inputs, outputs)


def random_vectors(body: Graph) -> Vectors:
    """Return a few random frames and what they become; the first two all least, all greatest."""
    rng = np.random.default_rng(0)
    inputs = {}
    for v in body.inputs:
        frames = _draw(rng, v.type.integer, (_FRAMES, *v.shape))
        frames[0], frames[1] = v.type.integer.lo, v.type.integer.hi
        inputs[v.name] = frames
    return Vectors(inputs, evaluate(body, inputs))


def _draw(rng: np.random.Generator, elem: Integral, shape: tuple[int, ...]) -> Array:
    if isinstance(elem, Bipolar):
        return rng.choice([-1, 1], shape)
    ends = elem if isinstance(elem, Int) else Int(elem.lo, elem.hi)
    return rng.integers(ends.lo, ends.hi, shape, endpoint=True)
