"""The commands that tell what compression costs: sensitivity, layer by layer, and explore."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from bitwright.console import (
    ActivationsOpt,
    CalibrateOpt,
    ChoicesOpt,
    DataOpt,
    ModelArg,
    PreprocessOpt,
    RecipeOpt,
    ScalesOpt,
    bar,
    existing,
    markup,
    out,
    preprocess_numbers,
    tell,
)
from bitwright.errors import CompileError
from bitwright.options import CompileOptions

if TYPE_CHECKING:
    from bitwright.ir.graph import Graph
    from bitwright.passes.compress.sensitivity import LayerTrials

_WIDE = Console(width=400, soft_wrap=True, highlight=False)  # no terminal cuts its columns


def sensitivity(  # noqa: PLR0913, PLR0917  # one parameter an option
    model: ModelArg,
    calibrate: CalibrateOpt = None,
    choices: ChoicesOpt = None,
    recipe: RecipeOpt = None,
    activations: ActivationsOpt = None,
    scales: ScalesOpt = None,
    preprocess: PreprocessOpt = None,
) -> None:
    """Show what a float model loses when one layer alone is compressed: divergence, in millinats.

    The divergence (Kullback-Leibler) is that of the chosen classes from the float model's; of a model
    with a single output, thousandths of its energy. `compress --budget` adds these up.

    Example:  bitwright sensitivity net.onnx --calibrate samples.npz --choices binary,int:4,int:8
    """
    from bitwright.chooser import base_recipe, choices_of, try_layers  # noqa: PLC0415
    from bitwright.compressor import samples_of  # noqa: PLC0415

    options = CompileOptions(
        recipe=recipe, activations=activations, scales=scales, calibrate=calibrate,
        preprocess=preprocess_numbers(preprocess),
    )  # fmt: skip
    offered = choices_of(choices)
    graph = _float_model(model, options)
    samples = samples_of(graph, options).inputs
    with bar(f"trying {model.name}") as progress:
        found = try_layers(
            graph, base_recipe(options), samples, offered, tell=partial(tell, progress)
        )
    _WIDE.print(_table(found))


def explore(  # noqa: PLR0913, PLR0917  # one parameter an option
    model: ModelArg,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The SVG to write; JSON goes beside it.")
    ] = Path("front.svg"),
    points: Annotated[int, typer.Option(min=2, max=40, help="How many recipes to measure.")] = 8,
    calibrate: CalibrateOpt = None,
    data: DataOpt = None,
    choices: ChoicesOpt = None,
    recipe: RecipeOpt = None,
    activations: ActivationsOpt = None,
    scales: ScalesOpt = None,
    preprocess: PreprocessOpt = None,
) -> None:
    """Plot accuracy against bytes: the best recipes from the smallest to the greatest budget.

    Example:  bitwright explore net.onnx --calibrate samples.npz --data test.npz -o front.svg
    """
    from bitwright.backends.report.before_after import json_bytes  # noqa: PLC0415
    from bitwright.backends.report.front_plot import front_svg  # noqa: PLC0415
    from bitwright.chooser import choices_of, explored  # noqa: PLC0415
    from bitwright.compressor import check_labels, write_file  # noqa: PLC0415
    from bitwright.frontend.data import load_data  # noqa: PLC0415

    options = CompileOptions(
        recipe=recipe, activations=activations, scales=scales, calibrate=calibrate, data=data,
        preprocess=preprocess_numbers(preprocess),
    )  # fmt: skip
    offered = choices_of(choices)
    graph = _float_model(model, options)
    if data is None:
        raise CompileError("explore measures accuracy or agreement: --data test.npz")
    given = load_data(data, graph, options.preprocess)
    check_labels(graph, given)
    with bar(f"exploring {model.name}") as progress:
        found = explored(graph, options, offered, given, points, partial(tell, progress))
    table = Table("bytes", "right" if found.labelled else "as float", "weights by layer",
                  box=None, pad_edge=False)  # fmt: skip
    for p in found.points:
        table.add_row(f"{p.bytes:,}", f"{p.percent:.2f} %", markup(p.label))
    write_file(output, front_svg(model.name, found.points, found.original, labelled=found.labelled))
    write_file(output.with_suffix(".json"), json_bytes(found.plain(model.name)))
    _WIDE.print(table)
    out.print(
        f"float: {found.original.bytes:,} bytes, {found.original.percent:.2f} %", markup=False
    )
    out.print(f"{output}, {output.with_suffix('.json')}", markup=False)


def _float_model(model: Path, options: CompileOptions) -> "Graph":
    from bitwright.compiler import has_quantizers, load  # noqa: PLC0415

    graph = load(existing(model), options)
    if has_quantizers(graph):
        raise CompileError(f"{model.name} brings its own quantizers and is compressed already")
    return graph


def _table(layers: "Sequence[LayerTrials]") -> Table:
    """Return the damage in thousandths by layer and choice."""
    names = dict.fromkeys(str(t.choice or "recipe") for r in layers for t in r.trials)
    table = Table("layer", box=None, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right")
    for row in layers:
        cells = {str(t.choice or "recipe"): f"{1000 * t.damage:.3f}" for t in row.trials}
        table.add_row(markup(row.loc[:40]), *(cells.get(n, "") for n in names))
    return table
