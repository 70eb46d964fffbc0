"""Instructions and memory of whole integer models on Cortex-M4, counted in Unicorn.

    python benchmarks/model_m4.py MODELS_DIR -o benchmarks/model_m4.md

MODELS_DIR holds the ONNX files that CASES names. Wants arm-none-eabi-gcc with newlib, and unicorn,
capstone and pyelftools from PyPI. Each output is compared with numpy's evaluation of its graph.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from conv_m4 import ARENA, RESULT, SOURCE, Build, compile_layer
from instruction_count import M4, Machine, section_bytes
from results import finish, table

from bitwright.backends.c import COptions, emit
from bitwright.compiler import load, lower, quantize
from bitwright.ir.cost import macs
from bitwright.ir.evaluate import evaluate
from bitwright.options import CompileOptions, Cpu
from bitwright.sim.samples import random_inputs

SAMPLES = 2


@dataclass(frozen=True, slots=True)
class Case:
    """A model, and what another implementation takes for it: instructions, cycles, arena bytes."""

    file: str
    inputs: tuple[str, ...] = ()
    other: str = ""
    instructions: int = 0
    cycles: int = 0
    arena: int = 0


CASES = (
    Case("tfl-kws-dscnn-int8.onnx", (), "CMSIS-NN", 7_838_883, 9_247_682, 16_820),
    Case("micro-kws-m-static-qdq.onnx"),
    Case("gtsrb-bnn-30.onnx", ("uint8",)),
)
BUILDS = tuple(Build(Cpu.CORTEX_M4, "cortex-m4", level, M4) for level in ("-O3", "-Os"))


def measure(path: Path, case: Case, build: Build) -> dict[str, Any]:
    """Return what one model takes in one build, and whether every output is numpy's."""
    options = CompileOptions(inputs=case.inputs)
    program = lower(quantize(load(path, options), options), options)
    body = program.body
    inputs = random_inputs(body, SAMPLES)
    wanted = evaluate(body, inputs)
    report = emit(body, "layer", COptions(cpu=build.cpu)).report
    with tempfile.TemporaryDirectory() as folder:
        elf = compile_layer(body, build, Path(folder))
        machine, sizes = Machine(elf, build.model), section_bytes(elf)
    (x,), (y,) = body.inputs, body.outputs
    stored_x, stored_y = (report[side][0]["storage"] for side in ("inputs", "outputs"))
    equal = True
    for sample, want in zip(inputs[x.name], wanted[y.name], strict=True):
        data = sample.astype(_dtype(stored_x["ctype"])).tobytes()
        count = machine.call("layer_run", (ARENA, SOURCE, RESULT), {SOURCE: data})
        result = want.astype(_dtype(stored_y["ctype"])).tobytes()
        equal &= machine.result() == 0 and machine.read(RESULT, len(result)) == result
    work = sum(map(macs, body.ops))
    return {
        "model": path.stem, "level": build.level, "macs": work,
        "instructions": count.instructions, "cycles": round(count.cycles),
        "instructions_per_mac": round(count.instructions / work, 2),
        "cycles_per_mac": round(count.cycles / work, 2),
        "arena": report["arena"]["bytes"], "equal": bool(equal), **sizes,
    }  # fmt: skip


def _dtype(ctype: str) -> np.dtype[Any]:
    return np.dtype(ctype.removesuffix("_t"))


def text_of(rows: list[dict[str, Any]]) -> str:
    """Return the Markdown."""
    head = ("model", "gcc", "MACs", "instructions", "insn / MAC", "cycles / MAC", "arena B", "text B",
            "rodata B", "= numpy")  # fmt: skip
    own = table(
        head,
        [
            (r["model"], r["level"], r["macs"], r["instructions"], r["instructions_per_mac"],
             r["cycles_per_mac"], r["arena"], r["text"], r["rodata"], "yes" if r["equal"] else "NO")
            for r in rows
        ],
    )  # fmt: skip
    beside = []
    for case in CASES:
        found = [r for r in rows if r["model"] == Path(case.file).stem and r["level"] == "-O3"]
        if case.other and found:
            r = found[0]
            beside.append(
                (r["model"], case.other, case.instructions, case.cycles, case.arena,
                 r["instructions"], r["cycles"], r["arena"], f"{case.cycles / r['cycles']:.2f}")
            )  # fmt: skip
    columns = ("model", "other", "its insn", "its cycles", "its RAM B", "our insn", "our cycles",
               "our arena B", "times faster")  # fmt: skip
    return (
        "# Whole models in C on Cortex-M4\n\n"
        "Everything between entry and return of the run function, `--cpu cortex-m4`, counted in\n"
        "Unicorn. Cycles are a rule of thumb (zero wait states, +-15 %); instructions are exact.\n\n"
        "    python benchmarks/model_m4.py MODELS_DIR -o benchmarks/model_m4.md\n\n"
        f"{own}\n\n## Beside others, -O3\n\n{table(columns, beside)}\n"
    )


def main() -> int:
    """Measure every model and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, help="the folder that holds the ONNX files")
    parser.add_argument("-o", "--output", type=Path, help="the Markdown to write, JSON beside it")
    given = parser.parse_args()
    rows = [measure(given.models / c.file, c, b) for c in CASES for b in BUILDS]
    wrong = [f"{r['model']} {r['level']}: differs from numpy" for r in rows if not r["equal"]]
    return finish(given.output, text_of(rows), {"rows": rows}, wrong)


if __name__ == "__main__":
    raise SystemExit(main())
