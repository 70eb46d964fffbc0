"""Measure one row of models.py, in a process of its own: compile, climb the ladder, check."""

import hashlib
import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from models_cases import Case, cases
from models_data import Array, Samples, every_sign, samples_of
from onnx import numpy_helper

import bitwright
from bitwright.compiler import Compiled
from bitwright.errors import CompileError
from bitwright.frontend import load_model
from bitwright.ir.evaluate import evaluate
from bitwright.options import OutputKind, Target
from bitwright.sim.accuracy import predictions, program_predictions, share
from bitwright.sim.build_folder import Build, read_build
from bitwright.sim.host_c import run_c
from bitwright.sim.ladder import FLOAT_TOLERANCE, Row, climb, work_folder
from bitwright.sim.outcome import Status
from bitwright.sim.reference import run_onnx
from bitwright.sim.tolerance import relative_errors

Cells = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """A case, the folders of models, data and blocks, and one to work in."""

    case: Case
    models: Path
    data: Path
    blocks: Path
    work: Path


def job_of(path: Path) -> Job:
    """Return the job that a file describes: the key of the case, and folders."""
    given = json.loads(path.read_text())
    case = next(c for c in cases() if c.key == given["key"])
    folders = {name: Path(given[name]) for name in ("models", "data", "blocks", "work")}
    return Job(case, **folders)


def model_of(job: Job) -> Path:
    """Return the model's file, in a copy where its images are made smaller."""
    name = f"{job.case.model}.onnx"
    inside = job.blocks / name
    path = inside if inside.exists() else job.models / name
    if not job.case.size:
        return path
    model = onnx.load(path)
    shape = model.graph.input[0].type.tensor_type.shape
    for dim in shape.dim[2:]:
        dim.dim_value = job.case.size
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    small = job.work / name
    onnx.save(model, small)
    return small


def measure(job: Job) -> Cells:
    """Return the cells of the row; `failed` tells whether anything is wrong."""
    model = model_of(job)
    row: Cells = {"sha256": hashlib.sha256(model.read_bytes()).hexdigest(), "failed": True}
    samples = None
    if job.case.samples:
        shape = load_model(model).inputs[0].shape
        samples = samples_of(job.case.samples, job.data, job.blocks).shaped(shape)
    out = job.work / "build"
    start = time.monotonic()
    try:
        compiled = bitwright.compile(model, out, **_options(job, samples))
    except CompileError as error:
        return row | {"rungs": f"refused: {error}"}
    row["compile_s"] = round(time.monotonic() - start, 1)
    row["compile_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    row |= _reported(compiled)
    start = time.monotonic()
    build = read_build(out)
    rungs = list(climb(build, work_folder(build), load_model))
    row["verify_s"] = round(time.monotonic() - start, 1)
    row["measured_cycles"] = _measured_cycles(rungs)
    if samples is not None:
        row["accuracy"] = accuracy_text(compiled, samples)
    bad = [_sentence(r) for r in rungs if r.outcome.status is not Status.PASS]
    checked, wrong = further_check(job, compiled, build)
    bad += [*wrong, *_beyond(job.case, row)]
    passed = " ".join(sorted({str(r.rung) for r in rungs if r.outcome.status is Status.PASS}))
    return row | {"rungs": "; ".join([passed, *bad]), "check": checked, "failed": bool(bad)}


def _options(job: Job, samples: Samples | None) -> Cells:
    """Return the options of the case, its samples written to files."""
    options = {"targets": job.case.target, **job.case.options}
    if samples is None:
        return options
    count = len(samples.test) if job.case.target == Target.C.value else job.case.rtl_images
    arrays = {"x": samples.test[:count]}
    if samples.labels is not None:
        arrays["y"] = samples.labels[:count]
    options["data"] = job.work / "data.npz"
    np.savez(options["data"], allow_pickle=False, **arrays)
    if "weights" in options:
        options["calibrate"] = job.work / "calibrate.npz"
        np.savez(options["calibrate"], allow_pickle=False, x=samples.calibrate)
    return options


def _reported(compiled: Compiled) -> Cells:
    """Return what the target's report says of memory and cycles."""
    (artifact,) = compiled.artifacts.values()
    report = artifact.report
    if "arena" in report:
        return {
            "arena": report["arena"]["used_bytes"],
            "arena_bound": report["arena"]["lower_bound_bytes"],
            "flash": report["flash_table_bytes"],
        }
    return {
        "cycles": report["interval_cycles"],
        "fifo_bits": report["fifo_bits"],
        "fifo_bits_least": report.get("fifo_bits_least"),
        "ring_bits": report.get("ring_bits"),
        "weight_bits": report["weight_bits"],
        "multipliers": report["multipliers"],
    }


def _measured_cycles(rows: list[Row]) -> int | None:
    texts = [r.outcome.detail for r in rows if r.rung == 6 and "cycles a frame" in r.outcome.detail]
    return int(texts[0].split("; ")[1].split(" cycles")[0]) if texts else None


def _sentence(row: Row) -> str:
    return f"{row.rung} {row.outcome.status.value}: {row.what}: {row.outcome.detail}"


def _beyond(case: Case, row: Cells) -> list[str]:
    """Return which bounds the compile broke."""
    found = []
    if case.most_seconds is not None and row["compile_s"] > case.most_seconds:
        found.append(f"compile took {row['compile_s']} s, more than {case.most_seconds}")
    if case.most_megabytes is not None and row["compile_mb"] > case.most_megabytes:
        found.append(f"compile took {row['compile_mb']} MB, more than {case.most_megabytes}")
    return found


def accuracy_text(compiled: Compiled, samples: Samples) -> str:
    """Return accuracy of model and program, their agreement, or the error where it is a number."""
    graph, program = compiled.original, compiled.program
    x = {graph.inputs[0].name: samples.test}
    if graph.outputs[0].type.size == 1 and samples.labels is None:
        want, got = (next(iter(run(x).values())) for run in (_runner(compiled), program.run))
        return f"rms error {float(np.sqrt(np.mean((want - got) ** 2))):.3f}"
    original, device = predictions(graph, x), program_predictions(program, x)
    if samples.labels is None:
        return f"agrees on {share(original == device)}"
    labels = samples.labels
    if compiled.options.output is OutputKind.ARGMAX or device.dtype.kind == "f":
        device = device.astype(np.int64)
    before, after = (share(chosen == labels) for chosen in (original, device))
    return f"{before.split(' (')[0]} → {after}"


def _runner(compiled: Compiled) -> Any:
    return lambda x: evaluate(compiled.original, x)


# ---------------------------------------------------------------- further checks


def further_check(job: Job, compiled: Compiled, build: Build) -> tuple[str, list[str]]:
    """Return what the further check of the case found, and what is wrong."""
    if job.case.check == "classes":
        return same_classes(job, compiled, build)
    if job.case.check == "reference io":
        return same_as_reference(job, compiled, build)
    return "", []


def same_classes(job: Job, compiled: Compiled, build: Build) -> tuple[str, list[str]]:
    """Compare the class of every traffic sign with onnxruntime's: C's, or the integer graph's."""
    pixels = every_sign(job.data)[:, None]
    name, program = compiled.original.inputs[0].name, compiled.program
    (scores,) = run_onnx(model_of(job), {name: pixels.astype(np.float32)}).values()
    want = scores.reshape(len(pixels), -1).argmax(axis=1)
    device = None
    if job.case.target == Target.C.value:
        work = build.folder / ".verify"

        def device(codes: dict[str, Array]) -> Any:
            return run_c(build.folder / "c", codes, work=work)

    x = {name: pixels.astype(np.int64)}
    got = program_predictions(program, x, device)
    differ = np.flatnonzero(got != want)
    tied = 0
    if differ.size:
        codes = evaluate(program.head, {name: x[name][differ]})
        sums = next(iter(evaluate(program.body, codes).values())).reshape(len(differ), -1)
        greatest = np.sort(sums, axis=1)[:, -2:]
        tied = int((greatest[:, 0] == greatest[:, 1]).sum())
    text = f"{len(want) - len(differ)} of {len(want)} classes are onnxruntime's, {tied} tie"
    return text, [] if tied == len(differ) else [text]


def same_as_reference(job: Job, compiled: Compiled, build: Build) -> tuple[str, list[str]]:
    """Compare the C with the inputs and outputs that came with the model."""
    folder = job.models / "io" / job.case.model
    inputs = sorted(folder.glob("*input_0.pb"))
    outputs = [p.with_name(p.name.replace("input_0", "output_0")) for p in inputs]
    x, want = (np.stack([_tensor(p) for p in paths]) for paths in (inputs, outputs))
    name = compiled.original.inputs[0].name
    (got,) = run_c(build.folder / "c", {name: x}, work=build.folder / ".verify").values()
    worst = float(relative_errors(got.reshape(want.shape), want).max())
    text = f"{len(x)} reference outputs within {worst:.1e} of the greatest value"
    return text, [] if worst <= FLOAT_TOLERANCE else [text]


def _tensor(path: Path) -> Array:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return np.asarray(numpy_helper.to_array(tensor))
