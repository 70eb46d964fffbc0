"""Climb the ladder of proofs: each rung compares one form of the model with the one above it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bitwright.errors import CompileError, MissingToolError, UnsupportedError, VerifyError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Dequantize
from bitwright.ir.types import is_integral
from bitwright.passes.chain import QUANTIZERS
from bitwright.sim.accuracy import Device, program_predictions, share
from bitwright.sim.build_folder import Build
from bitwright.sim.layerwise import compare_layers
from bitwright.sim.outcome import Outcome, Status
from bitwright.sim.rtl import RtlResult
from bitwright.sim.samples import random_inputs
from bitwright.sim.tolerance import relative_errors

FLOAT_TOLERANCE = 1e-5
FRAMES_RTL = 8
SAMPLES_RTL = 400
CYCLES_RTL = 4_000_000  # that a run may take: fewer frames then
FEW_FRAMES = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the ladder."""

    rung: int
    what: str
    outcome: Outcome
    seconds: float


Rung = Callable[[Build, Path], Outcome]
Importer = Callable[[Path], Graph]
Bisect = Callable[[dict[str, Array], int], str]


def climb(build: Build, work: Path, importer: Importer) -> Iterator[Row]:
    """Yield a row per rung that applies to the build; `work` holds compiled tests and may persist.

    `importer` reads the copy of the user's model again.
    """
    rungs: list[tuple[int, str, Rung]] = [
        (1, "imported graph = onnxruntime", lambda b, w: _onnxruntime(b, w, importer)),
        (2, "ONNX export = quantized model, by layer", _export),
        (3, "integers = quantized model, layer by layer", _layers),
    ]
    if "c" in build.targets:
        rungs += [
            (4, "C (gcc) = integers", lambda b, w: _host_c(b, w, "gcc", sanitize=False)),
            (4, "C (gcc, sanitizers) = integers", lambda b, w: _host_c(b, w, "gcc", sanitize=True)),
            (4, "C (clang) = integers", lambda b, w: _host_c(b, w, "clang", sanitize=False)),
            (4, "C (gcc, traced) = integers, every layer", _layers_c),
            (4, "C (gcc) on the samples", _samples_c),
        ]
    if "verilog" in build.targets:
        rungs += [
            (6, "RTL (Verilator) = integers, stalls and resets", _rtl),
            (6, "RTL (Verilator) on the samples", _samples_rtl),
        ]
    if not build.compressed:
        rungs = [r for r in rungs if r[2] is not _export]  # the first rung has compared its layers
    if not _holds_integers(build):
        rungs = [r for r in rungs if r[2] is not _layers]  # a float model has no integers
    if not build.samples:
        rungs = [r for r in rungs if r[2] not in (_samples_c, _samples_rtl)]
    for number, what, rung in rungs:
        start = time.monotonic()
        try:
            outcome = rung(build, work)
        except MissingToolError as e:
            outcome = Outcome(Status.NOT_RUN, 0, str(e))
        except VerifyError as e:
            outcome = Outcome(Status.FAIL, 0, str(e))
        yield Row(number, what, outcome, time.monotonic() - start)


def _holds_integers(build: Build) -> bool:
    return any(is_integral(v.elem) for v in build.program.body.values().values())


def model_samples(build: Build, count: int) -> dict[str, Array]:
    """Return samples for the model's own inputs: the user's, or random ones of each input's type."""
    if build.samples:
        return {n: a[:count] for n, a in build.samples.items()}
    return random_inputs(build.graph, count, seed=1)


def first_difference(name: str, want: Array, got: Array) -> str | None:
    """Return a sentence on the first element that differs, or None."""
    if want.shape != got.shape:
        return f"{name}: shape {got.shape}, expected {want.shape}"
    places = np.argwhere(want != got)
    if not places.size:
        return None
    at = tuple(int(i) for i in places[0])
    return (
        f"{name}: sample {at[0]}, index {list(at[1:])}: got {got[at]}, expected {want[at]}"
        f" ({len(places)} of {want.size} values differ)"
    )


def _onnxruntime(build: Build, work: Path, importer: Importer) -> Outcome:
    del work
    from bitwright.sim.by_layer import compare_by_layer, wrong_simplification  # noqa: PLC0415
    from bitwright.sim.reference import run_onnx  # noqa: PLC0415  # onnxruntime is an extra

    x = model_samples(build, 32)
    if any(isinstance(op, QUANTIZERS) for op in build.imported.ops):
        raw, reals = importer(build.source), _as_reals(build, x)
        outcome = compare_by_layer(raw, build.source, reals)
        wrong = wrong_simplification(raw, reals, build.imported, x)
        return replace(outcome, status=Status.FAIL, detail=wrong) if wrong else outcome
    want = run_onnx(build.source, _as_reals(build, x))
    got = evaluate(build.imported, x, dtype=np.float32)
    if not _holds_integers(build):  # what is compiled is all real: it is compared as well
        got = build.program.run(x, dtype=np.float32)
    values, worst = 0, 0.0
    for name, reference in want.items():
        mine = got[name].reshape(reference.shape)
        values += reference.size
        error = relative_errors(mine, reference)
        worst = max(worst, float(error.max(initial=0)))
        bad = (error > FLOAT_TOLERANCE).reshape(error.shape[0], -1).any(axis=1)
        if bad.any():
            where = int(np.argmax(bad))
            detail = f"{name!r} differs in {int(bad.sum())} of {bad.size} samples, first {where}"
            return Outcome(Status.FAIL, values, f"{detail}, by {worst:.2e} of the greatest value")
    return Outcome(Status.PASS, values, f"worst difference {worst:.1e} of the greatest value")


def _as_reals(build: Build, x: dict[str, Array]) -> dict[str, Array]:
    """Return what the original model reads where the device's integer inputs were declared."""
    out = dict(x)
    for op in build.imported.ops:
        if isinstance(op, Dequantize) and op.loc == f"input {op.inputs[0].name}":
            scale, zero = (float(build.imported.constant(p).flat[0]) for p in op.inputs[1:])
            name = op.inputs[0].name
            out[name] = ((x[name] - zero) * scale).astype(np.float32)
    return out


def _export(build: Build, work: Path) -> Outcome:
    from bitwright.sim.exported import compare_exports  # noqa: PLC0415

    written = build.quantized if build.quantized.exists() else None
    try:
        return compare_exports(build.graph, model_samples(build, 32), written, work)
    except UnsupportedError as e:
        return Outcome(Status.NOT_RUN, 0, f"the model has no form in ONNX: {e}")


def _layers(build: Build, work: Path) -> Outcome:
    del work
    program = build.program
    parts = [random_inputs(program.body, 64, seed=2), build.device_inputs()]
    if build.samples:
        parts.append(evaluate(program.head, model_samples(build, 64)))
    codes = {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}
    return compare_layers(build.graph, program, codes)


def _compare_outputs(want: dict[str, Array], got: dict[str, Array]) -> Outcome:
    values = 0
    for name, reference in want.items():
        mine = np.asarray(got[name]).reshape(reference.shape)
        values += reference.size
        if reference.dtype.kind == "f":
            worst = float(relative_errors(mine, reference).max(initial=0))
            if worst > FLOAT_TOLERANCE:
                return Outcome(Status.FAIL, values, f"{name!r} differs by {worst:.2e}")
            continue
        difference = first_difference(repr(name), reference, mine)
        if difference:
            return Outcome(Status.FAIL, values, difference)
    real = any(a.dtype.kind == "f" for a in want.values())
    return Outcome(Status.PASS, values, f"within {FLOAT_TOLERANCE}" if real else "equal bits")


def _host_c(build: Build, work: Path, compiler: str, *, sanitize: bool) -> Outcome:
    from bitwright.sim.bisect import layers_c, sentence  # noqa: PLC0415
    from bitwright.sim.host_c import run_c  # noqa: PLC0415

    folder, inputs = build.folder / "c", build.device_inputs()
    got = run_c(folder, inputs, compiler=compiler, sanitize=sanitize, work=work)
    outcome = _compare_outputs(build.device_outputs(), got)
    if outcome.status is Status.PASS:
        return outcome
    place = sentence(lambda: layers_c(folder, build.program.body, inputs, compiler, work))
    return replace(outcome, detail=f"{place}; at the output: {outcome.detail}")


def _layers_c(build: Build, work: Path) -> Outcome:
    from bitwright.sim.bisect import layers_c, values_of  # noqa: PLC0415

    body, inputs = build.program.body, build.device_inputs()
    found = layers_c(build.folder / "c", body, inputs, "gcc", work)
    values = sum(a.size for a in values_of(body, inputs).values())
    if found is not None:
        return Outcome(Status.FAIL, values, str(found))
    return Outcome(Status.PASS, values, "every layer agrees")


def _rtl(build: Build, work: Path) -> Outcome:
    from bitwright.sim.bisect import layers_rtl, sentence, tapped_difference  # noqa: PLC0415
    from bitwright.sim.rtl import RtlOptions, Stalls, run_design  # noqa: PLC0415

    folder, body = build.folder / "verilog", build.program.body
    count = _frames(build, FRAMES_RTL)
    inputs = {n: a[:count] for n, a in build.device_inputs().items()}
    want = {n: a[:count] for n, a in build.device_outputs().items()}
    values, measured = 0, ""
    for seed, stalls in enumerate(Stalls):
        for reset in (False, True) if stalls is Stalls.BOTH else (False,):
            options = RtlOptions(stalls, seed + 1, reset, taps=stalls is Stalls.NONE)
            result = run_design(folder, inputs, work=work, options=options)
            outcome = _compare_outputs(want, dict(result.outputs))
            values += outcome.values
            if outcome.status is not Status.PASS:
                pattern = f"stalls {stalls.value}" + (", reset in mid-frame" if reset else "")
                place = sentence(partial(layers_rtl, folder, body, inputs, options, work))
                detail = f"{place}; at the output, {pattern}: {outcome.detail}"
                return Outcome(outcome.status, values, detail)
            if stalls is Stalls.NONE:
                found = tapped_difference(folder, body, inputs, result)
                if found is not None:
                    return Outcome(Status.FAIL, values, f"{found}; not seen at the output")
                wrong = wrong_cycles(folder, result)
                if wrong:
                    return Outcome(Status.FAIL, values, wrong)
                measured = f"{result.interval} cycles a frame, latency {result.latency}"
    return Outcome(Status.PASS, values, f"equal bits; {measured}")


def wrong_cycles(folder: Path, result: RtlResult) -> str | None:
    """Return a sentence where the cycles of an unstalled run are not those that were predicted."""
    report = json.loads((folder / "report.json").read_text())
    told, least = report["interval_cycles"], report["latency_cycles"]
    if result.interval is not None and abs(result.interval - told) > max(1, 0.005 * told):
        return f"{result.interval} cycles a frame, predicted {told}"
    slack = max(2 * len(report["trace"]), 0.02 * least)
    if abs(result.latency - least) > slack:
        return f"latency of {result.latency} cycles, predicted {least}"
    return None


def _frames(build: Build, most: int) -> int:
    """Return how many frames a run of the RTL takes: fewer where each takes many cycles."""
    report = json.loads((build.folder / "verilog/report.json").read_text())
    return max(FEW_FRAMES, min(most, CYCLES_RTL // max(int(report["interval_cycles"]), 1)))


def _on_samples(build: Build, inputs: dict[str, Array], device: Device, bisect: Bisect) -> Outcome:
    """Run the user's samples through a device; its choices must be those of the integer graph."""
    want = program_predictions(build.program, inputs)
    got = program_predictions(build.program, inputs, device)
    differ = relative_errors(got, want) > (FLOAT_TOLERANCE if want.dtype.kind == "f" else 0)
    if differ.any():
        first = int(np.argmax(differ))
        codes = evaluate(build.program.head, {n: a[first : first + 1] for n, a in inputs.items()})
        place = bisect(codes, first)
        detail = f"{place}; at the output: got {got[first]}, expected {want[first]}"
        return Outcome(Status.FAIL, want.size, detail)
    if build.labels is None:
        return Outcome(Status.PASS, want.size, "every result equal")
    return Outcome(Status.PASS, want.size, f"accuracy {share(got == build.labels[: got.size])}")


def _samples_c(build: Build, work: Path) -> Outcome:
    from bitwright.sim.bisect import layers_c, sentence  # noqa: PLC0415
    from bitwright.sim.host_c import run_c  # noqa: PLC0415

    folder = build.folder / "c"

    def device(codes: dict[str, Array]) -> Mapping[str, Array]:
        return run_c(folder, codes, compiler="gcc", sanitize=False, work=work)

    def bisect(codes: dict[str, Array], first: int) -> str:
        find = partial(layers_c, folder, build.program.body, codes, "gcc", work)
        return sentence(find, first)

    return _on_samples(build, dict(build.samples), device, bisect)


def _samples_rtl(build: Build, work: Path) -> Outcome:
    from bitwright.sim.bisect import layers_rtl, sentence  # noqa: PLC0415
    from bitwright.sim.rtl import RtlOptions, run_design  # noqa: PLC0415

    folder = build.folder / "verilog"

    def device(codes: dict[str, Array]) -> Mapping[str, Array]:
        return run_design(folder, codes, work=work, options=RtlOptions()).outputs

    def bisect(codes: dict[str, Array], first: int) -> str:
        find = partial(layers_rtl, folder, build.program.body, codes, RtlOptions(), work)
        return sentence(find, first)

    count = _frames(build, SAMPLES_RTL)
    inputs = {n: a[:count] for n, a in build.samples.items()}
    return _on_samples(build, inputs, device, bisect)


def work_folder(build: Build) -> Path:
    """Return the folder for compiled tests of this build, kept beside it."""
    path = build.folder / ".verify"
    try:
        path.mkdir(exist_ok=True)
    except OSError as e:
        raise CompileError(f"{path} cannot be made: {e}") from None
    return path
