"""What `finetune` does beside the training: settings from a recipe, the quantized graph after it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bitwright.compressor import check_labels
from bitwright.frontend.data import Data
from bitwright.ir.graph import Graph
from bitwright.passes.compress.plan import Plan, assemble, float_weights, layers_of
from bitwright.passes.compress.recipe_file import load_recipe
from bitwright.training import Epoch, Progress, Run, Samples, finetune, require_torch
from bitwright.training.recipe import masks_of, settings_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """A recipe by file or preset, settings that replace its own, and the folder of checkpoints."""

    recipe: str
    changed: Mapping[str, int] = field(default_factory=dict)
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """The quantized graph, the float graph and the plan it was assembled from, and the epochs."""

    graph: Graph
    float_graph: Graph
    plan: Plan
    epochs: tuple[Epoch, ...]


def finetune_graph(
    graph: Graph,
    wanted: Wanted,
    data: Data,
    teacher: Graph | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Return a simplified float graph trained as its recipe says, its quantizers in place."""
    require_torch()
    check_labels(graph, data)
    recipe = load_recipe(wanted.recipe)
    layers = layers_of(graph)
    settings = replace(settings_of(recipe, layers), **wanted.changed)  # type: ignore[arg-type]
    masks = masks_of(recipe, {op.name: float_weights(graph, op) for op in layers})
    found = finetune(
        graph, settings, Samples(data.inputs, data.labels),
        teacher=teacher, masks=masks, run=Run(wanted.folder, progress),
    )  # fmt: skip
    quantized = assemble(found.graph, found.plan)
    quantized.verify()
    return Trained(quantized, found.graph, found.plan, found.epochs)
