"""What `compress` does beside the passes: read the recipe, compress, measure, and write the model."""

import importlib.util
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.data import Data, load_data
from bitwright.ir.graph import Array, Graph
from bitwright.options import CompileOptions, OutputKind
from bitwright.passes.compress import Kind, Recipe, WeightKind, parse_weights
from bitwright.passes.compress.choose import Compressed, Tell, compress_fully
from bitwright.passes.compress.recipe import (
    EDGE_BITS,
    STEPS_BITS,
    LayerRecipe,
    Refit,
    Solver,
)
from bitwright.passes.compress.recipe_file import SCALES, load_recipe
from bitwright.sim.accuracy import predictions, share

MUCH = 2.0  # points of accuracy


def recipe_of(options: CompileOptions) -> Recipe:
    """Return the recipe that the options name, what they say themselves laid over it.

    Without one, scales are powers of two unless weights are int.
    """
    compared = options.output is OutputKind.ARGMAX
    if options.scales is not None and options.scales not in SCALES:
        raise CompileError(f"--scales {options.scales!r}: choose pow2 or any")
    if options.recipe is None:
        kind = parse_weights(options.weights or f"int:{EDGE_BITS}")
        shifts = options.scales == "pow2" or (options.scales is None and not kind.multiplies)
        bits = options.activations or (STEPS_BITS if shifts else EDGE_BITS)
        return Recipe(kind, bits, pow2_scales=shifts, compared=compared, base=best_known(kind))
    recipe = replace(load_recipe(options.recipe), compared=compared)
    if options.weights:
        recipe = replace(recipe, weights=parse_weights(options.weights))
    if options.activations:
        recipe = replace(recipe, activations=options.activations)
    if options.scales:
        recipe = replace(recipe, pow2_scales=options.scales == "pow2")
    return recipe


def best_known(kind: WeightKind) -> LayerRecipe:
    """Return how layers of this kind lose least without training: see benchmarks/post_training.md."""
    if kind == WeightKind(Kind.INT, EDGE_BITS):
        return LayerRecipe(refit=Refit.BIAS)
    return LayerRecipe(solver=Solver.SECOND_ORDER, refit=Refit.MOMENTS)


def samples_of(graph: Graph, options: CompileOptions) -> Data:
    """Return the calibration samples; CompileError where none were given."""
    if options.calibrate is None:
        raise CompileError(
            "compressing a float model needs samples for its activation ranges: --calibrate data.npz"
        )
    return load_data(options.calibrate, graph, options.preprocess)


def compress_graph(graph: Graph, options: CompileOptions, tell: Tell | None = None) -> Compressed:
    """Return a float graph compressed as the options ask."""
    return compress_by(graph, recipe_of(options), samples_of(graph, options).inputs, tell)


def compress_by(
    graph: Graph, recipe: Recipe, samples: Mapping[str, Array], tell: Tell | None = None
) -> Compressed:
    """Return a float graph compressed by a recipe; `samples` are inputs (samples, *shape)."""
    gradients = _fisher if importlib.util.find_spec("torch") else None
    return compress_fully(graph, recipe, samples, tell=tell, gradients=gradients)


def _fisher(graph: Graph, samples: Mapping[str, Array]) -> Mapping[str, Array]:
    from bitwright.training.saliency import fisher  # noqa: PLC0415  # torch is an extra

    return fisher(graph, samples)


def accuracy_lines(original: Graph, compressed: Graph, data: Data | None) -> Iterator[str]:
    """Yield the accuracy before and after on labelled samples, and how often the two agree."""
    if data is None:
        return
    inputs, labels = data.inputs, data.labels
    before, after = predictions(original, inputs), predictions(compressed, inputs)
    if before.dtype.kind == "f":
        error, own = float(np.sqrt(np.mean((after - before) ** 2))), float(np.std(before))
        yield f"root mean square error against the model {error:.3g}, whose outputs vary by {own:.3g}"
        return
    if labels is not None:
        yield f"accuracy of the model            {share(before == labels)}"
        yield f"accuracy of the compressed model {share(after == labels)}"
    yield f"same class as the model          {share(before == after)}"


def advice(original: Graph, compressed: Graph, data: Data | None) -> Iterator[str]:
    """Yield what to do where compression alone changed many classes."""
    if data is None:
        return
    before, after = (predictions(g, data.inputs) for g in (original, compressed))
    lost = 100 * float(np.mean(before != after))
    if before.dtype.kind != "f" and lost > MUCH:
        yield (
            f"{lost:.1f} % of the classes changed; give the noisiest layers more bits, or train with "
            "the quantizers in place: bitwright finetune"
        )


def check_labels(graph: Graph, data: Data) -> None:
    """Raise CompileError where a label is no class of the model."""
    classes, labels = graph.outputs[0].type.size, data.labels
    if labels is None or labels.dtype.kind not in "iu" or classes <= 1:
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise CompileError(
            f"labels run from {low} to {high}, but the model has {classes} outputs: 0 to {classes - 1}"
        )


def write_file(path: Path, data: bytes) -> None:
    """Write a file, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
