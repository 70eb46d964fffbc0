import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.frontend.data import LABELS, Data, load_data
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import Activation, Dequantize, Function, Value
from bitwright.ir.types import Bipolar, Element, Int, Real, TensorType


def model(elem: Element, *shape: int, name: str = "x", second: bool = False) -> Graph:
    """Return a graph of one input, or of two, whose codes mean 0.5 * (q - 3)."""
    b = Builder()
    x = Value(name, TensorType(elem, shape))
    inputs = [x, Value("z", TensorType(Real(), (1, 2)))] if second else [x]
    y = x
    if not isinstance(elem, Real):
        s, z = b.constant("s", np.array([0.5])), b.constant("o", np.array([3.0]))
        y = b.op(Dequantize, (x, s, z), "real", "in")
    return b.graph("g", inputs, [b.op(Activation, (y,), "out", "relu", kind=Function.RELU)])


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path / "d.npz", **arrays)
    return path / "d.npz"


IMAGE = model(Real(), 1, 1, 2, 3)
INT4 = model(Int(-8, 7), 1, 4)


@pytest.mark.parametrize("name", ["x", "arr_0", "anything"])
@pytest.mark.parametrize("shape", [(5, 2, 3), (5, 1, 2, 3), (5, 1, 1, 2, 3), (5, 2, 3, 1)])
def test_the_only_array_is_the_only_input(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    a = np.random.default_rng(0).normal(size=shape)
    data = load_data(save(tmp_path, **{name: a}, y=np.arange(5).reshape(5, 1)), IMAGE)
    assert data.count == 5
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 2, 3, 4]
    got = data.inputs["x"]
    assert got.shape == (5, 1, 1, 2, 3)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.reshape(-1), a.astype(np.float32).reshape(-1))
    assert data.first(2).count == 2
    assert data.first(2).labels is not None
    assert Data({"x": got}, None).first(1).labels is None


def test_raw_pixels_are_preprocessed(tmp_path: Path) -> None:
    raw = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    data = load_data(save(tmp_path, x=raw), IMAGE, (0.5, 0.25, 1 / 255))
    want = ((raw / 255 - 0.5) / 0.25).astype(np.float32)
    np.testing.assert_allclose(data.inputs["x"].reshape(2, 2, 3), want, rtol=1e-6)


def test_codes_pass_and_reals_become_codes(tmp_path: Path) -> None:
    codes = np.array([[-8, 7, 0, 3]], np.int8)
    assert load_data(save(tmp_path, x=codes), INT4).inputs["x"].tolist() == [[[-8, 7, 0, 3]]]
    got = load_data(save(tmp_path, x=0.5 * (codes - 3.0)), INT4).inputs["x"]
    assert got.tolist() == [[[-8, 7, 0, 3]]]
    assert got.dtype == np.int64


def test_an_input_may_be_called_as_the_labels(tmp_path: Path) -> None:
    graph = model(Real(), 1, 2, name=LABELS)
    data = load_data(save(tmp_path, y=np.ones((3, 2))), graph)
    assert data.labels is None
    assert data.count == 3


ERRORS: list[tuple[Graph, dict[str, Any], str]] = [
    (IMAGE, {"a": np.zeros((1, 6)), "b": np.zeros((1, 6))}, "no array for input 'x'; it holds 'a', 'b'"),
    (IMAGE, {"y": np.zeros(3)}, "no array for input 'x'; it holds 'y'"),
    (model(Real(), 1, 2, second=True), {"x": np.zeros((1, 2))}, "no array for input 'z'"),
    (IMAGE, {"x": np.zeros((2, 3, 2))}, r"has shape \(2, 3, 2\), expected \(samples, 1, 2, 3\)"),
    (IMAGE, {"x": np.float64(3)}, r"has shape \(\), expected"),
    (IMAGE, {"x": np.array(["a"])}, "has type <U1, expected numbers"),
    (IMAGE, {"x": np.zeros((1, 2, 3), complex)}, "has type complex128, expected numbers"),
    (IMAGE, {"x": np.full((1, 2, 3), np.nan)}, "holds NaN or infinity"),
    (IMAGE, {"x": np.full((1, 2, 3), -np.inf)}, "holds NaN or infinity"),
    (IMAGE, {"x": np.full((1, 2, 3), 1e300)}, "holds NaN or infinity, or values beyond float32"),
    (IMAGE, {"x": np.zeros((0, 2, 3))}, r"its arrays hold \[0\] samples"),
    (IMAGE, {"x": np.zeros((2, 2, 3)), "y": np.zeros(3)}, r"hold \[2, 3\] samples, expected one"),
    (model(Real(), 1, 2, second=True), {"x": np.zeros((2, 2)), "z": np.zeros((3, 2))},
     r"hold \[2, 3\] samples"),
    (INT4, {"x": np.array([[0, 0, 0, 8]])}, r"values from 0 to 8, but the device takes int\[-8,7\]"),
    (INT4, {"x": np.array([[0, 0, 0, -9]])}, "values from -9 to 0"),
    (INT4, {"x": np.array([[0, 0, 0, 1e30]])}, r"values from 3\.0 to 2e\+30"),
    (INT4, {"x": np.array([[0, 0, 0, 2**64 - 3]], np.uint64)}, "values from 0 to 18446744073709551613"),
    (model(Bipolar(), 1, 2), {"x": np.array([[0, 1]])}, "but the device takes bipolar"),
]  # fmt: skip


@pytest.mark.parametrize(("graph", "arrays", "message"), ERRORS)
def test_every_wrong_array(
    tmp_path: Path, graph: Graph, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(CompileError, match=rf"^d\.npz: .*{message}"):
        load_data(save(tmp_path, **arrays), graph)


def npy() -> bytes:
    out = io.BytesIO()
    np.save(out, np.zeros((1, 2, 3)))
    return out.getvalue()


def pickled() -> bytes:
    out = io.BytesIO()
    np.savez(out, x=np.array([{}], object))
    return out.getvalue()


def damaged(at: int) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, x=np.random.default_rng(0).normal(size=(1, 2, 3)))
    data = bytearray(out.getvalue())
    data[at] ^= 0xFF
    return bytes(data)


def encrypted() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x.npy", npy())
    data = bytearray(out.getvalue())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as an npz"),
        (b"text", "cannot be read as an npz"),
        (b"PK\x03\x04", "cannot be read as an npz"),
        (npy(), r"a single array; save it with np\.savez"),
        (pickled(), "cannot be read as an npz file of plain arrays: Object arrays"),
        (encrypted(), "cannot be read as an npz"),
        (damaged(90), "cannot be read as an npz|no array for input"),
    ],
    ids=["empty", "text", "cut", "npy", "pickle", "encrypted", "damaged"],
)
def test_every_wrong_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "d.npz"
    path.write_bytes(content)
    with pytest.raises(CompileError, match=rf"^d\.npz: {message}"):
        load_data(path, IMAGE)


def test_any_flipped_byte_is_an_error_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    for at in range(0, len(damaged(0)), 7):
        path.write_bytes(damaged(at))
        try:
            assert load_data(path, IMAGE).count == 1
        except CompileError as e:
            assert str(e).startswith("d.npz")  # noqa: PT017


def test_a_file_that_is_not_there_or_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CompileError, match="No such file"):
        load_data(tmp_path / "d.npz", IMAGE)
    with pytest.raises(CompileError, match="cannot be read"):
        load_data(tmp_path, IMAGE)
    monkeypatch.setattr("bitwright.frontend.data._MAX_BYTES", 100)
    with pytest.raises(CompileError, match=r"d\.npz: larger than 100 bytes"):
        load_data(save(tmp_path, x=np.zeros((1, 2, 3))), IMAGE)
