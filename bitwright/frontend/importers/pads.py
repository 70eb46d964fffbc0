"""Pad in all its modes: what reflects, repeats or wraps is a Take, zeros and constants are a Pad."""

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context
from bitwright.frontend.importers.pieces import check_indices, integers, take_along
from bitwright.frontend.messages import Refusal, plain
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import axis_of
from bitwright.ir.graph import Array
from bitwright.ir.ops import Pad, Value

Ends = tuple[tuple[int, ...], tuple[int, ...]]
_LARGEST = 1 << 31


def pad(ctx: Context, node: Node) -> Value:
    """Import Pad; a negative width cuts elements away."""
    x = ctx.value(node, 0)
    mode = node.text("mode", "constant")
    before, after = _ends(ctx, node, len(x.shape))
    sizes = [d + b + a for d, b, a in zip(x.shape, before, after, strict=True)]
    kept = [d + min(b, 0) + min(a, 0) for d, b, a in zip(x.shape, before, after, strict=True)]
    if min(kept, default=1) < 1 or max(sizes, default=1) > _LARGEST:
        raise CompileError(f"{node.loc}: padding {x.shape} by {before} and {after} gives {sizes}")
    ctx.check_result(node, tuple(sizes))
    if mode != "constant":
        check_indices(ctx, node, x.shape, tuple(sizes))
        return take_along(
            ctx, node, x,
            {
                i: positions(mode, d, b, a)
                for i, (d, b, a) in enumerate(zip(x.shape, before, after, strict=True))
            },
        )  # fmt: skip
    cut = {
        i: range(max(-b, 0), d - max(-a, 0))
        for i, (d, b, a) in enumerate(zip(x.shape, before, after, strict=True))
    }
    grows = max((*before, *after), default=0) > 0
    middle = take_along(ctx, node, x, dict(cut), "kept" if grows else "")
    if not grows:
        return middle
    value = ctx.scalar(node, 2) if node.has_input(2) else node.real("value", 0.0)
    ends = (tuple(max(b, 0) for b in before), tuple(max(a, 0) for a in after))
    return ctx.emit(Pad, (middle,), node, before=ends[0], after=ends[1], value=value)


def positions(mode: str, size: int, before: int, after: int) -> Array:
    """Return where along an axis each element of the padded one comes from; cuts come first."""
    first, size = max(-before, 0), size + min(before, 0) + min(after, 0)
    at = np.arange(-max(before, 0), size + max(after, 0))
    if mode == "edge":
        return first + np.clip(at, 0, size - 1)
    if mode == "wrap":
        return first + at % size
    if mode == "reflect":
        period = max(2 * (size - 1), 1)
        folded = at % period
        return first + (np.minimum(folded, period - folded) if size > 1 else np.zeros_like(at))
    raise Refusal(f"its mode {plain(mode)} is not known", "use constant, reflect, edge or wrap")


def _ends(ctx: Context, node: Node, rank: int) -> Ends:
    """Return the widths before and after every axis."""
    found = integers(ctx, node, "pads", 1)
    given = integers(ctx, node, "axes", 3)
    axes = tuple(range(rank)) if given is None else given
    if found is None or len(found) != 2 * len(axes):
        raise CompileError(f"{node.loc}: padding {found} does not fit {len(axes)} axes")
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        place = axis_of(axis, rank, node.loc)
        before[place], after[place] = found[i], found[i + len(axes)]
    return tuple(before), tuple(after)
