"""Synthesise and place a Verilog design with Yosys and nextpnr, and count what it takes."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEED = 1
TIMEOUT = 1800
SYNTH = {
    "xc7": "synth_xilinx -family xc7 -nodsp -noiopad -flatten -top {top}",
    "ecp5": "synth_ecp5 -nowidelut -top {top}",
    "ice40": "synth_ice40 -top {top}",
}
_COMMON = ("--timing-allow-fail", "--seed", str(SEED))
_ECP5 = ("--25k", "--package", "CABGA381", "--speed", "6")
PLACE = {
    "ecp5": ("nextpnr-ecp5", *_ECP5, *_COMMON, "--lpf-allow-unconstrained"),
    "ice40": (
        "nextpnr-ice40",
        "--up5k",
        "--package",
        "sg48",
        *_COMMON,
        "--pcf-allow-unconstrained",
    ),
}
# LUT sites that memories in LUTs occupy.
_LUT_MEMORY = {
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "SRL16E": 1,
    "TRELLIS_DPR16X4": 4,
}
_LUT = re.compile(r"LUT\d|SB_LUT4|INV")
_FF = re.compile(r"FD[RSCP]E|TRELLIS_FF|SB_DFF\w*")
_RAM = re.compile(r"RAMB\w+|DP16KD|PDPW16KD|SB_RAM40_4K\w*")


def tool(name: str) -> str:
    """Return the command of a tool, YoWASP's first, or the empty string."""
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which(f"yowasp-{name}", path=folders) or shutil.which(name, path=folders) or ""


@dataclass(frozen=True, slots=True)
class Area:
    """Cells of one module: LUTs, LUTs that hold memory, carry cells, flip-flops, block RAMs."""

    luts: int
    lut_memory: int
    carries: int
    flip_flops: int
    rams: int

    def sites(self, target: str) -> int:
        """Return LUT sites; a carry cell of ECP5 is two of them."""
        return self.luts + self.lut_memory + (2 * self.carries if target == "ecp5" else 0)


def area_of(cells: Counter[str]) -> Area:
    """Sort cells by kind."""

    def total(kind: re.Pattern[str]) -> int:
        return sum(n for name, n in cells.items() if kind.fullmatch(name))

    return Area(
        luts=total(_LUT),
        lut_memory=sum(n * _LUT_MEMORY.get(name, 0) for name, n in cells.items()),
        carries=total(re.compile("CARRY4|CCU2C|SB_CARRY")),
        flip_flops=total(_FF),
        rams=total(_RAM),
    )


def synthesise(
    work: Path, target: str, top: str, parameters: dict[str, object], keep: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the netlist of `top`, from the sources in work/rtl; modules in `keep` stay apart."""
    lines = [f"read_verilog rtl/{path.name}" for path in sorted((work / "rtl").glob("*.v"))]
    values = " ".join(f"-set {name} {value}" for name, value in parameters.items())
    lines += [f"chparam {values} {top}"] if values else []
    lines += [f"hierarchy -check -top {top}"]
    lines += [f"setattr -mod -set keep_hierarchy 1 *{name}*" for name in keep]
    lines += [SYNTH[target].format(top=top), "write_json net.json"]
    (work / "run.ys").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (work / "net.json").unlink(missing_ok=True)
    _run(work, [tool("yosys"), "-q", "run.ys"])
    netlist: dict[str, Any] = json.loads((work / "net.json").read_text(encoding="utf-8"))
    return netlist


def _run(work: Path, command: Sequence[str]) -> str:
    done = subprocess.run(
        command, cwd=work, capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    log = done.stdout + done.stderr
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {log[-800:]}")
    return log


def modules_of(netlist: dict[str, Any], top: str) -> Iterator[tuple[str, int, Counter[str]]]:
    """Yield name, number of instances and cells of each module that is used."""
    modules = netlist["modules"]
    instances = Counter({top: 1})
    pending = [top]
    while pending:
        name = pending.pop()
        cells = Counter(cell["type"] for cell in modules[name]["cells"].values())
        yield name, instances[name], cells
        for child, number in cells.items():
            if child in modules and not _is_primitive(modules[child]):
                instances[child] += number * instances[name]
                pending.append(child)


def _is_primitive(module: dict[str, Any]) -> bool:
    return any(name in module["attributes"] for name in ("blackbox", "whitebox"))


def dual_output_sites(netlist: dict[str, Any], name: str) -> int:
    """Return an estimate of the 7-series LUT sites of module `name`, as Vivado packs them.

    Two LUTs share a site when they have at most five inputs in all. A LUT that selects a carry
    takes the sixth output of its site, so two of those do not share. Greedy, fullest pairs first.
    """
    cells = netlist["modules"][name]["cells"].values()
    selects = {bit for c in cells if c["type"] == "CARRY4" for bit in c["connections"]["S"]}
    luts = [_lut(cell, selects) for cell in cells if _LUT.fullmatch(cell["type"])]
    small = sorted((lut for lut in luts if len(lut[0]) <= 5), key=lambda lut: -len(lut[0]))
    return len(luts) - _pairs(small)


def _pairs(luts: Sequence[tuple[frozenset[int], bool]]) -> int:
    """Return how many pairs share a site: those with most inputs in common, then any that fit."""
    readers: dict[int, list[int]] = {}
    for i, (inputs, _) in enumerate(luts):
        for bit in inputs:
            readers.setdefault(bit, []).append(i)
    free = dict.fromkeys(range(len(luts)))
    for i in range(len(luts)):
        if i in free:
            shared = Counter(j for bit in luts[i][0] for j in readers[bit] if j in free and j != i)
            ranked = sorted(
                shared, key=lambda j: (luts[j][1] != luts[i][1], shared[j]), reverse=True
            )
            near = (j for j in ranked if _fit(luts[i], luts[j]))
            _remove(free, i, next(near, None))
    for i in list(free):
        if i in free:
            far = (j for j in reversed(free) if j != i and _fit(luts[i], luts[j]))
            _remove(free, i, next(far, None))
    return (len(luts) - len(free)) // 2


def _remove(free: dict[int, None], i: int, partner: int | None) -> None:
    if partner is not None:
        del free[i], free[partner]


def _lut(cell: dict[str, Any], selects: set[object]) -> tuple[frozenset[int], bool]:
    inputs = {
        bit
        for port, bits in cell["connections"].items()
        for bit in bits
        if port != "O" and isinstance(bit, int)
    }
    return frozenset(inputs), cell["connections"]["O"][0] in selects


def _fit(a: tuple[frozenset[int], bool], b: tuple[frozenset[int], bool]) -> bool:
    return len(a[0] | b[0]) <= 5 and not (a[1] and b[1])


def place(work: Path, target: str, megahertz: int) -> dict[str, float]:
    """Place and route work/net.json; return the cells used and the highest clock in MHz."""
    name, *options = PLACE[target]
    options += ["--json", "net.json", "--report", "report.json"]
    _run(work, [tool(name), *options, "--freq", str(megahertz), "-q"])
    report = json.loads((work / "report.json").read_text(encoding="utf-8"))
    used = {kind: entry["used"] for kind, entry in report["utilization"].items() if entry["used"]}
    clock = min(entry["achieved"] for entry in report["fmax"].values())
    return {**used, "fmax": round(clock, 1)}
