"""Products of computed tensors, and the k greatest elements, as onnxruntime has them."""

from pathlib import Path

import numpy as np
import pytest

from bitwright.errors import CompileError
from tests.onnx_models import agrees, f32, i64, load, model, node, ops

RNG = np.random.default_rng(11)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((1, 4, 5), (1, 5, 3)),
        ((1, 2, 4, 5), (1, 1, 5, 3)),
        ((1, 4, 5), (1, 2, 5, 3)),
    ],
)
def test_two_computed_tensors(tmp_path: Path, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    graph = agrees(tmp_path, model([node("MatMul", "a b", "y")], {}, {"a": a, "b": b}))
    assert ops(graph) == ["MatMul"]


@pytest.mark.parametrize(
    ("x", "w"), [((1, 2, 6), (6,)), ((1, 6), (2, 6, 3)), ((1, 3, 2, 6), (3, 6, 4))]
)
def test_constants_of_other_ranks(tmp_path: Path, x: tuple[int, ...], w: tuple[int, ...]) -> None:
    constants = {"w": RNG.normal(size=w).astype(np.float32)}
    agrees(tmp_path, model([node("MatMul", "x w", "y")], constants, {"x": x}), count=3)


def test_a_constant_on_the_left(tmp_path: Path) -> None:
    constants = {"w": RNG.normal(size=(3, 6)).astype(np.float32)}
    graph = agrees(tmp_path, model([node("MatMul", "w x", "y")], constants, {"x": (1, 6, 2)}))
    assert ops(graph) == ["MatMul"]


def test_attention(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", "x q", "Q"), node("MatMul", "x k", "K"), node("MatMul", "x v", "V"),
        node("Transpose", "K", "Kt", perm=[0, 2, 1]), node("MatMul", "Q Kt", "scores"),
        node("Softmax", "scores", "share", axis=-1), node("MatMul", "share V", "y"),
    ]  # fmt: skip
    constants = {n: RNG.normal(size=(8, 4)).astype(np.float32) for n in "qkv"}
    agrees(tmp_path, model(nodes, constants, {"x": (1, 5, 8)}), count=5, spread=0.5)


@pytest.mark.parametrize("bias", ["", " c"])
@pytest.mark.parametrize(("left", "right"), [(0, 1), (1, 0), (1, 1)])
def test_gemm_of_computed_matrices(tmp_path: Path, left: int, right: int, bias: str) -> None:
    a = (5, 1) if left else (1, 5)
    b = (3, 5) if right else (5, 3)
    nodes = [
        node("Reshape", "a sa", "A"), node("Reshape", "b sb", "B"),
        node("Gemm", f"A B{bias}", "y", transA=left, transB=right, alpha=0.5, beta=2.0),
    ]  # fmt: skip
    constants = {"c": f32(1, 2, 3), "sa": i64(*a), "sb": i64(*b)}
    agrees(tmp_path, model(nodes, constants, {"a": (1, 5), "b": (1, 15)}))


def test_gemm_transposes_its_first_operand(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x s", "t"), node("Gemm", "t w", "y", transA=1)]
    constants = {"w": RNG.normal(size=(6, 2)).astype(np.float32), "s": i64(6, 1)}
    assert "Linear" in ops(agrees(tmp_path, model(nodes, constants)))


def test_a_number_has_no_product(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="a number without axes"):
        load(tmp_path, model([node("MatMul", "x c", "y")], {"c": np.float32(2)}))


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("axis", [1, -1])
def test_top_k(tmp_path: Path, axis: int, largest: int) -> None:
    proto = model(
        [node("TopK", "x k", "v i", axis=axis, largest=largest)],
        {"k": i64(3)}, {"x": (1, 5, 4)}, outputs=["v", "i"],
    )  # fmt: skip
    assert ops(agrees(tmp_path, proto, spread=0.3)) == ["TopK", "TopK"]


def test_more_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="takes k = 9 of 6 elements"):
        load(tmp_path, model([node("TopK", "x k", "y i")], {"k": i64(9)}))


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("keep", [0, 1])
def test_the_last_of_equals(tmp_path: Path, op: str, keep: int) -> None:
    nodes = [node(op, "x", "y", axis=1, keepdims=keep, select_last_index=1)]
    agrees(tmp_path, model(nodes, {}, {"x": (1, 6, 2)}), spread=0.1)
