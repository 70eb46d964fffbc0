"""The benches can fail: one wrong number in a table, and they do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import bitwright
from bitwright.options import Target
from bitwright.sim import mutate as m
from bitwright.sim.bisect import seen_c, values_of
from bitwright.sim.build_folder import Build, read_build_as_is
from bitwright.sim.mutants import mutants, places
from bitwright.sim.rtl import Simulator
from tests.end_to_end.fuzz_models import write
from tests.end_to_end.fuzz_specs import Net, Stage
from tests.sim.builds import compressed, digits

KINDS = ["binary", "ternary", "pow2:4", "int:8"]
PADDED: dict[str, Any] = {"kernel": (3, 3), "before": (1, 1), "after": (1, 1)}
RESIDUAL = (
    Stage(outputs=4, weights="int4", quantizer="s8", norm="mixed", **PADDED),
    Stage("shortcut", weights="ternary", quantizer="s8", ceil=True),
    Stage("max", **(PADDED | {"kernel": (2, 2), "strides": (2, 2)})),
    Stage("average", quantizer="s8", kernel=(2, 2), before=(1, 0)),
)
BINARY = (
    Stage(outputs=5, weights="int8", quantizer="bipolar", norm="mixed", **PADDED),
    Stage(outputs=5, groups="all", weights="int8", quantizer="s4", bias=True, **PADDED),
    Stage(outputs=3, weights="bipolar", quantizer="bipolar", kernel=(2, 2)),
)
CLASSES = "uint8:1/64:123.625"  # no code stands for zero: thresholds by position


def convolutional(folder: Path, stages: tuple[Stage, ...], *targets: Target, **more: str) -> Build:
    """Compile a network of `stages` into `folder` and read it back."""
    net = Net(stages=stages, size=(5, 4), channels=2, dense=True, **more)  # type: ignore[arg-type]
    model = folder.parent / "net.onnx"
    model.write_bytes(write(net).SerializeToString())
    bitwright.compile(model, folder, targets=targets, inputs=net.options.inputs)
    return read_build_as_is(folder)


def proven(build: Build, work: Path, simulator: Simulator) -> list[m.Verdict]:
    """Return the verdicts; every place has a mutant that reached the device and was seen."""
    verdicts = list(m.mutate(build, work, simulator))
    console = Console(width=200)
    with console.capture() as text:
        console.print(m.table_of(verdicts))
    assert [v for v in verdicts if v.is_defect or v.mutant is None] == [], text.get()
    return verdicts


def test_every_mutant_of_the_binary_network_is_killed(tmp_path: Path) -> None:
    build = digits(tmp_path / "b", Target.C, Target.VERILOG)
    verdicts = proven(build, tmp_path / "w", Simulator.ICARUS)
    assert [(v.target, v.place.role) for v in verdicts] == [
        (target, role)
        for target in ("c", "verilog")
        for role in ("weight", "threshold", "weight", "threshold", "weight")
    ]


def test_mutants_of_shared_weights_go_through_index_or_table(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('share = "kmeans:8"\nactivations = 4\n')
    place = Path(__file__).parents[2] / "examples" / "digits"
    bitwright.compile(
        place / "digits-float.onnx", tmp_path / "b", recipe=str(tmp_path / "r.toml"),
        calibrate=place / "calibration.npz", store="codebook",
    )  # fmt: skip
    verdicts = proven(read_build_as_is(tmp_path / "b"), tmp_path / "w", Simulator.ICARUS)

    body = read_build_as_is(tmp_path / "b").program.body
    wanted = [(t, r) for t in ("c", "verilog") for r in ("weight", "shared value")]
    found = [(v.target, v.place.role) for v in verdicts if v.place.shared]
    assert sorted(found) == sorted(3 * wanted)
    for v in (v for v in verdicts if v.place.shared):
        assert v.mutant is not None
        assert v.place.value is not None
        before = body.constant(v.place.value)
        after = v.mutant.apply(body).constant(v.place.value)
        same = np.array_equal(np.unique(before), np.unique(after))
        assert same == (v.place.role == "weight")
        assert np.unique(after).size == np.unique(before).size
        if v.place.role == "weight":
            assert (before != after).sum() == 1
        else:
            np.testing.assert_array_equal(before != after, before == v.mutant.old)


def test_mutants_of_a_residual_network_are_killed(tmp_path: Path) -> None:
    build = convolutional(tmp_path / "b", RESIDUAL, Target.C)
    roles = {v.place.role for v in proven(build, tmp_path / "w", Simulator.ICARUS)}
    assert {"weight", "mul_a", "mul_b", "add", "window", "pad", "multiplier", "addend"} <= roles


def test_mutants_of_thresholds_by_position_are_killed(tmp_path: Path) -> None:
    build = convolutional(tmp_path / "b", BINARY, Target.C, device_input=CLASSES)
    assert any(getattr(op, "classes", ()) for op in build.program.body.ops)
    proven(build, tmp_path / "w", Simulator.ICARUS)


@pytest.mark.slow
@pytest.mark.parametrize("stages", [RESIDUAL, BINARY], ids=["residual", "binary"])
def test_mutants_of_convolutional_hardware_are_killed(
    tmp_path: Path, stages: tuple[Stage, ...]
) -> None:
    more = {"device_input": CLASSES} if stages is BINARY else {}
    build = convolutional(tmp_path / "b", stages, Target.VERILOG, **more)
    proven(build, tmp_path / "w", Simulator.ICARUS)


@pytest.mark.slow
@pytest.mark.parametrize("activations", [8, 4, 2])
@pytest.mark.parametrize("weights", KINDS)
def test_every_mutant_of_compressed_networks_is_killed(
    tmp_path: Path, weights: str, activations: int
) -> None:
    build = compressed(tmp_path / "b", weights, activations)
    proven(build, tmp_path / "w", Simulator.VERILATOR)


def test_a_bench_that_sees_nothing_is_a_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = digits(tmp_path / "b", Target.C)
    right = seen_c(build.folder / "c", build.device_inputs(), "gcc", tmp_path / "w")
    blind = {name: a[: m.FRAMES] for name, a in right.items()}
    monkeypatch.setattr("bitwright.sim.mutate.seen_c", lambda *_: blind)
    verdicts = list(m.mutate(build, tmp_path / "w"))
    assert all(v.is_defect and v.text == "PASSED" for v in verdicts)


def test_candidates_keep_their_encoding(tmp_path: Path) -> None:
    build = compressed(tmp_path / "b", "pow2:4", 4)
    body = build.program.body
    values = values_of(body, build.device_inputs())
    for place in places(body):
        assert place.value is not None
        constant = body.constant(place.value)
        for mutant in mutants(body, place, values):
            changed = mutant.apply(body).constant(place.value)
            assert (changed != constant).sum() == 1
            assert isinstance(mutant.new, int)
            assert constant.min() <= mutant.new <= constant.max()
            if place.role == "weight":
                size = abs(mutant.new)
                assert size & (size - 1) == 0
            if place.role == "threshold":
                row = changed[mutant.index[0]]
                assert (row[1:] >= row[:-1]).all()


def test_candidates_for_attributes_keep_shapes(tmp_path: Path) -> None:
    body = convolutional(tmp_path / "b", RESIDUAL, Target.C).program.body
    found = [mutant for p in places(body) if p.value is None for mutant in mutants(body, p, {})]
    assert {mutant.place.role for mutant in found} == {"mul_a", "mul_b", "add", "window", "pad"}
    for mutant in found:
        mutant.apply(body).verify()
