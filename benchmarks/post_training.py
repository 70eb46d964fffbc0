"""Measure what each step of post-training compression gains: agreement with the float model.

    python benchmarks/post_training.py MODELS DATA -o benchmarks/post_training.md

MODELS holds mnist-conv-cntk.onnx, vnn-cifar10-resnet2b.onnx and tfl-kws-dscnn-fp32.onnx, DATA holds
mnist.npz, cifar10_jpeg.npz and fsdd.npz. Every cell is the share of test samples whose class is the
float model's. The first row rounds to nearest with the whole range of activations and corrects
nothing; the next rows add one step to it; "all" takes the steps together; the last rows leave one out.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from models_data import CIFAR_MEAN, CIFAR_STD
from numpy.typing import NDArray
from results import finish, table

from bitwright.compiler import load
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Graph
from bitwright.options import CompileOptions
from bitwright.passes.compress.choose import compress_fully
from bitwright.passes.compress.recipe_file import read_recipe

Array = NDArray[Any]

CALIBRATION = 512
WORDS = 10  # of the keyword model; to it digits are "unknown", so its words are compared instead
KINDS = ("int:8", "int:4", "int:3", "ternary", "pow2:4", "apot:4", "binary")
STEPS = {
    "ranges: least squared error": {"ranges": "mse"},
    "ranges: Kullback-Leibler": {"ranges": "kl"},
    "ranges: percentile 99.9": {"ranges": "percentile:99.9"},
    "equalization": {"equalize": True},
    "bias correction": {"refit": "bias"},
    "scale by least squares": {"refit": "scale"},
    "moments (batch-norm re-estimation)": {"refit": "moments"},
    "second-order rounding": {"solver": "second-order"},
}
ALL = {"ranges": "mse", "equalize": True, "refit": "moments", "solver": "second-order"}
WITHOUT = {
    "without ranges": ("ranges", "minmax"),
    "without equalization": ("equalize", False),
    "without moments": ("refit", "none"),
    "without second-order rounding": ("solver", "nearest"),
}
FLOORS = {("mnist-conv-cntk", "int:8"): 0.99, ("vnn-cifar10-resnet2b", "int:8"): 0.97}

HEAD = """# Post-training compression: what each step gains

    python benchmarks/post_training.py MODELS DATA -o benchmarks/post_training.md

Agreement with the float model in percent of test samples; weights of the kind at the head, first
and last layer 8 bits (int:8 for all), activations 8 bits. "All" takes the steps together. The keyword
model takes spoken digits for "unknown"; what is compared is which of its ten words it finds likeliest.
"""


@dataclass(frozen=True)
class Case:
    """A model with samples to calibrate with and to compare on, (samples, ...)."""

    name: str
    calibrate: Array
    test: Array
    outputs: int | None = None  # the classes that are compared, the first so many


def cases(data: Path) -> list[Case]:
    """Return the three models with their samples."""
    mnist = np.load(data / "mnist.npz")
    cifar = np.load(data / "cifar10_jpeg.npz")["x_test"][: 1000 + CALIBRATION] / 255
    images = ((cifar - CIFAR_MEAN) / CIFAR_STD).transpose(0, 3, 1, 2).astype(np.float32)
    speech = _speech(data / "fsdd.npz", 600 + CALIBRATION)
    return [
        Case("mnist-conv-cntk", _digits(mnist["x_train"][:CALIBRATION]), _digits(mnist["x_test"][:2000])),
        Case("vnn-cifar10-resnet2b", images[1000:], images[:1000]),
        Case("tfl-kws-dscnn-fp32", speech[:CALIBRATION], speech[CALIBRATION:], WORDS),
    ]  # fmt: skip


def _digits(pixels: Array) -> Array:
    return ((pixels / 255 - 0.1307) / 0.3081).astype(np.float32)


def _speech(path: Path, count: int) -> Array:
    """Return the features of spoken digits, (samples, 49, 10), in shuffled order."""
    file = np.load(path)
    sounds, ends, labels = file["samples"], file["offsets"], file["labels"]
    picked = np.random.default_rng(0).permutation(len(labels))[:count]
    return np.stack([cepstra(sounds[ends[i] : ends[i + 1]]) for i in picked]).astype(np.float32)


def cepstra(sound: Array, coefficients: int = 10, bands: int = 40) -> Array:
    """Return the cepstral coefficients of one second of sound at 8 kHz, as this model was trained on.

    Frames of 30 ms every 20 ms at 16 kHz, 40 bands of mel frequency from 20 Hz to 4 kHz of the
    magnitude, their natural logarithm, its cosine transform over sqrt(2 * bands).
    """
    second = np.zeros(8000)
    second[: min(sound.size, 8000)] = sound[:8000] / 32768
    spectrum = np.zeros(8001, complex)
    spectrum[:4001] = np.fft.rfft(second)
    frames = np.lib.stride_tricks.sliding_window_view(np.fft.irfft(spectrum, 16000) * 2, 480)[::320]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
    magnitude = np.abs(np.fft.rfft(frames[:49] * hann, 512))
    edges = np.linspace(_mel(20.0), _mel(4000.0), bands + 2)
    mel = _mel(np.arange(257) * 16000 / 512)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    weights = np.maximum(
        0, np.minimum((mel - low) / (centre - low), (high - mel) / (high - centre))
    )
    at = np.pi * (np.arange(bands)[:, None] + 0.5) * np.arange(coefficients) / bands
    return np.asarray(np.log(magnitude @ weights + 1e-6) @ (2 * np.cos(at)) / np.sqrt(2 * bands))


def _mel(hertz: Any) -> Any:
    return 1127 * np.log(1 + hertz / 700)


def classes(graph: Graph, x: Array, outputs: int | None = None) -> Array:
    """Return the class of each sample, the best of the first `outputs`."""
    name, shape = graph.inputs[0].name, graph.inputs[0].shape
    parts = [
        evaluate(graph, {name: x[i : i + 100].reshape(-1, *shape)}, dtype=np.float32)
        for i in range(0, len(x), 100)
    ]
    scores = [next(iter(p.values())).reshape(-1, graph.outputs[0].type.size) for p in parts]
    return np.concatenate([s[:, :outputs].argmax(axis=1) for s in scores])


def agreement(graph: Graph, case: Case, want: Array, keys: Mapping[str, Any]) -> float:
    """Return the share of test samples whose class the compressed model keeps."""
    text = "\n".join(
        f"{k} = {_toml(v)}" for k, v in {**keys, "scales": "any", "activations": 8}.items()
    )
    recipe = read_recipe(text, "benchmark")
    samples = {graph.inputs[0].name: case.calibrate.reshape(-1, *graph.inputs[0].shape)}
    found = compress_fully(graph, recipe, samples)
    return float(np.mean(classes(found.graph, case.test, case.outputs) == want))


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | int) else f'"{value}"'


def rows() -> dict[str, dict[str, Any]]:
    """Return what each row of the table asks for beside the kind."""
    base = {"ranges": "minmax"}
    found = {"nearest, whole ranges": base}
    found |= {f"+ {name}": {**base, **keys} for name, keys in STEPS.items()}
    found["all"] = ALL
    found |= {name: {**ALL, key: value} for name, (key, value) in WITHOUT.items()}
    return found


def _cached(path: Path | None) -> dict[str, dict[str, dict[str, float]]]:
    """Return the rows that an earlier run finished, by model."""
    if path is None or not path.exists():
        return {}
    found: dict[str, dict[str, dict[str, float]]] = json.loads(path.read_text())
    return found


def main() -> int:
    """Measure every cell and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--cache", type=Path, help="JSON of finished rows, to go on from")
    args = parser.parse_args()
    text = [HEAD]
    results = _cached(args.cache)
    failures: list[str] = []
    for case in cases(args.data):
        graph = load(args.models / f"{case.name}.onnx", CompileOptions())
        want = classes(graph, case.test, case.outputs)
        cells = results.setdefault(case.name, {})
        for row, keys in rows().items():
            if row in cells:
                continue
            cells[row] = {k: agreement(graph, case, want, {**keys, "weights": k}) for k in KINDS}
            print(case.name, row, *(f"{100 * v:.2f}" for v in cells[row].values()), flush=True)
            if args.cache:
                args.cache.write_text(json.dumps(results))
        lines = [[row, *(100 * v for v in cells[row].values())] for row in rows()]
        text += [f"## {case.name} ({len(case.test)} samples)", "",
                 table(["", *KINDS], lines), ""]  # fmt: skip
        for kind in KINDS:
            least = FLOORS.get((case.name, kind), 0)
            if cells["all"][kind] < least:
                failures.append(
                    f"{case.name} at {kind}: {cells['all'][kind]:.4f}, at least {least}"
                )
    return finish(args.output, "\n".join(text), results, failures)


if __name__ == "__main__":
    sys.exit(main())
