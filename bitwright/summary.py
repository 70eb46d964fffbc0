"""What the commands print: the layers, the targets' numbers, accuracies, and blockers."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bitwright.compiler import (
    Compiled,
    costliest_layer,
    has_quantizers,
    load,
    lower,
    quantize,
)
from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.cost import macs
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Conv, ConvTranspose, Dequantize, IntConv, IntLinear, Linear, Op
from bitwright.ir.types import Integral
from bitwright.options import CompileOptions, Target
from bitwright.sim.accuracy import predictions, program_predictions, share

_CODED = (IntLinear, IntConv)
_DOTS = (*_CODED, Linear, Conv, ConvTranspose)
MUCH = 2.0  # points of accuracy
SENSITIVITY_SAMPLES = 1000


def print_summary(console: Console, compiled: Compiled, folder: Path) -> None:
    """Print the layers, what each target needs, and where the files are."""
    console.print(layer_table(compiled.program.body))
    for target, artifact in compiled.artifacts.items():
        numbers = ", ".join(f"{v:,} {k}" for k, v in _headline(artifact.report))
        console.print(f"{target.value}: {folder / target.value}  {numbers}", markup=False)


def _headline(report: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the numbers that a user asks for first, by name."""
    if "arena" in report:
        yield "arena bytes", report["arena"]["bytes"]
        yield "table bytes in flash", report["flash_table_bytes"]
    if "interval_cycles" in report:
        yield "cycles a frame", report["interval_cycles"]
        yield "cycles latency", report["latency_cycles"]
        yield "multipliers", report["multipliers"]


def layer_table(graph: Graph) -> Table:
    """Return a table of the ops of a graph."""
    table = Table("layer", "op", "result", "MACs", "weight bits", "form", box=None, pad_edge=False)
    coded = {
        op.name: op.inputs[0].type.integer
        for op in graph.ops
        if isinstance(op, Dequantize) and graph.is_constant(op.inputs[0])
    }
    for op in graph.ops:
        if op.name in coded:
            continue
        count, bits = macs(op), _weight_bits(op, coded)
        form = str(getattr(op, "exactness", "")) or _encoding(op)
        table.add_row(
            op.loc[:40].replace("[", "\\["), type(op).__name__, str(op.output.type).replace("[", "\\["),
            f"{count:,}" if count else "", f"{bits:,}" if bits else "", form,
        )  # fmt: skip
    return table


def _encoding(op: Op) -> str:
    return op.encoding.value if isinstance(op, _CODED) else ""


def _weight_bits(op: Op, coded: Mapping[str, Integral]) -> int:
    """Return the bits of a layer's weights: as stored, as their codes, or as float32."""
    if not isinstance(op, _DOTS):
        return 0
    w = op.inputs[1]
    if isinstance(op, _CODED):
        top = max(
            abs(w.type.integer.lo), w.type.integer.hi
        ).bit_length()  # the greatest exponent, + 1
        sized = {"bipolar": 1, "ternary": 2, "power_of_two": 1 + top.bit_length()}
        per_weight = sized.get(op.encoding.value, w.type.integer.bits)
    else:
        per_weight = coded[w.name].bits if w.name in coded else 32
    return w.type.size * per_weight


def accuracy_lines(compiled: Compiled) -> Iterator[str]:
    """Yield the accuracy of float, quantized and integer graph, or their agreement."""
    if compiled.data is None:
        return
    inputs, labels = compiled.data.inputs, compiled.data.labels
    original = predictions(compiled.original, inputs)
    integer = program_predictions(compiled.program, inputs)
    if labels is None and original.dtype.kind == "f":
        error = float(np.sqrt(np.mean((integer - original) ** 2)))
        own = float(np.std(original))
        yield f"root mean square error against the model {error:.3g}, whose outputs vary by {own:.3g}"
        return
    if labels is None:
        yield f"integer graph agrees with the model on {share(integer == original)}"
        return
    yield f"accuracy of the model            {share(original == labels)}"
    if compiled.compressed:
        quantized = predictions(compiled.graph, inputs)
        yield f"accuracy of the quantized model  {share(quantized == labels)}"
    yield f"accuracy of the device's program {share(integer == labels)}"
    points = 100 * float(np.mean(original == labels) - np.mean(integer == labels))
    if compiled.compressed and points > MUCH:
        loc, left = costliest_layer(compiled, compiled.data.first(SENSITIVITY_SAMPLES))
        yield (
            f"compression costs {points:.1f} points; layer {loc!r} costs most (accuracy "
            f"{100 * left:.1f} % with it alone compressed). Give it more bits, or train with the "
            "quantizers in place"
        )


def print_inspection(console: Console, model: Path, inputs: tuple[str, ...]) -> None:
    """Print the layers of a model and, per target, what stands in the way and what to do."""
    try:
        graph = load(model, CompileOptions(inputs=inputs))
    except UnsupportedError as e:
        console.print(str(e), markup=False)
        for target in Target:
            console.print(f"{target.value}: not yet, for the reasons above", markup=False)
        return
    console.print(layer_table(graph))
    total = sum(map(macs, graph.ops))
    console.print(f"{len(graph.ops)} ops, {total:,} MACs, quantized: {_yes(has_quantizers(graph))}")
    for target in Target:
        try:
            options = CompileOptions(targets=(target,), inputs=inputs)
            lower(quantize(graph, options), options)
            console.print(f"{target.value}: ready", markup=False)
        except CompileError as e:
            console.print(f"{target.value}: {e}", markup=False)


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def notes(compiled: Compiled) -> Iterator[str]:
    """Yield what the user may not expect: options without effect."""
    options = compiled.options
    asked = options.weights or options.activations or options.scales or options.recipe
    if asked and not compiled.compressed:
        yield (
            "note: the model brings its own quantizers; --recipe, --weights, --activations and "
            "--scales did nothing"
        )
    for artifact in compiled.artifacts.values():
        yield from (f"note: {text}" for text in artifact.report.get("notes", ()))
