"""DepthToSpace and SpaceToDepth: index maps on channels-last data."""

from bitwright.errors import CompileError
from bitwright.frontend.context import Context
from bitwright.frontend.importers.layout import as_first, as_last
from bitwright.frontend.messages import Refusal, plain
from bitwright.frontend.node import Node
from bitwright.ir.ops import Reshape, Transpose, Value

_SPATIAL = 4  # axes of what these two read


def depth_to_space(ctx: Context, node: Node) -> Value:
    """Import DepthToSpace: channels are (row, column, depth) in DCR mode, (depth, row, column) in CRD."""
    mode = node.text("mode", "DCR")
    if mode not in {"DCR", "CRD"}:
        raise Refusal(f"its mode {plain(mode)} is not known", "use DCR or CRD")
    x, b = _operand(ctx, node)
    n, c, h, w = x.shape
    if c % (b * b):
        raise CompileError(f"{node.loc}: {c} channels do not divide into blocks of {b} x {b}")
    c //= b * b
    split = (n, h, w, b, b, c) if mode == "DCR" else (n, h, w, c, b, b)
    perm = (0, 1, 3, 2, 4, 5) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    return _rearranged(ctx, node, x, (split, perm, (n, h * b, w * b, c)))


def space_to_depth(ctx: Context, node: Node) -> Value:
    """Import SpaceToDepth: channels of the result are (row, column, depth)."""
    x, b = _operand(ctx, node)
    n, c, h, w = x.shape
    if h % b or w % b:
        raise CompileError(f"{node.loc}: {h} x {w} does not divide into blocks of {b} x {b}")
    split = (n, h // b, b, w // b, b, c)
    return _rearranged(ctx, node, x, (split, (0, 1, 3, 2, 4, 5), (n, h // b, w // b, b * b * c)))


def _operand(ctx: Context, node: Node) -> tuple[Value, int]:
    x, b = ctx.value(node, 0), node.integer("blocksize", 0)
    if len(x.shape) != _SPATIAL or b < 1:
        raise CompileError(f"{node.loc}: blocks of {b} on a tensor of shape {x.shape}")
    return x, b


def _rearranged(ctx: Context, node: Node, x: Value, steps: tuple[tuple[int, ...], ...]) -> Value:
    split, perm, shape = steps
    y = ctx.emit(Reshape, (as_last(ctx, node, x),), node, "split", shape=split)
    y = ctx.emit(Transpose, (y,), node, "moved", perm=perm)
    return as_first(ctx, node, ctx.emit(Reshape, (y,), node, "last", shape=shape))
