"""Convolutions, pools and index maps in torch.

The IR's tensors are channels last, (samples, batch, *spatial, channels). Seen as channels first
they are torch's `channels_last` memory format, so that no element moves on the way in or out.
"""

from collections.abc import Sequence
from math import inf, prod

import torch
from torch.nn import functional

from bitwright.errors import UnsupportedError
from bitwright.ir.ops import (
    AveragePool,
    Concat,
    Conv,
    ConvTranspose,
    MaxPool,
    MinPool,
    Op,
    Pad,
    Permute,
    Reshape,
    Take,
    Transpose,
    Window,
)
from bitwright.training.base import Tensor
from bitwright.training.run import run

_RANKS = (1, 2, 3)
_CONV = {2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
_MAX = {2: functional.max_pool2d, 3: functional.max_pool3d}
_AVERAGE = {2: functional.avg_pool2d, 3: functional.avg_pool3d}


def _checked(op: Op, window: Window) -> Window:
    """Return the window with at least two axes: a line is an image of height 1."""
    if window.rank not in _RANKS:
        raise UnsupportedError(
            f"{op.loc}: fine-tuning does not handle windows of {window.rank} spatial axes"
        )
    if window.rank > 1:
        return window
    line = {n: (1, *getattr(window, n)) for n in ("kernel", "strides", "dilations")}
    return Window(**line, before=(0, *window.before), after=(0, *window.after))


def _channels_first(x: Tensor, lead: int) -> Tensor:
    """Return (samples, batch, *S, C) or, with `lead` 1, (N, *S, C) as (N, C, *S), S of two axes."""
    x = x.flatten(0, 1) if lead == 2 else x  # noqa: PLR2004
    x = x.unsqueeze(1) if x.ndim == 3 else x  # noqa: PLR2004
    return x.movedim(-1, 1)


def _channels_last(y: Tensor, op: Op, x: Tensor) -> Tensor:
    return y.movedim(1, -1).reshape(x.shape[0], *op.output.shape)


def _padded(x: Tensor, before: Sequence[int], after: Sequence[int], value: float) -> Tensor:
    """Pad the last axes of x, one number for each axis."""
    if not any((*before, *after)):
        return x
    ends = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
    return functional.pad(x, ends, value=value)


@run.register
def _(op: Conv, x: Tensor, w: Tensor, *bias: Tensor) -> Tensor:
    window = _checked(op, op.window)
    image = _channels_first(x, 2)
    pad: Sequence[int] = window.before
    if window.before != window.after:
        image, pad = _padded(image, window.before, window.after, 0), (0,) * window.rank
    y = _CONV[window.rank](
        image, _channels_first(w, 1), *(bias or (None,)),
        stride=window.strides, padding=pad, dilation=window.dilations, groups=op.groups,
    )  # fmt: skip
    return _channels_last(y, op, x)


@run.register
def _(op: ConvTranspose, x: Tensor, w: Tensor, *bias: Tensor) -> Tensor:
    window, groups = _checked(op, op.window), op.groups
    kernel = _channels_first(w, 1)  # (O, C / groups, *K); torch wants (C, O / groups, *K)
    split = kernel.reshape(groups, kernel.shape[0] // groups, *kernel.shape[1:])
    kernel = split.transpose(1, 2).flatten(0, 1)
    y = _TRANSPOSED[window.rank](
        _channels_first(x, 2), kernel, None,
        stride=window.strides, dilation=window.dilations, groups=groups,
    )  # fmt: skip
    out = op.output.shape[1:-1]
    out = (1, *out) if len(out) == 1 else out
    missing = [max(n + b - d, 0) for n, b, d in zip(out, window.before, y.shape[2:], strict=True)]
    y = _padded(y, [0] * len(missing), missing, 0)
    for axis, (start, size) in enumerate(zip(window.before, out, strict=True)):
        y = y.narrow(axis + 2, start, size)
    y = _channels_last(y, op, x)
    return y + bias[0] if bias else y


def _greatest(op: MaxPool | MinPool, x: Tensor) -> Tensor:
    window = _checked(op, op.window)
    wide = _padded(_channels_first(x, 2), window.before, window.after, -inf)
    y = _MAX[window.rank](wide, window.kernel, stride=window.strides, dilation=window.dilations)
    return _channels_last(y, op, x)


@run.register
def _(op: MaxPool, x: Tensor) -> Tensor:
    return _greatest(op, x)


@run.register
def _(op: MinPool, x: Tensor) -> Tensor:
    return -_greatest(op, -x)


@run.register
def _(op: AveragePool, x: Tensor) -> Tensor:
    window = _checked(op, op.window)
    wide = _padded(_channels_first(x, 2), window.before, window.after, 0)
    if max(window.dilations) > 1:
        ones = wide.new_ones(wide.shape[1], 1, *window.kernel)
        y = _CONV[window.rank](
            wide, ones, stride=window.strides, dilation=window.dilations, groups=wide.shape[1]
        )
    else:
        y = _AVERAGE[window.rank](wide, window.kernel, stride=window.strides) * prod(window.kernel)
    y = _channels_last(y, op, x)
    for axis, counts in enumerate(op.divisors()):
        y = y / y.new_tensor(counts).reshape(-1, *(1,) * (op.window.rank - axis))
    return y


@run.register
def _(op: Reshape, x: Tensor) -> Tensor:
    return x.reshape(x.shape[0], *op.shape)


@run.register
def _(op: Transpose, x: Tensor) -> Tensor:
    return x.permute(0, *(p + 1 for p in op.perm))


@run.register
def _(op: Permute, x: Tensor, order: Tensor) -> Tensor:
    flat = x.reshape(x.shape[0], -1)[:, order.reshape(-1)]
    return flat.reshape(x.shape[0], *op.shape)


@run.register
def _(op: Take, x: Tensor, indices: Tensor) -> Tensor:
    return torch.index_select(x, op.axis + 1, indices.to(torch.int64))


@run.register
def _(op: Pad, x: Tensor) -> Tensor:
    return _padded(x, op.before, op.after, op.value)


@run.register
def _(op: Concat, *parts: Tensor) -> Tensor:
    return torch.cat(parts, dim=op.axis + 1)
