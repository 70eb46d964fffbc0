"""Fire modules, ShuffleNet units, MobileNet blocks and the like, with every kind of weights."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bitwright.backends import c, verilog
from bitwright.backends.artifact import Artifact
from bitwright.compiler import load, lower, quantize
from bitwright.frontend.data import load_data
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import AddInt, Concat, IntConv, SumPool, Take
from bitwright.ir.program import Program
from bitwright.options import CompileOptions
from bitwright.sim.bisect import layers_c, layers_rtl
from bitwright.sim.reference import run_onnx
from bitwright.sim.rtl import RtlOptions, Simulator, Stalls
from bitwright.sim.samples import random_inputs
from bitwright.sim.tolerance import relative_errors
from examples.blocks.blocks import BLOCKS, write

KINDS = ["int:8", "int:4", "pow2:4", "ternary", "binary"]
FRAMES_C, FRAMES_RTL = 6, 2


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blocks")
    write(folder)
    return folder


def options(blocks: Path, kind: str) -> CompileOptions:
    return CompileOptions(weights=kind, calibrate=blocks / "calibration.npz")


def compressed(blocks: Path, name: str, kind: str) -> tuple[Graph, Program]:
    """Return the quantized graph of a block and its program."""
    asked = options(blocks, kind)
    graph = quantize(load(blocks / f"{name}.onnx", asked), asked)
    return graph, lower(graph, asked)


def samples(blocks: Path, graph: Graph, count: int) -> dict[str, Array]:
    return dict(load_data(blocks / "calibration.npz", graph).first(count).inputs)


@pytest.mark.parametrize("name", BLOCKS)
def test_float_graph_equals_onnxruntime(blocks: Path, name: str) -> None:
    path = blocks / f"{name}.onnx"
    graph = load(path, CompileOptions())
    x = samples(blocks, graph, 8)
    want, got = run_onnx(path, x)["scores"], evaluate(graph, x, dtype=np.float32)["scores"]
    assert relative_errors(got, want).max() < 1e-5
    assert np.ptp(want, axis=-1).min() > 0.1, "scores that are all alike would prove nothing"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BLOCKS)
def test_program_equals_quantized_graph(blocks: Path, name: str, kind: str) -> None:
    graph, program = compressed(blocks, name, kind)
    for x in (samples(blocks, graph, 16), random_inputs(graph, 16)):
        want, got = evaluate(graph, x)["scores"], program.run(x)["scores"]
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_eight_bits_keep_the_scores(blocks: Path) -> None:
    for name in BLOCKS:
        graph, program = compressed(blocks, name, "int:8")
        x = samples(blocks, graph, 16)
        want = evaluate(load(blocks / f"{name}.onnx", CompileOptions()), x)["scores"]
        error = np.abs(program.run(x)["scores"] - want).max() / np.abs(want).max()
        assert error < 0.05, name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fire", {IntConv: 4, Concat: 1, SumPool: 1}),
        ("shuffle-unit", {IntConv: 4, Take: 1, AddInt: 1, SumPool: 1}),
        ("shuffle-unit-stride2", {IntConv: 4, Take: 1, Concat: 1, SumPool: 2}),
        ("mobilenet-v1", {IntConv: 3, SumPool: 1}),
        ("mobilenet-v2", {IntConv: 4, AddInt: 1, SumPool: 1}),
        ("sep-net", {IntConv: 5, AddInt: 2, SumPool: 1}),
    ],
)
def test_program_holds_no_more_than_the_block(
    blocks: Path, name: str, expected: dict[type, int]
) -> None:
    _, program = compressed(blocks, name, "ternary")
    found = Counter(type(op) for op in program.body.ops)
    kinds = (IntConv, Take, Concat, AddInt, SumPool)
    assert {k: found[k] for k in kinds if found[k]} == expected


def written(artifact: Artifact, folder: Path) -> Path:
    for path, data in artifact.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def device_codes(blocks: Path, graph: Graph, program: Program, count: int) -> dict[str, Array]:
    """Return inputs of the device: images, and codes from end to end of their range."""
    parts = (
        evaluate(program.head, samples(blocks, graph, count)),
        random_inputs(program.body, count),
    )
    return {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}


def check_c(blocks: Path, name: str, kind: str, folder: Path) -> None:
    graph, program = compressed(blocks, name, kind)
    place = written(c.emit(program.body, "block", c.COptions()), folder)
    codes = device_codes(blocks, graph, program, FRAMES_C)
    found = layers_c(place, program.body, codes, "gcc", folder / "work")
    assert found is None, str(found)


def check_rtl(blocks: Path, name: str, kind: str, folder: Path, simulator: Simulator) -> None:
    graph, program = compressed(blocks, name, kind)
    artifact = verilog.emit(program.body, "block", verilog.VerilogOptions())
    place = written(artifact, folder)
    codes = device_codes(blocks, graph, program, FRAMES_RTL)
    how = RtlOptions(Stalls.BOTH, 1, reset_midframe=True, simulator=simulator)
    found = layers_rtl(place, program.body, codes, how, folder / "work")
    assert found is None, str(found)


IN_CI = [
    ("fire", "ternary"), ("fire", "int:4"),
    ("shuffle-unit", "binary"), ("shuffle-unit", "int:8"),
    ("shuffle-unit-stride2", "pow2:4"), ("shuffle-unit-stride2", "int:8"),
    ("mobilenet-v1", "binary"), ("mobilenet-v1", "int:4"),
    ("mobilenet-v2", "pow2:4"), ("mobilenet-v2", "ternary"),
    ("sep-net", "binary"), ("sep-net", "int:8"),
]  # fmt: skip
OTHERS = [(name, kind) for name in BLOCKS for kind in KINDS if (name, kind) not in IN_CI]


@pytest.mark.parametrize(("name", "kind"), IN_CI)
def test_c(blocks: Path, tmp_path: Path, name: str, kind: str) -> None:
    check_c(blocks, name, kind, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), OTHERS)
def test_c_of_the_other_kinds(blocks: Path, tmp_path: Path, name: str, kind: str) -> None:
    check_c(blocks, name, kind, tmp_path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("fire", "ternary"), ("shuffle-unit", "binary"), ("mobilenet-v1", "pow2:4")],
)
def test_rtl(blocks: Path, tmp_path: Path, name: str, kind: str) -> None:
    check_rtl(blocks, name, kind, tmp_path, Simulator.ICARUS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BLOCKS)
def test_rtl_of_every_kind(blocks: Path, tmp_path: Path, name: str, kind: str) -> None:
    check_rtl(blocks, name, kind, tmp_path, Simulator.VERILATOR)
