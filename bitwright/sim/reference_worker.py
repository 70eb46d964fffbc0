"""The child process of `reference`: limits itself, then runs one model in onnxruntime."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

MAX_BYTES = 4 << 30


def main(folder: Path) -> None:
    """Read `job.json` and `inputs.npz` in `folder`, write `outputs.npz` or `error.txt`."""
    job = json.loads((folder / "job.json").read_text())
    _limit(max(int(job["seconds"]), 1))
    try:
        with np.load(folder / "inputs.npz", allow_pickle=False) as data:
            inputs = {name: data[f"a{i}"] for i, name in enumerate(job["inputs"])}
        results = run(Path(job["model"]), inputs, job["taps"])
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent reports it
        (folder / "error.txt").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        return
    (folder / "names.json").write_text(json.dumps(list(results)))
    np.savez(folder / "outputs.npz", **{f"a{i}": a for i, a in enumerate(results.values())})


def run(path: Path, inputs: dict[str, Any], taps: list[str]) -> dict[str, Any]:
    """Return outputs and taps, each with a leading axis of samples."""
    import onnx  # noqa: PLC0415 - after the limits are set
    import onnxruntime as ort  # noqa: PLC0415

    from bitwright.sim.standard_onnx import standard_model  # noqa: PLC0415

    model = standard_model(onnx.load(path))
    made = {name for node in model.graph.node for name in node.output}
    taps = [t for t in taps if t in made]
    names = list(dict.fromkeys([*(o.name for o in model.graph.output), *taps]))
    present = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=t) for t in names if t not in present)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {i.name: inputs[i.name].astype(_numpy_type(i.type)) for i in session.get_inputs()}
    samples = len(next(iter(feeds.values()))) if feeds else 1
    rows = [session.run(names, {n: a[s] for n, a in feeds.items()}) for s in range(samples)]
    return {n: np.stack([r[i] for r in rows]) for i, n in enumerate(names)}


def _numpy_type(text: str) -> str:
    inner = text.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(inner, inner)


def _limit(seconds: int) -> None:
    """Bound memory and processor time where the system can."""
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
