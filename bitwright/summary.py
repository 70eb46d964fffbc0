"""What the commands print: the layers, the targets' numbers, accuracies, and blockers."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bitwright.compiler import Compiled, costliest_layer, has_quantizers, load, lower
from bitwright.errors import CompileError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import IntLinear, Linear, Op
from bitwright.options import CompileOptions, Target
from bitwright.sim.accuracy import predictions, program_predictions, share

MUCH = 2.0  # points of accuracy
SENSITIVITY_SAMPLES = 1000


def print_summary(console: Console, compiled: Compiled, folder: Path) -> None:
    """Print the layers, what each target needs, and where the files are."""
    console.print(layer_table(compiled.program.body))
    for target, artifact in compiled.artifacts.items():
        numbers = ", ".join(f"{k} {v:,}" for k, v in _headline(artifact.report))
        console.print(f"{target.value}: {folder / target.value}  {numbers}", markup=False)


def _headline(report: Any) -> Iterator[tuple[str, int]]:
    wanted = {
        "arena_bytes": "arena bytes", "flash_bytes": "table bytes in flash",
        "interval_cycles": "cycles a frame", "latency_cycles": "cycles latency",
    }  # fmt: skip
    flat = (
        {**report, **report.get("model", {})} if isinstance(report.get("model"), dict) else report
    )
    for key, text in wanted.items():
        if isinstance(flat.get(key), int):
            yield text, flat[key]


def layer_table(graph: Graph) -> Table:
    """Return a table of the ops of a graph."""
    table = Table("layer", "op", "result", "MACs", "weight bits", "form", box=None, pad_edge=False)
    for op in graph.ops:
        macs, bits = _macs(op), _weight_bits(op)
        form = str(getattr(op, "exactness", "")) or _encoding(op)
        table.add_row(
            op.loc[:40].replace("[", "\\["), type(op).__name__, str(op.output.type).replace("[", "\\["),
            f"{macs:,}" if macs else "", f"{bits:,}" if bits else "", form,
        )  # fmt: skip
    return table


def _encoding(op: Op) -> str:
    return op.encoding.value if isinstance(op, IntLinear) else ""


def _macs(op: Op) -> int:
    if not isinstance(op, IntLinear | Linear):
        return 0
    return prod(op.output.shape) * op.inputs[1].shape[1]


def _weight_bits(op: Op) -> int:
    if isinstance(op, IntLinear):
        per_weight = {"bipolar": 1, "ternary": 2}.get(op.encoding.value)
        w = op.inputs[1]
        return w.type.size * (per_weight or w.type.integer.bits)
    return op.inputs[1].type.size * 32 if isinstance(op, Linear) else 0


def accuracy_lines(compiled: Compiled) -> Iterator[str]:
    """Yield the accuracy of float, quantized and integer graph, or their agreement."""
    if compiled.data is None:
        return
    inputs, labels = compiled.data.inputs, compiled.data.labels
    original = predictions(compiled.original, inputs)
    integer = program_predictions(compiled.program, inputs)
    if labels is None:
        yield f"integer graph agrees with the model on {share(integer == original)}"
        return
    if compiled.original is not compiled.graph:
        yield f"accuracy of the float model    {share(original == labels)}"
    quantized = predictions(compiled.graph, inputs)
    yield f"accuracy of the quantized one  {share(quantized == labels)}"
    yield f"accuracy of the integer graph  {share(integer == labels)}"
    points = 100 * float(np.mean(original == labels) - np.mean(integer == labels))
    if compiled.original is not compiled.graph and points > MUCH:
        loc, left = costliest_layer(compiled, compiled.data.first(SENSITIVITY_SAMPLES))
        yield (
            f"compression costs {points:.1f} points; layer {loc!r} costs most (accuracy "
            f"{100 * left:.1f} % with it alone compressed). Give it more bits, or train with the "
            "quantizers in place"
        )


def print_inspection(console: Console, model: Path, inputs: tuple[str, ...]) -> None:
    """Print the layers of a model and, per target, the first thing that stands in the way."""
    options = CompileOptions(inputs=inputs)
    graph = load(model, options)
    console.print(layer_table(graph))
    macs = sum(_macs(op) for op in graph.ops)
    console.print(
        f"{len(graph.ops)} ops, {macs:,} MACs, quantized: {'yes' if has_quantizers(graph) else 'no'}"
    )
    for target in Target:
        try:
            lower(graph, CompileOptions(targets=(target,), inputs=inputs))
            console.print(f"{target.value}: ready", markup=False)
        except CompileError as e:
            console.print(f"{target.value}: {e}", markup=False)
