"""Fully connected layers, convolutions and products of computed matrices."""

import numpy as np

from bitwright.backends.onnx.exporter import Exporter, Laid, channels_first, unmoved
from bitwright.backends.onnx.writer import Tensor
from bitwright.errors import UnsupportedError
from bitwright.ir.ops import Conv, ConvTranspose, Linear, MatMul, Window

_MATRIX = 2


def linear(e: Exporter, op: Linear) -> Laid:
    """Write Gemm for a matrix of rows, else MatMul and Add."""
    x, w, *bias = op.inputs
    if not e.is_fixed(w) or not all(e.is_fixed(b) for b in bias):
        raise UnsupportedError(f"{op.loc}: its weights are computed at run time")
    found = e.laid(x)
    rank = len(x.shape)
    if rank == _MATRIX:
        order = found.order
        data = e.at(x, unmoved(rank), order)
        inputs: list[Tensor | None] = [data, e.fixed(w, (0, 1), order, op.loc)]
        inputs += [e.fixed(b, (0,), None, op.loc) for b in bias]
        return e.finish(op, "Gemm", inputs, Laid(data, unmoved(rank)), transB=1)
    perm = found.perm if found.perm[-1:] == (rank - 1,) else unmoved(rank)
    like = Laid(e.at(x, perm), perm)
    both: list[Tensor | None] = [like.tensor, e.fixed(w, (1, 0), None, op.loc)]
    if not bias:
        return e.finish(op, "MatMul", both, like)
    shape = tuple(op.output.shape[i] for i in perm)
    y = e.step(op, "MatMul", both, "product", shape)
    return e.finish(op, "Add", [y, e.fixed(bias[0], (0,), None, op.loc)], like)


def matmul(e: Exporter, op: MatMul) -> Laid:
    """Write MatMul."""
    a, b = (e.plain(v) for v in op.inputs)
    return e.finish(op, "MatMul", [a, b], Laid(a, unmoved(len(op.output.shape))))


def conv(e: Exporter, op: Conv) -> Laid:
    """Write Conv, channels first; the filters as well."""
    x, w, *bias = op.inputs
    perm = channels_first(len(x.shape))
    filters = e.fixed(w, perm, None, op.loc) if e.is_fixed(w) else e.at(w, perm)
    inputs: list[Tensor | None] = [e.first(x), filters]
    inputs += [e.fixed(b, (0,), None, op.loc) if e.is_fixed(b) else e.plain(b) for b in bias]
    like = Laid(e.first(x), perm)
    return e.finish(op, "Conv", inputs, like, group=op.groups, **window(op.window))


def conv_transpose(e: Exporter, op: ConvTranspose) -> Laid:
    """Write ConvTranspose, its filters (C, O / groups, *K)."""
    x, w, *bias = op.inputs
    rank = len(x.shape)
    if not e.is_fixed(w) or not all(e.is_fixed(b) for b in bias):
        raise UnsupportedError(f"{op.loc}: its weights are computed at run time")
    if op.groups == 1:
        filters = e.fixed(w, (rank - 1, 0, *range(1, rank - 1)), None, op.loc)
    else:
        a, groups = e.array(w), op.groups
        split = a.reshape(groups, a.shape[0] // groups, *a.shape[1:])
        turned = split.transpose(0, rank, 1, *range(2, rank))
        filters = e.w.constant(f"{w.name}/filters", turned.reshape(-1, *turned.shape[2:]))
    inputs: list[Tensor | None] = [e.first(x), filters]
    inputs += [e.fixed(b, (0,), None, op.loc) for b in bias]
    extra = {"output_padding": list(op.extra)} if any(op.extra) else {}
    like = Laid(e.first(x), channels_first(rank))
    return e.finish(
        op, "ConvTranspose", inputs, like, group=op.groups, **extra, **window(op.window)
    )


def window(w: Window, *, dilations: bool = True) -> dict[str, list[int]]:
    """Return a window as ONNX's attributes; dilations of 1 are left out where they may not be given."""
    out = {
        "kernel_shape": list(w.kernel),
        "strides": list(w.strides),
        "pads": [*w.before, *w.after],
    }
    if dilations or np.any(np.array(w.dilations) != 1):
        out["dilations"] = list(w.dilations)
    return out
