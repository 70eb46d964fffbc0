import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bitwright.backends.verilog.syntax import Port, parse_ports
from bitwright.errors import VerifyError

MODULE = """module adder #(parameter W = 4) (
    input  wire         clk,
    input  wire [W-1:0] a,
    output reg  [7:0]   y
);
endmodule
"""


def test_ports_in_order() -> None:
    assert parse_ports(MODULE)["adder"] == (
        Port("clk", "input", 1),
        Port("a", "input", None),
        Port("y", "output", 8),
    )


def test_ports_declared_in_the_body() -> None:
    text = "module m (a, b);\n input [3:0] a;\n output b;\nendmodule\n"

    assert parse_ports(text)["m"] == (Port("a", "input", 4), Port("b", "output", 1))


def test_each_module_is_told() -> None:
    assert list(parse_ports(MODULE + "module empty;\nendmodule\n")) == ["adder", "empty"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("module m (input wire a,);\nendmodule\n", "line 1"),
        ("module m (input wire a);\n\nassign b = ;\nendmodule\n", r"line 3 \('assign b = ;'\)"),
        ("module m (input wire a);\n", "its end"),
        ("module m;\n wire a = \x01;\nendmodule\n", "line 2"),
    ],
)
def test_rejection_names_the_line(text: str, where: str) -> None:
    with pytest.raises(VerifyError, match=where):
        parse_ports(text)


def test_lines_are_counted_anew() -> None:
    for _ in range(2):
        with pytest.raises(VerifyError, match="line 2"):
            parse_ports("module m;\n wire = 1;\nendmodule\n")


def test_first_use_by_several_at_once(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from bitwright.backends.verilog.syntax import parse_ports\n"
        f"assert list(parse_ports({MODULE!r}, Path({str(tmp_path / 'cache')!r}))) == ['adder']\n"
    )
    here = tmp_path / "cwd"
    here.mkdir()

    def run(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=here,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True,
            text=True,
            check=False,
        )

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(run, range(3)))

    assert [(d.returncode, d.stdout, d.stderr) for d in done] == [(0, "", "")] * 3
    assert list(here.iterdir()) == []
    assert len(list((tmp_path / "cache").rglob("*"))) == 2  # version folder, table
