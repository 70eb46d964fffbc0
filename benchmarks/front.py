"""Measure the front of bytes against accuracy: weights chosen layer by layer, and of one kind.

    python benchmarks/front.py MODEL DATA -o benchmarks/front.md

MODEL is a float ONNX classifier, DATA an npz with x_train, x_test and y_test in the model's own scale
unless --preprocess mean,std,scale is given. Writes the table, front.json and front.svg beside it.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results import finish, table

from bitwright.backends.report.before_after import layer_reports
from bitwright.backends.report.front_plot import FrontPoint, front_svg
from bitwright.chooser import Chooser, base_recipe, judge_of, spread, try_layers
from bitwright.compiler import load
from bitwright.compressor import compress_by
from bitwright.console import preprocess_numbers
from bitwright.errors import CompileError
from bitwright.frontend.data import Data
from bitwright.ir.graph import Graph
from bitwright.options import CompileOptions
from bitwright.passes.compress.budget import Point
from bitwright.passes.compress.kinds import parse_weights
from bitwright.passes.compress.plan import layers_of
from bitwright.passes.compress.recipe import Recipe
from bitwright.sim.judge import Judge

Array = NDArray[Any]

CALIBRATION = 512
UNIFORM = ("binary", "ternary", "int:3", "int:4", "int:8")
SLACK = 1.0  # points that a model of one kind may be better at the same bytes


def samples(graph: Graph, path: Path, numbers: str | None, count: int) -> tuple[Data, Data]:
    """Return calibration and test samples; CompileError where the file lacks an array."""
    mean, std, scale = preprocess_numbers(numbers) or (0.0, 1.0, 1.0)
    file = np.load(path)
    missing = [n for n in ("x_train", "x_test", "y_test") if n not in file.files]
    if missing:
        raise CompileError(f"{path.name}: no array {missing[0]!r}")
    name, shape = graph.inputs[0].name, graph.inputs[0].shape
    train, test = (
        ((file[n][:k] * scale - mean) / std).astype(np.float32).reshape(-1, *shape)
        for n, k in (("x_train", CALIBRATION), ("x_test", count))
    )
    return Data({name: train}, None), Data({name: test}, file["y_test"][:count])


def uniform(graph: Graph, base: Recipe, calibration: Data, judge: Judge) -> Iterator[FrontPoint]:
    """Yield a model for each kind, all its layers of that kind."""
    for text in UNIFORM:
        kind = parse_weights(text)
        recipe = replace(base, weights=kind, edges=kind)
        found = compress_by(graph, recipe, calibration.inputs)
        size = sum(r.bytes for r in layer_reports(graph, found, recipe))
        yield FrontPoint(text, size, judge.percent(found.graph))


def measured(chooser: Chooser, judge: Judge, point: Point) -> FrontPoint:
    """Return the model of one point of the front."""
    made = chooser.compressed(point)
    label = ", ".join(r.kind for r in made.layers)
    return FrontPoint(label, made.bytes, judge.percent(made.found.graph))


def matching(chooser: Chooser, judge: Judge, others: list[FrontPoint]) -> list[FrontPoint]:
    """Return, for each model of one kind, the best that the front has in no more bytes."""
    found = []
    for p in others:
        index = chooser.by_bytes.within(p.bytes)
        if index is None:
            raise CompileError(f"the front has nothing in {p.bytes} bytes, which {p.label} takes")
        found.append(measured(chooser, judge, chooser.by_bytes.point(index)))
    return found


def float_bytes(graph: Graph) -> int:
    """Return what weights and biases take as floats, a bias for every output."""
    return sum(4 * (op.inputs[1].type.size + op.inputs[1].shape[0]) for op in layers_of(graph))


def told(points: list[FrontPoint]) -> list[FrontPoint]:
    """Print points as they are, to follow a long run, and return them."""
    for p in points:
        print(f"{p.bytes:8,} {p.percent:6.2f} {p.label}", flush=True)
    return points


def main() -> int:
    """Measure both series and write table, JSON and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--preprocess", help="mean,std,scale: (x * scale - mean) / std")
    parser.add_argument("--points", type=int, default=8, help="of the front")
    parser.add_argument("--samples", type=int, default=1000, help="of the test set")
    args = parser.parse_args()
    start = time.monotonic()
    graph = load(args.model, CompileOptions())
    calibration, test = samples(graph, args.data, args.preprocess, args.samples)
    judge, base = judge_of(graph, test), base_recipe(CompileOptions())
    plain = told(list(uniform(graph, base, calibration, judge)))
    layers = try_layers(graph, base, calibration.inputs)
    chooser = Chooser(graph, base, calibration.inputs, layers)
    picked = spread(chooser.by_bytes, args.points)
    front = told([measured(chooser, judge, p) for p in picked])
    rivals = told(matching(chooser, judge, plain))
    original = FrontPoint("float", float_bytes(graph), judge.best)
    command = "    python benchmarks/front.py MODEL DATA -o benchmarks/front.md"
    rows = [[p.label, p.bytes, p.percent] for p in (original, *front)]
    pairs = list(zip(plain, rivals, strict=True))
    others = [[p.label, p.bytes, p.percent, r.label, r.bytes, r.percent] for p, r in pairs]
    head = ["weights by layer", "bytes", "right %"]
    text = [f"# Bytes against accuracy: {args.model.stem}", "", command, "",
            f"{test.count} test samples, {CALIBRATION} for calibration, activations of "
            f"{base.activations} bits, {time.monotonic() - start:.0f} s. Bytes are all weights and "
            "biases.", "", "![The front](front.svg)", "", "## Chosen layer by layer", "",
            table(head, rows), "", "## One kind for all layers, and the front at no more bytes", "",
            table(["kind", "bytes", "right %", *head], others), ""]  # fmt: skip
    if args.output is not None:
        svg = front_svg(args.model.stem, front, original, plain)
        args.output.with_suffix(".svg").write_bytes(svg)
    found = {"front": [asdict(p) for p in front], "uniform": [asdict(p) for p in plain],
             "float": asdict(original), "model": args.model.name}  # fmt: skip
    failures = [
        f"{p.label}: {p.percent:.2f} %, chosen by layer in no more bytes {r.percent:.2f} %"
        for p, r in pairs
        if p.percent - r.percent > SLACK
    ]
    return finish(args.output, "\n".join(text), found, failures)


if __name__ == "__main__":
    sys.exit(main())
