"""The scripts of the zoo, on images that take no time to learn."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from bitwright.compiler import load
from bitwright.frontend.data import load_data
from bitwright.ir.evaluate import evaluate
from bitwright.options import CompileOptions
from examples.zoo import data, export, train

CLASSES, PER_CLASS = 10, 20


@pytest.fixture(autouse=True)
def _settings_of_torch() -> Iterator[None]:
    """Put back what training sets for the whole process."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an npz of noise with a bright row each, whose place is the label."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(CLASSES, dtype=np.uint8), PER_CLASS)
    pixels = rng.integers(0, 64, (len(labels), 28, 28)).astype(np.uint8)
    pixels[np.arange(len(labels)), 2 * labels.astype(int) + 4] = 255
    path = tmp_path_factory.mktemp("zoo") / "rows.npz"
    np.savez(path, x_train=pixels, y_train=labels, x_test=pixels[:50], y_test=labels[:50])
    return path


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["zoo", *map(str, arguments)])


def test_training_learns_says_how_and_repeats(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"{k}.onnx" for k in "ab"]
    for file in files:
        command(
            monkeypatch, "tfc", "--data", images, "-o", file,
            "--epochs", 6, "--batch", 20, "--rate", 0.01, "--seed", 3,
        )  # fmt: skip
        train.main()
    assert files[0].read_bytes() == files[1].read_bytes()
    said = json.loads(files[0].with_suffix(".json").read_text())
    assert said["accuracy"] >= 0.9
    assert "--seed 3" in said["command"]
    command(monkeypatch, images, "-o", tmp_path)
    data.main()
    mean, std, scale = (float(text) for text in said["preprocess"].split(","))
    graph = load(files[0], CompileOptions())
    held = load_data(tmp_path / "heldout.npz", graph, (mean, std, scale))
    logits = evaluate(graph, held.inputs)["logits"].reshape(held.count, -1)
    assert held.labels is not None
    assert np.mean(logits.argmax(axis=1) == held.labels) == said["accuracy"]


def test_split_keeps_images_and_labels_together(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(monkeypatch, images, "-o", tmp_path)
    data.main()
    with np.load(tmp_path / "train.npz") as train_file, np.load(images) as source:
        np.testing.assert_array_equal(train_file["image"][:, 0], source["x_train"])
        np.testing.assert_array_equal(train_file["y"], source["y_train"])
    with np.load(tmp_path / "calibration.npz") as calibration:
        assert calibration.files == ["image"]
        assert len(calibration["image"]) == min(data.CALIBRATION, CLASSES * PER_CLASS)


def test_data_of_another_size_are_refused(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(monkeypatch, "cnv", "--data", images, "-o", tmp_path / "cnv.onnx")
    with pytest.raises(SystemExit, match=r"cnv reads images \(3, 32, 32\), the data holds"):
        train.main()


def test_data_without_a_part_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "half.npz", x_train=np.zeros((1, 28, 28)), y_train=np.zeros(1))
    with pytest.raises(SystemExit, match="no array 'x_test'"):
        data.load(tmp_path / "half.npz")


def test_colours_come_first(tmp_path: Path) -> None:
    x = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    np.savez(tmp_path / "rgb.npz", x_train=x, y_train=[0, 1], x_test=x, y_test=[0, 1])
    split = data.load(tmp_path / "rgb.npz")
    assert split.train_images.shape == (2, 3, 4, 5)
    np.testing.assert_array_equal(split.train_images[:, 2], x[..., 2])


def test_export_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "lenet5.onnx"
    command(monkeypatch, "lenet5", "-o", path)
    export.main()
    graph = load(path, CompileOptions())
    assert [v.shape for v in graph.outputs] == [(1, 10)]
