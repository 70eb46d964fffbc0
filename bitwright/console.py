"""What all commands share: consoles, options, progress."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bitwright.errors import CompileError

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

ModelArg = Annotated[Path, typer.Argument(help="The ONNX model.", show_default=False)]
InputOpt = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        help="What the device takes: \\[name=]KIND\\[:scale\\[:zero]], KIND one of "
        "bipolar, ternary, intN, uintN, such as uint8:1/255. Needed when the model does not "
        "quantize its own input.",
    ),
]
WeightsOpt = Annotated[
    str | None,
    typer.Option(
        help="Compress a float model's weights: binary, ternary (by least error, or ternary:rule), "
        "pow2:B, apot:B or int:B."
    ),
]
ActivationsOpt = Annotated[
    int | None,
    typer.Option(
        help="Bits of the activations of a float model, 1 to 8: 8 by default, 4 without multipliers."
    ),
]
ScalesOpt = Annotated[
    str | None,
    typer.Option(help="`pow2` keeps activation scales to powers of two: no multiplier."),
]
RecipeOpt = Annotated[
    str | None,
    typer.Option(
        help="How to compress, layer by layer: a TOML file or a preset; `bitwright recipe` lists them."
    ),
]
ChoicesOpt = Annotated[
    str | None,
    typer.Option(
        help="What each layer may become, separated by commas: kinds as in --weights, with @ and a "
        "pruning as in recipes, such as int:4@magnitude:0.5. All widths without pruning by default."
    ),
]
CalibrateOpt = Annotated[
    Path | None, typer.Option(help="npz of samples from which activation ranges are taken.")
]
DataOpt = Annotated[
    Path | None, typer.Option(help="npz of samples, labels as `y`: prints the accuracy.")
]
PreprocessOpt = Annotated[
    str | None, typer.Option(help="mean,std,scale for raw data: (x * scale - mean) / std.")
]


def preprocess_numbers(text: str | None) -> tuple[float, float, float] | None:
    """Return mean, std and scale, or None for None; CompileError when the text is no three numbers."""
    if text is None:
        return None
    try:
        mean, std, scale = (float(part) for part in text.split(","))
    except ValueError:
        raise CompileError(f"--preprocess {text!r}: give three numbers, mean,std,scale") from None
    if std == 0:
        raise CompileError("--preprocess: std must not be 0")
    return mean, std, scale


def existing(model: Path) -> Path:
    """Return the path of a file that is there."""
    if not model.is_file():
        raise CompileError(f"{model}: no such file")
    return model


def spinner(text: str) -> Progress:
    """Return a running line for work of unknown length; nothing where no terminal is."""
    return _progress(text, SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())


def bar(text: str) -> Progress:
    """Return a bar for work that is counted; nothing where no terminal is."""
    return _progress(
        text, TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip


def tell(progress: Progress, what: str, done: int, total: int) -> None:
    """Move a bar: `done` of `total`, now at `what`."""
    progress.update(progress.task_ids[0], description=what, completed=done, total=total)


def markup(text: str) -> str:
    """Return text whose brackets are no markup."""
    return text.replace("[", "\\[")


def _progress(text: str, *columns: ProgressColumn) -> Progress:
    progress = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    progress.add_task(text, total=None)
    return progress
