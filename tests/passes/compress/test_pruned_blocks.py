"""Networks of which half the channels were removed, compressed, as C and as Verilog."""

from pathlib import Path

import numpy as np
import pytest

from bitwright.backends import c, verilog
from bitwright.backends.artifact import Artifact
from bitwright.compiler import load, lower
from bitwright.frontend.data import load_data
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.program import Program
from bitwright.options import CompileOptions
from bitwright.passes import QUANTIZED, run
from bitwright.passes.compress import Recipe, compress, parse_weights
from bitwright.passes.compress.fold_batch_norm import fold_batch_norm
from bitwright.passes.compress.prune_channels import prune_channels
from bitwright.sim.bisect import layers_c, layers_rtl
from bitwright.sim.rtl import RtlOptions, Simulator, Stalls
from examples.blocks.blocks import BLOCKS, write
from tests.passes.compress.channel_nets import weights, work


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blocks")
    write(folder)
    return folder


def opened(blocks: Path, name: str) -> tuple[Graph, dict[str, Array]]:
    """Return the float graph and samples to calibrate with."""
    graph = fold_batch_norm(load(blocks / f"{name}.onnx", CompileOptions()))
    return graph, dict(load_data(blocks / "calibration.npz", graph).first(48).inputs)


def compiled(graph: Graph, x: dict[str, Array]) -> tuple[Graph, Program]:
    recipe = Recipe(parse_weights("ternary"), 4, pow2_scales=True)
    quantized = compress(graph, recipe, x)
    return quantized, lower(run(quantized, QUANTIZED), CompileOptions())


def written(artifact: Artifact, folder: Path) -> Path:
    for path, data in artifact.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.mark.parametrize("name", BLOCKS)
def test_half_of_the_channels_leave_less_than_half_of_the_work(blocks: Path, name: str) -> None:
    graph, x = opened(blocks, name)
    pruned = prune_channels(graph, 0.5, "l1", x)
    pruned.verify()
    assert work(pruned) < 0.5 * work(graph)
    assert weights(pruned) < 0.55 * weights(graph)
    quantized, program = compiled(pruned, x)
    want, got = evaluate(quantized, x)["scores"], program.run(x)["scores"]
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_c_and_verilog(blocks: Path, tmp_path: Path) -> None:
    graph, x = opened(blocks, "shuffle-unit")
    _, program = compiled(prune_channels(graph, 0.5, "l1", x), x)
    codes = evaluate(program.head, {n: a[:2] for n, a in x.items()})
    place = written(c.emit(program.body, "block", c.COptions()), tmp_path / "c")
    assert layers_c(place, program.body, codes, "gcc", tmp_path / "work-c") is None
    place = written(verilog.emit(program.body, "block", verilog.VerilogOptions()), tmp_path / "rtl")
    how = RtlOptions(Stalls.BOTH, 1, simulator=Simulator.ICARUS)
    assert layers_rtl(place, program.body, codes, how, tmp_path / "work-rtl") is None
