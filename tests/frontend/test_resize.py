"""Resize and Upsample against onnxruntime, in every mode it has."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from bitwright.errors import CompileError
from bitwright.frontend.importers.resampling import COORDINATES, NEAREST
from tests.onnx_models import agrees, f32, i64, load, model, node, ops

X = (1, 2, 5, 4)
GROW, SHRINK, MIXED = (1.0, 1.0, 2.0, 1.7), (1.0, 1.0, 0.6, 0.5), (1.0, 1.0, 1.3, 0.7)
TRANSFORMATIONS = [c for c in COORDINATES if c not in {"tf_crop_and_resize", "align_corners"}]


def scaled(mode: str, scales: tuple[float, ...], opset: int = 19, **attributes: Any) -> Any:
    resize = node("Resize", "x - s", "y", mode=mode, **attributes)
    return model([resize], {"s": f32(*scales)}, {"x": X}, opset=opset)


def sized(mode: str, sizes: tuple[int, ...], opset: int = 19, **attributes: Any) -> Any:
    resize = node("Resize", "x - - s", "y", mode=mode, **attributes)
    return model([resize], {"s": i64(*sizes)}, {"x": X}, opset=opset)


@pytest.mark.parametrize(("transformation", "rounding"), [*product(TRANSFORMATIONS, NEAREST)])
@pytest.mark.parametrize("scales", [GROW, SHRINK, MIXED])
def test_nearest(
    tmp_path: Path, transformation: str, rounding: str, scales: tuple[float, ...]
) -> None:
    opset = 11 if transformation == "tf_half_pixel_for_nn" else 19
    proto = scaled(
        "nearest", scales, opset, coordinate_transformation_mode=transformation,
        nearest_mode=rounding,
    )  # fmt: skip
    if opset == 11:
        proto.graph.node[0].input[1] = "r"
        proto.graph.initializer.extend(model([], {"r": f32()}).graph.initializer)
    assert set(ops(agrees(tmp_path, proto, count=3))) <= {"Take"}


@pytest.mark.parametrize("transformation", [t for t in TRANSFORMATIONS if "for_nn" not in t])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("scales", [GROW, SHRINK, MIXED])
def test_interpolation(
    tmp_path: Path, mode: str, transformation: str, scales: tuple[float, ...]
) -> None:
    proto = scaled(mode, scales, coordinate_transformation_mode=transformation)
    assert ops(agrees(tmp_path, proto, count=3)) == ["Resample", "Resample"]


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("size", [(1, 2, 3, 9), (1, 2, 1, 1), (1, 2, 10, 2)])
@pytest.mark.parametrize("transformation", ["half_pixel", "align_corners", "pytorch_half_pixel"])
def test_sizes(tmp_path: Path, mode: str, size: tuple[int, ...], transformation: str) -> None:
    agrees(tmp_path, sized(mode, size, coordinate_transformation_mode=transformation), count=3)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("scales", [(1.0, 1.0, 2.0, 3.0), (1.0, 1.0, 0.4, 0.5)])
def test_scales_that_align_corners(tmp_path: Path, mode: str, scales: tuple[float, ...]) -> None:
    proto = scaled(mode, scales, coordinate_transformation_mode="align_corners")
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize("exclude", [0, 1])
@pytest.mark.parametrize("a", [-0.5, -0.75])
def test_cubic_coefficients(tmp_path: Path, a: float, exclude: int) -> None:
    proto = scaled("cubic", MIXED, cubic_coeff_a=a, exclude_outside=exclude)
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize("exclude", [0, 1])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("scales", [SHRINK, MIXED, (1.0, 1.0, 0.31, 0.5)])
def test_antialiasing(tmp_path: Path, mode: str, exclude: int, scales: tuple[float, ...]) -> None:
    agrees(tmp_path, scaled(mode, scales, antialias=1, exclude_outside=exclude), count=3)


@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
@pytest.mark.parametrize("size", [(7, 8), (8, 7), (3, 3)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_some_axes_and_the_aspect_ratio(
    tmp_path: Path, mode: str, policy: str, size: tuple[int, ...]
) -> None:
    proto = sized(mode, size, axes=[2, 3], keep_aspect_ratio_policy=policy)
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_a_cropped_region_and_what_lies_outside(tmp_path: Path, mode: str) -> None:
    resize = node(
        "Resize", "x r - s", "y", mode=mode, extrapolation_value=-7.5,
        coordinate_transformation_mode="tf_crop_and_resize",
    )  # fmt: skip
    constants = {"r": f32(0, 0, 0.2, -0.4, 1, 1, 0.9, 1.3), "s": i64(1, 2, 4, 6)}
    agrees(tmp_path, model([resize], constants, {"x": X}, opset=13), count=3)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [(1.0, 1.0, 2.0, 3.0), (1.0, 1.0, 1.5, 2.0)])
@pytest.mark.parametrize("opset", [7, 9, 10])
def test_old_operators(tmp_path: Path, mode: str, scales: tuple[float, ...], opset: int) -> None:
    if opset == 7:
        proto = model(
            [node("Upsample", "x", "y", mode=mode, scales=scales)], {}, {"x": X}, opset=opset
        )
    else:
        op = "Upsample" if opset == 9 else "Resize"
        proto = model([node(op, "x s", "y", mode=mode)], {"s": f32(*scales)}, {"x": X}, opset=opset)
    agrees(tmp_path, proto, count=3)


def test_shrinking_by_the_old_resize(tmp_path: Path) -> None:
    proto = model([node("Resize", "x s", "y")], {"s": f32(1, 1, 0.6, 0.5)}, {"x": X}, opset=10)
    agrees(tmp_path, proto, count=3)


def test_integers_and_one_axis(tmp_path: Path) -> None:
    proto = model(
        [node("Resize", "x - s", "y", mode="nearest")], {"s": f32(1, 1, 2)}, {"x": (1, 2, 3)},
        opset=13, types={"x": TensorProto.UINT8},
    )  # fmt: skip
    assert ops(agrees(tmp_path, proto, count=3)) == ["Take"]


def test_sizes_computed_from_a_shape(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "all"),
        node("Slice", "all zero two", "head"),
        node("Concat", "head tail", "sizes", axis=0),
        node("Resize", "x none no sizes", "y", mode="linear",
             coordinate_transformation_mode="align_corners"),
    ]  # fmt: skip
    constants = {"zero": i64(0), "two": i64(2), "tail": i64(7, 9), "none": f32(), "no": f32()}
    proto = model(nodes, constants, {"x": ("N", 2, 5, 4)}, opset=11)
    assert load(tmp_path, proto).outputs[0].shape == (1, 2, 7, 9)
    agrees(tmp_path, proto, count=3)


@pytest.mark.parametrize(
    ("proto", "says"),
    [
        (scaled("nearest", (1.0, 1.0, 2.0)), "neither scales nor sizes"),
        (scaled("nearest", (1.0, 1.0, 0.0, 1.0)), "a scale of 0"),
        (scaled("nearest", (1.0, 1.0, 0.1, 1.0)), "holds nothing"),
        (scaled("cubic", GROW, cubic_coeff_a=float("inf")), "cubic_coeff_a is inf"),
        (scaled("area", GROW), "mode area is not known"),
        (scaled("linear", GROW, coordinate_transformation_mode="align_corners"), "two ways"),
        (scaled("nearest", GROW, nearest_mode="up"), "nearest_mode up is not known"),
        (sized("nearest", (1, 2, 0, 3)), "sizes"),
        (sized("nearest", (1, 1 << 14, 1 << 14, 3)), "larger than"),
        (sized("linear", (1, 2, 3, 3), keep_aspect_ratio_policy="fill"), "fill is not known"),
    ],
)
def test_what_does_not_fit_is_an_error(tmp_path: Path, proto: Any, says: str) -> None:
    with pytest.raises(CompileError, match=f"Resize -> y.*{says}"):
        load(tmp_path, proto)


def test_a_region_far_outside_is_an_error(tmp_path: Path) -> None:
    transformation = "tf_crop_and_resize"
    resize = node(
        "Resize", "x r - s", "y", mode="linear", coordinate_transformation_mode=transformation
    )
    constants = {"r": f32(0, 0, 0, -1e30, 1, 1, 1, 1e30), "s": i64(1, 2, 4, 6)}
    with pytest.raises(CompileError, match="far outside axis 3"):
        load(tmp_path, model([resize], constants, {"x": X}))
