"""Joining, cutting and repeating tensors: Concat, Split, Slice, Gather, Tile, Expand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context, Operand
from bitwright.frontend.importers.shapes import to_shape
from bitwright.frontend.messages import Refusal, show
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import axis_of, sliced
from bitwright.frontend.tensors import Constant
from bitwright.ir.graph import Array
from bitwright.ir.ops import Concat, Take, Value
from bitwright.ir.types import Real


def take(
    ctx: Context, node: Node, x: Value, axis: int, at: Sequence[int] | Array, part: str = ""
) -> Value:
    """Return the elements of x at these positions of an axis; x itself where they are all, in order.

    Raises:
        CompileError: nothing is taken, or a position lies outside.

    """
    indices = np.asarray(at, np.int64).reshape(-1)
    size = x.shape[axis]
    if not indices.size:
        raise CompileError(f"{node.loc}: takes nothing from axis {axis} of {x.shape}")
    if indices.min() < 0 or indices.max() >= size:
        raise CompileError(
            f"{node.loc}: takes positions {indices.min()} to {indices.max()} of an axis of {size}"
        )
    if indices.size == size and (indices == np.arange(size)).all():
        return x
    positions = ctx.constant(f"{node.out}.at{axis}", indices)
    return ctx.emit(Take, (x, positions), node, part, axis=axis)


def take_along(
    ctx: Context, node: Node, x: Value, at: Mapping[int, Array | range], part: str = ""
) -> Value:
    """Take positions along several axes in turn."""
    steps = [(axis, p) for axis, p in at.items() if not _whole(p, x.shape[axis])]
    for i, (axis, positions) in enumerate(steps):
        ctx.account(node, (len(positions),))
        name = part if i == len(steps) - 1 else f"axis{axis}"
        x = take(ctx, node, x, axis, positions, name)
    return x


def check_indices(
    ctx: Context, node: Node, before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    """Raise CompileError when a result of shape `after`, or its indices by axis, are too large."""
    ctx.check_result(node, after)
    for old, new in zip(before, after, strict=True):
        if old != new:
            ctx.account(node, (new,))


def _whole(at: Array | range, size: int) -> bool:
    if isinstance(at, range):
        return at == range(size)
    return len(at) == size and bool((at == np.arange(size)).all())


def operands(ctx: Context, node: Node, first: int = 0) -> list[Value]:
    """Return the inputs from `first` on: all integers, or else all real."""
    values = [ctx.value(node, i) for i in range(first, len(node.inputs))]
    if any(isinstance(v.elem, Real) for v in values):
        return [ctx.real(node, i) for i in range(first, len(node.inputs))]
    return values


def concat(ctx: Context, node: Node) -> Value:
    """Import Concat of any number of tensors."""
    return joined(ctx, node, operands(ctx, node))


def joined(ctx: Context, node: Node, values: list[Value], part: str = "") -> Value:
    """Emit the values one after another along the node's axis."""
    if not values:
        raise CompileError(f"{node.loc}: Concat reads nothing")
    axis = axis_of(node.integer("axis", 1), len(values[0].shape), node.loc)
    values = [v for v in values if len(v.shape) <= axis or v.shape[axis]]
    if len(values) == 1:
        return values[0]
    return ctx.emit(Concat, tuple(values), node, part, axis=axis)


def split(ctx: Context, node: Node) -> Operand:
    """Import Split: each output by itself, the last part smaller where they do not come out even."""
    found = ctx.get(node, 0)
    shape = found.array.shape if isinstance(found, Constant) else ctx.value(node, 0).shape
    axis = axis_of(node.integer("axis", 0), len(shape), node.loc)
    ctx.account(node, (shape[axis],))
    ends = np.cumsum([0, *_parts(ctx, node, shape[axis])])
    results: list[Operand] = []
    for name, start, end in zip(node.outputs, ends, ends[1:], strict=False):
        at = np.arange(start, end)
        if isinstance(found, Constant):
            ctx.account(node, shape)
            results.append(Constant(np.take(found.array, at, axis=axis), found.data_type))
        elif name:
            part = replace(node, outputs=(name,))
            results.append(take(ctx, part, ctx.value(node, 0), axis, at))
        else:
            results.append(found)
    for name, result in zip(node.outputs[1:], results[1:], strict=True):
        ctx.env[name] = result
    return results[0]


def _parts(ctx: Context, node: Node, size: int) -> list[int]:
    """Return the sizes that Split cuts an axis into, one per output."""
    given = ctx.optional_array(node, 1)
    sizes = node.integers("split") if given is None else tuple(int(i) for i in given.reshape(-1))
    count = len(node.outputs)
    if not sizes:
        chunk = -(-size // max(node.integer("num_outputs", count), 1))
        sizes = tuple(min(chunk, size - i * chunk) for i in range(count))
    if len(sizes) != count or sum(sizes) != size or min(sizes) < 1:
        raise CompileError(f"{node.loc}: cannot split {size} elements into {tuple(sizes)}")
    return list(sizes)


def slice_(ctx: Context, node: Node) -> Value:
    """Import Slice, its numbers attributes (before version 10) or constant inputs."""
    x = ctx.value(node, 0)
    starts, ends = integers(ctx, node, "starts", 1), integers(ctx, node, "ends", 2)
    if starts is None or ends is None:
        raise CompileError(f"{node.loc}: Slice has no starts or no ends")
    axes = integers(ctx, node, "axes", 3)
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = integers(ctx, node, "steps", 4) or (1,) * len(starts)
    if not len(axes) == len(starts) == len(ends) == len(steps) or 0 in steps:
        raise CompileError(
            f"{node.loc}: Slice has starts {starts}, ends {ends}, axes {axes}, steps {steps}"
        )
    at: dict[int, Array | range] = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        place = axis_of(axis, len(x.shape), node.loc)
        if place in at:
            raise CompileError(f"{node.loc}: Slice names axis {axis} twice")
        at[place] = sliced(x.shape[place], start, end, step)
    return take_along(ctx, node, x, at)


def integers(ctx: Context, node: Node, name: str, index: int) -> tuple[int, ...] | None:
    """Return integers that are a constant input, in old versions an attribute; None without."""
    given = ctx.optional_array(node, index)
    return node.integers(name) if given is None else tuple(int(i) for i in given.reshape(-1))


def gather(ctx: Context, node: Node) -> Value:
    """Import Gather with constant indices; an index without axes drops the axis."""
    x = ctx.value(node, 0)
    axis = axis_of(node.integer("axis", 0), len(x.shape), node.loc)
    found = ctx.get(node, 1)
    if not isinstance(found, Constant):
        raise Refusal(
            f"its indices {show(node.inputs[1])} are computed at run time",
            "only constant indices are handled",
        )
    indices = found.array.astype(np.int64)
    at = np.where(indices < 0, indices + x.shape[axis], indices)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    if indices.ndim == 1:
        return take(ctx, node, x, axis, at)
    return to_shape(ctx, node, take(ctx, node, x, axis, at, "taken"), shape)


def tile(ctx: Context, node: Node) -> Value:
    """Import Tile with constant repeats."""
    x = ctx.value(node, 0)
    repeats = [int(i) for i in ctx.array(node, 1).reshape(-1)]
    if len(repeats) != len(x.shape) or min(repeats, default=1) < 0:
        raise CompileError(f"{node.loc}: repeats {repeats} do not fit {x.shape}")
    sizes = tuple(d * r for d, r in zip(x.shape, repeats, strict=True))
    check_indices(ctx, node, x.shape, sizes)
    return take_along(
        ctx, node, x,
        {i: np.tile(np.arange(d), r) for i, (d, r) in enumerate(zip(x.shape, repeats, strict=True))},
    )  # fmt: skip


def expand(ctx: Context, node: Node) -> Value:
    """Import Expand to a constant shape."""
    x = ctx.value(node, 0)
    wanted = [int(i) for i in ctx.array(node, 1).reshape(-1)]
    if ctx.batch > 1 and len(wanted) == len(x.shape) and wanted[0] == ctx.batch:
        wanted[0] = 1
    rank = max(len(wanted), len(x.shape))
    shape = (1,) * (rank - len(x.shape)) + x.shape
    wanted = [1] * (rank - len(wanted)) + wanted
    if min(wanted, default=1) < 1 or any(
        d not in {1, w} and w != 1 for d, w in zip(shape, wanted, strict=True)
    ):
        raise CompileError(f"{node.loc}: cannot expand {x.shape} to {tuple(wanted)}")
    check_indices(ctx, node, shape, tuple(map(max, shape, wanted)))
    wide = {i: np.zeros(w, np.int64) for i, w in enumerate(wanted) if shape[i] == 1 != w}
    if shape != x.shape:
        x = to_shape(ctx, node, x, shape, "wide" if wide else "")
    return take_along(ctx, node, x, wide)
