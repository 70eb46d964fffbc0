"""`finetune` as a user meets it: what it writes, what it refuses, and how it goes on."""

from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.commands import Run, refused

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
FLOAT = EXAMPLE / "digits-float.onnx"
SAMPLES = EXAMPLE / "calibration.npz"
HELD = EXAMPLE / "heldout.npz"


def recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def share(out: str, what: str) -> float:
    line = next(line for line in out.splitlines() if line.startswith(what))
    return float(line.removeprefix(what).split("%")[0])


def test_unlabelled_samples_are_enough(run: Run, tmp_path: Path) -> None:
    mine = recipe(tmp_path, 'preset = "twn"\n[train]\ninner_activations = "lsq:4"\nepochs = 30\n')
    model = tmp_path / "trained.q.onnx"
    ran = run("finetune", FLOAT, "--recipe", mine, "--data", SAMPLES, "--test", HELD, "-o", model)
    assert (ran.code, ran.err) == (0, "")
    assert share(ran.out, "accuracy of the compressed model") > 90
    assert len([line for line in ran.out.splitlines() if line.startswith("epoch")]) == 30
    assert sorted(p.name for p in tmp_path.iterdir()) == ["recipe.toml", "trained.q.onnx"]
    built = run("compile", model, "--data", HELD, "-o", tmp_path / "build")
    assert built.code == 0
    assert share(built.out, "accuracy of the device's program") == share(
        ran.out, "accuracy of the compressed model"
    )
    assert "ternary" in built.out


def test_the_same_line_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        args = ("--recipe", "bwn", "--data", SAMPLES, "--epochs", 2, "-o", tmp_path / name)
        assert run("finetune", FLOAT, *args).code == 0
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_pruned_and_shared_weights_go_on_from_a_pruned_model(run: Run, tmp_path: Path) -> None:
    pruning = recipe(
        tmp_path, 'weights = "float"\n[train]\ninner = "float"\nedge = "float"\n'
        'inner_activations = "none"\nedge_activations = "none"\nsparsity = 0.8\nepochs = 4\n',
    )  # fmt: skip
    pruned = tmp_path / "pruned.onnx"
    assert run("finetune", FLOAT, "--recipe", pruning, "--data", SAMPLES, "-o", pruned).code == 0
    sharing = recipe(
        tmp_path, '[train]\ninner = "shared:3"\nedge = "shared:3"\nkeep_zeros = true\nepochs = 3\n'
    )
    shared = tmp_path / "shared.q.onnx"
    assert run("finetune", pruned, "--recipe", sharing, "--data", SAMPLES, "-o", shared).code == 0
    sizes = {}
    for store in ("plain", "huffman"):
        out = tmp_path / store
        args = ("--target", "c", "--store", store, "-o", out)
        assert run("compile", shared, *args).code == 0
        sizes[store] = sum(p.stat().st_size for p in (out / "c").rglob("*weights*"))
    assert sizes["huffman"] < 0.7 * sizes["plain"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[train]\nepochz = 3", ("[train] has no key 'epochz'", "epochs")),
        ('[train]\ninner = "magic"', ("inner = 'magic'", "twn")),
        ('[train]\ninner_activations = "magic"', ("inner_activations = 'magic'", "lsq")),
        ('[train]\noptimizer = "magic"', ("optimizer = 'magic'", "adam, sgd")),
        ('[train]\ndistill = "magic"', ("distill = 'magic'", "hinton")),
        ("[train]\nepochs = 0", ("epochs",)),
        ("[train]\nepochs = 1.5", ("epochs", "whole number")),
        ("[train]\nrate = 'high'", ("rate", "number")),
        ("[train]\nkeep_zeros = 1", ("keep_zeros", "true or false")),
        ("[train]\nhints = [1]", ("hints", "pairs")),
        ('[[layer]]\nmatch = "conv*"\ntrain = "twn"', ("no layer is called 'conv*'",)),
        ('[[layer]]\nmatch = "fc1"\ntrain = 3', ("train must be in quotes",)),
    ],
)
def test_a_mistake_in_the_recipe_gets_a_sentence(
    run: Run, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    out = tmp_path / "q.onnx"
    args = ("--recipe", recipe(tmp_path, text), "--data", SAMPLES, "-o", out)
    refused(run("finetune", FLOAT, *args), *words)
    assert not out.exists()


def test_labels_out_of_range(run: Run, tmp_path: Path) -> None:
    held = dict(np.load(HELD))
    held["y"] = held["y"] + 10
    np.savez(tmp_path / "wrong.npz", **held)
    args = ("--recipe", "twn", "--data", tmp_path / "wrong.npz", "-o", tmp_path / "q.onnx")
    refused(run("finetune", FLOAT, *args), "labels run from 10 to 19", "10 outputs")


def test_a_model_with_quantizers_of_its_own(run: Run, tmp_path: Path) -> None:
    args = ("--recipe", "twn", "--data", SAMPLES, "-o", tmp_path / "q.onnx")
    refused(
        run("finetune", EXAMPLE / "digits-w1a1.onnx", *args), "brings quantizers", "float model"
    )
