"""`compress`, `recipe` and the recipes of `compile`, as a user meets them."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bitwright.passes.compress.recipe_file import preset_names, preset_text
from tests.end_to_end.commands import Run, refused

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits-conv"
FLOAT = EXAMPLE / "digits-conv-float.onnx"
CALIBRATION = EXAMPLE / "calibration.npz"
HELD = EXAMPLE / "heldout.npz"


def body(folder: Path) -> str:
    return (folder / "graph" / "body.txt").read_text()


def test_a_compressed_model_compiles_as_the_recipe_does(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "new" / "net.q.onnx"
    ran = run("compress", FLOAT, "--recipe", "int4", "--calibrate", CALIBRATION, "--data", HELD,
              "-o", model)  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert "int:4" in ran.out
    assert "accuracy of the compressed model" in ran.out
    assert run("compile", model, "--target", "c", "-o", tmp_path / "one").code == 0
    again = run("compile", FLOAT, "--recipe", "int4", "--calibrate", CALIBRATION, "--target", "c",
                "-o", tmp_path / "two")  # fmt: skip
    assert again.code == 0
    vectors = [np.load(tmp_path / f / "vectors.npz") for f in ("one", "two")]
    for name in set(vectors[0].files) - {"names"}:
        assert np.array_equal(vectors[0][name], vectors[1][name]), name


def test_the_standard_form_runs_in_onnxruntime(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    ran = run("compress", FLOAT, "--weights", "ternary", "--calibrate", CALIBRATION, "--data", HELD,
              "--export", "standard", "-o", model)  # fmt: skip
    assert ran.code == 0
    session = onnxruntime.InferenceSession(model)
    held = np.load(HELD)
    pixels = next(held[n] for n in held.files if n != "y")
    entry = session.get_inputs()[0]
    shape = [d if isinstance(d, int) else 1 for d in entry.shape]
    hits = sum(
        int(session.run(None, {entry.name: x.reshape(shape).astype(np.float32)})[0].argmax()) == y
        for x, y in zip(pixels, held["y"], strict=True)
    )
    assert f"({hits} of {len(pixels)})" in ran.out.split("compressed model")[1].splitlines()[0]


def test_two_runs_write_the_same_bytes(run: Run, tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        args = ("--recipe", "ternary", "--calibrate", CALIBRATION, "-o", tmp_path / name)
        assert run("compress", FLOAT, *args).code == 0
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    onnx.load(tmp_path / "a.onnx")


def test_presets_are_listed_and_printed(run: Run) -> None:
    ran = run("recipe")
    assert all(name in ran.out for name in preset_names())
    printed = run("recipe", "int4").out
    assert printed == preset_text("int4")
    refused(run("recipe", "int5"), "no recipe 'int5'", "int4")


def test_the_recipe_stands_in_the_manifest(run: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('preset = "int8"\n[[layer]]\nmatch = "*"\nprune = "magnitude:0.5"\n')
    out = tmp_path / "build"
    ran = run("compile", FLOAT, "--recipe", mine, "--calibrate", CALIBRATION, "--target", "c",
              "-o", out)  # fmt: skip
    assert ran.code == 0
    manifest = json.loads((out / "bitwright.json").read_text())
    assert manifest["options"]["recipe"] == str(mine)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--recipe", "int4"), ("--calibrate data.npz",)),
        (("--recipe", "int99", "--calibrate", CALIBRATION), ("no recipe 'int99'", "int4")),
        (("--recipe", "none.toml", "--calibrate", CALIBRATION), ("none.toml", "no such file")),
        (("--weights", "octal", "--calibrate", CALIBRATION), ("octal", "binary")),
        (("--calibrate", "none.npz"), ("none.npz",)),
    ],
)
def test_mistakes_get_a_sentence_and_write_nothing(
    run: Run, tmp_path: Path, args: tuple[object, ...], words: tuple[str, ...]
) -> None:
    out = tmp_path / "net.q.onnx"
    refused(run("compress", FLOAT, *args, "-o", out), *words)
    assert list(tmp_path.iterdir()) == []


def test_a_pattern_that_fits_no_layer(run: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[[layer]]\nmatch = "nope*"\nweights = "binary"\n')
    args = ("--recipe", mine, "--calibrate", CALIBRATION, "-o", tmp_path / "q.onnx")
    refused(run("compress", FLOAT, *args), "no layer is called 'nope*'")


def test_labels_out_of_range(run: Run, tmp_path: Path) -> None:
    held = dict(np.load(HELD))
    held["y"] = held["y"] + 5
    np.savez(tmp_path / "wrong.npz", **held)
    args = ("--calibrate", CALIBRATION, "--data", tmp_path / "wrong.npz", "-o", tmp_path / "q.onnx")
    refused(run("compress", FLOAT, *args), "labels run from 5 to 14", "10 outputs")
    assert not (tmp_path / "q.onnx").exists()


def test_a_model_that_is_compressed_already(run: Run, tmp_path: Path) -> None:
    args = ("--calibrate", CALIBRATION, "-o", tmp_path / "q.onnx")
    quantized = EXAMPLE / "digits-conv-w1a1.onnx"
    refused(run("compress", quantized, *args), "compressed already", "compile it as it is")


def test_few_calibration_samples_are_warned_of(run: Run, tmp_path: Path) -> None:
    samples = {n: a[:4] for n, a in np.load(CALIBRATION).items()}
    np.savez(tmp_path / "few.npz", **samples)
    ran = run("compress", FLOAT, "--calibrate", tmp_path / "few.npz", "-o", tmp_path / "q.onnx")
    assert ran.code == 0
    assert "only 4 calibration samples" in ran.out


def test_the_recipe_says_how_layers_are_stored(run: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'share = "kmeans:8"\nprune = "magnitude:0.25"\n[[layer]]\nmatch = "conv2"\nstore = "huffman"\n'
    )
    out = tmp_path / "build"
    ran = run("compile", FLOAT, "--recipe", mine, "--calibrate", CALIBRATION, "--target", "c",
              "-o", out)  # fmt: skip
    assert ran.code == 0
    layers = json.loads((out / "c" / "report.json").read_text())["layers"]
    forms = {x["name"]: x["weights"]["form"] for x in layers if "weights" in x}
    assert {n: f for n, f in forms.items() if f != "plain"} == {"conv2": "huffman"}
    assert len(forms) > 2
