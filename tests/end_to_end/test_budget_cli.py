"""Budgets, sensitivity and explore, as a user meets them."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.end_to_end.commands import Ran, Run, refused

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits-conv"
FLOAT = EXAMPLE / "digits-conv-float.onnx"
CALIBRATE = ("--calibrate", EXAMPLE / "calibration.npz")
DATA = ("--data", EXAMPLE / "heldout.npz")
FEW = ("--choices", "binary,int:4,int:8")


def bytes_of(ran: Ran) -> int:
    found = re.search(r"take ([\d,]+) bytes", ran.out)
    assert found
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize("budget", [900, 2500])
def test_a_budget_is_kept_and_its_recipe_gives_the_same_bytes(
    run: Run, tmp_path: Path, budget: int
) -> None:
    model, report = tmp_path / "net.q.onnx", tmp_path / "report.json"
    ran = run("compress", FLOAT, "--budget", f"{budget / 1000}KB", *CALIBRATE, *DATA, *FEW,
              "-o", model, "--report", report)  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert bytes_of(ran) <= budget
    told = json.loads(report.read_text())
    assert told["total"]["bytes"] == bytes_of(ran)
    assert told["accuracy"]["samples"] == 360
    recipe = tmp_path / "net.recipe.toml"
    assert str(recipe) in ran.out
    again = tmp_path / "again.onnx"
    assert run("compress", FLOAT, "--recipe", recipe, *CALIBRATE, "-o", again).code == 0
    assert again.read_bytes() == model.read_bytes()


def test_coded_weights_keep_a_budget_too(run: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('preset = "int4"\nstore = "small"\n')
    ran = run("compress", FLOAT, "--recipe", mine, "--budget", "1300", *CALIBRATE,
              "--choices", "int:3@magnitude:0.4,int:4@magnitude:0.6,int:6,ternary",
              "-o", tmp_path / "net.onnx", "--write-recipe", tmp_path / "r.toml")  # fmt: skip
    assert ran.code == 0, ran.err
    assert bytes_of(ran) <= 1300
    text = (tmp_path / "r.toml").read_text()
    assert 'store = "small"' in text
    assert not (tmp_path / "net.recipe.toml").exists()


def test_mac_bits_are_kept(run: Run, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    ran = run("compress", FLOAT, "--mac-bits", "2M", *CALIBRATE, *FEW, "--report", report,
              "-o", tmp_path / "q.onnx")  # fmt: skip
    assert ran.code == 0
    total = json.loads(report.read_text())["total"]
    assert total["mac_bits"] <= 2_000_000 < total["mac_bits_before"]


def test_a_loss_is_kept_by_a_small_model(run: Run, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    ran = run("compress", FLOAT, "--max-loss", "1", *CALIBRATE, *DATA, *FEW, "--report", report,
              "-o", tmp_path / "q.onnx")  # fmt: skip
    assert ran.code == 0
    found = json.loads(report.read_text())["accuracy"]
    assert 100 * (found["before"] - found["after"]) <= 1
    assert bytes_of(ran) < 4368 / 2


def test_without_labels_a_loss_is_one_of_agreement(run: Run, tmp_path: Path) -> None:
    ran = run("compress", FLOAT, "--max-loss", "3", *CALIBRATE, *FEW, "--data",
              EXAMPLE / "calibration.npz", "-o", tmp_path / "q.onnx")  # fmt: skip
    assert ran.code == 0
    found = re.search(r"same class as the model\s+([\d.]+) %", ran.out)
    assert found
    assert float(found[1]) >= 97


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--budget", "100"), ("100 bytes cannot be met", "the smallest that can is 721 bytes")),
        (("--mac-bits", "1K"), ("1,000 MAC-bits cannot be met", "smallest that can is 926,720")),
        (("--budget", "4 x"), ("'4 x'", "40KB")),
        (("--budget", "1KB", "--max-loss", "1"), ("choose one of",)),
        (("--max-loss", "-1"), ("--max-loss -1", "0 to 100")),
        (("--budget", "2KB", "--weights", "int:4"), ("--choices",)),
        (("--budget", "2KB", "--choices", "int:4,octal"), ("octal",)),
        (("--max-loss", "0", *DATA, "--choices", "binary"), ("cannot be met", "721 bytes")),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_written(
    run: Run, tmp_path: Path, args: tuple[object, ...], words: tuple[str, ...]
) -> None:
    refused(run("compress", FLOAT, *args, *CALIBRATE, "-o", tmp_path / "net.q.onnx"), *words)
    assert list(tmp_path.iterdir()) == []


def test_sensitivity_is_a_table(run: Run) -> None:
    ran = run("sensitivity", FLOAT, *CALIBRATE, *FEW)
    assert ran.code == 0
    head, *rows = ran.out.splitlines()
    assert head.split() == ["layer", "binary", "int:4", "int:8"]
    assert [r.split()[0] for r in rows] == ["conv0", "conv1", "conv2", "classifier"]
    for row in rows:
        numbers = [float(n) for n in row.split()[1:]]
        assert numbers == sorted(numbers, reverse=True)
    refused(run("sensitivity", FLOAT), "--calibrate")
    refused(run("sensitivity", EXAMPLE / "digits-conv-w1a1.onnx", *CALIBRATE), "its own quantizers")


def test_explore_draws_the_front(run: Run, tmp_path: Path) -> None:
    picture = tmp_path / "front.svg"
    args = (FLOAT, *CALIBRATE, *DATA, *FEW, "--points", "3", "-o", picture)
    assert run("explore", *args).code == 0
    ElementTree.fromstring(picture.read_bytes())
    told = json.loads(picture.with_suffix(".json").read_text())
    sizes = [p["bytes"] for p in told["front"]]
    assert sizes == sorted(sizes)
    assert sizes[0] == 721
    assert sizes[-1] == 4368
    assert told["front"][-1]["percent"] > told["front"][0]["percent"]
    assert told["float"]["bytes"] == 16_872
    refused(run("explore", FLOAT, *CALIBRATE), "--data test.npz")
