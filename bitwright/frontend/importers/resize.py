"""Resize and Upsample: nearest neighbours are Takes, interpolation a Resample per axis."""

from dataclasses import dataclass, replace
from math import floor, isfinite

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context
from bitwright.frontend.importers import resampling
from bitwright.frontend.importers.pieces import check_indices, take
from bitwright.frontend.importers.resampling import Axis, Taps
from bitwright.frontend.messages import Refusal, plain
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import axis_of
from bitwright.ir.graph import Array
from bitwright.ir.ops import Pad, Resample, Value

_ROI = 11  # from this version on Resize has a region and coordinate transformations
_LARGEST = 1 << 31


@dataclass(frozen=True, slots=True)
class _Method:
    """How positions become coordinates, and coordinates elements."""

    mode: str
    transformation: str
    nearest: str
    cubic: float
    exclude: bool
    antialias: bool
    outside: float


def resize(ctx: Context, node: Node) -> Value:
    """Import Resize; scales, sizes and the region must be constant."""
    old = ctx.opset < _ROI
    x = ctx.value(node, 0) if node.text("mode", "nearest") == "nearest" else ctx.real(node, 0)
    method = _method(node, old)
    axes = _scaled_axes(ctx, node, x) if old else _axes(ctx, node, x)
    return _resized(ctx, node, x, axes, method)


def upsample(ctx: Context, node: Node) -> Value:
    """Import Upsample, its scales an attribute (before version 9) or a constant input."""
    x = ctx.value(node, 0) if node.text("mode", "nearest") == "nearest" else ctx.real(node, 0)
    return _resized(ctx, node, x, _scaled_axes(ctx, node, x), _method(node, old=True))


def _method(node: Node, old: bool) -> _Method:
    """Return the attributes; the old operators read at `i / scale`, rounded to skip the least."""
    mode = node.text("mode", "nearest")
    mode = "linear" if mode == "bilinear" else mode
    transformation = node.text("coordinate_transformation_mode", "half_pixel")
    found = _Method(
        mode=mode,
        transformation="asymmetric" if old else transformation,
        nearest="simple" if old else node.text("nearest_mode", "round_prefer_floor"),
        cubic=node.real("cubic_coeff_a", -0.75),
        exclude=bool(node.integer("exclude_outside", 0)),
        antialias=bool(node.integer("antialias", 0)),
        outside=node.real("extrapolation_value", 0.0),
    )
    if not isfinite(found.cubic):
        raise CompileError(f"{node.loc}: cubic_coeff_a is {found.cubic}")
    checks = (
        ("mode", mode, {"nearest", "linear", "cubic"}),
        ("transformation", found.transformation, resampling.COORDINATES),
        ("nearest_mode", found.nearest, {*resampling.NEAREST, "simple"}),
    )
    for what, name, known in checks:
        if name not in known:
            raise Refusal(f"its {what} {plain(name)} is not known", f"use {', '.join(known)}")
    return found


def _scaled_axes(ctx: Context, node: Node, x: Value) -> list[Axis]:
    """Return the axes of an operator whose only numbers are scales."""
    given = ctx.optional_array(node, 1)
    scales = list(node.reals("scales") or ()) if given is None else given.reshape(-1).tolist()
    if len(scales) != len(x.shape):
        raise CompileError(f"{node.loc}: {len(scales)} scales for a tensor of shape {x.shape}")
    return [_by_scale(node, d, s) for d, s in zip(x.shape, scales, strict=True)]


def _by_scale(node: Node, before: int, scale: float) -> Axis:
    if not 0 < scale * before < _LARGEST:
        raise CompileError(f"{node.loc}: a scale of {scale:g} on an axis of {before}")
    fraction = float(np.float32(scale) * np.float32(before)) % 1
    if fraction and node.text("coordinate_transformation_mode", "") == "align_corners":
        raise Refusal(
            f"its align_corners with a scale of {scale:g} on an axis of {before} is read in two ways",
            "give sizes instead of scales",
        )
    return Axis(before, floor(np.float32(scale) * np.float32(before)), float(scale))


def _axes(ctx: Context, node: Node, x: Value) -> list[Axis]:
    """Return every axis with its size and scale, from scales or sizes, of some axes or all."""
    rank = len(x.shape)
    named = node.integers("axes") or tuple(range(rank))
    places = [axis_of(a, rank, node.loc) for a in named]
    scales, sizes = ctx.optional_array(node, 2), ctx.optional_array(node, 3)
    out = [Axis(d, d, 1.0) for d in x.shape]
    numbers = scales if scales is not None and scales.size else sizes
    if numbers is None or numbers.size != len(places):
        raise CompileError(
            f"{node.loc}: it has neither scales nor sizes for {len(places)} axes of {x.shape}"
        )
    before = [x.shape[p] for p in places]
    if numbers is scales:
        found = [_by_scale(node, d, float(s)) for d, s in zip(before, scales, strict=True)]
    else:
        wanted = [int(s) for s in numbers.reshape(-1)]
        if ctx.batch > 1 and places[0] == 0 and wanted[0] == ctx.batch:
            wanted[0] = 1
        found = _by_size(node, before, wanted)
    region = ctx.optional_array(node, 1)
    crops = node.text("coordinate_transformation_mode", "") == "tf_crop_and_resize"
    for i, (place, axis) in enumerate(zip(places, found, strict=True)):
        out[place] = _cropped(node, axis, region, (i, len(places))) if crops else axis
    return out


def _by_size(node: Node, before: list[int], wanted: list[int]) -> list[Axis]:
    if not all(0 < w < _LARGEST for w in wanted):
        raise CompileError(f"{node.loc}: sizes {wanted}")
    policy = node.text("keep_aspect_ratio_policy", "stretch")
    ratios = [np.float32(w) / np.float32(d) for w, d in zip(wanted, before, strict=True)]
    if policy == "stretch":
        return [Axis(d, w, float(r)) for d, w, r in zip(before, wanted, ratios, strict=True)]
    if policy not in {"not_larger", "not_smaller"}:
        raise Refusal(f"its keep_aspect_ratio_policy {plain(policy)} is not known")
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return [Axis(d, floor(float(scale * np.float32(d)) + 0.5), float(scale)) for d in before]


def _cropped(node: Node, axis: Axis, region: Array | None, at: tuple[int, int]) -> Axis:
    """Return the axis with its part of the region: all starts come first, then all ends."""
    i, count = at
    if region is None or region.size != 2 * count:
        raise CompileError(f"{node.loc}: tf_crop_and_resize needs a region of {2 * count} numbers")
    flat = region.reshape(-1)
    return replace(axis, start=float(flat[i]), end=float(flat[i + count]))


def _resized(ctx: Context, node: Node, x: Value, axes: list[Axis], method: _Method) -> Value:
    """Emit one step per axis that changes."""
    check_indices(ctx, node, x.shape, tuple(a.after for a in axes))
    crops = method.transformation == "tf_crop_and_resize"
    steps = [
        i for i, a in enumerate(axes)
        if (a.before, a.scale) != (a.after, 1.0) or (crops and (a.start, a.end) != (0.0, 1.0))
    ]  # fmt: skip
    for i in steps:
        part = "" if i == steps[-1] else f"axis{i}"
        ctx.account(node, (axes[i].after, resampling.most_taps(axes[i])))
        at = resampling.coordinates(axes[i], method.transformation)
        if not (np.abs(at) < _LARGEST).all():
            raise CompileError(f"{node.loc}: it reads far outside axis {i}, at {at[0]:g}")
        x = _along(ctx, node, x, (i, axes[i], at, part), method)
    return x


def _along(
    ctx: Context, node: Node, x: Value, step: tuple[int, Axis, Array, str], method: _Method
) -> Value:
    """Emit the resizing of one axis."""
    i, axis, at, part = step
    outside = np.zeros(at.shape, bool)
    if method.transformation == "tf_crop_and_resize":
        outside = (at < 0) | (at > axis.before - 1)
    if outside.any():
        ends = [0] * len(x.shape), [int(k == i) for k in range(len(x.shape))]
        x = ctx.emit(
            Pad, (x,), node, f"wide{i}",
            before=tuple(ends[0]), after=tuple(ends[1]), value=method.outside,
        )  # fmt: skip
    if method.mode == "nearest":
        rounding = method.nearest
        if rounding == "simple":
            rounding = "ceil" if axis.scale < 1 else "floor"
        positions = resampling.nearest(axis, at, rounding)
        return take(ctx, node, x, i, np.where(outside, axis.before, positions), part)
    positions, weights = _taps(axis, at, method)
    positions = np.where(outside[:, None], axis.before, positions)
    weights = np.where(outside[:, None], np.float32(1 / weights.shape[1]), weights)
    p = ctx.constant(f"{node.out}.at{i}", positions)
    w = ctx.constant(f"{node.out}.weights{i}", weights)
    return ctx.emit(Resample, (x, p, w), node, part, axis=i)


def _taps(axis: Axis, at: Array, method: _Method) -> Taps:
    cubic = method.mode == "cubic"
    if method.antialias and axis.scale < 1:
        return resampling.smoothed(axis, at, method.cubic if cubic else None, method.exclude)
    if cubic:
        return resampling.cubic(axis, at, method.cubic, method.exclude)
    return resampling.linear(axis, at)
