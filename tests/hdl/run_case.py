"""Build a design in a simulator and put it through the stream bench."""

import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest
from cocotb_tools.runner import get_results, get_runner

from bitwright.sim.toolchain import Verilator, environment, find_verilator
from tests.hdl.streams import Case, Measured

LIB = Path(__file__).parents[2] / "bitwright" / "templates" / "verilog" / "lib"
VERILATOR_ARGS = ("--x-initial", "unique", "--x-assign", "unique", "--no-timing")


@cache
def verilator() -> Verilator:
    return find_verilator()


def run_case(
    case: Case,
    work: Path,
    simulator: str,
    sources: Sequence[Path] = (),
    library: bool = True,
    seed: int = 1,
) -> Measured:
    """Run every test of tests.hdl.bench_stream on a cell, or on a design of other sources.

    With library, the cells are added to the sources; a written project brings its own.
    """
    if simulator == "icarus" and not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    case.save(work / "case.json")
    env: Mapping[str, str] = verilator().env if simulator == "verilator" else {}
    with environment({**env, "BITWRIGHT_CASE": str(work / "case.json")}):
        runner = get_runner(simulator)
        runner.build(
            sources=[*(sorted(LIB.glob("*.v")) if library else ()), *sources],
            hdl_toplevel=case.top,
            parameters=case.parameters,
            build_args=[*(VERILATOR_ARGS if simulator == "verilator" else ("-g2005", "-Wall"))],
            build_dir=work,
            timescale=("1ns", "1ps"),
            log_file=work / "build.log",
        )
        results = runner.test(
            hdl_toplevel=case.top,
            test_module="tests.hdl.bench_stream",
            build_dir=work,
            seed=seed,
            plusargs=[f"+verilator+seed+{seed}"] if simulator == "verilator" else [],
            results_xml=str(work / "results.xml"),
            log_file=work / "test.log",
        )
    count, failed = get_results(results)
    assert count > 0
    assert failed == 0, (work / "test.log").read_text()[-4000:]
    return Measured.load(work / "measured.json")
