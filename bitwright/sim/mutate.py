"""Prove that the benches can fail: put one wrong number into a build's tables and look.

    python -m bitwright.sim.mutate build/

A mutant is chosen in the integer graph, on the build's golden samples: one that changes no layer
is replaced by the next. It then reaches the device through files alone: the tables of the C, the
memory files of the RTL, whose simulation is not built again; only a number that stands alone (a
window, a factor of a sum, one multiplier for all channels) is written into the code. The bench
must fail on it, and what it saw must be what the wrong number makes of the integer graph.
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bitwright.backends import c, verilog
from bitwright.backends.coding import Form
from bitwright.backends.names import comment, identifier
from bitwright.backends.verilog.design import network_of
from bitwright.backends.verilog.emit import layer_files
from bitwright.backends.verilog.network import Kind
from bitwright.backends.verilog.shared_weights import is_shared
from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.options import CompileOptions, Cpu, Fold
from bitwright.sim.bisect import Point, first_difference, points_of, seen_c, values_of
from bitwright.sim.build_folder import Build, read_build
from bitwright.sim.mutants import Mutant, Place, mutants, places
from bitwright.sim.rtl import RtlOptions, Simulator, run_design

FRAMES = 8
_CODEBOOK = Form.CODEBOOK.value
Files = dict[str, bytes]
Values = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Bench:
    """One target: how its constants are written, where they may lie, and how it is run."""

    target: str
    folder: Path
    write: Callable[[Graph], Files]
    tables: Callable[[str], bool]  # whether a mutant may change this file
    run: Callable[[Path, Values], Values]  # what each point gave, by name
    shared: frozenset[str] = frozenset()  # ops whose weights are indices into a table


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the mutants of one place."""

    target: str
    place: Place
    mutant: Mutant | None  # that reached the device
    replaced: int = 0  # candidates that change no layer
    unfit: int = 0  # candidates that change more than a table
    killed: bool = False
    at_output: bool = False  # seen there too
    as_predicted: bool = False

    @property
    def is_defect(self) -> bool:
        """Whether the bench passed a mutant, or saw something else than it should."""
        return self.mutant is not None and not (self.killed and self.as_predicted)

    @property
    def text(self) -> str:
        """What the table of results says."""
        if self.mutant is None:
            return "no mutant"
        if self.is_defect:
            return "PASSED" if not self.killed else "not as predicted"
        return "killed" if self.at_output else "killed, not at the output"


def mutate(
    build: Build, work: Path, simulator: Simulator = Simulator.VERILATOR
) -> Iterator[Verdict]:
    """Yield a verdict for each place of each target; files are copied into `work`."""
    for target in build.targets:
        bench = _c(build, work) if target == "c" else _rtl(build, work, simulator)
        _check_unchanged(build, bench)
        for place in places(build.program.body, bench.shared):
            yield _try_place(build, bench, place, work)


def _try_place(build: Build, bench: Bench, place: Place, work: Path) -> Verdict:
    body = build.program.body
    inputs = {n: a[:FRAMES] for n, a in build.device_inputs().items()}
    points = points_of(bench.folder)
    want = values_of(body, inputs)
    old = bench.write(body)
    replaced = unfit = 0
    for mutant in mutants(body, place, want):
        wrong = mutant.apply(body)
        values = values_of(wrong, inputs)
        if not _differ(points, want, values):
            replaced += 1
            continue
        files = {p: data for p, data in bench.write(wrong).items() if old.get(p) != data}
        if not files or not (place.in_code(body) or all(map(bench.tables, files))):
            unfit += 1
            continue
        got = bench.run(_copy(bench, files, work), inputs)
        return Verdict(
            bench.target,
            place,
            mutant,
            replaced,
            unfit,
            killed=first_difference(points, want, got) is not None,
            at_output=any(_differ([p], want, values) for p in points if _leaves(body, p)),
            as_predicted=first_difference(points, values, got) is None,
        )
    return Verdict(bench.target, place, None, replaced, unfit)


def _differ(points: Sequence[Point], want: Values, got: Values) -> bool:
    return any(not np.array_equal(want[p.value], got[p.value]) for p in points)


def _leaves(body: Graph, point: Point) -> bool:
    return point.value in {v.name for v in body.outputs}


def _copy(bench: Bench, files: Files, work: Path) -> Path:
    """Return a copy of the target's folder with the mutant's files in it."""
    folder = work / f"mutant-{bench.target}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bench.folder, folder)
    for path, data in files.items():
        (folder / path).write_bytes(data)
    return folder


def _check_unchanged(build: Build, bench: Bench) -> None:
    """Raise CompileError unless this bitwright writes the constants as the build has them."""
    for path, data in bench.write(build.program.body).items():
        file = bench.folder / path
        if not file.is_file() or file.read_bytes() != data:
            raise CompileError(f"{file} was written by another version; compile again")


def _name(build: Build) -> str:
    given = build.manifest["options"].get("name")
    return identifier(given or Path(build.manifest["model"]["file"]).stem, "model")


def _c(build: Build, work: Path) -> Bench:
    given = build.manifest["options"]
    options = c.COptions(cpu=Cpu(given["cpu"]), store=given["store"])
    name = _name(build)

    def write(body: Graph) -> Files:
        files = c.emit(body, name, options).files
        return {p: data for p, data in files.items() if p.startswith("src/")}

    def run(folder: Path, inputs: Values) -> Values:
        return seen_c(folder, inputs, "gcc", work)

    def is_table(path: str) -> bool:  # a number that all channels share stands in the kernel
        return path.endswith(("_weights.c", "_kernels.h"))

    body = build.program.body
    layers = c.emit(body, name, options).report["layers"]
    coded = {x["node"] for x in layers if x.get("weights", {}).get("form") == _CODEBOOK}
    shared = frozenset(op.name for op in body.ops if comment(op.loc) in coded)
    return Bench("c", build.folder / "c", write, is_table, run, shared)


def _rtl(build: Build, work: Path, simulator: Simulator) -> Bench:
    given = build.manifest["options"]
    asked = CompileOptions(cycles=given["cycles"], fps=given.get("fps"), clock=given.get("clock"))
    fold = Fold(given["fold"]) if given["fold"] else None
    lanes = {name: (pe, simd) for name, (pe, simd) in given.get("lanes", {}).items()}
    store = given["store"]
    options = verilog.VerilogOptions(asked.frame_cycles, fold, lanes=lanes, store=store)
    folder = build.folder / "verilog"
    model = _name(build)

    def run(mutant: Path, inputs: Values) -> Values:
        how = RtlOptions(taps=True, simulator=simulator)
        return run_design(mutant, inputs, work=work, options=how).taps

    return Bench(
        "verilog",
        folder,
        lambda body: layer_files(body, model, options),
        lambda path: path.endswith(".mem"),
        run,
        _shared(build.program.body, options),
    )


def _shared(body: Graph, options: verilog.VerilogOptions) -> frozenset[str]:
    layers = network_of(body, options).of_kind(Kind.LAYER)
    tables = [unit.layer for unit in layers for cell in unit.cells if is_shared(cell)]
    return frozenset(layer.first.name for layer in tables if layer)


def table_of(verdicts: Sequence[Verdict]) -> Table:
    """Return the verdicts as a table."""
    table = Table("target", "layer", "mutant", "replaced", "unfit", "result", box=None)
    for v in verdicts:
        mutant = str(v.mutant or v.place.role).replace("[", "\\[")
        layer = v.place.op.loc.replace("[", "\\[")
        table.add_row(v.target, layer, mutant, str(v.replaced), str(v.unfit), v.text)
    return table


def main(arguments: Sequence[str]) -> int:
    """Mutate a build folder, print what happened, and return 0, or 1 when a mutant passed."""
    out = Console(soft_wrap=True, highlight=False)
    if len(arguments) != 1:
        out.print("usage: python -m bitwright.sim.mutate build/", markup=False)
        return 2
    try:
        build = read_build(Path(arguments[0]))
        verdicts = list(mutate(build, build.folder / ".verify"))
    except CompileError as error:
        out.print(f"error: {error}", markup=False)
        return 2
    out.print(table_of(verdicts))
    tried = [v for v in verdicts if v.mutant]
    defects = sum(v.is_defect for v in verdicts)
    out.print(
        f"{len(tried)} mutants, {len(tried) - defects} killed, {defects} defects; "
        f"{sum(v.replaced for v in verdicts)} candidates changed nothing and were replaced, "
        f"{sum(v.unfit for v in verdicts)} changed more than a table"
    )
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
