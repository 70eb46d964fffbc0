"""A wrong number in the generated files is found by layer, channel and index."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitwright.errors import CompileError, VerifyError
from bitwright.frontend import load_model
from bitwright.ir.graph import Array
from bitwright.options import Target
from bitwright.sim.bisect import (
    Difference,
    Point,
    first_difference,
    layers_c,
    layers_rtl,
    points_of,
    sentence,
)
from bitwright.sim.build_folder import Build
from bitwright.sim.ladder import climb
from bitwright.sim.outcome import Status
from bitwright.sim.rtl import RtlOptions, Simulator
from tests.sim.builds import digits

CHANNEL = 3
ICARUS = RtlOptions(simulator=Simulator.ICARUS)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return digits(tmp_path / "b", Target.C, Target.VERILOG)


def few(build: Build) -> dict[str, Array]:
    return {n: a[:4] for n, a in build.device_inputs().items()}


def flip_c(build: Build, layer: str) -> None:
    """Flip every weight of one channel; a row of 64 is two words."""
    path = build.folder / "c" / "src" / "digits_w1a1_weights.c"
    text = path.read_text()
    start = text.index("{", text.index(f"{layer}_weights["))
    words = list(re.finditer(r"0x([0-9a-f]{8})u", text[start:]))[2 * CHANNEL : 2 * CHANNEL + 2]
    for w in words:
        flipped = f"0x{int(w[1], 16) ^ 0xFFFFFFFF:08x}u"
        text = text[: start + w.start()] + flipped + text[start + w.end() :]
    path.write_text(text)


def flip_rtl(build: Build) -> None:
    """Flip one line of the last layer's memory: one weight, which every sum feels."""
    path = build.folder / "verilog" / "rtl" / "mem" / "fc2_weight.mem"
    lines = path.read_text().split()
    lines[64 * CHANNEL + 7] = str(1 - int(lines[64 * CHANNEL + 7]))
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("layer", ["fc0", "fc1"])
def test_a_wrong_weight_in_c_is_named(build: Build, tmp_path: Path, layer: str) -> None:
    body, inputs = build.program.body, few(build)
    assert layers_c(build.folder / "c", body, inputs, "gcc", tmp_path) is None

    flip_c(build, layer)
    found = layers_c(build.folder / "c", body, inputs, "gcc", tmp_path)

    assert found is not None
    assert found.point.name == layer
    assert found.channels == (CHANNEL,)
    assert found.index == (0, CHANNEL)
    assert {found.got, found.expected} == {-1, 1}
    assert f"digits_w1a1_{layer}_weights" in str(found)
    assert f"thresholds of channel {CHANNEL} of this layer" in str(found)


def test_the_ladder_names_it(build: Build, tmp_path: Path) -> None:
    flip_c(build, "fc1")
    only_c = replace(build, manifest={**build.manifest, "targets": ["c"]})
    rows = list(climb(only_c, tmp_path, load_model))
    wrong = [r for r in rows if r.outcome.status is Status.FAIL]
    assert {r.what for r in wrong} >= {"C (gcc) = integers", "C (gcc) on the samples"}
    for row in wrong:
        assert row.outcome.detail.startswith("layer 'fc1' (node 'fc1'): sample ")


def test_a_wrong_memory_is_named(build: Build, tmp_path: Path) -> None:
    body, inputs = build.program.body, few(build)
    folder = build.folder / "verilog"
    assert layers_rtl(folder, body, inputs, ICARUS, tmp_path) is None

    flip_rtl(build)
    found = layers_rtl(folder, body, inputs, ICARUS, tmp_path)

    assert found is not None
    assert found.point.name == "fc2"
    assert found.index == (0, CHANNEL)
    assert abs(found.got - found.expected) == 2
    assert "fc2_weight.mem" in str(found)


def test_a_wrong_input_is_the_inputs_fault() -> None:
    point = Point("input", "", "x", (), ())
    want = {"x": np.array([[1, 2], [3, 4]])}
    found = first_difference([point], want, {"input": np.array([[1, 2], [3, 5]])})
    assert found is not None
    assert str(found) == (
        "input: sample 1, channel 1, index [1]: got 5, expected 4 (1 of 4 values differ); the "
        "input edge: how the input is packed, ordered or sent"
    )


def test_a_layer_without_tables_is_its_own_fault() -> None:
    point = Point("top", "argmax", "y", ("x",), ())
    want = {"y": np.zeros((2, 4), np.int64)}
    found = first_difference([point], want, {"top": np.ones((2, 4), np.int64)})
    assert "reads no table: likely its arithmetic in this layer" in str(found)


def test_reals_agree_within_the_tolerance() -> None:
    point = Point("fc", "fc", "y", (), ())
    want = np.array([[1.0, -2.0]], np.float32)
    for shift, differs in ((1e-7, False), (1e-3, True)):
        bits = (want + np.float32(shift)).view(np.int32).astype(np.int64)
        assert (first_difference([point], {"y": want}, {"fc": bits}) is not None) == differs


def test_what_cannot_be_seen_is_said() -> None:
    def broken() -> Difference | None:
        raise VerifyError("the bench hangs")

    assert sentence(broken) == "its layers cannot be seen: the bench hangs"
    assert sentence(lambda: None).startswith("every layer agrees")


def test_a_report_of_before_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(CompileError, match="compile again"):
        points_of(tmp_path)
