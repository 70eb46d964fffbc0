"""From an ONNX file to a build folder: load, simplify, integerize, emit, write."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from bitwright.backends.artifact import Artifact
from bitwright.backends.edges import Vectors
from bitwright.backends.folder import write_folder
from bitwright.backends.host_text import edges_of
from bitwright.backends.names import identifier
from bitwright.backends.onnx import export
from bitwright.compressor import compress_graph, recipe_of, samples_of
from bitwright.errors import CompileError, UnsupportedError
from bitwright.frontend import load_model
from bitwright.frontend.data import Data, load_data
from bitwright.ir.cost import macs
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Conv, IntConv, IntLinear, Linear
from bitwright.ir.program import Program
from bitwright.ir.storage import graph_files, npz_bytes
from bitwright.ir.types import Real, is_integral
from bitwright.options import CompileOptions, OutputKind, Target
from bitwright.passes import FLOAT, INTEGER, QUANTIZED, SIMPLIFY, run
from bitwright.passes.chain import QUANTIZERS
from bitwright.passes.compress import compress
from bitwright.passes.compress.plan import layers_of
from bitwright.passes.declare_inputs import declare_inputs, parse_input
from bitwright.passes.device_output import all_on_device, argmax_on_device, whole_model
from bitwright.passes.hoist_maps import hoist_maps
from bitwright.passes.integerize import NothingQuantizedError, integerize
from bitwright.sim.accuracy import predictions
from bitwright.sim.samples import random_inputs

PLAIN = "plain"
VECTORS = 16
_WORK = 1 << 28  # multiplications that golden vectors may take to compute


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled model: as imported, quantized, as a program, and what each target was given."""

    original: Graph
    graph: Graph
    program: Program
    artifacts: Mapping[Target, Artifact]
    vectors: Mapping[str, Array]
    options: CompileOptions
    store: str | Mapping[str, str]  # the form of weights, for all or by node
    data: Data | None

    @property
    def compressed(self) -> bool:
        """Whether bitwright placed the quantizers."""
        return has_quantizers(self.graph) and not has_quantizers(self.original)


def compile_model(model: Path, options: CompileOptions) -> Compiled:
    """Compile the ONNX file `model`; CompileError says which node and what to do."""
    original = load(model, options)
    graph = quantize(original, options)
    program = lower(graph, options)
    data = load_data(options.data, graph, options.preprocess) if options.data else None
    vectors = golden_vectors(program, data)
    name = identifier(options.name or model.stem, "model")
    store = _stores(original, program, options)
    artifacts = {t: _emit(t, program, name, vectors, options, store) for t in options.targets}
    return Compiled(original, graph, program, artifacts, vectors, options, store, data)


def load(model: Path, options: CompileOptions) -> Graph:
    """Return the simplified real graph of an ONNX file, its integer inputs declared."""
    graph = run(load_model(model, keep_batch=options.keep_batch), SIMPLIFY)
    if options.inputs:
        graph = declare_inputs(graph, [parse_input(text) for text in options.inputs])
        graph.verify()
    return graph


def quantize(graph: Graph, options: CompileOptions) -> Graph:
    """Compress a float graph as the options ask, and ready a quantized one to become integers."""
    asked = options.weights or options.activations or options.recipe or options.calibrate
    if has_quantizers(graph):
        return run(graph, QUANTIZED)
    if not asked:  # weights may be codes although no activation is quantized
        coded = any(is_integral(v.elem) for v in graph.inputs)
        return run(graph, QUANTIZED if coded else FLOAT)
    return run(compress_graph(graph, options).graph, QUANTIZED)


def costliest_layer(compiled: Compiled, data: Data) -> tuple[str, float]:
    """Return the layer that loses most when it alone is compressed, and the accuracy then."""
    options = compiled.options
    if options.calibrate is None or data.labels is None:
        raise CompileError("the costliest layer needs calibration samples and labels")
    samples = samples_of(compiled.original, options)
    found: list[tuple[float, str]] = []
    for loc in dict.fromkeys(
        op.loc for op in compiled.original.ops if isinstance(op, Linear | Conv)
    ):
        graph = compress(compiled.original, recipe_of(options), samples.inputs, only=loc)
        right = predictions(graph, data.inputs) == data.labels
        found.append((float(np.mean(right)), loc))
    accuracy, loc = min(found)
    return loc, accuracy


def lower(graph: Graph, options: CompileOptions) -> Program:
    """Return the program of a quantized graph, or of a float one when all of it goes to C."""
    if options.output is OutputKind.MODEL:
        if Target.VERILOG in options.targets:
            raise CompileError("--output model holds real numbers; use it with --target c alone")
        if not has_quantizers(graph):
            return whole_model(graph)
    elif not has_quantizers(graph) and not any(is_integral(v.elem) for v in graph.inputs):
        raise NothingQuantizedError
    try:
        program = integerize(graph)
    except NothingQuantizedError:  # quantizers alone, without a sum that reads their codes
        if options.output is not OutputKind.MODEL:
            raise
        return whole_model(graph)
    program.verify()
    program = replace(program, body=run(program.body, INTEGER))
    if options.output is not OutputKind.MODEL:
        program = hoist_maps(program)
    if options.output is OutputKind.ARGMAX:
        program = argmax_on_device(program)
    elif options.output is OutputKind.MODEL:
        program = all_on_device(program)
    program.verify()
    return program


def has_quantizers(graph: Graph) -> bool:
    """Tell whether the model brings quantizers of its own behind its inputs."""
    return any(isinstance(op, QUANTIZERS) for op in graph.ops)


def golden_vectors(program: Program, data: Data | None) -> dict[str, Array]:
    """Return inputs and outputs of the device, as `in:NAME` and `out:NAME`, (samples, *shape)."""
    count = max(2, min(VECTORS, _WORK // max(sum(map(macs, program.body.ops)), 1)))
    if data is not None:
        inputs = evaluate(program.head, data.first(count).inputs)
    else:
        inputs = random_inputs(program.body, count)
    dtype = np.float32 if any(isinstance(v.elem, Real) for v in program.body.inputs) else np.float64
    outputs = evaluate(program.body, inputs, dtype=dtype)
    named = {f"in:{v.name}": inputs[v.name] for v in program.body.inputs}
    return named | {f"out:{v.name}": outputs[v.name] for v in program.body.outputs}


def _emit(
    target: Target,
    program: Program,
    name: str,
    vectors: Mapping[str, Array],
    options: CompileOptions,
    store: str | Mapping[str, str],
) -> Artifact:
    golden = Vectors(
        {n[3:]: a for n, a in vectors.items() if n.startswith("in:")},
        {n[4:]: a for n, a in vectors.items() if n.startswith("out:")},
    )
    edge = edges_of(program)
    if target is Target.C:
        from bitwright.backends import c  # noqa: PLC0415  # each target loads its own templates

        chosen = c.COptions(cpu=options.cpu, vectors=golden, edge=edge, store=store)
        return c.emit(program.body, name, chosen)
    from bitwright.backends import verilog  # noqa: PLC0415

    wanted = verilog.VerilogOptions(
        options.frame_cycles, options.fold, golden, edge, options.lanes, store
    )
    return verilog.emit(program.body, name, wanted)


def _stores(original: Graph, program: Program, options: CompileOptions) -> str | dict[str, str]:
    """Return the form of the weights: for all layers, or as the recipe says for each node."""
    if options.store is not None or options.recipe is None or has_quantizers(original):
        return options.store or PLAIN
    layers = layers_of(original)
    how = recipe_of(options).resolve(layers)
    coded = {op.loc for op in program.body.ops if isinstance(op, IntLinear | IntConv)}
    return {op.loc: how[op.name].store or PLAIN for op in layers if op.loc in coded}


def write_build(compiled: Compiled, model: Path, out: Path, *, force: bool = False) -> None:
    """Write the build folder, all of it or nothing."""
    files: dict[str, bytes] = {"source.onnx": model.read_bytes()}
    for target, artifact in compiled.artifacts.items():
        files |= {f"{target.value}/{p}": data for p, data in artifact.files.items()}
    program = compiled.program
    parts = {
        "imported": compiled.original,
        "real": compiled.graph,
        "head": program.head,
        "body": program.body,
        "tail": program.tail,
    }
    for stem, graph in parts.items():
        files |= graph_files(graph, f"graph/{stem}")
    files |= _quantized_model(compiled.graph)
    names = sorted(compiled.vectors)
    keyed = {f"v{i}": compiled.vectors[n] for i, n in enumerate(names)}
    keyed["names"] = np.array([n.encode().hex() for n in names])
    files["vectors.npz"] = npz_bytes(keyed)
    if compiled.data is not None:
        files |= {"samples.npz": _samples(compiled.data)}
    manifest = {
        "bitwright": own_version(),
        "model": {"file": model.name, "sha256": hashlib.sha256(files["source.onnx"]).hexdigest()},
        "options": {**plain(asdict(compiled.options)), "store": plain(compiled.store)},
        "targets": [t.value for t in compiled.artifacts],
    }
    write_folder(out, files, manifest, force=force)


def _quantized_model(graph: Graph) -> dict[str, bytes]:
    """Return the QONNX file of a quantized graph; none of a float one, or where it has no form."""
    if not has_quantizers(graph):
        return {}
    try:
        return {"model.q.onnx": export(graph)}
    except UnsupportedError:
        return {}


def _samples(data: Data) -> bytes:
    arrays = {f"x{i}": data.inputs[n] for i, n in enumerate(sorted(data.inputs))}
    arrays["names"] = np.array([n.encode().hex() for n in sorted(data.inputs)])
    if data.labels is not None:
        arrays["y"] = data.labels
    return npz_bytes(arrays)


def plain(value: Any) -> Any:
    """Return `value` as JSON holds it: enums by value, paths by name, tuples as lists."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, Path):
        return value.name
    return getattr(value, "value", value)


def own_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("bitwright")
    except PackageNotFoundError:
        return "unknown"
