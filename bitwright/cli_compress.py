"""The commands that make a model small: compress, and recipe, which shows what can be asked for."""

from collections.abc import Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
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
    WeightsOpt,
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
    from bitwright.backends.report.sizes import LayerSize
    from bitwright.chooser import Chosen


class Export(Enum):
    """The dialect of the compressed model."""

    QONNX = "qonnx"
    STANDARD = "standard"


def compress(  # noqa: PLR0913, PLR0917  # one parameter an option
    model: ModelArg,
    output: Annotated[Path, typer.Option("-o", "--output", help="The ONNX file to write.")] = Path(
        "model.q.onnx"
    ),
    recipe: RecipeOpt = None,
    weights: WeightsOpt = None,
    activations: ActivationsOpt = None,
    scales: ScalesOpt = None,
    calibrate: CalibrateOpt = None,
    data: DataOpt = None,
    preprocess: PreprocessOpt = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Choose each layer's weights so that all weights and biases take at most so many "
            "bytes, such as 40KB (1 KB = 1000, 1 KiB = 1024), and the least is lost."
        ),
    ] = None,
    mac_bits: Annotated[
        str | None,
        typer.Option(
            help="The same for the sum of multiplications times bits of the weight times bits of "
            "the activation, such as 200M."
        ),
    ] = None,
    max_loss: Annotated[
        float | None,
        typer.Option(
            help="The smallest model that loses at most so many points of accuracy on --data, of "
            "agreement where it has no labels."
        ),
    ] = None,
    choices: ChoicesOpt = None,
    write_recipe: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the recipe as TOML; one that was chosen goes beside the model."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="JSON to write: each layer before and after.")
    ] = None,
    export: Annotated[
        Export,
        typer.Option(
            help="qonnx, which keeps every width, or standard: ai.onnx operators alone, for "
            "onnxruntime."
        ),
    ] = Export.QONNX,
) -> None:
    """Compress a float ONNX model and write it as ONNX, for others to run and for `compile`.

    Example:  bitwright compress net.onnx --recipe int4 --calibrate samples.npz -o net.q.onnx

    Example:  bitwright compress net.onnx --budget 40KB --calibrate samples.npz -o net.q.onnx
    """
    from bitwright.backends.onnx import export as write_onnx  # noqa: PLC0415  # fast --help
    from bitwright.backends.report.sizes import sizes_of  # noqa: PLC0415
    from bitwright.chooser import (  # noqa: PLC0415
        choices_of,
        compress_as,
        goal_of,
        recipe_file,
        recipe_path,
        report_file,
    )
    from bitwright.compiler import has_quantizers, load  # noqa: PLC0415
    from bitwright.compressor import (  # noqa: PLC0415
        accuracy_lines,
        advice,
        check_labels,
        write_file,
    )  # fmt: skip
    from bitwright.frontend.data import load_data  # noqa: PLC0415

    options = CompileOptions(
        weights=weights, activations=activations, scales=scales, recipe=recipe,
        calibrate=calibrate, data=data, preprocess=preprocess_numbers(preprocess),
    )  # fmt: skip
    goal = goal_of(budget, mac_bits, max_loss)
    graph = load(existing(model), options)
    if has_quantizers(graph):
        raise CompileError(
            f"{model.name} brings its own quantizers and is compressed already; compile it as it is"
        )
    labelled = load_data(data, graph, options.preprocess) if data else None
    if labelled is not None:
        check_labels(graph, labelled)
    with bar(f"compressing {model.name}") as progress:
        chosen = compress_as(
            graph, options, goal, choices_of(choices), labelled, partial(tell, progress)
        )
    found = chosen.found
    write_file(output, write_onnx(found.graph, standard=export is Export.STANDARD))
    write_recipe = write_recipe or (recipe_path(output) if goal else None)
    if write_recipe:
        write_file(write_recipe, recipe_file(chosen))
    if report:
        write_file(report, report_file(graph, chosen, model.name, labelled))
    out.print(_table(sizes_of(graph, found)))
    for line in (
        *found.notes,
        *accuracy_lines(graph, found.graph, labelled),
        *advice(graph, found.graph, labelled),
    ):
        out.print(line, markup=False)
    out.print(_sum(chosen), markup=False)
    out.print(f"{output}: {output.stat().st_size:,} bytes of ONNX", markup=False)
    if write_recipe:
        out.print(f"{write_recipe}: the recipe, for --recipe", markup=False)


def recipe(
    name: Annotated[str | None, typer.Argument(help="A preset, whose TOML is printed.")] = None,
) -> None:
    """List the presets of --recipe, or print one of them, to start a recipe of your own.

    Example:  bitwright recipe int4 > mine.toml
    """
    from bitwright.passes.compress.recipe_file import preset_names, preset_text  # noqa: PLC0415

    if name is not None:
        out.print(preset_text(name), markup=False, end="")
        return
    for each in preset_names():
        first = preset_text(each).splitlines()[0].removeprefix("# ")
        out.print(f"{each:18}{first}", markup=False)


def _sum(chosen: "Chosen") -> str:
    before = sum(r.bytes_before for r in chosen.layers)
    predicted = "" if chosen.damage is None else f"; predicted damage {chosen.damage:.3g} nats"
    return (
        f"weights and biases take {chosen.bytes:,} bytes, {100 * chosen.bytes / before:.1f} % of "
        f"{before:,}; {chosen.mac_bits:,} MAC-bits{predicted}"
    )


def _table(rows: "Sequence[LayerSize]") -> Table:
    table = Table(
        "layer", "weights", "nonzero", "bits a weight", "bytes", "of float", "noise",
        box=None, pad_edge=False,
    )  # fmt: skip
    for row in rows:
        table.add_row(
            markup(row.loc[:40]), row.kind, f"{100 * row.density:.0f} %", f"{row.bits:.2f}",
            f"{row.bytes:,}", f"{100 * row.bytes / max(row.float_bytes, 1):.1f} %",
            f"{row.noise:.2g}",
        )  # fmt: skip
    return table
