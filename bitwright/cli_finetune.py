"""`finetune`: train a float model under the quantizers of a recipe."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from bitwright.cli_compress import Export
from bitwright.console import ModelArg, PreprocessOpt, bar, existing, out, preprocess_numbers, tell
from bitwright.errors import CompileError
from bitwright.options import CompileOptions

if TYPE_CHECKING:
    from bitwright.training import Progress as Stand


def finetune(  # noqa: PLR0913, PLR0917  # one parameter an option
    model: ModelArg,
    recipe: Annotated[
        str, typer.Option(help="A TOML file or a preset whose [train] table says how to train.")
    ],
    data: Annotated[
        Path,
        typer.Option(help="npz of training samples; without labels `y` the model itself teaches."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The ONNX file to write.")] = Path(
        "model.q.onnx"
    ),
    test: Annotated[
        Path | None, typer.Option(help="npz of other samples with labels: prints the accuracy.")
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="A float ONNX model to learn from, instead of the model.")
    ] = None,
    preprocess: PreprocessOpt = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads for torch.")] = None,
    export: Annotated[
        Export, typer.Option(help="qonnx, or standard: ai.onnx operators alone.")
    ] = Export.QONNX,
) -> None:
    """Train a float ONNX model with quantizers in place, and write what `compile` takes.

    A run that was broken off goes on after its last whole epoch when the same line is typed again.

    Example:  bitwright finetune net.onnx --recipe bnn --data train.npz -o net.q.onnx
    """
    from bitwright.backends.onnx import export as write_onnx  # noqa: PLC0415  # fast --help
    from bitwright.compiler import has_quantizers, load  # noqa: PLC0415
    from bitwright.compressor import accuracy_lines, write_file  # noqa: PLC0415
    from bitwright.finetuner import Wanted, finetune_graph  # noqa: PLC0415
    from bitwright.frontend.data import load_data  # noqa: PLC0415

    options = CompileOptions(preprocess=preprocess_numbers(preprocess))
    graph = load(existing(model), options)
    if has_quantizers(graph):
        raise CompileError(f"{model.name} brings quantizers; finetune starts from a float model")
    samples = load_data(data, graph, options.preprocess)
    other = load_data(test, graph, options.preprocess) if test else None
    source = load(existing(teacher), options) if teacher else None
    folder = output.parent / f".{output.name}.training"
    changed = {"epochs": epochs, "seed": seed, "threads": threads}
    wanted = Wanted(recipe, {k: v for k, v in changed.items() if v is not None}, folder)
    with bar(f"training {model.name}") as progress:
        found = finetune_graph(graph, wanted, samples, source, lambda s: _tell(progress, s))
    write_file(output, write_onnx(found.graph, standard=export is Export.STANDARD))
    shutil.rmtree(folder, ignore_errors=True)
    for epoch in found.epochs:
        out.print(
            f"epoch {epoch.number + 1:3}  loss {epoch.loss:.4f}  validation {epoch.validation:.4f}"
            f"  right {100 * epoch.accuracy:.2f} %", markup=False,
        )  # fmt: skip
    for line in accuracy_lines(graph, found.graph, other):
        out.print(line, markup=False)
    out.print(f"{output}: {output.stat().st_size:,} bytes of ONNX", markup=False)


def _tell(progress: Progress, stand: "Stand") -> None:
    last = f", {100 * stand.epochs[-1].accuracy:.1f} % right" if stand.epochs else ""
    tell(progress, f"epoch {len(stand.epochs) + 1}{last}", stand.done, stand.total)
