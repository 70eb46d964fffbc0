"""Run a model in onnxruntime, as the reference that our own results are compared with.

One thread, batch 1, no graph optimization: fused and threaded runs differ in their last bits.
The model may be hostile, so it runs in a child process with limits on memory and time.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bitwright.errors import CompileError, MissingToolError
from bitwright.ir.graph import Array

SECONDS = 300


def run_onnx(
    path: Path, inputs: Mapping[str, Array], taps: Sequence[str] = (), *, seconds: float = SECONDS
) -> dict[str, Array]:
    """Return the model's outputs, and those tensors named in `taps` that it has, by name.

    Each input is an array of shape (samples, *shape), the shape with a batch of 1 included; so
    is each output. QONNX nodes are rewritten as standard ones first.

    Raises:
        MissingToolError: onnxruntime is not installed.
        CompileError: onnxruntime refuses the model, or the limits are exceeded.

    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise MissingToolError("onnxruntime is missing: pip install 'bitwright[verify]'")
    arrays = {name: np.asarray(a) for name, a in inputs.items()}
    if len({len(a) for a in arrays.values()}) > 1:
        raise CompileError("the inputs hold different numbers of samples")
    job = {
        "model": str(Path(path).resolve()),
        "inputs": list(arrays),
        "taps": list(taps),
        "seconds": seconds,
    }
    with TemporaryDirectory(prefix="bitwright-") as folder:
        work = Path(folder)
        (work / "job.json").write_text(json.dumps(job))
        np.savez(work / "inputs.npz", allow_pickle=False, **_numbered(arrays))
        _run_child(work, Path(path).name, seconds)
        names = json.loads((work / "names.json").read_text())
        with np.load(work / "outputs.npz", allow_pickle=False) as data:
            return {name: data[f"a{i}"] for i, name in enumerate(names)}


def _run_child(work: Path, model: str, seconds: float) -> None:
    command = [sys.executable, "-m", "bitwright.sim.reference_worker", str(work)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise CompileError(f"onnxruntime ran {model!r} for more than {seconds:g} s") from error
    report = work / "error.txt"
    if report.exists():
        reason = " ".join(report.read_text(encoding="utf-8", errors="replace").split())
        raise CompileError(f"onnxruntime cannot run {model!r}: {reason[:400]}")
    if done.returncode != 0 or not (work / "names.json").exists():
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise CompileError(
            f"onnxruntime stopped on {model!r} (exit {done.returncode}): {' '.join(last)[:200]}"
        )


def _numbered(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"a{i}": a for i, a in enumerate(arrays.values())}
