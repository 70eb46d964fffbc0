"""Compare the integer graph's choices with qonnx's own execution of the same model, image by image.

qonnx wants an environment of its own (pip install qonnx==1.0.0 onnx==1.20.1 onnxruntime onnxscript):

    qonnx-env/bin/python  benchmarks/qonnx_agreement.py reference MODEL.onnx mnist.npz -o ref.npz
    .venv/bin/python      benchmarks/qonnx_agreement.py compare   MODEL.onnx mnist.npz ref.npz \
        -o benchmarks/qonnx_agreement.md

`reference` writes the scores of qonnx 1.0.0 for every test image (pixels / 255) and `compare` counts
the images for which the integer graph chooses another class, apart from ties of qonnx's own scores;
with -o it adds a row to that table.
"""

import argparse
from pathlib import Path

import numpy as np

BATCH = 500
HEADER = """# The integer graph beside qonnx

Made by `benchmarks/qonnx_agreement.py` (its first lines give the commands), qonnx 1.0.0 in an
environment of its own. MNIST test images; a tie is two classes with equal scores in qonnx.

| model | images | other choices | ties | accuracy | accuracy in qonnx |
|---|---:|---:|---:|---:|---:|
"""


def images(data: Path) -> np.ndarray:
    """Return the test images as (N, 1, 28, 28) float32 in [0, 1]."""
    with np.load(data, allow_pickle=False) as npz:
        pixels = npz["x_test"].reshape(-1, 1, 28, 28)
    return np.asarray(pixels.astype(np.float32) / np.float32(255))


def reference(model: Path, data: Path, out: Path) -> None:
    """Run the model in qonnx on batches and save its scores."""
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415
    from qonnx.core.onnx_exec import execute_onnx  # noqa: PLC0415
    from qonnx.transformation.infer_shapes import InferShapes  # noqa: PLC0415

    wrapper = ModelWrapper(str(model))
    name = wrapper.graph.input[0].name
    wrapper.set_tensor_shape(name, [BATCH, 1, 28, 28])
    wrapper = wrapper.transform(InferShapes())
    x = images(data)
    scores = []
    for start in range(0, len(x), BATCH):
        result = execute_onnx(wrapper, {name: x[start : start + BATCH]})
        scores.append(next(iter(result.values())).reshape(BATCH, -1))
    np.savez(out, scores=np.concatenate(scores))


def compare(model: Path, data: Path, scores: Path, out: Path | None) -> int:
    """Print how many choices differ, ties apart, add a row to the table `out`, return the number."""
    from bitwright.compiler import load, lower  # noqa: PLC0415
    from bitwright.options import CompileOptions  # noqa: PLC0415
    from bitwright.sim.accuracy import program_predictions  # noqa: PLC0415

    graph = load(model, CompileOptions())
    program = lower(graph, CompileOptions())
    ours = program_predictions(program, {graph.inputs[0].name: images(data)})
    with np.load(scores, allow_pickle=False) as npz:
        theirs = npz["scores"]
    best = np.sort(theirs, axis=1)
    tied = best[:, -1] - best[:, -2] <= 1e-6 * np.abs(best[:, -1])
    differ = (ours != theirs.argmax(axis=1)) & ~tied
    with np.load(data, allow_pickle=False) as npz:
        labels = npz["y_test"]
    accuracy, reference_accuracy = np.mean(ours == labels), np.mean(theirs.argmax(axis=1) == labels)
    row = (
        f"| {model.stem} | {len(ours)} | {int(differ.sum())} | {int(tied.sum())} "
        f"| {accuracy:.4f} | {reference_accuracy:.4f} |\n"
    )
    print(row, end="")
    if out is not None:
        out.write_text((out.read_text() if out.exists() else HEADER) + row)
    return int(differ.sum())


def main() -> int:
    """Run one of the two halves."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("half", choices=["reference", "compare"])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("scores", type=Path, nargs="?")
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    if given.half == "reference":
        reference(given.model, given.data, given.out)
        return 0
    return 1 if compare(given.model, given.data, given.scores, given.out) else 0


if __name__ == "__main__":
    raise SystemExit(main())
