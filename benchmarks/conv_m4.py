"""Instructions per multiply-accumulate of convolutions in bitwright's C on Cortex-M4.

Each layer ends in its requantization or threshold, with a result as narrow as its input. Each build is
run in Unicorn from entry to return, and its output compared with numpy's evaluation of the same graph.

    python benchmarks/conv_m4.py -o benchmarks/conv_m4.md

Wants arm-none-eabi-gcc with newlib, and unicorn, capstone and pyelftools from PyPI.
"""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from instruction_count import DATA, M0, M4, CycleModel, Machine, section_bytes
from results import finish, first_line, output_path, table

from bitwright.backends.c import COptions, emit
from bitwright.backends.c.storage import planes_for
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import Encoding, IntConv, IntLinear, Requantize, Round, Steps, Value, Window
from bitwright.ir.types import Bipolar, Int, TensorType
from bitwright.options import Cpu

GCC = "arm-none-eabi-gcc"
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-mthumb")
LINK = ("-Wl,-Ttext=0x10000", "-Wl,-e,layer_run", "-Wl,--no-warn-rwx-segments")
INT8, ZERO = Int(-128, 127), -3
ARENA, SOURCE, RESULT = DATA, DATA + 0x40000, DATA + 0x80000


@dataclass(frozen=True, slots=True)
class Case:
    """A layer: its shape, its multiply-accumulates, and whether they are of bits."""

    name: str
    shape: tuple[int, ...]
    filters: int
    kernel: int
    groups: int = 1
    bits: bool = False

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those at padded taps counted."""
        pixels = int(np.prod(self.shape[1:-1]))
        return pixels * self.filters * self.kernel**2 * self.shape[-1] // self.groups


@dataclass(frozen=True, slots=True)
class Build:
    """What the C is written for, and what it is compiled for."""

    cpu: Cpu
    core: str
    level: str
    model: CycleModel


INT_CASES = (
    Case("conv 3x3 32 to 32, 16x16", (1, 16, 16, 32), 32, 3),
    Case("conv 1x1 64 to 64, 8x8", (1, 8, 8, 64), 64, 1),
    Case("depthwise 3x3 64, 16x16", (1, 16, 16, 64), 64, 3, 64),
    Case("fully connected 256 to 256", (1, 256), 256, 1),
    Case("conv 5x5 1 to 8, 28x28", (1, 28, 28, 1), 8, 5),
)
BIT_CASES = (
    Case("conv 3x3 32 to 32, 16x16", (1, 16, 16, 32), 32, 3, bits=True),
    Case("conv 1x1 64 to 64, 8x8", (1, 8, 8, 64), 64, 1, bits=True),
    Case("fully connected 256 to 256", (1, 256), 256, 1, bits=True),
)
BUILDS = tuple(
    Build(cpu, core, level, model)
    for cpu, core, level, model in (
        (Cpu.CORTEX_M4, "cortex-m4", "-O3", M4),
        (Cpu.CORTEX_M4, "cortex-m4", "-Os", M4),
        (Cpu.GENERIC, "cortex-m4", "-O3", M4),
        (Cpu.CORTEX_M0, "cortex-m0", "-O3", M0),
    )
)


def graph_of(case: Case) -> tuple[Graph, np.ndarray]:
    """Return the layer and samples of its input."""
    rng, b = np.random.default_rng(2026), Builder()
    elem = Bipolar() if case.bits else INT8
    x = Value("x", TensorType(elem, case.shape))
    depth = case.shape[-1] // case.groups
    draw: Callable[..., np.ndarray] = rng.choice if case.bits else rng.integers
    rank = len(case.shape) - 2
    shape = (case.filters, *(case.kernel,) * rank, depth)
    weights = draw([-1, 1], shape) if case.bits else draw(-127, 128, shape)
    most = int(np.abs(weights).reshape(case.filters, -1).sum(axis=1).max()) * (
        1 if case.bits else 128
    )
    encoding = Encoding.BIPOLAR if case.bits else Encoding.INTEGER
    operands = (
        x,
        b.constant("w", weights),
        b.constant("b", rng.integers(-5000, 5000, case.filters)),
    )
    operands = operands[:2] if case.bits else operands
    span = Int(-most - 5000, most + 5000)
    if rank:
        pads, ones = (case.kernel // 2,) * rank, (1,) * rank
        window = Window((case.kernel,) * rank, ones, pads, pads, ones)
        acc = b.op(
            IntConv, operands, "acc", "layer", window=window, groups=case.groups,
            encoding=encoding, elem=span, pad=0 if case.bits else ZERO,
        )  # fmt: skip
    else:
        acc = b.op(IntLinear, operands, "acc", "layer", encoding=encoding, elem=span)
    y = _behind(b, rng, acc, case)
    graph = b.graph("layer", [x], [y])
    graph.verify()
    samples = draw([-1, 1], (3, *case.shape)) if case.bits else draw(-128, 128, (3, *case.shape))
    samples[0], samples[1] = elem.lo, elem.hi
    return graph, samples


def _behind(b: Builder, rng: np.random.Generator, acc: Value, case: Case) -> Value:
    if case.bits:
        t = b.constant("t", rng.integers(-20, 21, (case.filters, 1)))
        return b.op(
            Steps, (acc, t, b.constant("c", np.array([[-1, 1]]))), "y", "layer", elem=Bipolar()
        )
    depth = case.kernel**2 * case.shape[-1] // case.groups
    scale = 2**32 / (60 * np.sqrt(depth) * 74 / 40)
    mul = b.constant("m", rng.integers(int(scale) // 2, int(scale), case.filters))
    add = b.constant("a", np.full(case.filters, 1 << 31))
    return b.op(
        Requantize,
        (acc, mul, add),
        "y",
        "layer",
        elem=INT8,
        shift=32,
        zero=-5,
        rounding=Round.FLOOR,
    )


def compile_layer(graph: Graph, build: Build, work: Path) -> Path:
    """Write the C of the layer and compile it to an ELF."""
    for name, content in emit(graph, "layer", COptions(cpu=build.cpu)).files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    elf = work / "layer.elf"
    sources = sorted(str(path) for path in (work / "src").glob("*.c"))
    command = [GCC, *FLAGS, *LINK, f"-mcpu={build.core}", build.level, f"-I{work / 'include'}"]
    subprocess.run([*command, *sources, "-lc", "-lgcc", "-o", str(elf)], check=True)
    return elf


def stored(values: np.ndarray, bits: bool) -> bytes:
    """Return a tensor as the C keeps it."""
    if not bits:
        return values.astype(np.int8).tobytes()
    return planes_for(Bipolar(), values.size, 32).pack(values.reshape(1, -1)).tobytes()


def measure(case: Case, build: Build) -> dict[str, Any]:
    """Return what one build takes, and whether every output is numpy's."""
    graph, samples = graph_of(case)
    (wanted,) = evaluate(graph, {"x": samples}).values()
    with tempfile.TemporaryDirectory() as folder:
        elf = compile_layer(graph, build, Path(folder))
        machine = Machine(elf, build.model)
        sizes = section_bytes(elf)
    equal = True
    for sample, want in zip(samples, wanted, strict=True):
        count = machine.call(
            "layer_run", (ARENA, SOURCE, RESULT), {SOURCE: stored(sample, case.bits)}
        )
        result = stored(want, case.bits)
        equal &= machine.result() == 0 and machine.read(RESULT, len(result)) == result
    unit = 32 if case.bits else 1
    return {
        "layer": case.name,
        "bits": case.bits,
        "cpu": build.cpu.value,
        "core": build.core,
        "level": build.level,
        "macs": case.macs,
        "instructions": count.instructions,
        "instructions_per_unit": round(count.instructions * unit / case.macs, 2),
        "cycles_per_unit": round(count.cycles * unit / case.macs, 2),
        "equal": bool(equal),
        **sizes,
    }


# layer, what it is compared with, instructions and cycles per MAC (per 32 MACs for bits): the same
# layers, Cortex-M4 at -O3, counted with Unicorn and the same cycle model.
ANCHORS = (
    (INT_CASES[0], "CMSIS-NN", 1.925, 2.32),
    (INT_CASES[0], "onnx2c, QLinearConv", None, 10.5),
    (INT_CASES[0], "emx-onnx-cgen, QDQ", None, 13.2),
    (INT_CASES[1], "CMSIS-NN", 2.111, 2.49),
    (INT_CASES[1], "onnx2c, QLinearConv", None, 12.8),
    (INT_CASES[2], "CMSIS-NN", 8.608, 9.91),
    (INT_CASES[2], "emx-onnx-cgen, float", None, 11.3),
    (INT_CASES[3], "CMSIS-NN", 2.070, 2.56),
    (BIT_CASES[0], "3PXNet, its own popcount", 26.6, 31.0),
    (BIT_CASES[0], "larq compute-engine, portable 4x2", 25.3, 32.9),
    (BIT_CASES[1], "larq compute-engine, portable 4x2", 28.7, 36.2),
    (BIT_CASES[1], "3PXNet, its own popcount", 35.6, 40.3),
    (BIT_CASES[2], "3PXNet, its own popcount", 21.0, 24.7),
)


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong: results that differ, and layers that take more cycles than others'."""
    wrong = [
        f"{r['layer']}, {r['cpu']} {r['core']} {r['level']}: differs from numpy"
        for r in rows
        if not r["equal"]
    ]
    for case, other, _, cycles in ANCHORS:
        own = _best(rows, case)["cycles_per_unit"]
        if own > cycles:
            wrong.append(f"{case.name}: {own} cycles, more than the {cycles} of {other}")
    return wrong


def _best(rows: list[dict[str, Any]], case: Case) -> dict[str, Any]:
    """Return the row of the first build."""
    return next(r for r in rows if r["layer"] == case.name and r["bits"] == case.bits)


def _table(rows: list[dict[str, Any]], bits: bool) -> str:
    unit = "32 MAC" if bits else "MAC"
    head = ("layer", "--cpu", "core", "gcc", f"insn / {unit}", f"cycles / {unit}", "text B", "rodata B",
            "= numpy")  # fmt: skip
    return table(
        head,
        [
            (r["layer"], r["cpu"], r["core"], r["level"], r["instructions_per_unit"],
             r["cycles_per_unit"], r["text"], r["rodata"], "yes" if r["equal"] else "NO")
            for r in rows
            if r["bits"] == bits
        ],
    )  # fmt: skip


def text_of(rows: list[dict[str, Any]], tools: dict[str, str]) -> str:
    """Return the Markdown."""
    beside = []
    for case, other, instructions, cycles in ANCHORS:
        own = _best(rows, case)
        beside.append(
            (f"{'bits' if case.bits else 'int8'}, {case.name}", other,
             "" if instructions is None else f"{instructions:.2f}", cycles,
             own["instructions_per_unit"], own["cycles_per_unit"], cycles / own["cycles_per_unit"])
        )  # fmt: skip
    columns = ("layer", "other", "its insn", "its cycles", "our insn", "our cycles", "times faster")
    versions = "\n".join(f"- {name}: {text}" for name, text in tools.items())
    return f"""# Convolutions in C on Cortex-M4

Everything between entry and return of `layer_run` counted in Unicorn, requantization or threshold
included. Cycles are a rule of thumb (zero wait states, +-15 %); instructions are exact. MACs at padded
taps count as if they were computed.

    python benchmarks/conv_m4.py -o benchmarks/conv_m4.md

## int8: 32-bit sums, requantized to int8 by channel

{_table(rows, bits=False)}

## Bits: XNOR, popcount, a threshold by channel, packing

{_table(rows, bits=True)}

## Beside others, Cortex-M4 at -O3

The same layers with the same flags and cycle model (arm-none-eabi-gcc 12.2.1; CMSIS-NN 99f736a,
onnx2c ea045cc, emx-onnx-cgen 1.4.0, larq compute-engine e6860fc, 3PXNet at its head); per MAC for int8,
per 32 MACs for bits.

{table(columns, beside)}

Checks: every output equals numpy's for all-least, all-greatest and random inputs; on no layer more
cycles than any of the others.

{versions}
"""


def main() -> int:
    """Measure every layer in every build."""
    path = output_path(__doc__)
    rows = [measure(case, build) for case in (*INT_CASES, *BIT_CASES) for build in BUILDS]
    tools = {GCC: first_line([GCC, "--version"])}
    tools |= {name: version(name) for name in ("unicorn", "capstone", "pyelftools")}
    anchors = [(case.name, case.bits, other, i, c) for case, other, i, c in ANCHORS]
    data = {"tools": tools, "rows": rows, "anchors": anchors}
    return finish(path, text_of(rows, tools), data, failures(rows))


if __name__ == "__main__":
    raise SystemExit(main())
