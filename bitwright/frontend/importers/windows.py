"""The window that a convolution's or a pool's attributes describe."""

from dataclasses import dataclass, replace
from math import prod

from bitwright.errors import CompileError
from bitwright.frontend.messages import Refusal, plain
from bitwright.frontend.node import Node
from bitwright.ir.ops import Window

Sizes = tuple[int, ...]
MAX_TAPS = 1 << 20


@dataclass(frozen=True, slots=True)
class Padded:
    """A window, and how much of the padding the model counts as part of the tensor."""

    window: Window
    counted_before: Sizes
    counted_after: Sizes


def read_window(node: Node, kernel: Sizes, spatial: Sizes, ceil: bool = False) -> Padded:
    """Return the window of a node over a tensor with these spatial axes.

    Padding after the end is what the last position needs, no more. With `ceil` a last window that
    leaves the padded tensor is kept, unless it starts beyond it (in the padding after the end).
    """
    rank = len(spatial)
    if len(kernel) != rank:
        raise CompileError(f"{node.loc}: a kernel of {kernel} on {rank} spatial axes")
    ones = (1,) * rank
    strides = per_axis_attribute(node, "strides", ones)
    dilations = per_axis_attribute(node, "dilations", ones)
    if min((*kernel, *strides, *dilations)) < 1:
        raise CompileError(f"{node.loc}: kernel, strides and dilations must be at least 1")
    if prod(kernel) > MAX_TAPS:
        raise CompileError(f"{node.loc}: a kernel of {kernel} has more than {MAX_TAPS} taps")
    window = Window(kernel, strides, (0,) * rank, (0,) * rank, dilations)
    auto = auto_pad(node)
    if auto.startswith("SAME"):
        before, after, ceil = *_same(window, spatial, auto), False
    else:
        before, after = explicit_pads(node, rank) if auto == "NOTSET" else (window.before,) * 2
    window = replace(window, before=before, after=after)
    needed = tuple(
        _after(*numbers, ceil)
        for numbers in zip(spatial, before, after, window.extent, strides, strict=True)
    )
    counted = tuple(min(a, n) for a, n in zip(after, needed, strict=True))
    return Padded(replace(window, after=needed), before, counted)


def _after(size: int, before: int, after: int, extent: int, stride: int, ceil: bool) -> int:
    """Return the padding after the end that the last position of the window needs."""
    room = size + before + after - extent
    if room < 0:
        return after  # too large a kernel: the op says so
    last = room // stride
    if ceil and room % stride and (last + 1) * stride < size + before:
        last += 1
    elif ceil and last * stride >= size + before:
        last -= 1
    return max(last * stride + extent - size - before, 0)


def _same(window: Window, spatial: Sizes, auto: str) -> tuple[Sizes, Sizes]:
    total = [
        max((-(-d // s) - 1) * s + e - d, 0)
        for d, s, e in zip(spatial, window.strides, window.extent, strict=True)
    ]
    small, large = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def auto_pad(node: Node) -> str:
    """Return NOTSET, VALID, SAME_UPPER or SAME_LOWER."""
    found = node.text("auto_pad", "NOTSET") or "NOTSET"
    if found not in {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"}:
        raise Refusal(f"its auto_pad {plain(found)} is not known", "use explicit pads")
    return found


def explicit_pads(node: Node, rank: int) -> tuple[Sizes, Sizes]:
    """Return `pads` as what lies before and after; they must not be negative."""
    pads = per_axis_attribute(node, "pads", (0,) * (2 * rank))
    if min(pads, default=0) < 0:
        raise Refusal(f"its padding {pads} is negative", "cut the tensor by a Slice before it")
    return pads[:rank], pads[rank:]


def per_axis_attribute(node: Node, name: str, default: Sizes) -> Sizes:
    """Return a list attribute that has as many numbers as `default`."""
    found = node.integers(name) or default
    if len(found) != len(default):
        raise CompileError(f"{node.loc}: {name} has {len(found)} numbers, expected {len(default)}")
    return found
