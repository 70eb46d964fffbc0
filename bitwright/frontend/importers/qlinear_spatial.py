"""Convolutions, pools and joins of codes: expanded into Dequantize, real, Quantize."""

from bitwright.errors import CompileError
from bitwright.frontend.context import Context
from bitwright.frontend.importers.convolutions import convolution
from bitwright.frontend.importers.pieces import joined
from bitwright.frontend.importers.pools import averaged, globally_averaged
from bitwright.frontend.importers.qdq import dequantized, quantized
from bitwright.frontend.importers.qlinear import coded_bias, minus_zero
from bitwright.frontend.node import Node
from bitwright.ir.ops import Value

_BIAS = 8  # the input of QLinearConv that is its bias
_TRIPLE = 3  # code tensor, scale, zero point


def conv(ctx: Context, node: Node) -> Value:
    """Import QLinearConv(x, scale, zero, w, scale, zero, scale, zero, bias).

    The weight's scale is one number or one per filter; onnxruntime's form may have data with
    channels last, its weight stays (O, C / groups, *K).
    """
    x = dequantized(ctx, node, (0, 1, 2), "x")
    w = dequantized(ctx, node, (3, 4, 5), "w", axis=0)
    operands: tuple[Value, ...] = (x, w)
    if node.has_input(_BIAS):
        operands = (*operands, coded_bias(ctx, node, _BIAS, w.shape[0]))
    return quantized(ctx, node, convolution(ctx, node, operands, "real", _last(node)), (6, 7))


def conv_integer(ctx: Context, node: Node) -> Value:
    """Import ConvInteger(x, w, zero, zero): its int32 result is held as a real, exactly."""
    operands = (minus_zero(ctx, node, (0, 2), "a", 1), minus_zero(ctx, node, (1, 3), "b", 0))
    ctx.whole.add(node.out)
    return convolution(ctx, node, operands)


def average_pool(ctx: Context, node: Node) -> Value:
    """Import QLinearAveragePool(x, scale, zero, scale, zero)."""
    x = dequantized(ctx, node, (0, 1, 2), "x")
    return quantized(ctx, node, averaged(ctx, node, x, "real", _last(node)), (3, 4))


def global_average_pool(ctx: Context, node: Node) -> Value:
    """Import QLinearGlobalAveragePool(x, scale, zero, scale, zero)."""
    x = dequantized(ctx, node, (0, 1, 2), "x")
    return quantized(ctx, node, globally_averaged(ctx, node, x, "real", _last(node)), (3, 4))


def concat(ctx: Context, node: Node) -> Value:
    """Import QLinearConcat(scale, zero, then x, scale, zero of every operand)."""
    count, rest = divmod(len(node.inputs) - 2, _TRIPLE)
    if count < 1 or rest:
        raise CompileError(f"{node.loc}: QLinearConcat has {len(node.inputs)} inputs")
    starts = range(2, len(node.inputs), _TRIPLE)
    values = [dequantized(ctx, node, (i, i + 1, i + 2), f"x{i // _TRIPLE}") for i in starts]
    return quantized(ctx, node, joined(ctx, node, values, "real"), (0, 1))


def _last(node: Node) -> bool:
    return bool(node.integer("channels_last", 0))
