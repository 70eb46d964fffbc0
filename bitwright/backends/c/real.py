"""Real ops in float32, for what stays real in the model: which kernel computes which op."""

from collections.abc import Callable

from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.elementwise import emit_elementwise, integer_layer
from bitwright.backends.c.nest import nest_of
from bitwright.backends.c.real_conv import conv_layer, conv_transpose_layer
from bitwright.backends.c.real_linear import linear_layer, softmax_layer
from bitwright.backends.c.real_pool import pool_layer
from bitwright.backends.c.real_post import channel_of, operands_of, post_of
from bitwright.backends.c.real_reduce import (
    normalize_layer,
    reduce_layer,
    resample_layer,
    response_layer,
)
from bitwright.backends.layers import Layer
from bitwright.ir.ops import (
    ArgMax,
    AveragePool,
    Conv,
    ConvTranspose,
    Linear,
    LocalResponseNorm,
    MaxPool,
    MinPool,
    Normalize,
    Op,
    Reduce,
    Resample,
    Softmax,
)
from bitwright.ir.types import Real

_LAYERS: dict[type[Op], Callable[..., Call]] = {
    Linear: linear_layer,
    Softmax: softmax_layer,
    Conv: conv_layer,
    ConvTranspose: conv_transpose_layer,
    MaxPool: pool_layer,
    MinPool: pool_layer,
    AveragePool: pool_layer,
    Reduce: reduce_layer,
    Normalize: normalize_layer,
    LocalResponseNorm: response_layer,
    Resample: resample_layer,
}


def is_real_op(op: Op) -> bool:
    """Tell whether `op` reads or makes reals."""
    return isinstance(op.output.elem, Real) or isinstance(op.inputs[0].elem, Real)


def real_layer(ctx: Context, layer: Layer) -> Call:
    """Return the call of one layer that reads or makes reals."""
    op = layer.first
    if isinstance(op, ArgMax):
        return integer_layer(ctx, layer)
    if type(op) in _LAYERS:
        return _LAYERS[type(op)](ctx, layer, op)
    built = post_of(op, ctx)
    nest = nest_of(op.output.shape, operands_of(op), channel_of(op))
    return emit_elementwise(ctx, layer, built, nest, "float32")
