"""Pools over a window or over all positions, real; MaxPool also on integers."""

from collections.abc import Callable

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context
from bitwright.frontend.importers.layout import emit_spatial, spatial_shape
from bitwright.frontend.importers.windows import Padded, Sizes, auto_pad, read_window
from bitwright.frontend.messages import Refusal
from bitwright.frontend.node import Node
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    AveragePool,
    Function,
    MaxPool,
    Value,
    plain_window,
)


def max_pool(ctx: Context, node: Node) -> Value:
    """Import MaxPool; the indices of the greatest elements are not computed."""
    return max_pooled(ctx, node, last=False)


def max_pooled(ctx: Context, node: Node, last: bool) -> Value:
    """Emit a maximum pool of real or integer data."""
    if node.integer("storage_order", 0):
        raise Refusal("it counts its indices by columns", "use storage_order = 0")
    x = ctx.value(node, 0)
    spatial = spatial_shape(node, x, last)
    window = _window(node, spatial).window
    return emit_spatial(ctx, MaxPool, (x,), node, ("", last), window=window)


def average_pool(ctx: Context, node: Node) -> Value:
    """Import AveragePool; padding counts as zeros with count_include_pad, else not at all."""
    return averaged(ctx, node, ctx.real(node, 0), "", False)


def averaged(ctx: Context, node: Node, x: Value, part: str, last: bool) -> Value:
    """Emit the average pool that the node's attributes describe."""
    spatial = spatial_shape(node, x, last)
    found = _window(node, spatial)
    zeros = (0,) * len(spatial)
    before, after = zeros, zeros
    if node.integer("count_include_pad", 0):
        before, after = found.counted_before, found.counted_after
    return emit_spatial(
        ctx, AveragePool, (x,), node, (part, last),
        window=found.window, counted_before=before, counted_after=after,
    )  # fmt: skip


def global_average_pool(ctx: Context, node: Node) -> Value:
    """Import GlobalAveragePool."""
    return globally_averaged(ctx, node, ctx.real(node, 0), "", False)


def globally_averaged(ctx: Context, node: Node, x: Value, part: str, last: bool) -> Value:
    """Emit an average over all positions, as a pool with one window."""
    spatial = spatial_shape(node, x, last)
    zeros = (0,) * len(spatial)
    return emit_spatial(
        ctx, AveragePool, (x,), node, (part, last),
        window=plain_window(spatial), counted_before=zeros, counted_after=zeros,
    )  # fmt: skip


def global_max_pool(ctx: Context, node: Node) -> Value:
    """Import GlobalMaxPool."""
    x = ctx.value(node, 0)
    window = plain_window(spatial_shape(node, x))
    return emit_spatial(ctx, MaxPool, (x,), node, ("", False), window=window)


def lp_pool(ctx: Context, node: Node) -> Value:
    """Import LpPool as a power, an average that counts the padding, and a root."""
    found = _window(node, spatial_shape(node, ctx.real(node, 0)))
    w = found.window

    def pool(x: Value) -> tuple[Value, int]:
        y = emit_spatial(
            ctx, AveragePool, (x,), node, ("mean", False),
            window=w, counted_before=w.before, counted_after=w.after,
        )  # fmt: skip
        return y, w.taps

    return _norm(ctx, node, pool)


def global_lp_pool(ctx: Context, node: Node) -> Value:
    """Import GlobalLpPool."""

    def pool(x: Value) -> tuple[Value, int]:
        y = globally_averaged(ctx, node, x, "mean", False)
        return y, x.type.size // (x.shape[0] * x.shape[1])

    return _norm(ctx, node, pool)


def _norm(ctx: Context, node: Node, pool: Callable[[Value], tuple[Value, int]]) -> Value:
    """Return `(taps * pool(|x|^p))^(1/p)`."""
    p = node.integer("p", 2)
    if p < 1:
        raise Refusal(f"its p is {p}", "use a p of at least 1")
    y = ctx.emit(Activation, (ctx.real(node, 0),), node, "abs", kind=Function.ABS)
    if p > 1:
        y = _with(ctx, node, y, (Arith.POW, p), "power")
    y, taps = pool(y)
    y = _with(ctx, node, y, (Arith.MUL, taps), "sum" if p > 1 else "")
    return y if p == 1 else _with(ctx, node, y, (Arith.POW, 1 / p), "")


def _with(ctx: Context, node: Node, x: Value, step: tuple[Arith, float], part: str) -> Value:
    kind, number = step
    c = ctx.constant(f"{node.out}.{kind.value}", np.float32(number))
    return ctx.emit(Arithmetic, (x, c), node, part, kind=kind)


def _window(node: Node, spatial: Sizes) -> Padded:
    """Return the window of a pool; onnxruntime reads SAME with dilations against the standard."""
    if auto_pad(node).startswith("SAME") and max(node.integers("dilations") or (1,)) > 1:
        raise Refusal("it has dilations and auto_pad SAME", "write its padding as explicit pads")
    kernel = node.integers("kernel_shape")
    if not kernel:
        raise CompileError(f"{node.loc}: {node.op_type} has no kernel_shape")
    return read_window(node, kernel, spatial, bool(node.integer("ceil_mode", 0)))
