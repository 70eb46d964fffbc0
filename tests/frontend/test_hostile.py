"""Files that are broken or want harm: one clear error, in bounded time and memory."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from bitwright.errors import CompileError, UnsupportedError
from bitwright.frontend import load_model
from tests.onnx_models import QONNX, load, model, node, save


def relu() -> Any:
    return model([node("Relu", "x", "y")])


def with_tensor(tensor: Any) -> Any:
    tensor.name = "c"
    proto = model([node("Add", "x c", "y")])
    proto.graph.initializer.append(tensor)
    return proto


@pytest.mark.parametrize("data", [b"", b"hello world, this is text", b"\x08", b"\xff" * 100])
def test_a_file_that_is_no_model(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(CompileError, match="not an ONNX model or is truncated"):
        load_model(path)


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    whole = model([node("Gemm", "x w", "y")], {"w": np.ones((6, 2))}).SerializeToString()
    path = tmp_path / "m.onnx"
    for cut in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(CompileError):
            load_model(path)


@given(st.data())
def test_a_changed_byte_is_an_error_or_a_model(data: Any) -> None:
    nodes = [
        node("Quant", "w s z n", "q", QONNX, signed=1, narrow=0, rounding_mode="ROUND"),
        node("MatMul", "x q", "m"),
        node("Reshape", "m t", "y"),
    ]
    constants = {
        "w": np.ones((6, 2)), "s": 1.0, "z": 0.0, "n": 4.0, "t": np.array([1, 2], np.int64),
    }  # fmt: skip
    raw = bytearray(model(nodes, constants).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        path.write_bytes(bytes(raw))
        with suppress(CompileError):  # anything else would be a bug
            load_model(path).verify()


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(CompileError):
            load_model(path)


def external(location: str, **more: int) -> Any:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[6])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return with_tensor(tensor)


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    want = np.arange(6, dtype=np.float32)
    (tmp_path / "data.bin").write_bytes(b"1234" + want.tobytes())
    graph = load(tmp_path, external("data.bin", offset=4, length=24))
    np.testing.assert_array_equal(graph.constants["c"], want)


@pytest.mark.parametrize(
    "location",
    [
        "/etc/passwd",
        "../outside.bin",
        "link.bin",
        "a/../../outside.bin",
        "",
        "none.bin",
        "x\0y",
        ".",
    ],
)
def test_external_data_elsewhere(tmp_path: Path, location: str) -> None:
    (tmp_path / "outside.bin").write_bytes(bytes(24))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    with pytest.raises(CompileError, match="no file in the model's folder"):
        load(folder, external(location))


@pytest.mark.parametrize(("offset", "length"), [(0, 25), (8, 24), (-4, 24), (1 << 40, 24)])
def test_external_data_beyond_the_file(tmp_path: Path, offset: int, length: int) -> None:
    (tmp_path / "data.bin").write_bytes(bytes(24))
    with pytest.raises(CompileError, match="exceed the file"):
        load(tmp_path, external("data.bin", offset=offset, length=length))


@pytest.mark.parametrize(
    ("dims", "raw", "text"),
    [
        ([1 << 40], b"", "larger than 256 MiB"),
        ([1 << 31, 1 << 31], b"", "larger than 256 MiB"),
        ([-6], b"", "has the shape"),
        ([6], b"123", "has 3 bytes"),
        ([1] * 70, b"1234", "70 axes"),
    ],
)
def test_tensors_that_lie(tmp_path: Path, dims: list[int], raw: bytes, text: str) -> None:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=dims, raw_data=raw)
    with pytest.raises(CompileError, match=text):
        load(tmp_path, with_tensor(tensor))


def test_a_huge_input_and_a_huge_constant(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="larger than 256 MiB"):
        load(tmp_path, model([node("Relu", "x", "y")], inputs={"x": (1, 1 << 30, 1 << 30)}))
    nodes = [node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")]
    with pytest.raises(CompileError, match="larger than 256 MiB"):
        load(tmp_path, model(nodes, {"s": np.array([1 << 20, 1 << 20], np.int64)}))


def test_constants_that_double_are_stopped(tmp_path: Path) -> None:
    nodes = [node("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(60)]
    with pytest.raises(CompileError, match=r"256 MiB|1 GiB"):
        load(tmp_path, model([*nodes, node("Add", "x c60", "y")], {"c0": np.ones(1 << 12)}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    w = np.ones((6, 2), np.float32)
    w[1] = value
    with pytest.raises(CompileError, match=r"tensor 'w' holds 2 values that are NaN or infinite"):
        load(tmp_path, model([node("MatMul", "x w", "y")], {"w": w}))


def test_numbers_beyond_float32(tmp_path: Path) -> None:
    tensor = helper.make_tensor("c", TensorProto.DOUBLE, [1], [1e300])
    with pytest.raises(CompileError, match="'c' holds 1 value"):
        load(tmp_path, with_tensor(tensor))


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_other_float_weights_become_float32(tmp_path: Path, kind: int) -> None:
    tensor = helper.make_tensor("c", kind, [1], [1.5])
    c = load(tmp_path, with_tensor(tensor)).constants["c"]
    assert c.dtype == np.float32
    assert c.tolist() == [1.5]


def test_denormal_weights_are_kept(tmp_path: Path) -> None:
    graph = load(tmp_path, model([node("Mul", "x c", "y")], {"c": np.float32(5.6e-45)}))
    assert float(graph.constants["c"]) == float(np.float32(5.6e-45))


@pytest.mark.parametrize("kind", [TensorProto.BFLOAT16, TensorProto.COMPLEX64, TensorProto.STRING])
def test_types_that_are_refused(tmp_path: Path, kind: int) -> None:
    with pytest.raises(UnsupportedError, match="tensor 'c' is of type"):
        load(tmp_path, with_tensor(TensorProto(data_type=kind, dims=[1])))
    with pytest.raises(UnsupportedError, match="input 'x' is of type"):
        load(tmp_path, model([node("Relu", "x", "y")], types={"x": kind}))


def test_all_unsupported_nodes_are_told_at_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["x", "w"], ["a"], name="first"),
        node("Relu", "a", "b"),
        node("Magic", "b", "c", "acme.ops"),
        node("Loop", "c", "d"),
        node("Scan", "d", "y"),
    ]
    with pytest.raises(UnsupportedError) as caught:
        load(tmp_path, model(nodes, {"w": np.ones(1)}))
    text = str(caught.value)
    assert "4 nodes are not supported" in text
    assert "first (NonZero): which elements it selects depends on the data" in text
    assert "the operator Magic of domain 'acme.ops' is not known" in text
    assert "Loop -> d" in text
    assert "Relu" not in text


def test_a_long_report_is_cut(tmp_path: Path) -> None:
    nodes = [node("NonZero", "x w", f"a{i}") for i in range(50)]
    with pytest.raises(UnsupportedError, match="and 30 more"):
        load(tmp_path, model([*nodes, node("Relu", "x", "y")], {"w": np.ones(1)}))


def subgraph() -> Any:
    out = onnx.ValueInfoProto(name="z")
    return helper.make_graph([node("Relu", "x", "z")], "inner", [], [out])


def test_control_flow_and_functions_are_refused_by_name(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("If", ["x"], ["a"], then_branch=subgraph(), else_branch=subgraph()),
        helper.make_node("Mine", ["a"], ["y"], domain="local"),
    ]
    proto = model(nodes)
    proto.functions.append(
        helper.make_function("local", "Mine", ["i"], ["o"], [node("Relu", "i", "o")], [])
    )
    with pytest.raises(UnsupportedError, match=r"(?s)control flow.*function of the model"):
        load(tmp_path, proto)


def test_too_many_nodes(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")])
    proto.graph.node.extend([proto.graph.node[0]] * 100_001)
    with pytest.raises(CompileError, match="100002 nodes"):
        load(tmp_path, proto)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([node("Relu", "nowhere", "y")], "reads 'nowhere', which nothing sets"),
        ([node("Relu", "b", "y"), node("Relu", "x", "b")], "reads 'b'"),
        ([node("Relu", "y", "y")], "reads 'y'"),
        ([node("Relu", "x", "y"), node("Abs", "x", "y")], "'y' is set twice"),
        ([node("Relu", "x", "z")], "output 'y' is never set"),
        ([node("Relu", "", "y")], "has no input 0"),
        ([node("Flatten", "x", "y", axis="one")], "another type"),
        ([node("Transpose", "x", "y", perm=[0, 0])], "does not fit"),
        ([node("Softmax", "x", "y", axis=5)], "outside"),
        ([node("LeakyRelu", "x", "y", alpha=float("nan"))], "not a number"),
    ],
)
def test_graphs_that_are_wrong(tmp_path: Path, nodes: list[Any], text: str) -> None:
    with pytest.raises(CompileError, match=text):
        load(tmp_path, model(nodes))


def test_old_operator_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="operator set 6"):
        load(tmp_path, model([node("Relu", "x", "y")], opset=6))


EVIL = '../x"*/\n\r\x1b[31m\N{ZERO WIDTH SPACE}' + "a" * 5000


def test_hostile_names_are_data(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "m"), node("Relu", "m", "y")])
    proto.graph.node[0].name = EVIL
    proto.graph.node[0].output[0] = proto.graph.node[1].input[0] = EVIL
    graph = load(tmp_path, proto)
    assert graph.ops[0].name == EVIL
    assert graph.ops[0].loc.isprintable()
    assert len(graph.ops[0].loc) < 300


def test_names_that_are_no_text(tmp_path: Path) -> None:
    raw = model([node("Relu", "x", "middle"), node("Relu", "middle", "y")]).SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(raw.replace(b"middle", b"mid\xff\xfee"))
    with pytest.raises(CompileError, match="not UTF-8"):
        load_model(path)


def test_hostile_names_in_errors_are_one_short_line(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")])
    proto.graph.node[0].name = proto.graph.node[0].input[0] = EVIL
    with pytest.raises(CompileError) as caught:
        load(tmp_path, proto)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_a_name_of_ours_that_the_model_uses(tmp_path: Path) -> None:
    nodes = [
        node("BipolarQuant", "x s", "q", QONNX),
        node("Relu", "q", "q.codes"),
        node("Add", "q.codes q.scale", "y"),
    ]
    graph = load(tmp_path, model(nodes, {"s": 1.0, "q.scale": 2.0}))
    assert graph.outputs[0].name == "y"


def test_locations_name_the_node(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "m"), node("Abs", "m", "y")])
    proto.graph.node[0].name = "block/relu"
    assert [op.loc for op in load(tmp_path, proto).ops] == ["block/relu", "Abs -> y"]


def test_the_graph_is_named_after_the_file(tmp_path: Path) -> None:
    assert load_model(save(tmp_path, relu())).name == "model"
