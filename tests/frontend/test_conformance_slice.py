"""Models of one node through import, C and gcc against onnxruntime: the conformance run, in small."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from bitwright.compiler import compile_model
from bitwright.frontend import load_model
from bitwright.ir.graph import Array
from bitwright.ir.types import Int, Real
from bitwright.options import CompileOptions, OutputKind, Target
from bitwright.sim.host_c import build_c, run_program
from tests.onnx_models import f32, i8, i64, model, node, save

RNG = np.random.default_rng(13)
INT8, INT32, BOOL = TensorProto.INT8, TensorProto.INT32, TensorProto.BOOL
IMAGE = {"x": (2, 4, 7, 6)}
TWO = {"a": (2, 3, 5), "b": (2, 1, 5)}


def normal(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


LSTM = {"W": normal(1, 12, 6), "R": normal(1, 12, 3)}
PARAMETERS = {n: np.abs(normal(4)) + np.float32(0.5) for n in ("g", "s", "m", "v")}
CASES: dict[str, Any] = {
    "Conv": model(
        [node("Conv", "x w c", "y", pads=[1, 0, 1, 2], strides=[2, 1], group=2)],
        {"w": normal(6, 2, 3, 2), "c": normal(6)}, IMAGE,
    ),
    "ConvTranspose": model(
        [node("ConvTranspose", "x w", "y", strides=[2, 2], output_padding=[1, 0])],
        {"w": normal(4, 3, 3, 2)}, IMAGE,
    ),
    "AveragePool": model(
        [node("AveragePool", "x", "y", kernel_shape=[3, 2], pads=[1, 1, 1, 1],
              count_include_pad=1)], {}, IMAGE,
    ),
    "BatchNormalization": model([node("BatchNormalization", "x g s m v", "y")], PARAMETERS, IMAGE),
    "ReduceLogSumExp": model(
        [node("ReduceLogSumExp", "x k", "y", keepdims=0)], {"k": i64(1, -1)}, IMAGE, opset=18
    ),
    "Resize": model(
        [node("Resize", "x - s", "y", mode="linear")], {"s": f32(1, 1, 2, 1.5)}, IMAGE
    ),
    "Gemm": model(
        [node("Gemm", "x w c", "y", transA=1, alpha=0.5)],
        {"w": normal(5, 3), "c": normal(3)}, {"x": (5, 4)},
    ),
    "MatMul": model([node("MatMul", "a b", "y")], {}, {"a": (2, 3, 4, 5), "b": (3, 5, 2)}),
    "Softmax": model([node("Softmax", "x", "y", axis=1)], {}, IMAGE),
    "TopK": model([node("TopK", "x k", "v i", axis=1)], {"k": i64(3)}, IMAGE, outputs=["v", "i"]),
    "LSTM": model([node("LSTM", "x W R", "y", hidden_size=3)], LSTM, {"x": (4, 2, 6)}, opset=14),
    "QuantizeLinear": model(
        [node("QuantizeLinear", "x s z", "y", axis=1)],
        {"s": f32(0.1, 0.25, 0.5, 1), "z": i8(-3, 0, 5, 9)}, IMAGE,
    ),
    "DequantizeLinear": model(
        [node("DequantizeLinear", "x s z", "y")], {"s": 0.5, "z": i8(5).reshape(())}, IMAGE,
        types={"x": INT8},
    ),
    "ConvInteger": model(
        [node("ConvInteger", "x w z", "y")],
        {"w": RNG.integers(-128, 128, (3, 4, 2, 2)).astype(np.int8), "z": i8(7).reshape(())}, IMAGE,
        types={"x": INT8},
    ),
    "Mul": model([node("Mul", "a b", "y")], {}, TWO, types=dict.fromkeys(TWO, INT32)),
    "Xor": model([node("Xor", "a b", "y")], {}, TWO, types=dict.fromkeys(TWO, BOOL)),
    "Greater": model([node("Greater", "a b", "y")], {}, TWO),
    "Where": model([node("Where", "c a b", "y")], {}, {**TWO, "c": (2, 3, 1)}, types={"c": BOOL}),
    "Transpose": model([node("Transpose", "x", "y", perm=[3, 0, 2, 1])], {}, IMAGE),
    "Identity": model([node("Identity", "x", "y")], {}, IMAGE),
    "Sign": model([node("Sign", "x", "y")], {}, IMAGE),
    "quantized": model(
        [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "d"),
         node("DequantizeLinear", "w t z", "wd"), node("MatMul", "d wd", "p"),
         node("QuantizeLinear", "p s z", "r"), node("ArgMax", "r", "i", axis=1),
         node("Greater", "r z", "y")],
        {"s": 0.125, "t": 0.25, "z": i8(3).reshape(()),
         "w": RNG.integers(-9, 9, (6, 5)).astype(np.int8)}, {"x": (1, 6)}, outputs=["i", "y"],
    ),
}  # fmt: skip


def fresh(shape: tuple[int, ...], elem: Any) -> Array:
    """Return values with zeros, ties and negative ones: reals on a grid of 1/8."""
    if isinstance(elem, Real):
        return (np.rint(RNG.normal(size=shape) * 8) / 8).astype(np.float32)
    assert isinstance(elem, Int)
    return RNG.integers(elem.lo, elem.hi, size=shape, endpoint=True)


@pytest.mark.parametrize("name", CASES)
def test_a_model_of_one_node(tmp_path: Path, name: str) -> None:
    proto = CASES[name]
    path = save(tmp_path, proto)
    options = CompileOptions(targets=(Target.C,), output=OutputKind.MODEL, keep_batch=True)
    compiled = compile_model(path, options)
    for file, content in compiled.artifacts[Target.C].files.items():
        (tmp_path / "c" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "c" / file).write_bytes(content)
    inputs = {v.name: fresh(v.shape, v.elem) for v in compiled.program.body.inputs}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    kinds = {i.name: _NUMPY[i.type] for i in session.get_inputs()}
    want = session.run(None, {n: a.astype(kinds[n]) for n, a in inputs.items()})
    program = build_c(tmp_path / "c", work=tmp_path / "work", defines=("-O0",))
    found = run_program(program, {n: a[None] for n, a in inputs.items()}, tmp_path / "work")

    assert list(found) == [o.name for o in session.get_outputs()]
    for got, expected in zip(found.values(), want, strict=True):
        assert got[0].shape == expected.shape
        tolerance = {"rtol": 1e-4, "atol": 1e-5} if expected.dtype.kind == "f" else {"rtol": 0}
        np.testing.assert_allclose(got[0], expected.astype(np.float64), **tolerance)


_NUMPY = {
    "tensor(float)": np.float32, "tensor(int8)": np.int8, "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}  # fmt: skip


def test_the_batch_is_1_unless_it_is_kept(tmp_path: Path) -> None:
    path = save(tmp_path, model([node("Relu", "x", "y")], {}, {"x": (3, 4)}))

    assert load_model(path).inputs[0].shape == (1, 4)
    assert load_model(path, keep_batch=True).inputs[0].shape == (3, 4)


def test_a_free_batch_is_1_even_when_kept(tmp_path: Path) -> None:
    path = save(tmp_path, model([node("Relu", "x", "y")], {}, {"x": ("N", 4)}))

    assert load_model(path, keep_batch=True).inputs[0].shape == (1, 4)
