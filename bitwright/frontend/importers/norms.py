"""Normalizations over axes, groups or neighbouring channels."""

from dataclasses import replace

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context
from bitwright.frontend.importers.layout import emit_spatial, spatial_shape
from bitwright.frontend.importers.reductions import checked_axes
from bitwright.frontend.messages import Refusal, show
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import axis_of
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    Function,
    LocalResponseNorm,
    Normalize,
    Reduce,
    Reduction,
    Reshape,
    Value,
)

_PER_CHANNEL = 21  # from this version on GroupNormalization scales channels, not groups
_LEAST = 1e-9  # what MeanVarianceNormalization adds to the deviation
_NEIGHBOURS = 1 << 12
_TINY = np.finfo(np.float32).tiny


def instance_norm(ctx: Context, node: Node) -> Value:
    """Import InstanceNormalization: every channel by itself, over all positions."""
    x = ctx.real(node, 0)
    spatial_shape(node, x)
    axes = tuple(range(2, len(x.shape)))
    epsilon = node.real("epsilon", 1e-5)
    y = ctx.emit(Normalize, (x,), node, "normal", axes=axes, epsilon=epsilon)
    return _affine(ctx, node, y, (_channels(ctx, node, 1, x), _channels(ctx, node, 2, x)))


def layer_norm(ctx: Context, node: Node) -> Value:
    """Import LayerNormalization over the axes from `axis` to the last; with mean and 1 / deviation."""
    x = ctx.real(node, 0)
    axis = axis_of(node.integer("axis", -1), len(x.shape), node.loc)
    axes = checked_axes(ctx, node, tuple(range(axis, len(x.shape))), len(x.shape))
    epsilon = node.real("epsilon", 1e-5)
    y = ctx.emit(Normalize, (x,), node, "normal", axes=axes, epsilon=epsilon)
    scale = ctx.array(node, 1)
    _statistics(ctx, node, x, axes, epsilon)
    return _affine(ctx, node, y, (scale, ctx.optional_array(node, 2)))


def _statistics(ctx: Context, node: Node, x: Value, axes: tuple[int, ...], epsilon: float) -> None:
    """Compute the second and third output of LayerNormalization where the node has them."""
    names = [*node.outputs[1:], "", ""][:2]
    if not any(names):
        return
    mean = ctx.emit(Reduce, (x,), _as(node, names[0]), kind=Reduction.MEAN, axes=axes)
    if names[0]:
        ctx.env[names[0]] = mean
    if names[1]:
        inner = _as(node, names[1])
        d = ctx.emit(Arithmetic, (x, mean), inner, "centred", kind=Arith.SUB)
        squares = ctx.emit(Arithmetic, (d, d), inner, "squares", kind=Arith.MUL)
        v = ctx.emit(Reduce, (squares,), inner, "variance", kind=Reduction.MEAN, axes=axes)
        e = ctx.constant(f"{names[1]}.epsilon", np.float32(epsilon))
        v = ctx.emit(Arithmetic, (v, e), inner, "raised", kind=Arith.ADD)
        v = ctx.emit(Activation, (v,), inner, "deviation", kind=Function.SQRT)
        ctx.env[names[1]] = ctx.emit(Activation, (v,), inner, kind=Function.RECIPROCAL)


def _as(node: Node, name: str) -> Node:
    """Return the node with another first output."""
    return replace(node, outputs=(name or f"{node.out}.mean",))


def group_norm(ctx: Context, node: Node) -> Value:
    """Import GroupNormalization; scale and bias are per group before version 21."""
    x = ctx.real(node, 0)
    groups, channels = node.integer("num_groups", 0), (*x.shape, 0)[1]
    if groups < 1 or channels % groups:
        raise CompileError(f"{node.loc}: {channels} channels do not divide into {groups} groups")
    split = (x.shape[0], groups, x.type.size // (x.shape[0] * groups))
    y = ctx.emit(Reshape, (x,), node, "groups", shape=split)
    y = ctx.emit(Normalize, (y,), node, "normal", axes=(2,), epsilon=node.real("epsilon", 1e-5))
    y = ctx.emit(Reshape, (y,), node, "joined", shape=x.shape)
    size = channels if ctx.opset >= _PER_CHANNEL else groups
    return _affine(
        ctx, node, y, (_channels(ctx, node, 1, x, size), _channels(ctx, node, 2, x, size))
    )


def _channels(ctx: Context, node: Node, index: int, x: Value, size: int = 0) -> Array:
    """Return `size` constant numbers as one per channel, shaped to broadcast along axis 1."""
    channels = x.shape[1]
    a = ctx.array(node, index)
    if a.shape != (size or channels,):
        raise CompileError(
            f"{node.loc}: {show(node.inputs[index])} has shape {a.shape}, expected "
            f"({size or channels},)"
        )
    return np.repeat(a, channels // a.size).reshape(channels, *(1,) * (len(x.shape) - 2))


def _affine(ctx: Context, node: Node, y: Value, parameters: tuple[Array, Array | None]) -> Value:
    """Return `y * scale + bias`."""
    scale, bias = parameters
    s = ctx.constant(f"{node.out}.scale", scale)
    part = "" if bias is None else "scaled"
    y = ctx.emit(Arithmetic, (y, s), node, part, kind=Arith.MUL)
    if bias is None:
        return y
    b = ctx.constant(f"{node.out}.bias", bias)
    return ctx.emit(Arithmetic, (y, b), node, kind=Arith.ADD)


def mean_variance_norm(ctx: Context, node: Node) -> Value:
    """Import MeanVarianceNormalization."""
    x = ctx.real(node, 0)
    axes = checked_axes(ctx, node, node.integers("axes") or (0, 2, 3), len(x.shape))
    return ctx.emit(Normalize, (x,), node, axes=axes, epsilon=_LEAST * _LEAST)


def local_response_norm(ctx: Context, node: Node) -> Value:
    """Import LRN, across channels."""
    x = ctx.real(node, 0)
    spatial_shape(node, x)
    size = node.integer("size", 0)
    if size > _NEIGHBOURS:
        raise Refusal(f"its size is {size}", f"sizes up to {_NEIGHBOURS} are handled")
    return emit_spatial(
        ctx, LocalResponseNorm, (x,), node, ("", False),
        size=size, alpha=node.real("alpha", 1e-4),
        beta=node.real("beta", 0.75), bias=node.real("bias", 1.0),
    )  # fmt: skip


def lp_norm(ctx: Context, node: Node) -> Value:
    """Import LpNormalization: divided by the sum of absolute values, or by the length."""
    x = ctx.real(node, 0)
    p = node.integer("p", 2)
    if p not in {1, 2}:
        raise Refusal(f"its p is {p}", "only 1 and 2 are defined")
    axis = checked_axes(ctx, node, (node.integer("axis", -1),), len(x.shape))
    kind = Reduction.L1 if p == 1 else Reduction.L2
    size = ctx.emit(Reduce, (x,), node, "size", kind=kind, axes=axis)
    least = ctx.constant(f"{node.out}.least", _TINY)
    size = ctx.emit(Arithmetic, (size, least), node, "positive", kind=Arith.MAX)
    return ctx.emit(Arithmetic, (x, size), node, kind=Arith.DIV)
