"""The benches can fail: one wrong number in a table, and they do."""

from pathlib import Path

import pytest
from rich.console import Console

from bitwright.options import Target
from bitwright.sim import mutate as m
from bitwright.sim.bisect import seen_c, values_of
from bitwright.sim.build_folder import Build
from bitwright.sim.mutants import mutants, places
from bitwright.sim.rtl import Simulator
from tests.sim.builds import compressed, digits

KINDS = ["binary", "ternary", "pow2:4", "int:8"]


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
        constant = body.constant(place.value)
        for mutant in mutants(body, place, values):
            changed = mutant.apply(body).constant(place.value)
            assert (changed != constant).sum() == 1
            assert constant.min() <= mutant.new <= constant.max()
            if place.role == "weight":
                size = abs(mutant.new)
                assert size & (size - 1) == 0
            if place.role == "threshold":
                row = changed[mutant.index[0]]
                assert (row[1:] >= row[:-1]).all()
