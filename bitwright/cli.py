"""The command line: inspect, compile, verify. Errors are one sentence and exit code 2."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from bitwright import cli_compress, cli_explore, cli_finetune
from bitwright.console import (
    ActivationsOpt,
    CalibrateOpt,
    DataOpt,
    InputOpt,
    ModelArg,
    PreprocessOpt,
    RecipeOpt,
    ScalesOpt,
    WeightsOpt,
    err,
    existing,
    markup,
    out,
    preprocess_numbers,
    spinner,
)
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
_debug = False


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
    weights: WeightsOpt = None,
    activations: ActivationsOpt = None,
    scales: ScalesOpt = None,
    recipe: RecipeOpt = None,
    calibrate: CalibrateOpt = None,
    data: DataOpt = None,
    preprocess: PreprocessOpt = None,
    cpu: Annotated[
        Cpu, typer.Option(help="The processor that the C kernels are for.")
    ] = Cpu.GENERIC,
    store: Annotated[
        str | None,
        typer.Option(
            help="How weights are kept: plain, codebook, for C also sparse, sparse-codebook, huffman; "
            "or small, the smallest of these by layer."
        ),
    ] = None,
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
        activations=activations, scales=scales, recipe=recipe, calibrate=calibrate, data=data,
        preprocess=preprocess_numbers(preprocess), cpu=cpu, cycles=cycles, fps=fps, clock=clock,
        fold=folded, lanes=lanes, store=store,
    )  # fmt: skip
    with spinner(f"compiling {model.name}"):
        compiled = compile_model(existing(model), options)
        write_build(compiled, model, output_folder, force=force)
    print_summary(out, compiled, output_folder)
    for line in (*notes(compiled), *accuracy_lines(compiled)):
        out.print(line, markup=False)


app.command()(cli_compress.compress)
app.command()(cli_compress.recipe)
app.command()(cli_finetune.finetune)
app.command()(cli_explore.sensitivity)
app.command()(cli_explore.explore)


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
        given = load_data(data, found.graph, preprocess_numbers(preprocess))
        found = replace(found, samples=given.inputs, labels=given.labels)
    table = Table("rung", "what", "values", "result", "detail", "s", box=None, pad_edge=False)
    failed = False
    with spinner(f"verifying {build}") as progress:
        for row in climb(found, work_folder(found), load_model):
            outcome = row.outcome
            style = {"pass": "green", "FAIL": "bold red"}.get(outcome.status.value, "yellow")
            table.add_row(
                str(row.rung), row.what, f"{outcome.values:,}",
                f"[{style}]{outcome.status.value}[/]", markup(outcome.detail), f"{row.seconds:.1f}",
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

    print_inspection(out, existing(model), tuple(inputs or ()))


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
