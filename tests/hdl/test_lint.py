"""Every library cell is clean in every tool, in its default and in its corner parameters."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bitwright.backends.verilog.syntax import parse_ports
from bitwright.sim.toolchain import environment
from tests.hdl.run_case import LIB, verilator
from tests.hdl.streams import Case
from tests.hdl.test_cells import EVERYWHERE, ICARUS_ONLY

CELLS = sorted(path.stem for path in LIB.glob("*.v"))
CASES = EVERYWHERE | ICARUS_ONLY
needs_iverilog = pytest.mark.skipif(not shutil.which("iverilog"), reason="iverilog is missing")


def complaints(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stderr if done.returncode or done.stderr else ""


def top_file(case: Case) -> str:
    return str(LIB / f"{case.top}.v")


def verilator_lint(case: Case) -> str:
    tool = verilator()
    parameters = [f"-G{name}={value}" for name, value in case.parameters.items()]
    with environment(tool.env):
        options = ["--lint-only", "-Wall", "-y", str(LIB), "--top-module", case.top]
        return complaints([str(tool.executable), *options, *parameters, top_file(case)])


def iverilog_lint(case: Case) -> str:
    parameters = [f"-P{case.top}.{name}={value}" for name, value in case.parameters.items()]
    options = ["-g2005", "-Wall", "-y", str(LIB), "-s", case.top, "-o", "/dev/null"]
    return complaints(["iverilog", *options, *parameters, top_file(case)])


@pytest.mark.parametrize("cell", CELLS)
def test_defaults_in_verilator(cell: str) -> None:
    assert verilator_lint(Case(cell, {}, {}, {})) == ""


@pytest.mark.parametrize("name", CASES)
def test_corners_in_verilator(name: str, tmp_path: Path) -> None:
    assert verilator_lint(CASES[name](tmp_path)) == ""


@needs_iverilog
@pytest.mark.parametrize("cell", CELLS)
def test_defaults_in_iverilog(cell: str) -> None:
    assert iverilog_lint(Case(cell, {}, {}, {})) == ""


@needs_iverilog
@pytest.mark.parametrize("name", CASES)
def test_corners_in_iverilog(name: str, tmp_path: Path) -> None:
    assert iverilog_lint(CASES[name](tmp_path)) == ""


@pytest.mark.parametrize("cell", CELLS)
def test_pyverilog_reads_one_module_named_as_its_file(cell: str) -> None:
    ports = parse_ports((LIB / f"{cell}.v").read_text())

    assert list(ports) == [cell]
    assert cell.startswith("bw_")
    assert ports[cell]


@pytest.mark.parametrize("cell", CELLS)
def test_every_parameter_and_port_is_explained(cell: str) -> None:
    text = (LIB / f"{cell}.v").read_text()
    header = text[text.index("module ") : text.index(");\n")].splitlines()
    entries = [line for line in header if re.match(r"\s*(parameter|input|output)\b", line)]

    assert entries
    assert [line for line in entries if "// " not in line] == []
    assert text.startswith("// ")
    assert "\n`default_nettype none\n" in text
    assert text.endswith("`default_nettype wire\n")
    assert text.count("`") == 2  # no macros


def test_a_wrong_ratio_stops_elaboration() -> None:
    assert "not_a_multiple" in verilator_lint(Case("bw_width", {"N_IN": 4, "N_OUT": 6}, {}, {}))
