"""The commands as a user meets them: results, sentences, exit codes, nothing half-written."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import bitwright
from bitwright.sim.outcome import Status
from tests.end_to_end.commands import Run, refused


def save(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray]) -> Path:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(a, n) for n, a in weights.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], initializers)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    onnx.save(model, path)
    return path


def gemm(path: Path, weights: np.ndarray | None = None) -> Path:
    w = np.eye(4, dtype=np.float32) * 0.5 if weights is None else weights
    return save(path, [helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")], {"w": w})


def test_compile_and_verify_the_example(run: Run, examples: Path, tmp_path: Path) -> None:
    digits, out = examples / "digits", tmp_path / "b"
    done = run(
        "compile", digits / "digits-w1a1.onnx", "--target", "c", "--output", "argmax",
        "--data", digits / "heldout.npz", "-o", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    line = next(text for text in done.out.splitlines() if text.startswith("accuracy of the device"))
    rows = bitwright.verify(out)
    assert {r.outcome.status for r in rows} <= {Status.PASS, Status.NOT_RUN}
    assert next(r for r in rows if r.rung == 3).outcome.status is Status.PASS
    on_samples = next(r for r in rows if r.what == "C (gcc) on the samples")
    assert on_samples.outcome.detail.removeprefix("accuracy ") in line


def test_two_compiles_write_the_same_bytes(run: Run, examples: Path, tmp_path: Path) -> None:
    model = examples / "digits" / "digits-w1a1.onnx"
    for name in ("one", "two"):
        assert run("compile", model, "-o", tmp_path / name).code == 0
    files = sorted(
        p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file()
    )
    assert len(files) > 10
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), (
            path
        )


def test_a_changed_file_is_found(run: Run, examples: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    run("compile", examples / "digits" / "digits-w1a1.onnx", "--target", "c", "-o", out)
    weights = out / "c" / "src" / "digits_w1a1_weights.c"
    text = weights.read_text()
    first = next(w for w in text.split() if w.startswith("0x"))
    weights.write_text(text.replace(first, f"(uint32_t)~{first}", 1))
    refused(run("verify", out), "digits_w1a1_weights.c", "--as-is")
    failed = run("verify", out, "--as-is")
    assert failed.code == 1
    assert "FAIL" in failed.out
    assert "expected" in failed.out


def test_not_onnx(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"hello" * 100)
    refused(run("compile", path, "-o", tmp_path / "b"), "m.onnx")
    assert not (tmp_path / "b").exists()
    refused(run("compile", tmp_path / "none.onnx"), "no such file")


def test_float_model_without_a_recipe_says_the_line_to_type(run: Run, tmp_path: Path) -> None:
    path = gemm(tmp_path / "m.onnx")
    refused(run("compile", path, "-o", tmp_path / "b"), "--weights", "--calibrate", "--target c")
    refused(run("compile", path, "--weights", "int:8"), "--calibrate")
    refused(run("compile", path, "--output", "model"), "--target c")
    assert not (tmp_path / "b").exists()


def test_float_model_to_c_as_it_is(run: Run, tmp_path: Path) -> None:
    path, out = gemm(tmp_path / "m.onnx"), tmp_path / "b"
    done = run("compile", path, "--target", "c", "--output", "model", "-o", out)
    assert done.code == 0, done.err
    rows = bitwright.verify(out)
    assert all(r.outcome.status is not Status.FAIL for r in rows), rows


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((3, 5), np.float32)}, ("shape", "(3, 5)")),
        ({"a": np.zeros((3, 4)), "b": np.zeros((3, 4))}, ("'x'",)),
        ({"x": np.full((3, 4), np.nan, np.float32)}, ("NaN",)),
        ({"x": np.zeros((0, 4), np.float32)}, ("samples",)),
    ],
)
def test_wrong_calibration_data(
    run: Run, tmp_path: Path, arrays: dict[str, np.ndarray], words: tuple[str, ...]
) -> None:
    path, data = gemm(tmp_path / "m.onnx"), tmp_path / "d.npz"
    np.savez(data, **arrays)  # type: ignore[arg-type]
    refused(run("compile", path, "--weights", "int:8", "--calibrate", data), "d.npz", *words)


def test_a_folder_of_others_is_left_alone(run: Run, examples: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    model = examples / "digits" / "digits-w1a1.onnx"
    refused(run("compile", model, "--target", "c", "-o", out), "--force")
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]
    assert run("compile", model, "--target", "c", "-o", out, "--force").code == 0
    assert (out / "thesis.txt").read_text() == "years of work"
    stale = json.loads((out / "bitwright.json").read_text())["files"]
    assert run("compile", model, "--target", "verilog", "-o", out).code == 0
    assert not (out / "c").exists()
    assert any(p.startswith("c/") for p in stale)


@pytest.mark.parametrize(
    "options",
    [["--target", "vhdl"], ["--input", "float"], ["--preprocess", "1,2"], ["--weights", "float16"],
     ["--input", "nobody=uint8"]],
)  # fmt: skip
def test_wrong_options(run: Run, examples: Path, tmp_path: Path, options: list[str]) -> None:
    model = examples / "digits" / "digits-float.onnx"
    calibrate = examples / "digits" / "calibration.npz"
    ran = run("compile", model, "--calibrate", calibrate, "-o", tmp_path / "b", *options)
    refused(ran, options[1].split("=")[0])


def test_a_regression_is_measured_by_its_error(run: Run, tmp_path: Path) -> None:
    path = gemm(tmp_path / "m.onnx", np.ones((4, 1), np.float32))
    x = np.random.default_rng(0).normal(0, 1, (50, 4)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x)
    options = (
        "--weights",
        "int:8",
        "--calibrate",
        tmp_path / "d.npz",
        "--data",
        tmp_path / "d.npz",
    )
    ran = run("compile", path, "--target", "c", *options, "-o", tmp_path / "b")
    assert "root mean square error" in ran.out, ran.err


def test_inspect_names_what_stands_in_the_way(run: Run, examples: Path) -> None:
    ran = run("inspect", examples / "digits" / "digits-float.onnx")
    assert ran.code == 0
    assert "--calibrate" in ran.out
    assert "ready" in run("inspect", examples / "digits" / "digits-w1a1.onnx").out


def test_verify_of_what_is_no_build(run: Run, tmp_path: Path) -> None:
    refused(run("verify", tmp_path), "no build folder")
