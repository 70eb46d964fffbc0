"""A network that is exported and read again compiles to the same integers; onnxruntime agrees."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from bitwright.backends.onnx import export_values
from bitwright.compiler import load, lower, quantize
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Arith, Arithmetic, Concat, Dequantize, Reshape, Transpose
from bitwright.ir.program import Program
from bitwright.ir.types import Int
from bitwright.options import CompileOptions
from bitwright.passes import SIMPLIFY, run
from bitwright.sim.exported import compare_export
from bitwright.sim.outcome import Status
from bitwright.sim.reference_worker import run as onnxruntime
from bitwright.sim.samples import random_inputs
from tests.backends.onnx.files import kinds
from tests.end_to_end.fuzz_models import write
from tests.end_to_end.fuzz_specs import Net, Stage, nets
from tests.end_to_end.test_fuzz_conv import always, explore, lowered
from tests.graphs import LayerSpec, mlp
from tests.passes.conv_nets import ConvNet

FRAMES = 6


def check_export(net: Net, path: Path) -> bool:
    """Export a network, compare both files layer by layer, compile the first again."""
    found = lowered(net, path)
    if found is None:
        return False
    graph, program = found
    again(graph, program, CompileOptions(output=net.options.output), net.seed)
    return True


def again(graph: Graph, program: Program, options: CompileOptions, seed: int = 0) -> bytes:
    """Compare the files of a graph with it, and what the QONNX file compiles to with `program`."""
    x = random_inputs(graph, FRAMES, seed)
    with tempfile.TemporaryDirectory() as folder:
        for standard in (True, False):
            exported = export_values(graph, standard=standard)
            path = Path(folder) / "m.onnx"
            path.write_bytes(exported.model)
            outcome = compare_export(graph, exported, path, x)
            assert outcome.status is Status.PASS, outcome.detail
        read = quantize(load(path, CompileOptions()), CompileOptions())
    second = lower(read, options)
    want, got = program.run(x), second.run(x)
    assert list(want) == list(got)
    for name, w in want.items():
        np.testing.assert_array_equal(got[name], w, err_msg=name)
    return exported.model


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run onnxruntime without a process of its own for each of many small models."""
    monkeypatch.setattr("bitwright.sim.exported.run_onnx", onnxruntime)


def test_random_networks() -> None:
    explore(check_export, nets(3, (1, 2, 3, 4, 5), (1, 2, 4, 5)), always(40), "export")


FOUND = {
    "shuffle of codes whose zero point is no integer": Net(
        "qdq", (Stage("shuffle"), Stage(quantizer="u8")), channels=4,
        device_input="uint8:1/64:123.625",
    ),
    "scale of an input that is stored as an integer": Net(
        "sign", (Stage(outputs=32, weights="ternary", quantizer="sign", bias=True),),
        device_input="bipolar",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_networks_that_once_failed(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(write(FOUND[name]).SerializeToString())
    assert check_export(FOUND[name], path)


@pytest.mark.slow
def test_many_networks() -> None:
    explore(check_export, nets(5), settings(), "many_export")


WEIGHTS = ("bipolar", "ternary", "pow2", "int4", "int8")


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("quantizer", ["bipolar", "sign", "u2", "s8"])
def test_fully_connected(weights: str, quantizer: str) -> None:
    first = LayerSpec(6, weights, relu=True, quantizer=quantizer, bias="real")
    last = LayerSpec(4, weights, batch_norm=False, quantizer="none")
    graph = in_float32(mlp([first, last], inputs=9))
    again(graph, lower(graph, CompileOptions()), CompileOptions())


@pytest.mark.parametrize("weights", WEIGHTS)
def test_convolutions_need_no_transpose(weights: str) -> None:
    """Shortcut, concatenation, depthwise layer and pools: as a person would write them."""
    net = ConvNet()
    x = net.codes(Int(-8, 7), 1, 8, 8, 3)
    a = net.conv(x, 4, pad=1, weights=weights, quantizer="s4", batch_norm=True, relu=True)
    b = net.conv(a, 4, pad=1, weights=weights, groups=4, quantizer="s4")
    both = net.quant(net.op(Arithmetic, a, b, kind=Arith.ADD), 0.5, Int(-8, 7))
    pooled = net.max_pool(net.b.op(Concat, (both, a), "cat", "cat", axis=3))
    small = net.quant(net.average_pool(pooled, (4, 4)), 0.25, Int(-8, 7))
    flat = net.op(Reshape, small, shape=(1, 8))
    y = net.layer(flat, 5, weights=weights, batch_norm=False, quantizer="none")
    graph = in_float32(net.graph(y))
    simple = quantize(run(graph, SIMPLIFY), CompileOptions())
    file = again(simple, lower(simple, CompileOptions()), CompileOptions())
    assert kinds(file).count("Transpose") <= 1  # the input is channels last
    assert "GlobalAveragePool" in kinds(file)


def test_one_spatial_axis_and_a_flattened_image() -> None:
    """The columns of the last layer are written as the file flattens: channels first."""
    net = ConvNet()
    x = net.entry(Int(-8, 7), 1, 2, 9)
    turned = net.op(Transpose, x, perm=(0, 2, 1))
    real = net.b.op(Dequantize, (turned, net.constant(0.25), net.constant(0)), "in", "in")
    y = net.conv(real, 3, (3,), weights="int4", quantizer="s4", batch_norm=True)
    flat = net.op(Reshape, y, shape=(1, 21))
    y = net.layer(flat, 4, weights="ternary", batch_norm=False, quantizer="none")
    graph = in_float32(net.graph(y))
    simple = quantize(run(graph, SIMPLIFY), CompileOptions())
    file = again(simple, lower(simple, CompileOptions()), CompileOptions())
    assert "Transpose" not in kinds(file)
    assert "Flatten" in kinds(file)


def in_float32(graph: Graph) -> Graph:
    """Return a graph whose reals a file can hold."""
    stored = {
        n: a.astype(np.float32).astype(np.float64) if a.dtype.kind == "f" else a
        for n, a in graph.constants.items()
    }
    return replace(graph, constants=stored)
