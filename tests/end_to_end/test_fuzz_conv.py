"""Random small convolutional models in several dialects: numpy, C and RTL agree on every layer.

Hypothesis shrinks what fails: it drops layers, shrinks sizes and channels and takes attributes back
to their plainest, and prints the smallest network that still fails; its ONNX file is kept too.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.backends import c, verilog
from bitwright.compiler import load, lower, recipe_of
from bitwright.compiler import quantize as quantized
from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.program import Program
from bitwright.ir.types import is_integral
from bitwright.options import Cpu, Fold, OutputKind
from bitwright.passes import QUANTIZED, run
from bitwright.passes.compress import compress
from bitwright.sim.bisect import layers_c, layers_rtl
from bitwright.sim.reference_worker import run as onnxruntime
from bitwright.sim.rtl import RtlOptions, Simulator, Stalls
from bitwright.sim.samples import random_inputs
from tests.end_to_end.fuzz_models import write
from tests.end_to_end.fuzz_specs import Net, nets
from tests.end_to_end.test_fuzz import QUIET, some, write_files

FRAMES = 6
KEPT = Path(tempfile.gettempdir()) / "bitwright-fuzz"

# What a model may be refused for; any other error is a failure.
REFUSED = re.compile(
    "nothing of this model is quantized|no layer with weights|cannot be aligned exactly"
)


@contextmanager
def kept(net: Net, test: str) -> Iterator[Path]:
    """Give the network's ONNX file; when the test fails, keep it and say where."""
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{test}.onnx"
    path.write_bytes(write(net).SerializeToString())
    try:
        yield path
    except Exception as error:
        error.add_note(f"the model is {path}")
        raise
    path.unlink()


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


def check_c(net: Net, path: Path, cpu: Cpu) -> bool:
    found = lowered(net, path)
    if found is None:
        return False
    body = found[1].body
    with tempfile.TemporaryDirectory() as name:
        folder = write_files(c.emit(body, "net", c.COptions(cpu=cpu)), Path(name))
        inputs = random_inputs(body, FRAMES, net.seed)
        difference = layers_c(folder, body, inputs, "gcc", folder / "work")
        assert difference is None, str(difference)
    return True


def check_rtl(net: Net, path: Path, fold: Fold | None) -> bool:
    found = lowered(net, path)
    if found is None:
        return False
    body = found[1].body
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


cpus = st.sampled_from([Cpu.GENERIC, Cpu.CORTEX_M4, Cpu.X86_64])
folds = st.sampled_from([None, Fold.MIN, Fold.MAX])
small = nets(2, (1, 2, 3, 5), (1, 2, 3, 4))


def test_numpy() -> None:
    compiled: list[bool] = []

    @some(120)
    @given(net=nets())
    def each(net: Net) -> None:
        with kept(net, "numpy") as path:
            compiled.append(check_numpy(net, path))

    each()
    assert sum(compiled) > 0.8 * len(compiled)


@some(20)
@given(net=nets(3), cpu=cpus)
def test_c(net: Net, cpu: Cpu) -> None:
    with kept(net, "c") as path:
        check_c(net, path, cpu)


@some(5)
@given(net=small, fold=folds)
def test_rtl(net: Net, fold: Fold | None) -> None:
    with kept(net, "rtl") as path:
        check_rtl(net, path, fold)


@pytest.mark.slow
@settings(suppress_health_check=QUIET)
@given(net=nets(5))
def test_many_numpy(net: Net) -> None:
    with kept(net, "many_numpy") as path:
        check_numpy(net, path)


@pytest.mark.slow
@settings(suppress_health_check=QUIET)
@given(net=nets(4), cpu=cpus)
def test_many_c(net: Net, cpu: Cpu) -> None:
    with kept(net, "many_c") as path:
        check_c(net, path, cpu)


@pytest.mark.slow
@settings(suppress_health_check=QUIET)
@given(net=nets(3, (1, 2, 3, 5, 8), (1, 2, 3, 5)), fold=folds)
def test_many_rtl(net: Net, fold: Fold | None) -> None:
    with kept(net, "many_rtl") as path:
        check_rtl(net, path, fold)


def test_a_failure_leaves_the_smallest_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of depthwise convolutions is shrunk to one layer, one pixel, two channels."""
    monkeypatch.setattr(f"{__name__}.check_c", _dislikes_depthwise)
    with pytest.raises(AssertionError) as failure:
        test_c()
    notes = "".join(failure.value.__notes__)
    assert notes.count("Stage(") == 1
    assert "size=(1, 1), channels=2" in notes
    model = load(KEPT / "c.onnx", Net().options)
    assert [op.groups for op in model.ops if hasattr(op, "groups")] == [2]
    (KEPT / "c.onnx").unlink()


def _dislikes_depthwise(net: Net, path: Path, cpu: Cpu) -> bool:
    del cpu
    graph = load(path, net.options)
    assert not any(getattr(op, "groups", 1) > 1 for op in graph.ops)
    return True
