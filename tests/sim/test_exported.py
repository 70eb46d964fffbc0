"""Rung 2: the quantized model and its ONNX files agree layer by layer, and a wrong file is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bitwright.backends.onnx import export_values
from bitwright.compiler import compile_model, write_build
from bitwright.errors import UnsupportedError
from bitwright.frontend import load_model
from bitwright.options import CompileOptions, Target
from bitwright.sim.build_folder import Build, read_build
from bitwright.sim.exported import compare_export, compare_exports
from bitwright.sim.ladder import climb, model_samples
from bitwright.sim.outcome import Status
from tests.sim.builds import compressed, digits

RUNG = 2


@pytest.fixture(scope="module")
def build(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    place, out = examples / "digits-conv", tmp_path_factory.mktemp("export") / "build"
    model = place / "digits-conv-float.onnx"
    options = CompileOptions(
        targets=(Target.C,), weights="int:4", activations=4,
        calibrate=place / "calibration.npz",
    )  # fmt: skip
    write_build(compile_model(model, options), model, out)
    return read_build(out)


def test_both_files_of_a_compressed_model_agree(build: Build, tmp_path: Path) -> None:
    found = compare_exports(build.graph, model_samples(build, 8), build.quantized, tmp_path)
    assert found.status is Status.PASS, found.detail
    assert found.detail.startswith("4 layers")


def test_the_ladder_has_the_rung_only_where_bitwright_quantized(
    build: Build, tmp_path: Path
) -> None:
    row = next(r for r in climb(build, tmp_path, load_model) if r.rung == RUNG)
    assert row.outcome.status is Status.PASS
    own = digits(tmp_path / "own", Target.C)
    assert own.quantized.exists()
    assert not own.compressed
    rows = climb(own, tmp_path, load_model)
    assert [next(rows).rung, next(rows).rung] == [1, RUNG + 1]


def test_what_has_no_form_in_onnx_is_not_passed(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise UnsupportedError("node: Odd has no form in ONNX")

    monkeypatch.setattr("bitwright.sim.exported.compare_exports", refuse)
    row = next(r for r in climb(build, tmp_path, load_model) if r.rung == RUNG)
    assert row.outcome.status is Status.NOT_RUN
    assert "Odd" in row.outcome.detail


def one_weight(tensors: dict[str, Any]) -> None:
    name = next(n for n in tensors if n.endswith("/codes"))
    codes = numpy_helper.to_array(tensors[name]).copy()
    codes.reshape(-1)[len(codes.reshape(-1)) // 2] += 3
    tensors[name].CopyFrom(numpy_helper.from_array(codes, name))


def one_scale(tensors: dict[str, Any]) -> None:
    name = next(n for n in tensors if "/scale" in n and "w/" not in n)
    scale = numpy_helper.to_array(tensors[name]) * np.float32(1.02)
    tensors[name].CopyFrom(numpy_helper.from_array(np.asarray(scale), name))


@pytest.mark.parametrize("change", [one_weight, one_scale])
def test_a_changed_file_fails_and_the_layer_is_named(
    build: Build, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    exported = export_values(build.graph, standard=True)
    model = onnx.load_from_string(exported.model)
    change({t.name: t for t in model.graph.initializer})
    path = tmp_path / "wrong.onnx"
    path.write_bytes(model.SerializeToString())
    found = compare_export(build.graph, exported, path, model_samples(build, 8))
    assert found.status is Status.FAIL
    assert "no tie" in found.detail
    assert "quantized model" in found.detail


def test_a_changed_qonnx_file_of_the_build_fails(build: Build, tmp_path: Path) -> None:
    model = onnx.load(build.quantized)
    bits = next(t for t in model.graph.initializer if t.name.endswith(":dq/bits"))
    bits.CopyFrom(numpy_helper.from_array(np.array(3, np.float32), bits.name))
    path = tmp_path / "model.q.onnx"
    path.write_bytes(model.SerializeToString())
    found = compare_exports(build.graph, model_samples(build, 8), path, tmp_path)
    assert found.status is Status.FAIL
    assert found.detail.startswith("model.q.onnx: layer ")


def test_binary_layers_agree(tmp_path: Path) -> None:
    found = compressed(tmp_path / "b", "binary", 1)
    outcome = compare_exports(found.graph, model_samples(found, 8), found.quantized, tmp_path)
    assert outcome.status is Status.PASS, outcome.detail
