"""Compile and verify every model of a list on both targets and write one table.

    python benchmarks/first_light.py --models DIR --data DIR -o benchmarks/first_light.md

DIR of models holds the ONNX files named below, DIR of data `mnist.npz` (x_test uint8, y_test).
Exit code 1 when a rung fails or a model does not compile.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bitwright.compiler import Compiled, compile_model, own_version, write_build
from bitwright.errors import CompileError
from bitwright.frontend import load_model
from bitwright.frontend.data import Data
from bitwright.options import CompileOptions, OutputKind, Target
from bitwright.sim.accuracy import predictions, share
from bitwright.sim.build_folder import read_build
from bitwright.sim.ladder import Row, climb, work_folder
from bitwright.sim.outcome import Status

BOTH = (Target.C, Target.VERILOG)


@dataclass(frozen=True)
class Case:
    """One row: a model, how it is compiled, and where its samples come from."""

    model: str
    note: str
    samples: str = "none"  # none, unit (x / 255), raw, sine
    options: dict[str, Any] = field(default_factory=dict)
    compressed: bool = False


def cases() -> list[Case]:
    """Return the rows of the table."""
    kinds = ("binary", "ternary", "pow2:4", "int:4")
    floats = {"tfl-helloworld": "sine", "mnist-pytorch-onnx2c": "unit", "vnn-mnistfc-256x2": "unit"}
    real = {"targets": (Target.C,), "output": OutputKind.MODEL}
    return [
        Case("tfc-1w1a", "W1A1", "unit"),
        Case("tfc-1w1a", "W1A1, argmax", "unit", {"output": OutputKind.ARGMAX}),
        Case("tfc-1w2a", "W1A2", "unit"),
        Case("tfc-2w2a", "W2A2", "unit"),
        Case("finn-tfc-w1a1-dataflow", "W1A1, uint8 in", "raw", {"inputs": ("uint8",)}),
        Case("unsw-nb15-mlp-w2a2", "W2A2, bipolar in", "none", {"inputs": ("bipolar",)}),
        Case("jettag-qkeras", "W6A6, int8 in", "none", {"inputs": ("int8:1/16",)}),
        Case("tfl-ad-autoencoder-int8", "int8 QDQ", "none"),
        *(Case(m, "float", s, real) for m, s in floats.items()),
        *(
            Case(m, f"{kind} weights", s, {"weights": kind}, compressed=True)
            for m, s in floats.items()
            for kind in kinds
        ),
    ]


def sample_arrays(kind: str, data: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return arrays to calibrate with and to measure accuracy on."""
    if kind == "sine":
        x = np.linspace(0, 2 * np.pi, 400, dtype=np.float32).reshape(-1, 1)
        return {"x": x}, {"x": x[::2]}
    mnist = np.load(data / "mnist.npz", allow_pickle=False)
    test = mnist["x_test"].reshape(len(mnist["x_test"]), -1)
    train = mnist["x_train"][:256].reshape(256, -1)
    if kind == "unit":
        test, train = (a.astype(np.float32) / np.float32(255) for a in (test, train))
    return {"x": train}, {"x": test, "y": mnist["y_test"]}


def shaped(arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Give the samples the shape that the model's input has."""
    return {n: a.reshape(-1, *shape) if n == "x" else a for n, a in arrays.items()}


def build(case: Case, folders: argparse.Namespace, out: Path) -> Compiled:
    """Compile one row into `out`."""
    from bitwright.frontend import load_model  # noqa: PLC0415

    model = folders.models / f"{case.model}.onnx"
    options = {"targets": BOTH, **case.options}
    if case.samples != "none":
        calibrate, test = sample_arrays(case.samples, folders.data)
        shape = load_model(model).inputs[0].shape
        for name, arrays in (("calibrate", calibrate), ("data", test)):
            path = out.parent / f"{out.name}-{name}.npz"
            np.savez(path, **shaped(arrays, shape))  # type: ignore[arg-type]
            if name == "data" or case.compressed:
                options[name] = path
    compiled = compile_model(model, CompileOptions(**options))
    write_build(compiled, model, out)
    return compiled


def measure(case: Case, folders: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Return one row of the table."""
    start = time.monotonic()
    try:
        compiled = build(case, folders, out)
    except CompileError as e:
        return {"model": case.model, "note": case.note, "failed": True, "rungs": f"refused: {e}"}
    compile_seconds = time.monotonic() - start
    start = time.monotonic()
    found = read_build(out)
    rows = list(climb(found, work_folder(found), load_model))
    c, verilog = (compiled.artifacts.get(t) for t in BOTH)
    return {
        "model": case.model,
        "note": case.note,
        "failed": any(r.outcome.status is Status.FAIL for r in rows),
        "rungs": rung_text(rows),
        "accuracy": accuracy_text(compiled, rows),
        "arena": c.report["arena"]["bytes"] if c else None,
        "flash": c.report["flash_table_bytes"] if c else None,
        "cycles": f"{verilog.report['interval_cycles']}" if verilog else "",
        "measured": measured_cycles(rows),
        "compile_s": round(compile_seconds, 1),
        "verify_s": round(time.monotonic() - start, 1),
    }


def rung_text(rows: list[Row]) -> str:
    """Return the rungs that passed, and in words what did not."""
    bad = [
        f"{r.rung} {r.outcome.status.value}: {r.outcome.detail}"
        for r in rows
        if r.outcome.status is not Status.PASS
    ]
    good = sorted({str(r.rung) for r in rows if r.outcome.status is Status.PASS})
    return " ".join(good) + ("; " + "; ".join(bad) if bad else "")


def accuracy_text(compiled: Compiled, rows: list[Row]) -> str:
    """Return float -> integer accuracy, or the root mean square error where there are no labels."""
    data: Data | None = compiled.data
    if data is None:
        return ""
    if data.labels is None:
        from bitwright.ir.evaluate import evaluate  # noqa: PLC0415

        want = next(iter(evaluate(compiled.original, data.inputs).values()))
        got = next(iter(compiled.program.run(data.inputs).values()))
        return f"rms error {float(np.sqrt(np.mean((want - got) ** 2))):.3f}"
    on_c = [r.outcome.detail for r in rows if r.what == "C (gcc) on the samples"]
    device = on_c[0].removeprefix("accuracy ") if on_c else ""
    original = share(predictions(compiled.original, data.inputs) == data.labels)
    return f"{original.split(' (')[0]} → {device}"


def measured_cycles(rows: list[Row]) -> str:
    """Return the measured cycles of a frame, from the RTL's rung."""
    texts = [r.outcome.detail for r in rows if r.rung == 6 and "cycles a frame" in r.outcome.detail]
    return texts[0].split("; ")[1].split(" cycles")[0] if texts else ""


COLUMNS = {
    "model": "model", "note": "what", "rungs": "rungs passed", "accuracy": "accuracy: model → C",
    "arena": "arena B", "flash": "tables B", "cycles": "cycles predicted", "measured": "measured",
    "compile_s": "compile s", "verify_s": "verify s",
}  # fmt: skip


def table(rows: list[dict[str, Any]], command: str) -> str:
    """Return the table as Markdown."""
    lines = [
        "# First light: every model on both targets", "",
        f"Made by `{command}` with bitwright {own_version()}.", "",
        "Rungs: 1 imported graph = onnxruntime, 3 integers = quantized model layer by layer,",
        "4 C (gcc, clang, sanitizers) = integers, 6 RTL in Verilator = integers under stalls and",
        "resets. Accuracy is over 5,000 MNIST test images, run through the generated C; 400 of them",
        "run through the RTL with equal choices. Tables are weights and thresholds in flash; times",
        "are of this machine, with a cold Verilator build in `verify`.", "",
        "| " + " | ".join(COLUMNS.values()) + " |",
        "|" + "---|" * len(COLUMNS),
    ]  # fmt: skip
    for row in rows:
        cells = ["" if row.get(k) is None else str(row.get(k, "")) for k in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the rows and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("-o", "--out", type=Path, required=True)
    folders = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, case in enumerate(cases()):
            if folders.only not in case.model:
                continue
            row = measure(case, folders, Path(scratch) / f"build{number}")
            rows.append(row)
            print(json.dumps(row, ensure_ascii=False), flush=True)
    command = (
        "python benchmarks/first_light.py --models DIR --data DIR -o benchmarks/first_light.md"
    )
    folders.out.write_text(table(rows, command))
    return 1 if any(row["failed"] for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
