"""The convolutional digits: accuracy is kept down to the device, on both targets."""

from pathlib import Path

import numpy as np
import pytest

import bitwright
from bitwright.compiler import Compiled
from bitwright.ir.ops import IntConv, MaxPool
from bitwright.options import Target
from bitwright.sim.accuracy import predictions, program_predictions
from bitwright.sim.bisect import layers_rtl
from bitwright.sim.outcome import Status
from bitwright.sim.rtl import RtlOptions, Simulator, Stalls

HELD_OUT, FRAMES_RTL = 360, 3


@pytest.fixture(scope="module")
def build(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Compiled]:
    """The one-bit network on both targets, as the README compiles it."""
    folder = examples / "digits-conv"
    out = tmp_path_factory.mktemp("digits-conv") / "build"
    compiled = bitwright.compile(
        folder / "digits-conv-w1a1.onnx", out, inputs="uint8", output="argmax",
        data=folder / "heldout.npz",
    )  # fmt: skip
    return out, compiled


def accuracies(compiled: Compiled) -> tuple[float, float]:
    """Return the accuracies of the model and of the device's program."""
    data = compiled.data
    assert data is not None
    assert data.labels is not None
    model = predictions(compiled.original, data.inputs) == data.labels
    device = program_predictions(compiled.program, data.inputs) == data.labels
    assert model.size == device.size == HELD_OUT
    return float(np.mean(model)), float(np.mean(device))


def test_one_bit_keeps_its_accuracy(build: tuple[Path, Compiled]) -> None:
    model, device = accuracies(build[1])
    assert model == device
    assert model > 0.98


def test_one_bit_needs_no_multiplier_and_little_memory(build: tuple[Path, Compiled]) -> None:
    artifacts = build[1].artifacts
    assert artifacts[Target.VERILOG].report["multipliers"] == 0
    assert artifacts[Target.C].report["arena"]["bytes"] <= 512
    pooled = [op for op in build[1].program.body.ops if isinstance(op, MaxPool)]
    assert [str(op.inputs[0].elem) for op in pooled] == ["bipolar", "bipolar"], "pools see one bit"


def test_c_of_one_bit(examples: Path, tmp_path: Path) -> None:
    folder = examples / "digits-conv"
    bitwright.compile(
        folder / "digits-conv-w1a1.onnx", tmp_path / "b", targets="c", inputs="uint8",
        output="argmax", data=folder / "heldout.npz",
    )  # fmt: skip
    rows = bitwright.verify(tmp_path / "b")
    assert not [r for r in rows if r.outcome.status is Status.FAIL]
    told = {r.what: r.outcome.detail for r in rows}
    assert "98.33 % (354 of 360)" in told["C (gcc) on the samples"]


def test_rtl_of_one_bit(build: tuple[Path, Compiled], tmp_path: Path) -> None:
    folder, compiled = build
    inputs = compiled.program.body.inputs
    codes = {v.name: compiled.vectors[f"in:{v.name}"][:FRAMES_RTL] for v in inputs}
    how = RtlOptions(Stalls.BOTH, 1, reset_midframe=True, simulator=Simulator.ICARUS)
    found = layers_rtl(folder / "verilog", compiled.program.body, codes, how, tmp_path)
    assert found is None, str(found)


@pytest.mark.parametrize(("weights", "least"), [("int:8", 0.985), ("int:4", 0.98)])
def test_compression_without_training(examples: Path, weights: str, least: float) -> None:
    folder = examples / "digits-conv"
    compiled = bitwright.compile(
        folder / "digits-conv-float.onnx", targets="c", weights=weights,
        calibrate=folder / "calibration.npz", data=folder / "heldout.npz",
    )  # fmt: skip
    assert [type(op) for op in compiled.program.body.ops].count(IntConv) == 3
    assert accuracies(compiled)[1] > least
