"""Joining, cutting, repeating and padding tensors against onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from bitwright.errors import CompileError, UnsupportedError
from tests.onnx_models import agrees, f32, i64, load, model, node, ops

X = (1, 4, 5, 3)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concat(tmp_path: Path, axis: int) -> None:
    nodes = [node("Relu", "x", "r"), node("Concat", "x r c", "y", axis=axis)]
    constants = {"c": np.ones(X, np.float32)}
    assert ops(agrees(tmp_path, model(nodes, constants, {"x": X}), count=3))[-1] == "Concat"


def test_concat_of_one_tensor_and_of_integers(tmp_path: Path) -> None:
    nodes = [node("Concat", "x", "a", axis=1), node("Concat", "a x", "y", axis=1)]
    proto = model(nodes, inputs={"x": X}, types={"x": TensorProto.UINT8})
    assert ops(agrees(tmp_path, proto, count=3)) == ["Concat"]


def test_an_empty_constant_is_left_out_of_a_concat(tmp_path: Path) -> None:
    nodes = [node("Concat", "x c", "a", axis=1), node("Relu", "a", "y")]
    constants = {"c": np.ones((1, 0, 5, 3), np.float32)}
    assert ops(agrees(tmp_path, model(nodes, constants, {"x": X}), count=3)) == ["Activation"]


SPLITS: list[tuple[int, dict[str, Any], Any, int]] = [
    (11, {"axis": 2, "split": [2, 3]}, None, 2),
    (11, {"axis": 1}, None, 2),
    (13, {"axis": -2}, i64(1, 1, 3), 3),
    (18, {"axis": 2, "num_outputs": 3}, None, 3),
    (18, {"axis": 3, "num_outputs": 3}, None, 3),
]


@pytest.mark.parametrize(("opset", "attributes", "sizes", "count"), SPLITS)
def test_split(
    tmp_path: Path, opset: int, attributes: dict[str, Any], sizes: Any, count: int
) -> None:
    names = [f"p{i}" for i in range(count)]
    constants = {} if sizes is None else {"s": sizes}
    nodes = [
        node("Relu", "x", "r"),
        node("Split", " ".join(["r", *constants]), " ".join(names), **attributes),
        *(node("Abs", n, f"y{i}") for i, n in enumerate(names)),
    ]
    outputs = [f"y{i}" for i in range(count)]
    proto = model(nodes, constants, {"x": X}, opset=opset, outputs=outputs)
    assert ops(agrees(tmp_path, proto, count=3)).count("Take") == count


def test_split_of_a_constant_and_of_what_is_not_read(tmp_path: Path) -> None:
    nodes = [
        node("Split", "c", "a b", axis=0),
        node("Split", "x", "u v", axis=1),
        node("Mul", "v b", "m"),
        node("Add", "m a", "y"),
    ]
    graph = agrees(tmp_path, model(nodes, {"c": f32(2, 3)}, {"x": X}, opset=11), count=3)
    assert ops(graph) == ["Take", "Arithmetic", "Arithmetic"]


SLICES: list[tuple[list[int], list[int], list[int] | None, list[int] | None]] = [
    ([0, 1], [1, 3], None, None),
    ([1, 0], [3, 5], [1, 2], [1, 2]),
    ([-1], [-100], [2], [-1]),
    ([100, -2], [0, 1], [1, 2], [-2, -1]),
    ([-3, 1], [2**63 - 1, -1], [-2, 1], None),
    ([1], [2], [3], [1]),
]


@pytest.mark.parametrize(("starts", "ends", "axes", "steps"), SLICES)
def test_slice(tmp_path: Path, starts: list[int], ends: list[int], axes: Any, steps: Any) -> None:
    given = {"s": starts, "e": ends, "a": axes, "t": steps}
    constants = {n: i64(*v) for n, v in given.items() if v is not None}
    reads = " ".join(n if n in constants else "-" for n in given)
    proto = model([node("Slice", f"x {reads}", "y")], constants, {"x": X}, opset=11)
    assert set(ops(agrees(tmp_path, proto, count=3))) == {"Take"}


@pytest.mark.parametrize("axes", [{}, {"axes": [2, -1]}])
def test_slice_by_attributes(tmp_path: Path, axes: dict[str, Any]) -> None:
    cut = node("Slice", "x", "y", starts=[0, 1], ends=[1, 100], **axes)
    agrees(tmp_path, model([cut], {}, {"x": X}, opset=9), count=3)


def test_a_slice_of_everything_is_nothing(tmp_path: Path) -> None:
    nodes = [node("Slice", "x s e", "a"), node("Relu", "a", "y")]
    proto = model(nodes, {"s": i64(0), "e": i64(9)}, {"x": X})
    assert ops(agrees(tmp_path, proto, count=3)) == ["Activation"]


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("at", [[2, 0, -1, 2], 1, -1, [[0, 1], [2, 0]]])
def test_gather(tmp_path: Path, axis: int, at: Any) -> None:
    proto = model([node("Gather", "x i", "y", axis=axis)], {"i": np.array(at, np.int64)}, {"x": X})
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize("repeats", [[1, 2, 1, 3], [1, 1, 1, 1], [2, 1, 1, 1]])
def test_tile(tmp_path: Path, repeats: list[int]) -> None:
    agrees(tmp_path, model([node("Tile", "x r", "y")], {"r": i64(*repeats)}, {"x": X}), count=3)


@pytest.mark.parametrize("shape", [[1, 4, 5, 3], [2, 1, 4, 1, 3], [1, 6, 3], [1], [4, 5, 3]])
def test_expand(tmp_path: Path, shape: list[int]) -> None:
    x = (1, 4, 1, 3) if len(shape) > 3 else (1, 1, 3)
    if shape == [4, 5, 3]:
        x = (1, 1, 3)
    agrees(tmp_path, model([node("Expand", "x s", "y")], {"s": i64(*shape)}, {"x": x}), count=3)


PADS = [
    [0, 0, 1, 2, 0, 0, 2, 0],
    [0, 1, 0, 0, 0, 2, 0, 0],
    [0, 0, -1, 1, 0, 0, 2, -1],
    [0, 0, -1, 0, 0, -1, -2, 0],
    [0] * 8,
]


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pad(tmp_path: Path, mode: str, pads: list[int]) -> None:
    constants: dict[str, Any] = {"p": i64(*pads)}
    reads = "x p"
    if mode == "constant":
        constants["v"], reads = np.float32(-1.5), "x p v"
    proto = model([node("Pad", reads, "y", mode=mode)], constants, {"x": X}, opset=19)
    agrees(tmp_path, proto, count=3)


def test_pad_by_attributes_and_along_some_axes(tmp_path: Path) -> None:
    old = node("Pad", "x", "y", pads=[0, 0, 1, 1, 0, 0, 0, 1], value=2.5)
    agrees(tmp_path, model([old], inputs={"x": X}, opset=9), count=3)
    constants = {"p": i64(1, 2, 0, 1), "a": i64(-1, 1)}
    agrees(tmp_path, model([node("Pad", "x p - a", "y")], constants, {"x": X}, opset=18), count=3)


def test_integers_are_padded_and_taken(tmp_path: Path) -> None:
    nodes = [node("Pad", "x p v", "a"), node("Slice", "a s e", "y")]
    constants = {
        "p": i64(0, 0, 1, 1, 0, 0, 1, 1), "v": np.int8(-7), "s": i64(0, 1), "e": i64(1, 3),
    }  # fmt: skip
    proto = model(nodes, constants, {"x": X}, types={"x": TensorProto.INT8})
    agrees(tmp_path, proto, count=3)


BAD: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("Slice x s e", {}, {"s": i64(0, 2), "e": i64(1, 2)}, "takes nothing from axis 1"),
    ("Slice x s e a t", {}, {"s": i64(0), "e": i64(1), "a": i64(1), "t": i64(0)}, "steps"),
    ("Slice x s e a", {}, {"s": i64(0, 0), "e": i64(1, 1), "a": i64(1, 1)}, "axis 1 twice"),
    ("Gather x i", {"axis": 1}, {"i": i64(4)}, "positions 4 to 4 of an axis of 4"),
    ("Gather x i", {"axis": 7}, {"i": i64(0)}, "axis 7 is outside"),
    ("Tile x r", {}, {"r": i64(1, 2)}, "do not fit"),
    ("Tile x r", {}, {"r": i64(1, 1 << 20, 1 << 20, 1)}, "larger than"),
    ("Expand x s", {}, {"s": i64(1, 3, 5, 3)}, "cannot expand"),
    ("Expand x s", {}, {"s": i64(1, 4, -1, 3)}, "cannot expand"),
    ("Pad x p", {}, {"p": i64(1, 2, 3)}, "padding .* does not fit"),
    ("Pad x p", {}, {"p": i64(0, 0, -3, 0, 0, 0, -2, 0)}, "gives"),
    ("Pad x p", {"mode": "mirror"}, {"p": i64(*PADS[0])}, "mode mirror is not known"),
    ("Concat x c", {"axis": 1}, {"c": np.ones((1, 4, 5, 2))}, "does not fit"),
    ("Split x s", {"axis": 1}, {"s": i64(3)}, "cannot split 4 elements"),
]


@pytest.mark.parametrize(("reads", "attributes", "constants", "says"), BAD)
def test_what_does_not_fit_is_an_error(
    tmp_path: Path, reads: str, attributes: dict[str, Any], constants: dict[str, Any], says: str
) -> None:
    op, names = reads.split(" ", 1)
    proto = model([node(op, names, "y", **attributes)], constants, {"x": X})
    with pytest.raises(CompileError, match=f"{op} -> y.*{says}"):
        load(tmp_path, proto)


def test_indices_computed_at_run_time_are_refused(tmp_path: Path) -> None:
    proto = model(
        [node("Gather", "x i", "y")], {}, {"x": X, "i": (2,)}, types={"i": TensorProto.INT64}
    )
    with pytest.raises(UnsupportedError, match="indices 'i' are computed at run time"):
        load(tmp_path, proto)
