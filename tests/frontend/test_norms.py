"""Normalizations, and DepthToSpace and SpaceToDepth, against onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from bitwright.errors import CompileError
from bitwright.ir.graph import Array
from tests.onnx_models import agrees, f32, load, model, node, ops

RNG = np.random.default_rng(5)


def normal(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("x", [(1, 3, 4, 5), (1, 1, 1, 7), (1, 3, 6), (1, 2, 2, 3, 4)])
def test_instance_norm(tmp_path: Path, x: tuple[int, ...]) -> None:
    constants = {"s": normal(x[1]), "b": normal(x[1])}
    proto = model([node("InstanceNormalization", "x s b", "y", epsilon=1e-3)], constants, {"x": x})
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize("axis", [-1, 1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm(tmp_path: Path, axis: int, bias: bool) -> None:
    shape = (1, 3, 4, 5)
    constants = {"s": normal(*shape[axis:])} | ({"b": normal(*shape[axis:])} if bias else {})
    reads = " ".join(["x", *constants])
    proto = model(
        [node("LayerNormalization", reads, "y", axis=axis)], constants, {"x": shape}, opset=17
    )
    assert ops(agrees(tmp_path, proto, count=3))[0] == "Normalize"


@pytest.mark.parametrize("outputs", ["n m d", "n m", "n - d"])
def test_mean_and_deviation_of_a_layer_norm(tmp_path: Path, outputs: str) -> None:
    names = outputs.split()
    norm = node("LayerNormalization", "x s", " ".join(names), axis=1)
    norm.output[:] = ["" if n == "-" else n for n in names]
    proto = model(
        [norm], {"s": normal(3, 4)}, {"x": (1, 3, 4)}, opset=17,
        outputs=[n for n in names if n != "-"],
    )  # fmt: skip
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("opset", [18, 21])
def test_group_norm(tmp_path: Path, groups: int, opset: int) -> None:
    size = 6 if opset == 21 else groups
    constants = {"s": normal(size), "b": normal(size)}
    proto = model(
        [node("GroupNormalization", "x s b", "y", num_groups=groups)], constants,
        {"x": (1, 6, 3, 5)}, opset=opset,
    )  # fmt: skip
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize("axes", [None, [2, 3], [1]])
def test_mean_variance_norm(tmp_path: Path, axes: list[int] | None) -> None:
    attributes = {} if axes is None else {"axes": axes}
    proto = model(
        [node("MeanVarianceNormalization", "x", "y", **attributes)], inputs={"x": (1, 3, 4, 5)}
    )
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize(
    "attributes",
    [{"size": 3}, {"size": 4, "alpha": 0.5, "beta": 0.5, "bias": 2.0}, {"size": 9, "alpha": 1.0}],
)
def test_local_response_norm(tmp_path: Path, attributes: dict[str, Any]) -> None:
    proto = model([node("LRN", "x", "y", **attributes)], inputs={"x": (1, 5, 3, 2)})
    if attributes["size"] % 2:  # onnxruntime takes odd sizes only
        agrees(tmp_path, proto, count=3)
    else:
        assert ops(load(tmp_path, proto)) == ["Transpose", "LocalResponseNorm", "Transpose"]


@pytest.mark.parametrize("p", [1, 2])
def test_lp_norm(tmp_path: Path, p: int) -> None:
    nodes = [node("Relu", "x", "r"), node("LpNormalization", "r", "y", p=p, axis=1)]
    agrees(tmp_path, model(nodes, inputs={"x": (1, 3, 4)}), count=20)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("x", [(1, 12, 2, 3), (1, 4, 1, 1)])
def test_depth_to_space(tmp_path: Path, mode: str, x: tuple[int, ...]) -> None:
    proto = model([node("DepthToSpace", "x", "y", blocksize=2, mode=mode)], inputs={"x": x})
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize("x", [(1, 3, 4, 6), (1, 1, 2, 2)])
def test_space_to_depth(tmp_path: Path, x: tuple[int, ...]) -> None:
    agrees(tmp_path, model([node("SpaceToDepth", "x", "y", blocksize=2)], inputs={"x": x}), count=3)


def test_depth_to_space_of_integers_moves_integers(tmp_path: Path) -> None:
    proto = model(
        [node("DepthToSpace", "x", "y", blocksize=2)], inputs={"x": (1, 4, 2, 2)},
        types={"x": TensorProto.INT8},
    )  # fmt: skip
    assert set(ops(load(tmp_path, proto))) == {"Transpose", "Reshape"}


BAD: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("DepthToSpace x", {"blocksize": 3}, {}, "4 channels do not divide into blocks of 3 x 3"),
    ("SpaceToDepth x", {"blocksize": 2}, {}, "5 x 6 does not divide"),
    ("SpaceToDepth x", {}, {}, "blocks of 0"),
    ("InstanceNormalization x s s", {}, {"s": f32(1, 2)}, "has shape .2,., expected .4,."),
    ("GroupNormalization x s s", {"num_groups": 3}, {"s": f32(1, 2, 3)}, "into 3 groups"),
    ("LpNormalization x", {"p": 3}, {}, "its p is 3"),
    ("LRN x", {}, {}, "size 0 is less than 1"),
    ("LRN x", {"size": 1 << 40}, {}, "sizes up to 4096"),
]


@pytest.mark.parametrize(("reads", "attributes", "constants", "says"), BAD)
def test_what_does_not_fit_is_an_error(
    tmp_path: Path, reads: str, attributes: dict[str, Any], constants: dict[str, Any], says: str
) -> None:
    op, names = reads.split(" ", 1)
    proto = model([node(op, names, "y", **attributes)], constants, {"x": (1, 4, 5, 6)}, opset=18)
    with pytest.raises(CompileError, match=f"{op} -> y.*{says}"):
        load(tmp_path, proto)
