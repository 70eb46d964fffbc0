"""Convolutional models of every dialect, from the file to the last rung."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import bitwright
from bitwright.compiler import load, lower, quantize
from bitwright.errors import CompileError
from bitwright.ir.ops import Encoding, IntConv
from bitwright.options import CompileOptions, OutputKind
from bitwright.sim.bisect import layers_rtl
from bitwright.sim.outcome import Status
from bitwright.sim.rtl import RtlOptions, Simulator, Stalls
from bitwright.sim.samples import random_inputs
from tests.end_to_end.conv_dialects import FLOAT, INTEGER, PIXELS
from tests.onnx_models import model, node, save

FRAMES_RTL = 5


def climbed(
    folder: Path, proto: onnx.ModelProto, targets: str = "c", **options: Any
) -> dict[int, int]:
    """Compile, verify, and return how many values each rung compared; none may fail."""
    bitwright.compile(save(folder, proto), folder / "build", targets=targets, **options)
    rows = bitwright.verify(folder / "build")
    failed = [f"{r.what}: {r.outcome.detail}" for r in rows if r.outcome.status is Status.FAIL]
    assert not failed, failed
    missing = [r.outcome.detail for r in rows if r.outcome.status is Status.NOT_RUN]
    assert all("missing" in text for text in missing), missing
    return {r.rung: r.outcome.values for r in rows if r.outcome.status is Status.PASS}


@pytest.mark.parametrize("name", FLOAT)
def test_float_models_run_whole_in_c(tmp_path: Path, name: str) -> None:
    passed = climbed(tmp_path, FLOAT[name](), output=OutputKind.MODEL)
    assert set(passed) == {1, 4}
    assert min(passed.values()) > 0


@pytest.mark.parametrize("name", INTEGER)
def test_integer_models_in_c(tmp_path: Path, name: str) -> None:
    passed = climbed(tmp_path, INTEGER[name](), inputs=PIXELS.get(name, ()))
    assert set(passed) == {1, 3, 4}
    assert min(passed.values()) > 0


@pytest.mark.parametrize("name", INTEGER)
def test_integer_objects_hold_no_float(tmp_path: Path, name: str) -> None:
    out = tmp_path / "build"
    bitwright.compile(
        save(tmp_path, INTEGER[name]()), out, targets="c", inputs=PIXELS.get(name, ())
    )
    sources = [*(out / "c" / "src").iterdir(), *(out / "c" / "include").iterdir()]
    code = "\n".join(re.sub(r"/\*.*?\*/", "", p.read_text(), flags=re.DOTALL) for p in sources)
    assert re.search(r"\b(float|double)\b", code) is None


@pytest.mark.parametrize("name", INTEGER)
def test_integer_models_in_rtl(tmp_path: Path, name: str) -> None:
    path, inputs = save(tmp_path, INTEGER[name]()), PIXELS.get(name, ())
    body = bitwright.compile(
        path, tmp_path / "build", targets="verilog", inputs=inputs
    ).program.body
    how = RtlOptions(Stalls.BOTH, 1, reset_midframe=True, simulator=Simulator.ICARUS)
    folder, codes = tmp_path / "build" / "verilog", random_inputs(body, FRAMES_RTL)
    found = layers_rtl(folder, body, codes, how, tmp_path / "work")
    assert found is None, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", INTEGER)
def test_integer_models_climb_to_the_last_rung(tmp_path: Path, name: str) -> None:
    passed = climbed(tmp_path, INTEGER[name](), "c,verilog", inputs=PIXELS.get(name, ()))
    assert set(passed) == {1, 3, 4, 6}


ENCODINGS = {
    "qdq": {Encoding.INTEGER},
    "qonnx": {Encoding.TERNARY, Encoding.BIPOLAR},
    "larq": {Encoding.BIPOLAR},
    "xnor": {Encoding.INTEGER, Encoding.BIPOLAR},
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_encodings_are_those_of_the_dialect(tmp_path: Path, name: str) -> None:
    options = CompileOptions(inputs=PIXELS.get(name, ()))
    graph = load(save(tmp_path, INTEGER[name]()), options)
    body = lower(quantize(graph, options), options).body
    assert {op.encoding for op in body.ops if isinstance(op, IntConv)} == ENCODINGS[name]


def test_codes_do_not_depend_on_the_target(tmp_path: Path) -> None:
    path = save(tmp_path, INTEGER["xnor"]())
    c, verilog = (bitwright.compile(path, targets=t) for t in ("c", "verilog"))
    assert c.vectors.keys() == verilog.vectors.keys()
    for name, values in c.vectors.items():
        np.testing.assert_array_equal(values, verilog.vectors[name])


def conv(w: tuple[int, ...], x: tuple[int, ...] = (1, 4, 5, 5), **attributes: Any) -> Any:
    constants = {"w": np.ones(w, np.float32)}
    return model([node("Conv", "x w", "y", name="the conv", **attributes)], constants, {"x": x})


BAD: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "a kernel larger than the image": (lambda: conv((2, 4, 7, 7)), ["the conv", "7"]),
    "channels not divisible by groups": (lambda: conv((2, 2, 3, 3), group=3), ["the conv", "3"]),
    "filters not divisible by groups": (lambda: conv((3, 2, 3, 3), group=2), ["the conv", "2"]),
    "other channels than the weights": (lambda: conv((2, 3, 3, 3)), ["the conv", "3"]),
    "a stride of zero": (lambda: conv((2, 4, 3, 3), strides=[0, 1]), ["the conv", "strides"]),
    "a kernel other than the weights": (
        lambda: conv((2, 4, 3, 3), kernel_shape=[3, 2]), ["the conv", "kernel_shape"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_contradicts_itself_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    make, words = BAD[name]
    with pytest.raises(CompileError) as refused:
        bitwright.compile(save(tmp_path, make()), tmp_path / "b", targets="c", output="model")
    text = str(refused.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    assert not (tmp_path / "b").exists()
