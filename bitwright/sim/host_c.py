"""Compile the shipped C files on this machine and run them on samples."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bitwright.backends.c.storage import Storage, dtype_of, storage_from
from bitwright.backends.render import render
from bitwright.errors import CompileError, MissingToolError, VerifyError
from bitwright.ir.graph import Array

WARNINGS = ("-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
FLAGS = ("-std=c99", *WARNINGS, "-Wc++-compat", "-O2")
CXX_FLAGS = ("-std=c++17", *WARNINGS, "-O2")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
_TIMEOUT = 300
_INSTALL = {"gcc": "apt-get install gcc", "clang": "apt-get install clang"}


@dataclass(frozen=True, slots=True)
class PortView:
    """One tensor as the driver sees it."""

    name: str
    parameter: str
    ctype: str
    count: int
    shape: tuple[int, ...]
    storage: Storage


@dataclass(frozen=True, slots=True)
class DriverView:
    """What driver.c.j2 shows."""

    model: str
    header: str
    arena: int
    trace_macro: str
    arguments: str
    inputs: tuple[PortView, ...]
    outputs: tuple[PortView, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """What the layers of a traced run were: per sample a CRC and the values of each layer."""

    crc: list[dict[str, int]] = field(default_factory=list)
    values: list[dict[str, Array]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Program:
    """An executable and the model that it runs."""

    executable: Path
    view: DriverView


def run_c(
    folder: Path,
    inputs: Mapping[str, Array],
    *,
    compiler: str = "gcc",
    sanitize: bool = False,
    work: Path,
) -> dict[str, Array]:
    """Return the outputs (samples, *shape) of the C in `folder` for inputs of that form.

    MissingToolError when the compiler is not there; VerifyError when the C does not compile, does
    not return 0, or when a sanitizer reports.
    """
    program = build_c(folder, compiler=compiler, sanitize=sanitize, work=work)
    return run_program(program, inputs, work)


def trace_c(
    folder: Path, inputs: Mapping[str, Array], *, compiler: str = "gcc", work: Path
) -> tuple[dict[str, Array], Trace]:
    """Return the outputs, and every layer's CRC-32 and values, of a build with tracing."""
    macro = _report(folder)["trace_macro"]
    program = build_c(folder, compiler=compiler, work=work, defines=(f"-D{macro}=2",))
    outputs = run_program(program, inputs, work)
    return outputs, _read_trace(work / "trace.txt", program.view)


def build_c(
    folder: Path,
    *,
    compiler: str = "gcc",
    sanitize: bool = False,
    work: Path,
    defines: tuple[str, ...] = (),
) -> Program:
    """Compile the files of `folder` as they are, with a driver beside them, into `work`."""
    if shutil.which(compiler) is None:
        line = _INSTALL.get(compiler, f"install {compiler}")
        raise MissingToolError(f"the compiler {compiler} is missing: {line}")
    work.mkdir(parents=True, exist_ok=True)
    report = _report(folder)
    view = _driver(report)
    driver = work / "driver.c"
    driver.write_text(render("c/driver.c.j2", view))
    executable = work / "model"
    sources = [str(folder / s) for s in report["sources"]]
    flags = CXX_FLAGS if "++" in compiler else FLAGS
    command = [compiler, *flags, *(SANITIZERS if sanitize else ()), *defines,
               f"-I{folder / 'include'}", f"-I{folder / 'src'}", *sources, str(driver),
               "-o", str(executable), "-lm"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        raise VerifyError(f"{compiler} rejects the generated C: {_first(done.stderr, 'error:')}")
    return Program(executable, view)


def run_program(program: Program, inputs: Mapping[str, Array], work: Path) -> dict[str, Array]:
    """Run a compiled model on samples; see `run_c`."""
    view = program.view
    source, target = work / "inputs.bin", work / "outputs.bin"
    source.write_bytes(_frames(view.inputs, inputs))
    samples = _samples(view.inputs, inputs)
    command = [str(program.executable), str(source), str(target), str(work / "trace.txt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        line = _first(done.stderr, "ERROR:", "error:") or f"exit code {done.returncode}"
        raise VerifyError(f"the generated C fails: {line}")
    return _outputs(view.outputs, target.read_bytes(), samples)


def _report(folder: Path) -> Any:
    path = folder / "report.json"
    if not path.is_file():
        raise CompileError(f"{path} is missing: it is no folder of generated C")
    return json.loads(path.read_text())


def _driver(report: Mapping[str, Any]) -> DriverView:
    inputs, outputs = (tuple(_port(p) for p in report[k]) for k in ("inputs", "outputs"))
    names = ["arena.bytes", *(f"port_{p.parameter}" for p in (*inputs, *outputs))]
    return DriverView(
        report["model"], Path(report["header"]).name, report["arena"]["bytes"],
        report["trace_macro"], ", ".join(names), inputs, outputs,
    )  # fmt: skip


def _port(entry: Mapping[str, Any]) -> PortView:
    storage = storage_from(entry["storage"])
    return PortView(
        entry["name"], entry["parameter"], entry["ctype"], storage.count, tuple(entry["shape"]),
        storage,
    )  # fmt: skip


def _samples(ports: tuple[PortView, ...], inputs: Mapping[str, Array]) -> int:
    return int(np.asarray(inputs[ports[0].name]).shape[0]) if ports else 1


def _frames(ports: tuple[PortView, ...], inputs: Mapping[str, Array]) -> bytes:
    """Return the samples one after the other, each input packed as it is stored."""
    parts = []
    for p in ports:
        packed = np.ascontiguousarray(p.storage.pack(np.asarray(inputs[p.name])))
        parts.append(packed.view(np.uint8).reshape(packed.shape[0], -1))
    return np.concatenate(parts, axis=1).tobytes() if parts else b""


def _outputs(ports: tuple[PortView, ...], raw: bytes, samples: int) -> dict[str, Array]:
    size = sum(p.storage.bytes for p in ports)
    if len(raw) != samples * size:
        raise VerifyError(f"the generated C wrote {len(raw)} bytes, expected {samples * size}")
    table = np.frombuffer(raw, np.uint8).reshape(samples, size)
    out, at = {}, 0
    for p in ports:
        part = np.ascontiguousarray(table[:, at : at + p.storage.bytes])
        stored = part.view(dtype_of(p.storage.ctype)).reshape(samples, p.count)
        out[p.name] = p.storage.unpack(stored).reshape(samples, *p.shape)
        at += p.storage.bytes
    return out


def _read_trace(path: Path, view: DriverView) -> Trace:
    del view
    trace = Trace()
    values: list[int] = []
    for line in path.read_text().splitlines():
        kind, *rest = line.split()
        if kind == "V":
            values.append(int(rest[0]))
            continue
        name, crc = rest
        if not trace.crc or name in trace.crc[-1]:
            trace.crc.append({})
            trace.values.append({})
        trace.crc[-1][name] = int(crc)
        trace.values[-1][name] = np.array(values, np.int64)
        values = []
    return trace


def _first(text: str, *words: str) -> str:
    """Return the first line that holds one of `words`, else the first line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = (line for line in lines if any(word in line for word in words))
    return next(telling, lines[0] if lines else "")
