"""What is written: names, layouts, nodes of QONNX and of the standard, and nothing that varies."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from bitwright.backends.onnx import export
from bitwright.frontend import load_model
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Binarize,
    Concat,
    Conv,
    CountThresholds,
    Dequantize,
    Function,
    Linear,
    MaxPool,
    Pad,
    Quantize,
    Reshape,
    Rounding,
    Transpose,
    Value,
    plain_window,
)
from bitwright.ir.types import Bipolar, Int, Real, TensorType
from bitwright.passes import SIMPLIFY, run
from tests.backends.onnx.files import check_runs, kinds, write
from tests.graphs import samples
from tests.onnx_models import model, node, save

INT4 = Int(-8, 7)
IMAGE = Value("x", TensorType(Real(), (1, 3, 6, 6)))


def image() -> tuple[Builder, Value]:
    """Return a builder and the channels-last view of an image that comes channels first."""
    b = Builder(["x"])
    return b, b.op(Transpose, (IMAGE,), "last", "last", perm=(0, 2, 3, 1))


def pair(b: Builder, x: Value, name: str, elem: Int | None = None) -> Value:
    s, z = b.constant("s", np.array([0.25])), b.constant("z", np.array([0.0]))
    q = b.op(Quantize, (x, s, z), f"{name}:q", name, elem=elem or INT4, rounding=Rounding.HALF_EVEN)
    return b.op(Dequantize, (q, s, z), name, name)


def coded(b: Builder, codes: list[int], shape: tuple[int, ...]) -> Value:
    """Return weights of these levels, with one scale per output."""
    w = b.constant("w", np.resize(np.array(codes), shape))
    s = b.constant("ws", np.linspace(0.5, 1, shape[0]))
    return b.op(Dequantize, (w, s, b.constant("wz", np.array([0.0]))), "wr", "fc", axis=0)


@pytest.mark.parametrize(
    ("codes", "kind", "bits"),
    [([-1, 1], "BipolarQuant", None), ([-1, 0, 1], "Quant", (2, 1)), ([-4, 0, 1, 8], "Quant", (5, 1)),
     ([-8, 7], "Quant", (4, 0)), ([-7, 7, 3], "Quant", (4, 1)), ([-128, 127], "Quant", (8, 0)),
     ([0, 1], "Quant", (2, 1))],
)  # fmt: skip
def test_weights_have_the_grid_of_their_codes(
    codes: list[int], kind: str, bits: tuple[int, int] | None, tmp_path: Path
) -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 5)))
    y = b.op(Linear, (x, coded(b, codes, (4, 5))), "y", "fc")
    graph = b.graph("g", [x], [y])
    proto = onnx.load_from_string(export(graph)).graph
    weight = proto.node[0]
    assert (weight.op_type, proto.node[1].name) == (kind, "fc")
    if bits:
        attributes = {a.name: helper.get_attribute_value(a) for a in weight.attribute}
        tensors = {t.name: numpy_helper.to_array(t) for t in proto.initializer}
        assert (float(tensors[weight.input[3]]), attributes["narrow"]) == bits
        assert attributes["signed"] == 1
    for standard in (False, True):
        check_runs(graph, samples(graph, 4), write(graph, tmp_path, standard=standard))
    assert kinds(export(graph, standard=True)) == ["DequantizeLinear", "Gemm"]


def test_weights_without_a_positive_scale_keep_their_codes(tmp_path: Path) -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 5)))
    w = b.constant("w", np.resize([-3, 2, 1], (2, 5)))
    s = b.constant("ws", np.array([0.0, -0.5]))
    w = b.op(Dequantize, (w, s, b.constant("z", np.array([0.0]))), "wr", "fc", axis=0)
    graph = b.graph("g", [x], [b.op(Linear, (x, w), "y", "fc")])
    assert kinds(export(graph)) == ["DequantizeLinear", "Gemm"]
    check_runs(graph, samples(graph, 4), write(graph, tmp_path, standard=False))


def test_an_image_is_never_transposed(tmp_path: Path) -> None:
    """The flattened image goes through quantizer and activation to columns that are permuted."""
    b, x = image()
    w = b.constant("k", np.random.default_rng(0).normal(size=(4, 3, 3, 3)))
    y = b.op(Conv, (x, w), "c", "conv", window=plain_window((3, 3)))
    y = b.op(MaxPool, (y,), "p", "pool", window=plain_window((2, 2), (2, 2)))
    flat = b.op(Reshape, (y,), "f", "flatten", shape=(1, 16))
    flat = pair(b, b.op(Activation, (flat,), "r", "relu", kind=Function.RELU), "q")
    fc = b.op(Linear, (flat, coded(b, [-1, 0, 1, 1, 0], (3, 16))), "y", "fc")
    graph = b.graph("net", [IMAGE], [fc])
    want = ["Conv", "MaxPool", "Flatten", "Relu", "Quant", "Quant", "Gemm"]
    assert kinds(export(graph)) == want
    proto = onnx.load_from_string(export(graph)).graph
    assert [n.name for n in proto.node] == [
        "conv", "pool", "flatten", "relu", "q", "fc/weight", "fc",
    ]  # fmt: skip
    check_runs(graph, samples(graph, 4), write(graph, tmp_path, standard=False))


def test_a_flattened_image_that_leaves_is_put_in_order(tmp_path: Path) -> None:
    b, x = image()
    flat = b.op(Reshape, (x,), "f", "flatten", shape=(1, 108))
    graph = b.graph("net", [IMAGE], [flat])
    assert kinds(export(graph)) == ["Transpose", "Flatten"]
    check_runs(graph, samples(graph, 4), write(graph, tmp_path, standard=False), 0)


def test_pools_and_joins_between_codes_move_behind_the_reals(tmp_path: Path) -> None:
    b, x = image()
    s, z = b.constant("s", np.array([0.25])), b.constant("z", np.array([0.0]))
    q = b.op(Quantize, (x, s, z), "q", "quant", elem=Int(-8, 7))
    p = b.op(MaxPool, (q,), "p", "pool", window=plain_window((2, 2), (2, 2)))
    p = b.op(Pad, (p,), "pad", "pad", before=(0, 1, 0, 0), after=(0, 0, 0, 0), value=2.0)
    both = b.op(Concat, (p, p), "cat", "cat", axis=3)
    graph = b.graph("net", [IMAGE], [b.op(Dequantize, (both, s, z), "y", "y")])
    assert kinds(export(graph))[:2] == ["Quant", "MaxPool"]
    for standard in (False, True):
        check_runs(graph, samples(graph, 4), write(graph, tmp_path, standard=standard), 0)


def test_thresholds_lie_along_the_channels(tmp_path: Path) -> None:
    b, x = image()
    t = b.constant("t", np.linspace(-1, 1, 9).reshape(3, 3))
    q = b.op(CountThresholds, (x, t), "q", "q", axis=3)
    half, one = b.constant("half", np.array([0.5])), b.constant("one", np.array([1.0]))
    graph = b.graph("net", [IMAGE], [b.op(Dequantize, (q, half, one), "y", "y")])
    assert kinds(export(graph)) == ["MultiThreshold", "Transpose"]
    for standard in (False, True):
        check_runs(graph, samples(graph, 4), write(graph, tmp_path, standard=standard), 0)


def test_only_bytes_become_quantize_linear() -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 5)))
    nodes = {}
    for elem in (Int(-128, 127), Int(0, 255), Int(-127, 127), Int(-8, 7)):
        graph = b.graph("g", [x], [pair(b, x, f"y{elem}", elem)])
        nodes[elem] = kinds(export(graph, standard=True))[-2:]
        b = Builder(["x"])
    linear = ["QuantizeLinear", "DequantizeLinear"]
    assert nodes[Int(-128, 127)] == nodes[Int(0, 255)] == linear
    assert nodes[Int(-127, 127)] == nodes[Int(-8, 7)] == ["Round", "Mul"]


def test_integers_that_enter_and_leave_have_their_types(tmp_path: Path) -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Int(0, 255), (1, 5)))
    s, z = b.constant("s", np.array([0.25])), b.constant("z", np.array([100.0]))
    real = b.op(Dequantize, (x, s, z), "real", "input x")
    signs = b.op(Binarize, (real,), "signs", "sign")
    q = b.op(Quantize, (real, s, z), "codes", "q", elem=Int(0, 255))
    graph = b.graph("g", [x], [signs, q])
    proto = onnx.load(write(graph, tmp_path, standard=True)).graph
    uint8, int8 = onnx.TensorProto.UINT8, onnx.TensorProto.INT8
    types = [v.type.tensor_type.elem_type for v in (*proto.input, *proto.output)]
    assert types == [uint8, int8, uint8]
    assert proto.node[0].op_type == "DequantizeLinear"
    check_runs(graph, samples(graph, 5), tmp_path / "standard.onnx", 0)
    assert load_model(tmp_path / "standard.onnx").outputs[1].elem == Int(0, 255)
    assert signs.elem == Bipolar()


def test_an_output_may_be_an_input_or_leave_twice(tmp_path: Path) -> None:
    b, x = image()
    a = b.op(Activation, (x,), "a", "relu", kind=Function.RELU)
    turned = b.op(Transpose, (a,), "t", "turn", perm=(0, 3, 1, 2))
    again = b.op(Transpose, (a,), "u", "turn", perm=(0, 3, 1, 2))
    graph = b.graph("g", [IMAGE], [a, turned, again])
    check_runs(graph, samples(graph, 3), write(graph, tmp_path, standard=True), 0)
    passed = Graph("g", (IMAGE,), (x,), tuple(b.ops[:1]), {})
    check_runs(passed, samples(passed, 3), write(passed, tmp_path, standard=True), 0)


def test_the_users_names_are_kept_whatever_they_are(tmp_path: Path) -> None:
    made = model(
        [node("Gemm", "x w", "a//*"), node("Relu", "a//*", "y")], {"w": np.ones((6, 2), np.float32)}
    )
    made.graph.node[0].name = made.graph.node[1].name = 'twice "quoted"\n'
    graph = run(load_model(save(tmp_path, made)), SIMPLIFY)
    proto = onnx.load_from_string(export(graph)).graph
    names = [n.name for n in proto.node]
    assert len(set(names)) == len(names) == 2
    assert [i.name for i in proto.input] == ["x"]
    assert [o.name for o in proto.output] == ["y"]
    assert "a//*" in proto.node[0].output


def test_versions_are_stated(tmp_path: Path) -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 5)))
    graph = b.graph("g", [x], [pair(b, x, "y")])
    for standard, domains in ((True, [""]), (False, ["", "qonnx.custom_op.general"])):
        proto = onnx.load(write(graph, tmp_path, standard=standard))
        assert proto.ir_version == 8
        assert [o.domain for o in proto.opset_import] == domains
        assert proto.opset_import[0].version == 14
