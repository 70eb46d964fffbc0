"""The quantizers of QONNX: Quant, IntQuant, BipolarQuant, MultiThreshold, Trunc."""

from math import ceil, floor, log2

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context
from bitwright.frontend.importers.linear import channel_parameter
from bitwright.frontend.importers.signs import levels
from bitwright.frontend.messages import Refusal, plain, show
from bitwright.frontend.node import Node
from bitwright.ir.evaluate.real import round_real
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Arith,
    Arithmetic,
    Binarize,
    CountThresholds,
    Dequantize,
    Quantize,
    Rounding,
    Value,
)
from bitwright.ir.ops.base import channel_shape
from bitwright.ir.types import Int

_MAX_BITS = 32
_MODES = {mode.value: mode for mode in Rounding} | {"HALF_EVEN": Rounding.HALF_EVEN}
_CHANNEL_AXIS = {2: 1, 3: 2, 4: 1}  # NC, NWC, NCHW
_TRUNC_V2_INPUTS = 7


def quant(ctx: Context, node: Node) -> Value:
    """Import Quant(x, scale, zero point, bit width): codes by Quantize, reals by Dequantize."""
    x = ctx.real(node, 0)
    bits = ctx.scalar(node, 3)
    signed = bool(node.integer("signed", 1))
    scale, zero, axis = _parameters(ctx, node, (1, 2), x.shape)
    if bits == 1 and signed:
        codes = ctx.emit(Binarize, (_shifted(ctx, node, x, scale, zero, axis),), node, "codes")
    else:
        mode = rounding(node, "ROUND")
        elem = code_range(node, bits, signed, bool(node.integer("narrow", 0)), mode)
        codes = ctx.emit(
            Quantize, (x, scale, zero), node, "codes", elem=elem, rounding=mode, axis=axis
        )
    return ctx.emit(Dequantize, (codes, scale, zero), node, axis=axis)


def bipolar_quant(ctx: Context, node: Node) -> Value:
    """Import BipolarQuant(x, scale): the sign with sign(0) = +1, times the scale."""
    x = ctx.real(node, 0)
    a, axis = channel_parameter(ctx, node, 1, x.shape)
    codes = ctx.emit(Binarize, (x,), node, "codes")
    scale, zero = ctx.constant(f"{node.out}.scale", a), ctx.constant(f"{node.out}.zero", 0)
    return ctx.emit(Dequantize, (codes, scale, zero), node, axis=axis)


def rounding(node: Node, default: str) -> Rounding:
    """Return the rounding mode of a node."""
    name = node.text("rounding_mode", default).upper()
    if name not in _MODES:
        raise Refusal(f"its rounding mode {plain(name)} is not known", f"use {', '.join(_MODES)}")
    return _MODES[name]


def code_range(node: Node, bits: float, signed: bool, narrow: bool, mode: Rounding) -> Int:
    """Return the codes that can occur. A width that is no integer rounds its ends as codes do."""
    if not 1 <= bits <= _MAX_BITS:
        raise Refusal(f"its bit width is {bits:g}", f"widths from 1 to {_MAX_BITS} are handled")
    if signed:
        lo, hi = -(2.0 ** (bits - 1)) + narrow, 2.0 ** (bits - 1) - 1
    else:
        lo, hi = 0.0, 2.0**bits - 1 - narrow
    ends = round_real(np.array([lo, hi]), mode)
    if ends[0] > ends[1]:
        raise CompileError(f"{node.loc}: a width of {bits:g} bits holds no code")
    return Int(int(ends[0]), int(ends[1]))


def _parameters(
    ctx: Context, node: Node, at: tuple[int, int], shape: tuple[int, ...]
) -> tuple[Value, Value, int]:
    """Return scale, zero point and their axis; the scale must be positive."""
    scale, axis = channel_parameter(ctx, node, at[0], shape)
    if not (scale > 0).all():
        raise CompileError(f"{node.loc}: the scale {show(node.inputs[at[0]])} is not positive")
    zero, zero_axis = channel_parameter(ctx, node, at[1], shape)
    if scale.ndim and zero.ndim and axis != zero_axis:
        raise Refusal("its scale and zero point lie along different axes")
    return (
        ctx.constant(f"{node.out}.scale", scale),
        ctx.constant(f"{node.out}.zero", whole_numbers(zero, node.inputs[at[1]])),
        max(axis, zero_axis),
    )


def whole_numbers(zero: Array, name: str) -> Array:
    """Return a zero point as integers, whatever type the file gave it."""
    if not ((zero == np.rint(zero)) & (np.abs(zero) < 2.0**_MAX_BITS)).all():
        raise Refusal(f"its zero point {show(name)} is not an integer of {_MAX_BITS} bits")
    return zero.astype(np.int64)


def _shifted(ctx: Context, node: Node, x: Value, scale: Value, zero: Value, axis: int) -> Value:
    """Return a value with the sign of `x / scale + zero`, for a positive scale."""
    numbers = ctx.builder.constants
    if not numbers[zero.name].any():
        return x
    offset = numbers[scale.name].astype(np.float64) * numbers[zero.name]
    shape = channel_shape(offset.size, axis, len(x.shape))
    c = ctx.constant(f"{node.out}.offset", offset.reshape(shape).astype(np.float32))
    return ctx.emit(Arithmetic, (x, c), node, "shifted", kind=Arith.ADD)


def multi_threshold(ctx: Context, node: Node) -> Value:
    """Import MultiThreshold: `out_scale * (thresholds reached) + out_bias`."""
    x = ctx.real(node, 0)
    thresholds = ctx.array(node, 1)
    axis = _threshold_axis(node, len(x.shape))
    if thresholds.ndim != 2 or thresholds.shape[0] not in {1, x.shape[axis]}:  # noqa: PLR2004
        raise CompileError(
            f"{node.loc}: thresholds of shape {thresholds.shape} do not fit {x.shape}"
        )
    scale, bias = node.real("out_scale", 1.0), node.real("out_bias", 0.0)
    if thresholds.shape[1] == 1 and scale + bias == -bias != 0:
        return _two_levels(ctx, node, x, thresholds.reshape(channel_shape(
            thresholds.size, axis, len(x.shape))), scale + bias)  # fmt: skip
    t = ctx.constant(f"{node.inputs[1]}.levels", thresholds)
    codes = ctx.emit(CountThresholds, (x, t), node, "codes", axis=axis)
    return levels(ctx, node, codes, (scale, bias))


def _two_levels(ctx: Context, node: Node, x: Value, threshold: Array, high: float) -> Value:
    """Return `high` where x reaches the threshold, else `-high`."""
    if threshold.any():
        t = ctx.constant(f"{node.inputs[1]}.level", threshold)
        x = ctx.emit(Arithmetic, (x, t), node, "shifted", kind=Arith.SUB)
    codes = ctx.emit(Binarize, (x,), node, "codes")
    return levels(ctx, node, codes, (high, 0.0))


def _threshold_axis(node: Node, rank: int) -> int:
    layout = node.text("data_layout", "")
    if len(layout) == rank and "C" in layout:
        return layout.index("C")
    if rank not in _CHANNEL_AXIS:
        raise Refusal(f"its layout is unknown for {rank} axes", "give data_layout")
    return _CHANNEL_AXIS[rank]


def trunc(ctx: Context, node: Node) -> Value:
    """Import Trunc: codes of the input, fewer bits by a power of two, reals again.

    Version 1 keeps the input's scale and does not clamp; version 2 brings an output scale.
    """
    x = ctx.real(node, 0)
    scale, zero, axis = _parameters(ctx, node, (1, 2), x.shape)
    mode = rounding(node, "FLOOR")
    if len(node.inputs) < _TRUNC_V2_INPUTS:
        return _trunc_v1(ctx, node, x, (scale, zero), mode, axis)
    out_scale = ctx.scalar(node, 4)
    numbers = ctx.builder.constants
    if numbers[scale.name].size != 1 or out_scale <= 0:
        raise Refusal("its scales are not one positive number each")
    shift = round(log2(out_scale / float(numbers[scale.name])))
    elem = code_range(
        node, ctx.scalar(node, 6), bool(node.integer("signed", 1)),
        bool(node.integer("narrow", 0)), mode,
    )  # fmt: skip
    codes = _shortened(ctx, node, x, (scale, zero, axis), shift, (elem, mode))
    last = ctx.constant(f"{node.out}.out_scale", np.float32(out_scale))
    moved = numbers[zero.name] / 2.0**shift
    out_zero = ctx.constant(f"{node.out}.out_zero", whole_numbers(moved, node.inputs[2]))
    return ctx.emit(Dequantize, (codes, last, out_zero), node)


def _trunc_v1(
    ctx: Context, node: Node, x: Value, grid: tuple[Value, Value], mode: Rounding, axis: int
) -> Value:
    shift = ctx.scalar(node, 3) - ctx.scalar(node, 4)
    if shift != round(shift) or shift < 0:
        raise Refusal(f"it drops {shift:g} bits", "use bit widths that are integers")
    reach = 2.0 ** (_MAX_BITS - 1 - shift)
    elem = Int(-ceil(reach), max(floor(reach) - 1, 0))
    codes = _shortened(ctx, node, x, (*grid, axis), int(shift), (elem, mode))
    return ctx.emit(Dequantize, (codes, *grid), node, axis=axis)


def _shortened(
    ctx: Context, node: Node, x: Value, grid: tuple[Value, Value, int], shift: int,
    target: tuple[Int, Rounding],
) -> Value:  # fmt: skip
    """Return round(x / scale + zero) / 2^shift, rounded again, as codes of `target`."""
    scale, zero, axis = grid
    first = Int(-(1 << (_MAX_BITS - 1)), (1 << (_MAX_BITS - 1)) - 1)
    wide = ctx.emit(Quantize, (x, scale, zero), node, "wide", elem=first, axis=axis)
    one, none = ctx.constant(f"{node.out}.one", np.float32(1)), ctx.constant(f"{node.out}.none", 0)
    real = ctx.emit(Dequantize, (wide, one, none), node, "counted")
    step = ctx.constant(f"{node.out}.step", np.float32(2.0**shift))
    return ctx.emit(Quantize, (real, step, none), node, "codes", elem=target[0], rounding=target[1])
