"""The command line: inspect, compile, verify. Errors are one sentence and exit code 2."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bitwright.errors import CompileError
from bitwright.options import CompileOptions, Cpu, OutputKind, Target, folding

if TYPE_CHECKING:
    from bitwright.sim.build_folder import Build

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Compile neural networks from ONNX to C for microcontrollers and Verilog for FPGAs, "
    "bit for bit.\n\nStart with:  bitwright compile model.onnx -o build/  and then  "
    "bitwright verify build/",
)
out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)
_debug = False

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


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    global _debug  # noqa: PLW0603  # one flag for the whole process
    _debug = debug


@app.command("compile")
def compile_command(  # noqa: PLR0913, PLR0917  # one parameter an option
    model: ModelArg,
    output_folder: Annotated[
        Path, typer.Option("-o", "--output-folder", help="Folder to write.")
    ] = Path("build"),
    target: Annotated[
        str, typer.Option(help="What to write: c, verilog or both, separated by commas.")
    ] = "c,verilog",
    output: Annotated[
        OutputKind,
        typer.Option(
            help="What leaves the device: the last integers (codes), the index of the greatest "
            "(argmax), or the model's own outputs (model, C only)."
        ),
    ] = OutputKind.CODES,
    inputs: InputOpt = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Compress a float model's weights: binary, ternary (by least error, or "
            "ternary:rule), pow2:B or int:B."
        ),
    ] = None,
    activations: Annotated[
        int | None,
        typer.Option(
            help="Bits of the activations of a float model, 1 to 8: 8 by default, 4 without multipliers."
        ),
    ] = None,
    scales: Annotated[
        str | None,
        typer.Option(help="`pow2` keeps activation scales to powers of two: no multiplier."),
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="npz of samples from which activation ranges are taken.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="npz of samples, labels as `y`: prints the accuracy.")
    ] = None,
    preprocess: Annotated[
        str | None, typer.Option(help="mean,std,scale for raw data: (x * scale - mean) / std.")
    ] = None,
    cpu: Annotated[
        Cpu, typer.Option(help="The processor that the C kernels are for.")
    ] = Cpu.GENERIC,
    cycles: Annotated[
        int | None, typer.Option(help="Least hardware that takes at most so many cycles a frame.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="The same as frames a second, at the clock of --clock.")
    ] = None,
    clock: Annotated[float | None, typer.Option(help="The FPGA's clock in MHz, for --fps.")] = None,
    fold: Annotated[
        str | None,
        typer.Option(
            help="Least area (min), most speed (max), or a JSON or TOML file of PE and SIMD by "
            'layer, such as {"conv1": {"pe": 4, "simd": 8}}.'
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that holds other files.")
    ] = False,
) -> None:
    """Compile an ONNX model to C and Verilog.

    Example:  bitwright compile net.onnx --target c,verilog --output argmax --data test.npz -o build/
    """
    from bitwright.compiler import compile_model, write_build  # noqa: PLC0415  # fast --help
    from bitwright.summary import accuracy_lines, notes, print_summary  # noqa: PLC0415

    folded, lanes = folding(fold) if fold else (None, {})
    options = CompileOptions(
        targets=_targets(target), output=output, inputs=tuple(inputs or ()), weights=weights,
        activations=activations, scales=scales, calibrate=calibrate, data=data,
        preprocess=_preprocess(preprocess), cpu=cpu, cycles=cycles, fps=fps, clock=clock, fold=folded,
        lanes=lanes,
    )  # fmt: skip
    with _progress(f"compiling {model.name}"):
        compiled = compile_model(_existing(model), options)
        write_build(compiled, model, output_folder, force=force)
    print_summary(out, compiled, output_folder)
    for line in (*notes(compiled), *accuracy_lines(compiled)):
        out.print(line, markup=False)


@app.command()
def verify(
    build: Annotated[Path, typer.Argument(help="A folder that `compile` wrote.")],
    data: Annotated[
        Path | None,
        typer.Option(help="npz of samples (labels `y`) to verify on, beside the golden."),
    ] = None,
    preprocess: Annotated[
        str | None, typer.Option(help="mean,std,scale for raw data, as in `compile`.")
    ] = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Verify files that were changed since `compile`.")
    ] = False,
    device_log: Annotated[
        Path | None,
        typer.Option(help="Lines `layer crc` that a traced device printed: names the first wrong."),
    ] = None,
    sample: Annotated[
        int, typer.Option(help="The golden sample that the device was given for --device-log.")
    ] = 0,
) -> None:
    """Compare every form of the model again: onnxruntime, integers, C, RTL.

    Prints a row for each comparison. The exit code is 1 when one fails.
    """
    from bitwright.frontend import load_model  # noqa: PLC0415
    from bitwright.frontend.data import load_data  # noqa: PLC0415
    from bitwright.sim.build_folder import read_build, read_build_as_is  # noqa: PLC0415
    from bitwright.sim.ladder import climb, work_folder  # noqa: PLC0415
    from bitwright.sim.outcome import Status  # noqa: PLC0415

    found = read_build_as_is(build) if as_is else read_build(build)
    if device_log is not None:
        _check_log(found, device_log, sample)
        return
    if data is not None:
        given = load_data(data, found.graph, _preprocess(preprocess))
        found = replace(found, samples=given.inputs, labels=given.labels)
    table = Table("rung", "what", "values", "result", "detail", "s", box=None, pad_edge=False)
    failed = False
    with _progress(f"verifying {build}") as progress:
        for row in climb(found, work_folder(found), load_model):
            outcome = row.outcome
            style = {"pass": "green", "FAIL": "bold red"}.get(outcome.status.value, "yellow")
            table.add_row(
                str(row.rung), row.what, f"{outcome.values:,}",
                f"[{style}]{outcome.status.value}[/]", _plain(outcome.detail), f"{row.seconds:.1f}",
            )  # fmt: skip
            failed |= outcome.status is Status.FAIL
            progress.update(progress.task_ids[0], description=f"rung {row.rung}: {row.what}")
    out.print(table)
    if failed:
        raise typer.Exit(1)


@app.command()
def inspect(model: ModelArg, inputs: InputOpt = None) -> None:
    """Show layers, shapes, MACs and bits, and per target what stands in the way (exit code 0)."""
    from bitwright.summary import print_inspection  # noqa: PLC0415

    print_inspection(out, _existing(model), tuple(inputs or ()))


def _check_log(build: "Build", log: Path, sample: int) -> None:
    from bitwright.sim.device_log import check_log  # noqa: PLC0415

    verdict = check_log(build, log, sample)
    out.print(verdict.detail, markup=False)
    if not verdict.agrees:
        raise typer.Exit(1)


def _targets(text: str) -> tuple[Target, ...]:
    known = {t.value: t for t in Target}
    names = [t.strip() for t in text.split(",") if t.strip()]
    unknown = [n for n in names if n not in known]
    if unknown or not names:
        raise CompileError(f"--target {text!r}: name c, verilog or both, separated by commas")
    return tuple(dict.fromkeys(known[n] for n in names))


def _preprocess(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        mean, std, scale = (float(part) for part in text.split(","))
    except ValueError:
        raise CompileError(f"--preprocess {text!r}: give three numbers, mean,std,scale") from None
    if std == 0:
        raise CompileError("--preprocess: std must not be 0")
    return mean, std, scale


def _existing(model: Path) -> Path:
    if not model.is_file():
        raise CompileError(f"{model}: no such file")
    return model


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _progress(text: str) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    progress = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    progress.add_task(text, total=None)
    return progress


def main() -> None:
    """Run the command line; bad input ends with one sentence and exit code 2."""
    try:
        app()
    except CompileError as e:
        if _debug:
            raise
        err.print(f"error: {e}", markup=False)
        sys.exit(2)


if __name__ == "__main__":
    main()
