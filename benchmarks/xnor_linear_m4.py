"""Instructions per 32 binary multiply-accumulates of a 256 -> 256 W1A1 layer in bitwright's C.

The layer is xnor, popcount, a threshold per output and packing. Each build is run in Unicorn from
entry to return, and its output compared with numpy's evaluation of the same graph.

    python benchmarks/xnor_linear_m4.py -o benchmarks/xnor_linear_m4.md

Wants arm-none-eabi-gcc, and unicorn, capstone and pyelftools from PyPI.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from instruction_count import DATA, M0, M4, CycleModel, Machine, section_bytes
from results import finish, first_line, output_path, table

from bitwright.backends.c import COptions, emit
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import Encoding, IntLinear, Steps, Value
from bitwright.ir.types import Bipolar, Int, TensorType
from bitwright.options import Cpu

SIZE = 256
MACS = SIZE * SIZE
GOAL = 12.0  # instructions per 32 MACs on Cortex-M4 at -O3
GCC = "arm-none-eabi-gcc"
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-mthumb")
LINK = ("-Wl,-Ttext=0x10000", "-Wl,-e,layer_run", "-Wl,--no-warn-rwx-segments")


@dataclass(frozen=True, slots=True)
class Build:
    """What the C is written for, and what it is compiled for."""

    cpu: Cpu
    core: str
    level: str
    model: CycleModel


BUILDS = tuple(
    Build(cpu, core, level, model)
    for cpu, core, model in (
        (Cpu.CORTEX_M4, "cortex-m4", M4),
        (Cpu.GENERIC, "cortex-m4", M4),
        (Cpu.CORTEX_M0, "cortex-m0", M0),
        (Cpu.GENERIC, "cortex-m0", M0),
    )
    for level in ("-O3", "-Os")
)
# tool or form, licence, instructions, cycles per 32 MACs: the same layer, Cortex-M4, -O3, counted
# with Unicorn and the same cycle model.
ANCHORS = (
    ("3PXNet, its own popcount", "MIT", 21.0, 24.7),
    ("larq compute-engine, portable 4x2", "Apache-2.0", 21.6, 27.8),
    ("3PXNet, __builtin_popcount", "MIT", 24.3, 32.2),
    ("CBin-NN optimized", "none stated", 29.3, 37.2),
    (
        "hand-written C: carry-save adders, operands xored before, masks kept",
        "",
        10.8,
        12.5,
    ),
)


def layer() -> tuple[Graph, np.ndarray]:
    """Return the layer and samples of its input."""
    rng = np.random.default_rng(2026)
    builder = Builder()
    x = Value("x", TensorType(Bipolar(), (1, SIZE)))
    weights = builder.constant("w", rng.choice([-1, 1], (SIZE, SIZE)))
    thresholds = builder.constant("t", rng.integers(-20, 21, (SIZE, 1)))
    codes = builder.constant("c", np.array([[-1, 1]]))
    span = Int(-SIZE, SIZE)
    acc = builder.op(IntLinear, (x, weights), "acc", "layer", encoding=Encoding.BIPOLAR, elem=span)
    y = builder.op(Steps, (acc, thresholds, codes), "y", "layer", elem=Bipolar())
    graph = builder.graph("layer", [x], [y])
    graph.verify()
    samples = rng.choice([-1, 1], (4, 1, SIZE))
    samples[0], samples[1] = -1, 1
    return graph, samples


def compile_layer(graph: Graph, build: Build, work: Path) -> Path:
    """Write the C of the layer and compile it to an ELF."""
    for name, content in emit(graph, "layer", COptions(cpu=build.cpu)).files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    elf = work / "layer.elf"
    sources = sorted(str(path) for path in (work / "src").glob("*.c"))
    command = [GCC, *FLAGS, *LINK, f"-mcpu={build.core}", build.level, f"-I{work / 'include'}"]
    subprocess.run([*command, *sources, "-lgcc", "-o", str(elf)], check=True)
    return elf


def packed(values: np.ndarray) -> bytes:
    """Return bipolar values as packed bits, 1 for +1, the first in the lowest bit."""
    return np.packbits(values.reshape(-1) > 0, bitorder="little").tobytes()


def measure(graph: Graph, samples: np.ndarray, build: Build) -> dict[str, Any]:
    """Return what one build takes, and whether every output is numpy's."""
    (wanted,) = evaluate(graph, {"x": samples}).values()
    with tempfile.TemporaryDirectory() as folder:
        elf = compile_layer(graph, build, Path(folder))
        machine = Machine(elf, build.model)
        sizes = section_bytes(elf)
    arena, x, y = DATA, DATA + 0x1000, DATA + 0x2000
    counts, equal = [], True
    for sample, want in zip(samples, wanted, strict=True):
        counts.append(machine.call("layer_run", (arena, x, y), {x: packed(sample)}))
        equal &= machine.result() == 0 and machine.read(y, SIZE // 8) == packed(want)
    last = counts[-1]
    return {
        "cpu": build.cpu.value,
        "core": build.core,
        "level": build.level,
        "instructions": last.instructions,
        "instructions_per_32_macs": round(last.instructions * 32 / MACS, 2),
        "cycles_per_32_macs": round(last.cycles * 32 / MACS, 2),
        "same_for_every_input": len({c.instructions for c in counts}) == 1,
        "equal": bool(equal),
        **sizes,
    }


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the results."""
    wrong = [
        f"{r['cpu']} {r['core']} {r['level']} differs from numpy" for r in rows if not r["equal"]
    ]
    first = rows[0]["instructions_per_32_macs"]
    if first > GOAL:
        wrong.append(f"{first} instructions per 32 MACs on Cortex-M4 at -O3, more than {GOAL}")
    return wrong


def text_of(rows: list[dict[str, Any]], tools: dict[str, str]) -> str:
    """Return the Markdown."""
    ours = [
        (r["cpu"], r["core"], r["level"], r["instructions_per_32_macs"], r["cycles_per_32_macs"],
         r["instructions"], r["text"], r["rodata"], "yes" if r["equal"] else "NO")
        for r in rows
    ]  # fmt: skip
    head = (
        "--cpu",
        "core",
        "gcc",
        "insn / 32 MAC",
        "cycles / 32 MAC",
        "insn",
        "text B",
        "rodata B",
        "= numpy",
    )
    versions = "\n".join(f"- {name}: {text}" for name, text in tools.items())
    return f"""# A binary 256 -> 256 layer in C

XNOR, popcount, threshold and packing: {MACS:,} binary multiply-accumulates, everything between
entry and return of `layer_run` counted in Unicorn. Cycles are a rule of thumb (zero wait states,
+-15 %); instructions are exact.

    python benchmarks/xnor_linear_m4.py -o benchmarks/xnor_linear_m4.md

{table(head, ours)}

Beside it, the same layer on Cortex-M4 at -O3, measured with the same flags and cycle model
(arm-none-eabi-gcc 12.2.1; the public libraries at their heads of 2026):

{table(("implementation", "licence", "insn / 32 MAC", "cycles / 32 MAC"), ANCHORS)}

Checks: every output equals numpy's for all-minus, all-plus and random inputs; at most {GOAL:g}
instructions per 32 MACs on Cortex-M4 at -O3.

{versions}
"""


def main() -> int:
    """Measure every build."""
    path = output_path(__doc__)
    graph, samples = layer()
    rows = [measure(graph, samples, build) for build in BUILDS]
    tools = {GCC: first_line([GCC, "--version"])}
    tools |= {name: version(name) for name in ("unicorn", "capstone", "pyelftools")}
    data = {"tools": tools, "macs": MACS, "rows": rows, "anchors": ANCHORS}
    return finish(path, text_of(rows, tools), data, failures(rows))


if __name__ == "__main__":
    raise SystemExit(main())
