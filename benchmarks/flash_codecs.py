"""Bytes of flash and instructions on Cortex-M4 of layers whose weights are coded, in each form.

Each build is run in Unicorn from entry to return, and its output compared with numpy's evaluation of
the same graph.

    python benchmarks/flash_codecs.py -o benchmarks/flash_codecs.md

Wants arm-none-eabi-gcc with newlib, and unicorn, capstone and pyelftools from PyPI.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from instruction_count import DATA, M4, Machine, section_bytes
from results import finish, first_line, output_path, table

from bitwright.backends.c import COptions, emit
from bitwright.backends.c.options import SMALL
from bitwright.backends.coding import Form
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import Encoding, IntConv, IntLinear, Requantize, Round, Value, Window
from bitwright.ir.types import Int, TensorType
from bitwright.options import Cpu

GCC = "arm-none-eabi-gcc"
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-mthumb")
LINK = ("-Wl,-Ttext=0x10000", "-Wl,-e,layer_run", "-Wl,--no-warn-rwx-segments")
INT8 = Int(-128, 127)
ARENA, SOURCE, RESULT = DATA, DATA + 0x40000, DATA + 0x80000
LEVELS = ("-O3", "-Os")


@dataclass(frozen=True, slots=True)
class Case:
    """A layer: its input, its filters, the share of weights that is not 0, and their greatest."""

    name: str
    shape: tuple[int, ...]
    filters: int
    kernel: int
    density: float
    most: int

    @property
    def taps(self) -> tuple[int, ...]:
        """Shape of the weights."""
        return (self.filters, *(self.kernel,) * (len(self.shape) - 2), self.shape[-1])

    @property
    def positions(self) -> int:
        """Outputs of each filter."""
        return int(np.prod(self.shape[1:-1], initial=1))


CASES = (
    Case("fully connected 784 to 300, 8 % of 5 bits", (1, 784), 300, 1, 0.08, 15),
    Case("fully connected 256 to 256, 4 bits", (1, 256), 256, 1, 1.0, 7),
    Case("conv 3x3 32 to 32, 8x8, 8 % of 5 bits", (1, 8, 8, 32), 32, 3, 0.08, 15),
    Case("conv 3x3 32 to 32, 8x8, 35 % of 5 bits", (1, 8, 8, 32), 32, 3, 0.35, 15),
    Case("conv 3x3 32 to 32, 8x8, 4 bits", (1, 8, 8, 32), 32, 3, 1.0, 7),
)


def weights_of(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Return normal weights, the smallest pruned by magnitude, rounded to a grid up to `most`."""
    w = rng.normal(size=case.taps)
    bar = np.quantile(np.abs(w), 1 - case.density)
    top = np.quantile(np.abs(w), 0.999)
    codes = np.clip(np.rint(w * case.most / top), -case.most, case.most)
    return np.where(np.abs(w) >= bar, codes, 0).astype(np.int64)


def graph_of(case: Case) -> tuple[Graph, np.ndarray, np.ndarray]:
    """Return the layer with its requantization, its weights, and samples of its input."""
    rng, b = np.random.default_rng(2027), Builder()
    x = Value("x", TensorType(INT8, case.shape))
    w = weights_of(case, rng)
    reach = int(np.abs(w).reshape(case.filters, -1).sum(axis=1).max()) * 128
    operands = (x, b.constant("w", w))
    span = Int(-reach, reach)
    if len(case.shape) > 2:
        around = (1, 1)
        window = Window((case.kernel,) * 2, around, around, around, around)
        acc = b.op(IntConv, operands, "acc", "layer", window=window, groups=1, pad=0,
                   encoding=Encoding.INTEGER, elem=span)  # fmt: skip
    else:
        acc = b.op(IntLinear, operands, "acc", "layer", encoding=Encoding.INTEGER, elem=span)
    mul = b.constant("m", rng.integers(1 << 24, 1 << 25, case.filters))
    add = b.constant("a", np.full(case.filters, 1 << 31))
    y = b.op(Requantize, (acc, mul, add), "y", "layer", elem=INT8, shift=32, zero=0,
             rounding=Round.FLOOR)  # fmt: skip
    return b.graph("layer", (x,), (y,)), w, rng.integers(-128, 128, (1, *case.shape))


def measure(case: Case, store: str, level: str) -> dict[str, Any]:
    """Return what one form takes, and whether every output is numpy's."""
    graph, w, samples = graph_of(case)
    (wanted,) = evaluate(graph, {"x": samples}).values()
    artifact = emit(graph, "layer", COptions(cpu=Cpu.CORTEX_M4, store=store))
    with tempfile.TemporaryDirectory() as folder:
        for name, content in artifact.files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elf = Path(folder) / "layer.elf"
        sources = sorted(str(path) for path in (Path(folder) / "src").glob("*.c"))
        command = [GCC, *FLAGS, *LINK, "-mcpu=cortex-m4", level, f"-I{folder}/include", *sources]
        subprocess.run([*command, "-lc", "-lgcc", "-o", str(elf)], check=True)
        machine, sizes = Machine(elf, M4), section_bytes(elf)
    equal = True
    for sample, want in zip(samples, wanted, strict=True):
        data = {SOURCE: sample.astype(np.int8).tobytes()}
        count = machine.call("layer_run", (ARENA, SOURCE, RESULT), data)
        result = want.astype(np.int8).tobytes()
        equal &= machine.result() == 0 and machine.read(RESULT, len(result)) == result
    (layer,) = artifact.report["layers"]
    stored, macs = layer["weights"], w.size * case.positions
    return {
        "layer": case.name,
        "store": store,
        "form": stored["form"],
        "kernel": layer["kernel"],
        "level": level,
        "flash": stored["flash_bytes"],
        "bits_per_weight": stored["bits_per_weight"],
        "buffer": stored["decoder"]["buffer_bytes"],
        "estimate": stored["decoder"]["operations_per_weight"],
        "instructions": count.instructions,
        "instructions_per_mac": round(count.instructions / macs, 2),
        "cycles_per_mac": round(count.cycles / macs, 2),
        "nonzero": int(np.count_nonzero(w)),
        "equal": bool(equal),
        **sizes,
    }


def small_form(case: Case) -> dict[str, Any]:
    """Return what `--store small` makes of a layer."""
    options = COptions(cpu=Cpu.CORTEX_M4, store=SMALL)
    found: dict[str, Any] = emit(graph_of(case)[0], "layer", options).report["layers"][0]["weights"]
    return found


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong: results that differ, and a choice that is not the smallest."""
    wrong = [
        f"{r['layer']}, {r['store']} {r['level']}: differs from numpy"
        for r in rows
        if not r["equal"]
    ]
    for case in CASES:
        own = [r for r in rows if r["layer"] == case.name and r["level"] == LEVELS[0]]
        least = min(r["flash"] for r in own)
        chosen = small_form(case)["flash_bytes"]
        if chosen != least:
            wrong.append(f"{case.name}: small takes {chosen} bytes, another form {least}")
    return wrong


def text_of(rows: list[dict[str, Any]], tools: dict[str, str]) -> str:
    """Return the Markdown."""
    head = ("--store", "flash B", "bits / weight", "buffer B", "gcc", "code B", "insn / MAC",
            "cycles / MAC", "insn / nonzero MAC", "= numpy")  # fmt: skip
    parts = []
    for case in CASES:
        own = [r for r in rows if r["layer"] == case.name]
        chosen = small_form(case)["form"]
        macs = case.positions
        lines = [
            (r["store"], r["flash"], r["bits_per_weight"], r["buffer"], r["level"], r["text"],
             r["instructions_per_mac"], r["cycles_per_mac"],
             r["instructions"] / (r["nonzero"] * macs), "yes" if r["equal"] else "NO")
            for r in own
        ]  # fmt: skip
        parts.append(f"## {case.name}\n\n`--store small` takes {chosen}.\n\n{table(head, lines)}\n")
    versions = "\n".join(f"- {name}: {text}" for name, text in tools.items())
    body = "\n".join(parts)
    return f"""# Weights coded in flash, on Cortex-M4

Weights are normal, pruned by magnitude and rounded to a grid. Flash is the weights with all tables that
decode them; buffer is RAM in the arena. Everything between entry and return of `layer_run` is counted in
Unicorn, requantization included; MACs count zeros and padded taps as if they were computed. Cycles are a
rule of thumb (zero wait states, +-15 %); instructions are exact. `--cpu cortex-m4`.

    python benchmarks/flash_codecs.py -o benchmarks/flash_codecs.md

{body}
Checks: every output equals numpy's; `small` takes as few bytes as the best form.

{versions}
"""


def main() -> int:
    """Measure every layer in every form."""
    path = output_path(__doc__)
    rows = [measure(case, form.value, level) for case in CASES for form in Form for level in LEVELS]
    tools = {GCC: first_line([GCC, "--version"])}
    tools |= {name: version(name) for name in ("unicorn", "capstone", "pyelftools")}
    return finish(path, text_of(rows, tools), {"tools": tools, "rows": rows}, failures(rows))


if __name__ == "__main__":
    raise SystemExit(main())
