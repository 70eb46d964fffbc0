"""Compile and verify every model of a list and write one table.

    python benchmarks/models.py MODELS DATA [--only PART] [--target c,verilog] -o benchmarks/models.md

MODELS holds the ONNX files that models_cases.py names, DATA mnist.npz, gtsrb30.npz, cifar10_jpeg.npz
and fsdd.npz. Each row runs in a process of its own, one after the other, with a limit on time and
on memory; a row that fails does not stop the others. With --only or --target, the other rows stay
as they are in the file. Exit code 1 when a row fails.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models_cases import Case, cases
from results import finish, first_line, table

from bitwright.compiler import own_version

HERE = Path(__file__).parent
MEGABYTES = 8000  # of the row's own process
POLL = 0.2
HEAD = (
    "model", "sha256", "options", "rungs passed", "accuracy", "RAM", "/ bound", "flash",
    "cycles", "measured", "FIFO bits", "/ least", "line bits", "multipliers",
    "compile s", "MB", "verify s", "commit",
)  # fmt: skip
TEXT = """# Models

Made by `{command}` with bitwright {version}; {machine}.

Rungs: 1 imported graph = onnxruntime, 3 integers = quantized model layer by layer, 4 C (gcc, clang,
sanitizers) = integers, 6 RTL in Verilator = integers under stalls and resets. Accuracy is that of the
model → that of the device's program, on 1,000 test images; where labels would mean little, how often
both choose alike. The samples then run through the generated C, all of them, or some of them through
the RTL, with equal results. RAM is the arena in bytes, and over its lower bound; flash the bytes of
weights and thresholds. Cycles are those of a frame, as predicted and as measured; FIFO bits also over
their least where that is known; line bits are the buffers of sliding windows. Compile is seconds and
peak MB of the process, verify seconds on a busy machine with a cold Verilator build.
"""


@dataclass(frozen=True)
class Folders:
    """Where models, data and the written blocks are."""

    models: Path
    data: Path
    blocks: Path


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("models", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="", help="part of a row's model, target and options")
    parser.add_argument("--target", default="c,verilog")
    parser.add_argument("--limit", type=float, default=1800, help="seconds of a row")
    parser.add_argument("-o", "--output", type=Path, help="the Markdown to write, JSON beside it")
    return parser.parse_args(given)


def run_row(case: Case, folders: Folders, limit: float) -> dict[str, Any]:
    """Return the cells of a row, measured in a child process within its limits."""
    with tempfile.TemporaryDirectory(prefix="models-") as name:
        work = Path(name)
        job, result = work / "job.json", work / "result.json"
        places = {k: str(v.resolve()) for k, v in vars(folders).items()}
        job.write_text(json.dumps({"key": case.key, "work": name, **places}))
        code = (
            "import json, sys, models_row as r; from pathlib import Path; "
            "Path(sys.argv[2]).write_text(json.dumps(r.measure(r.job_of(Path(sys.argv[1])))))"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(job), str(result)], cwd=HERE, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=_environment(),
        )  # fmt: skip
        ended = wait(child, limit)
        if result.exists():
            cells: dict[str, Any] = json.loads(result.read_text())
            return cells
    return {"failed": True, "rungs": ended}


def _environment() -> dict[str, str]:
    paths = [str(HERE), str(HERE.parent)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def wait(child: subprocess.Popen[str], limit: float) -> str:
    """Wait for the child and say how it ended; at a limit, end it and all that it started."""
    start = time.monotonic()
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, errors = child.communicate(timeout=POLL)
                lines = errors.strip().splitlines()
                return f"crashed: {lines[-1] if lines else f'exit code {child.returncode}'}"
            if time.monotonic() - start > limit:
                return f"not done after {limit:g} s"
            if megabytes(child.pid) > MEGABYTES:
                return f"more than {MEGABYTES} MB"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def megabytes(pid: int) -> float:
    """Return the resident memory of a process, 0 where that is not known."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(x for x in lines if x.startswith("VmRSS")).split()[1]) / 1024
    return 0.0


def commit() -> str:
    """Return the commit of the checkout, with a + where files differ from it."""
    here = ["git", "-C", str(HERE)]
    changed = first_line([*here, "status", "--porcelain", "--untracked-files=no"])
    return first_line([*here, "rev-parse", "--short", "HEAD"]) + ("+" if changed else "")


def document(rows: dict[str, dict[str, Any]], command: str) -> str:
    """Return the tables as Markdown, one a group and target."""
    machine = f"{os.cpu_count()} cores"
    parts = [TEXT.format(command=command, version=own_version(), machine=machine)]
    titles = dict.fromkeys((case.group, case.target) for case in cases())
    for group, target in titles:
        lines = [
            cells_of(case, rows[case.key])
            for case in cases()
            if (case.group, case.target) == (group, target) and case.key in rows
        ]
        kept = [i for i in range(len(HEAD)) if any(line[i] != "" for line in lines)]
        if lines:
            shown = [[line[i] for i in kept] for line in lines]
            parts += ["", f"## {group}: {target}", "", table([HEAD[i] for i in kept], shown)]
    return "\n".join(parts).replace("\n\n\n", "\n\n") + "\n"


def cells_of(case: Case, row: dict[str, Any]) -> list[Any]:
    """Return the cells of a row in the order of HEAD."""
    rungs = f"**{row['rungs']}**" if row["failed"] else row["rungs"]
    accuracy = "; ".join(t for t in (row.get("accuracy", ""), row.get("check", "")) if t)
    name = f"{case.model} ({case.size}x{case.size})" if case.size else case.model
    return [
        name, row.get("sha256", "")[:8], case.text, rungs.replace("|", "\\|"), accuracy,
        _number(row, "arena"), _over(row, "arena", "arena_bound"), _number(row, "flash"),
        _number(row, "cycles"), _number(row, "measured_cycles"), _number(row, "fifo_bits"),
        _over(row, "fifo_bits", "fifo_bits_least"), _number(row, "ring_bits"),
        _number(row, "multipliers"), _number(row, "compile_s"),
        _number(row, "compile_mb"), _number(row, "verify_s"), row["commit"],
    ]  # fmt: skip


def _number(row: dict[str, Any], name: str) -> Any:
    value = row.get(name)
    return "" if value is None else value


def _over(row: dict[str, Any], name: str, bound: str) -> str:
    value, least = row.get(name), row.get(bound)
    return f"{value / least:.3f}" if value is not None and least else ""


def earlier(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the rows of the file that is written, by key, when only some are run again."""
    path: Path | None = args.output and args.output.with_suffix(".json")
    known = {case.key for case in cases()}
    if path is None or not path.exists() or len(chosen(args)) == len(known):
        return {}
    rows: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return {key: row for key, row in rows.items() if key in known}


def chosen(args: argparse.Namespace) -> list[Case]:
    """Return the rows that the command line asks for."""
    targets = args.target.split(",")
    return [c for c in cases() if c.target in targets and args.only in c.key]


def main() -> int:
    """Run the rows and write the table, again after each."""
    args = arguments()
    rows, failures = earlier(args), []
    command = "python benchmarks/models.py MODELS DATA -o benchmarks/models.md"
    with tempfile.TemporaryDirectory(prefix="blocks-") as blocks:
        script = HERE.parent / "examples" / "blocks" / "blocks.py"
        subprocess.run([sys.executable, str(script), blocks], check=True)
        folders = Folders(args.models, args.data, Path(blocks))
        for case in chosen(args):
            row = run_row(case, folders, args.limit) | {"commit": commit()}
            rows[case.key] = row
            failures += [f"{case.key}: {row['rungs']}"] if row["failed"] else []
            print(case.key, json.dumps(row, ensure_ascii=False), flush=True)
            if args.output:
                finish(args.output, document(rows, command), rows, [])
    return finish(args.output, document(rows, command), rows, failures)


if __name__ == "__main__":
    raise SystemExit(main())
