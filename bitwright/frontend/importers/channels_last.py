"""QONNX's operators on (N, *S, C) data, and its pools."""

import numpy as np

from bitwright.frontend.context import Context
from bitwright.frontend.importers.convolutions import convolution, real_operands
from bitwright.frontend.importers.layout import emit_spatial, spatial_shape
from bitwright.frontend.importers.linear import normalized
from bitwright.frontend.importers.pools import max_pooled
from bitwright.frontend.messages import Refusal, plain
from bitwright.frontend.node import Node
from bitwright.ir.ops import (
    Arith,
    Arithmetic,
    AveragePool,
    Dequantize,
    Quantize,
    Rounding,
    Value,
    plain_window,
)
from bitwright.ir.types import Int

_MAX_BITS = 32


def conv(ctx: Context, node: Node) -> Value:
    """Import Conv of (N, *S, C) by (O, *K, C / groups)."""
    return convolution(ctx, node, real_operands(ctx, node), last=True, filters_last=True)


def max_pool(ctx: Context, node: Node) -> Value:
    """Import MaxPool, MaxPoolNHWC and NhwcMaxPool of (N, *S, C)."""
    return max_pooled(ctx, node, last=True)


def batch_norm(ctx: Context, node: Node) -> Value:
    """Import BatchNormalization of (N, *S, C)."""
    return normalized(ctx, node, len(ctx.real(node, 0).shape) - 1)


def quantized_average_pool(ctx: Context, node: Node) -> Value:
    """Import QuantAvgPool2d: the sum of integers under the window, its low bits dropped.

    The half that is added never changes the floor of an integer sum, and keeps it off its edges.
    """
    layout = node.text("data_layout", "NCHW")
    if layout not in {"NCHW", "NHWC"}:
        raise Refusal(f"its data_layout {plain(layout)} is not known", "use NCHW or NHWC")
    k, stride = node.integer("kernel", 1), node.integer("stride", 1)
    ibits, obits = node.integer("ibits", 1), node.integer("obits", 1)
    if not (1 <= ibits <= _MAX_BITS and 1 <= obits <= _MAX_BITS and k >= 1):
        raise Refusal(f"it has a kernel of {k}, {ibits} input bits and {obits} output bits")
    x, last = ctx.real(node, 0), layout == "NHWC"
    spatial_shape(node, x, last)
    mean = emit_spatial(
        ctx, AveragePool, (x,), node, ("mean", last),
        window=plain_window((k, k), (stride, stride)), counted_before=(0, 0), counted_after=(0, 0),
    )  # fmt: skip
    taps, half = (ctx.constant(f"{node.out}.{n}", np.float32(v))
                  for n, v in (("taps", k * k), ("half", 0.5)))  # fmt: skip
    y = ctx.emit(Arithmetic, (mean, taps), node, "sum", kind=Arith.MUL)
    y = ctx.emit(Arithmetic, (y, half), node, "raised", kind=Arith.ADD)
    bits = ((2**ibits - 1) * k * k).bit_length()
    shift = max(bits - obits, 0)
    bits -= shift
    signed = bool(node.integer("signed", 0))
    elem = Int(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else Int(0, (1 << bits) - 1)
    step = ctx.constant(f"{node.out}.step", np.float32(2.0**shift))
    one, zero = ctx.constant(f"{node.out}.one", np.float32(1)), ctx.constant(f"{node.out}.zero", 0)
    codes = ctx.emit(Quantize, (y, step, zero), node, "codes", elem=elem, rounding=Rounding.FLOOR)
    return ctx.emit(Dequantize, (codes, one, zero), node)
