"""Random small convolutional models in several dialects: numpy, C and RTL agree on every layer.

What fails is shrunk to the smallest network that still fails alike; it is printed, and its ONNX
file kept.
"""

import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bitwright.backends import c, verilog
from bitwright.compiler import load, lower
from bitwright.compiler import quantize as quantized
from bitwright.compressor import recipe_of
from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.program import Program
from bitwright.ir.types import is_integral
from bitwright.options import Cpu, Fold, OutputKind
from bitwright.passes import QUANTIZED, run
from bitwright.passes.compress import compress
from bitwright.passes.integerize import NothingQuantizedError
from bitwright.sim.bisect import layers_c, layers_rtl
from bitwright.sim.reference_worker import run as onnxruntime
from bitwright.sim.rtl import RtlOptions, Simulator, Stalls
from bitwright.sim.samples import random_inputs
from tests.end_to_end.fuzz_models import write
from tests.end_to_end.fuzz_shrink import shrunk
from tests.end_to_end.fuzz_specs import Net, Stage, nets
from tests.end_to_end.test_fuzz import QUIET, write_files

FRAMES = 6
KEPT = Path(tempfile.gettempdir()) / "bitwright-fuzz"
CPUS, FOLDS = [Cpu.GENERIC, Cpu.CORTEX_M4, Cpu.X86_64], [None, Fold.MIN, Fold.MAX]
Check = Callable[[Net, Path], bool]

# What a model may be refused for; any other error is a failure.
REFUSED = re.compile("no layer with weights|cannot be aligned exactly")


def lowered(net: Net, path: Path) -> tuple[Graph, Program] | None:
    """Return the quantized graph and the program of a model; None where it may be refused."""
    try:
        graph = load(path, net.options)
        if net.dialect == "float":
            samples = random_inputs(graph, 24, net.seed + 1)
            graph = run(compress(graph, recipe_of(net.options), samples), QUANTIZED)
        else:
            graph = quantized(graph, net.options)
        return graph, lower(graph, net.options)
    except NothingQuantizedError:
        return None
    except CompileError as error:
        if type(error) is CompileError and REFUSED.search(str(error)):
            return None
        raise


def compare(want: dict[str, Array], got: dict[str, Array]) -> None:
    assert list(want) == list(got)
    for name, w in want.items():
        np.testing.assert_allclose(got[name], w, rtol=1e-12, atol=1e-12, err_msg=name)


def check_numpy(net: Net, path: Path) -> bool:
    """Compare program and quantized graph, import and onnxruntime; tell whether it compiled."""
    found = lowered(net, path)
    if found is None:
        return False
    graph, program = found
    inputs = random_inputs(graph, FRAMES, net.seed)
    if net.options.output is OutputKind.CODES:
        compare(evaluate(graph, inputs), program.run(inputs))
    else:
        program.run(inputs)
    if net.dialect == "float" and not any(is_integral(v.elem) for v in graph.inputs):
        imported = load(path, net.options)
        ours = evaluate(imported, inputs, dtype=np.float32)
        for name, theirs in onnxruntime(path, inputs, []).items():
            bound = 1e-5 * max(np.abs(theirs).max(initial=0), 1e-3)
            assert np.abs(ours[name] - theirs).max(initial=0) <= bound, name
    return True


def check_c(net: Net, path: Path) -> bool:
    """Compare the C with the integer graph, layer by layer; tell whether it compiled."""
    found = lowered(net, path)
    if found is None:
        return False
    body, cpu = found[1].body, CPUS[net.seed % len(CPUS)]
    with tempfile.TemporaryDirectory() as name:
        folder = write_files(c.emit(body, "net", c.COptions(cpu=cpu)), Path(name))
        inputs = random_inputs(body, FRAMES, net.seed)
        difference = layers_c(folder, body, inputs, "gcc", folder / "work")
        assert difference is None, str(difference)
    return True


def check_rtl(net: Net, path: Path) -> bool:
    """Compare the RTL with the integer graph, layer by layer; tell whether it compiled."""
    found = lowered(net, path)
    if found is None:
        return False
    body, fold = found[1].body, FOLDS[net.seed % len(FOLDS)]
    options = RtlOptions(
        Stalls.BOTH, 1 + net.seed % 1000, reset_midframe=True, simulator=Simulator.ICARUS
    )
    with tempfile.TemporaryDirectory() as name:
        artifact = verilog.emit(body, "net", verilog.VerilogOptions(fold=fold))
        folder = write_files(artifact, Path(name))
        inputs = random_inputs(body, 4, net.seed)
        difference = layers_rtl(folder, body, inputs, options, folder / "work")
        assert difference is None, str(difference)
    return True


def failure(check: Check, net: Net, path: Path) -> str:
    """Return what the check says against a network, numbers and names left out; empty if nothing."""
    try:
        path.write_bytes(write(net).SerializeToString())
        check(net, path)
    except Exception as error:  # noqa: BLE001  # whatever goes wrong is to be shrunk
        first = str(error).strip().partition("\n")[0]
        plain = re.sub(r"'[^']*'|[0-9.]+", "*", first)
        return f"{type(error).__name__}: {plain[:60]}"
    return ""


def judge(check: Check, net: Net, name: str) -> bool:
    """Check one network; raise with the smallest one that fails alike, whose model is kept."""
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{name}.onnx"
    path.write_bytes(write(net).SerializeToString())
    try:
        compiled = check(net, path)
    except Exception as error:
        kind = failure(check, net, path)
        small = shrunk(net, lambda n: failure(check, n, path) == kind)
        path.write_bytes(write(small).SerializeToString())
        raise AssertionError(f"{kind}\n{small}\nits model is {path}") from error
    path.unlink()
    return compiled


def explore(check: Check, networks: st.SearchStrategy[Net], how: settings, name: str) -> None:
    """Check networks until one fails; most must compile."""
    compiled: list[bool] = []

    @settings(how, phases=[Phase.generate], report_multiple_bugs=False, deadline=None,
              suppress_health_check=QUIET)  # fmt: skip
    @given(net=networks)
    def each(net: Net) -> None:
        compiled.append(judge(check, net, name))

    each()
    assert sum(compiled) > 0.6 * len(compiled)


def always(count: int) -> settings:
    """Return how hard CI tries: the same cases every time."""
    return settings(max_examples=count, derandomize=True, database=None)


small = nets(2, (1, 2, 3, 5), (1, 2, 3, 4))


ONES = Stage(weights="bipolar", quantizer="sign")
FOUND = {
    "shortcut, one pixel": Net("qdq", (Stage("shortcut"),), channels=2),
    "shuffle, pool": Net("qdq", (Stage("shuffle"), Stage("max")), channels=4),
    "shuffle, shortcut": Net("float", (Stage("shuffle"), Stage("shortcut")), channels=4),
    "shuffle, concat": Net(
        "sign", (Stage("shuffle"), replace(ONES, kind="concat"), ONES), size=(1, 2), channels=4
    ),
    "pad of signs": Net(
        "sign", (replace(ONES, after=(0, 1), pad_node=True),), device_input="bipolar"
    ),
    "pad of signs, concat": Net(
        "sign", (replace(ONES, kind="concat", pad_node=True),), device_input="bipolar"
    ),
    "split at the end": Net("float", (Stage(outputs=2), Stage("split"), Stage("max"))),
    "packed groups": Net(
        "sign", (replace(ONES, outputs=10, groups="two", quantizer="sign0"),), rank=1, channels=4
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_networks_that_once_failed(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(write(FOUND[name]).SerializeToString())
    assert check_numpy(FOUND[name], path)
    assert check_c(FOUND[name], path)


def test_numpy() -> None:
    explore(check_numpy, nets(), always(150), "numpy")


def test_c() -> None:
    explore(check_c, nets(3), always(20), "c")


def test_rtl() -> None:
    explore(check_rtl, small, always(5), "rtl")


@pytest.mark.slow
def test_many_numpy() -> None:
    explore(check_numpy, nets(6), settings(), "many_numpy")


@pytest.mark.slow
def test_many_c() -> None:
    explore(check_c, nets(4), settings(), "many_c")


@pytest.mark.slow
def test_many_rtl() -> None:
    explore(check_rtl, nets(3, (1, 2, 3, 5, 8), (1, 2, 3, 5)), settings(), "many_rtl")


def test_a_failure_leaves_the_smallest_model() -> None:
    """A fault of depthwise convolutions is shrunk to one layer, one pixel, two channels."""
    with pytest.raises(AssertionError) as raised:
        explore(_dislikes_depthwise, nets(5), always(100), "depthwise")
    text = str(raised.value)
    assert text.count("Stage(") == 1
    assert "size=(1, 1), channels=2" in text
    model = load(KEPT / "depthwise.onnx", Net().options)
    assert [op.groups for op in model.ops if hasattr(op, "groups")] == [2]
    (KEPT / "depthwise.onnx").unlink()


def _dislikes_depthwise(net: Net, path: Path) -> bool:
    graph = load(path, net.options)
    assert not any(getattr(op, "groups", 1) > 1 for op in graph.ops), "depthwise"
    return True
