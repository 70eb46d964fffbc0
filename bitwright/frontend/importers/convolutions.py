"""Conv and ConvTranspose, real; their quantized forms are built on what is here."""

from dataclasses import replace

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context
from bitwright.frontend.importers.layout import emit_spatial, laid_out, spatial_shape
from bitwright.frontend.importers.windows import (
    Sizes,
    auto_pad,
    explicit_pads,
    per_axis_attribute,
    read_window,
)
from bitwright.frontend.messages import Refusal, show
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import channels_last
from bitwright.ir.ops import Conv, ConvTranspose, Dequantize, Value, Window


def conv(ctx: Context, node: Node) -> Value:
    """Import Conv over any number of spatial axes."""
    return convolution(ctx, node, real_operands(ctx, node))


def real_operands(ctx: Context, node: Node) -> tuple[Value, ...]:
    """Return data, weight and, when given, bias."""
    x, w = ctx.real(node, 0), ctx.real(node, 1)
    return (x, w, bias_vector(ctx, node, 2)) if node.has_input(2) else (x, w)


def bias_vector(ctx: Context, node: Node, index: int) -> Value:
    """Return a constant bias; a quantized one stays codes."""
    bias = ctx.real(node, index)
    if ctx.folded(bias) is None:
        raise Refusal(
            f"its bias {show(node.inputs[index])} is computed at run time",
            "add it by an Add node after it",
        )
    return bias


def convolution(
    ctx: Context,
    node: Node,
    operands: tuple[Value, ...],
    part: str = "",
    last: bool = False,
    filters_last: bool = False,
) -> Value:
    """Emit the convolution of data (N, C, *S) by a weight (O, C / groups, *K).

    With `last` the data are (N, *S, C), with `filters_last` the weight is (O, *K, C / groups).
    """
    x, w, *bias = operands
    spatial = spatial_shape(node, x, last)
    groups = node.integer("group", 1)
    kept = tuple(range(len(w.shape)))
    shape = (w.shape[0], *w.shape[-1:], *w.shape[1:-1]) if filters_last else w.shape
    kernel = check_weight(node, shape, spatial)
    check_groups(node, x.shape[-1] if last else x.shape[1], (shape[0], shape[1]), groups)
    window = read_window(node, kernel, spatial).window
    turned = laid_out(ctx, node, w, kept if filters_last else channels_last(len(kept)))
    return emit_spatial(
        ctx, Conv, (x, turned, *bias), node, (part, last), window=window, groups=groups
    )


def check_weight(node: Node, shape: Sizes, spatial: Sizes) -> Sizes:
    """Return the kernel of a weight (A, B, *K); CompileError unless it fits data and attribute."""
    if len(shape) != len(spatial) + 2:
        raise CompileError(
            f"{node.loc}: a weight of shape {shape} on a tensor with {len(spatial)} spatial axes"
        )
    given = node.integers("kernel_shape") or shape[2:]
    if given != shape[2:]:
        raise CompileError(f"{node.loc}: kernel_shape {given} contradicts the weight of {shape}")
    return given


def check_groups(node: Node, channels: int, weight: tuple[int, int], groups: int) -> None:
    """Raise CompileError unless channels and filters (O, C / groups) divide into the groups."""
    filters, depth = weight
    if groups < 1 or channels % groups or filters % groups:
        raise CompileError(
            f"{node.loc}: {channels} input and {filters} output channels do not divide into "
            f"{groups} groups"
        )
    if depth * groups != channels:
        raise CompileError(
            f"{node.loc}: its weight reads {depth} channels in each of {groups} groups, the data "
            f"have {channels}"
        )


def conv_transpose(ctx: Context, node: Node) -> Value:
    """Import ConvTranspose, whose weight is (C, O / groups, *K)."""
    x, w, *bias = real_operands(ctx, node)
    spatial = spatial_shape(node, x)
    groups = node.integer("group", 1)
    kernel = check_weight(node, w.shape, spatial)
    if groups < 1 or x.shape[1] % groups or w.shape[0] != x.shape[1]:
        raise CompileError(
            f"{node.loc}: a weight of shape {w.shape} in {groups} groups on {x.shape[1]} channels"
        )
    window, extra = _reach(node, kernel, spatial)
    turned = _filters(ctx, node, w, groups)
    return emit_spatial(
        ctx, ConvTranspose, (x, turned, *bias), node, ("", False),
        window=window, groups=groups, extra=extra,
    )  # fmt: skip


def _filters(ctx: Context, node: Node, w: Value, groups: int) -> Value:
    """Return a weight (C, O / groups, *K) as (O, *K, C / groups)."""
    rank = len(w.shape)
    if groups == 1:
        return laid_out(ctx, node, w, (1, *range(2, rank), 0))
    op = ctx.producer(w)
    numbers = ctx.builder.constants.get(w.name)
    if isinstance(op, Dequantize) and max(v.type.size for v in op.inputs[1:]) == 1:
        numbers = ctx.folded(op.inputs[0])
    if numbers is None:
        raise Refusal(
            f"its weight {show(w.name)} in {groups} groups is computed or has a scale per channel",
            "quantize it per tensor",
        )
    inputs, filters, *kernel = w.shape
    split = numbers.reshape(groups, inputs // groups, filters, *kernel)
    turned = split.transpose(0, 2, *range(3, rank + 1), 1)
    turned = np.ascontiguousarray(turned).reshape(groups * filters, *kernel, inputs // groups)
    if not isinstance(op, Dequantize):
        return ctx.constant(f"{w.name}.last", turned)
    q, *grid = op.inputs
    codes = ctx.constant(f"{q.name}.last", turned, q.elem)
    return ctx.emit(Dequantize, (codes, *grid), node, "weight")


def _reach(node: Node, kernel: Sizes, spatial: Sizes) -> tuple[Window, Sizes]:
    """Return the window of a ConvTranspose and the elements added at its end."""
    rank = len(spatial)
    ones, zeros = (1,) * rank, (0,) * rank
    strides = per_axis_attribute(node, "strides", ones)
    extra = per_axis_attribute(node, "output_padding", zeros)
    dilations = per_axis_attribute(node, "dilations", ones)
    if min((*kernel, *strides, *dilations)) < 1 or min(extra) < 0:
        raise CompileError(
            f"{node.loc}: kernel, strides and dilations must be at least 1, output_padding at least 0"
        )
    window = Window(kernel, strides, zeros, zeros, dilations)
    auto = auto_pad(node)
    full = tuple(
        (d - 1) * s + e + more
        for d, s, e, more in zip(spatial, strides, window.extent, extra, strict=True)
    )
    wanted = node.integers("output_shape")
    if wanted:
        wanted = per_axis_attribute(node, "output_shape", zeros) if len(wanted) <= rank else (
            wanted[-rank:]
        )  # fmt: skip
    elif auto.startswith("SAME"):
        wanted = tuple(d * s for d, s in zip(spatial, strides, strict=True))
    if not wanted:
        before, after = explicit_pads(node, rank) if auto == "NOTSET" else (zeros, zeros)
        return replace(window, before=before, after=after), extra
    total = [f - n for f, n in zip(full, wanted, strict=True)]
    extra = tuple(m + max(-t, 0) for m, t in zip(extra, total, strict=True))
    small = tuple(max(t, 0) // 2 for t in total)
    large = tuple(max(t, 0) - s for t, s in zip(total, small, strict=True))
    ends = (small, large) if auto == "SAME_UPPER" else (large, small)
    return replace(window, before=ends[0], after=ends[1]), extra
