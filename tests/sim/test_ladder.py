"""Each rung can fail, names what differs, and is never passed when it did not run."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitwright.compiler import compile_model, write_build
from bitwright.errors import MissingToolError
from bitwright.frontend import load_model
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Dequantize, IntLinear, Linear, Steps
from bitwright.options import CompileOptions, OutputKind, Target
from bitwright.sim.build_folder import Build, read_build
from bitwright.sim.ladder import Row, climb, wrong_cycles
from bitwright.sim.layerwise import compare_layers
from bitwright.sim.outcome import Status
from bitwright.sim.rtl import RtlResult
from bitwright.sim.tolerance import relative_errors
from tests.graphs import LayerSpec, mlp, samples


@pytest.fixture(scope="module")
def build(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    model = examples / "digits" / "digits-w1a1.onnx"
    out = tmp_path_factory.mktemp("ladder") / "build"
    write_build(compile_model(model, CompileOptions(targets=(Target.C,))), model, out)
    return read_build(out)


def rows(build: Build, work: Path) -> dict[str, Row]:
    return {r.what: r for r in climb(build, work, load_model)}


def changed(graph: Graph, name: str, change: Mapping[int, int] | Array) -> Graph:
    values = np.array(graph.constants[name])
    if isinstance(change, Mapping):
        for at, by in change.items():
            values.reshape(-1)[at] += by
    else:
        values = change
    return replace(graph, constants={**graph.constants, name: values})


def test_a_wrong_import_fails_rung_1(build: Build, tmp_path: Path) -> None:
    linear = next(op for op in build.imported.ops if isinstance(op, Linear))
    producer = build.imported.producers()[linear.inputs[1].name]
    assert isinstance(producer, Dequantize)
    codes = producer.inputs[0].name
    wrong = changed(build.imported, codes, -build.imported.constants[codes])
    row = rows(replace(build, imported=wrong), tmp_path)["imported graph = onnxruntime"]
    assert row.outcome.status is Status.FAIL
    assert "gives another" in row.outcome.detail


def test_a_wrong_fold_fails_rung_3_and_names_the_layer(build: Build, tmp_path: Path) -> None:
    body = build.program.body
    steps = [op for op in body.ops if isinstance(op, Steps)][1]
    wrong = changed(body, steps.inputs[1].name, {0: 12, 1: -12, 2: 12})
    broken = replace(build, program=replace(build.program, body=wrong))
    row = rows(broken, tmp_path)["integers = quantized model, layer by layer"]
    assert row.outcome.status is Status.FAIL
    assert steps.loc in row.outcome.detail


def test_layers_are_fed_the_models_own_codes() -> None:
    """A wrong first layer is named once: the second one, fed with right codes, agrees."""
    from bitwright.passes.integerize import integerize  # noqa: PLC0415

    graph = mlp([LayerSpec(8), LayerSpec(5)], inputs=9)
    program = integerize(graph)
    body, x = program.body, samples(graph, 40)
    assert compare_layers(graph, program, x).status is Status.PASS
    first, second = (op for op in body.ops if isinstance(op, Steps))
    for op in (first, second):
        thresholds = body.constants[op.inputs[1].name]
        wrong = changed(body, op.inputs[1].name, np.full_like(thresholds, thresholds.max() + 3))
        outcome = compare_layers(graph, replace(program, body=wrong), x)
        assert outcome.status is Status.FAIL
        assert repr(op.loc) in outcome.detail


def test_a_missing_tool_is_not_a_pass(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_args: object, **_options: object) -> None:
        raise MissingToolError("gcc is missing: apt-get install gcc")

    monkeypatch.setattr("bitwright.sim.host_c.run_c", missing)
    row = rows(build, tmp_path)["C (gcc) = integers"]
    assert row.outcome.status is Status.NOT_RUN
    assert "apt-get install gcc" in row.outcome.detail
    assert row.outcome.values == 0


def test_a_wrong_last_layer_fails_rung_3(build: Build, tmp_path: Path) -> None:
    body = build.program.body
    last = [op for op in body.ops if isinstance(op, IntLinear)][-1]
    wrong = changed(
        body, last.inputs[1].name, {0: -2 * int(body.constants[last.inputs[1].name][0, 0])}
    )
    broken = replace(build, program=replace(build.program, body=wrong))
    row = rows(broken, tmp_path)["integers = quantized model, layer by layer"]
    assert row.outcome.status is Status.FAIL
    assert row.outcome.detail.startswith("output")


def test_nan_and_infinity_are_never_close() -> None:
    reference = np.array([1.0, -4.0, np.nan, np.inf, np.inf, 0.0])
    mine = np.array([np.nan, -4.0, np.nan, np.inf, -np.inf, 1.0])
    assert relative_errors(mine, reference).tolist() == [np.inf, 0.0, 0.0, 0.0, np.inf, 0.25]
    assert relative_errors(np.array([]), np.array([])).size == 0


def test_a_real_output_that_is_nan_fails_its_rung(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = examples / "digits" / "digits-float.onnx", tmp_path / "b"
    options = CompileOptions(targets=(Target.C,), output=OutputKind.MODEL)
    write_build(compile_model(model, options), model, out)
    found = read_build(out)
    broken = {n: np.full_like(a, np.nan) for n, a in found.device_outputs().items()}
    monkeypatch.setattr("bitwright.sim.host_c.run_c", lambda *_a, **_o: broken)
    assert rows(found, tmp_path)["C (gcc) = integers"].outcome.status is Status.FAIL


@pytest.mark.parametrize(
    ("interval", "latency", "wrong"),
    [(1000, 3000, None), (1005, 3060, None), (1006, 3000, "1006 cycles a frame, predicted 1000"),
     (994, 3000, "994 cycles"), (1000, 3061, "latency of 3061 cycles, predicted 3000")],
)  # fmt: skip
def test_cycles_that_were_not_predicted_fail(
    tmp_path: Path, interval: int, latency: int, wrong: str | None
) -> None:
    told = {"interval_cycles": 1000, "latency_cycles": 3000, "trace": [{}] * 4}
    (tmp_path / "report.json").write_text(json.dumps(told))
    found = wrong_cycles(tmp_path, RtlResult({}, (900, interval), latency, False))
    assert (found is None) if wrong is None else (found is not None and wrong in found)
