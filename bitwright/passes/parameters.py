"""The constants that an op reads, laid out as its result is."""

from bitwright.ir.evaluate.real import along
from bitwright.ir.graph import Array
from bitwright.ir.ops import BatchNorm, CountThresholds, Dequantize, Op, Quantize
from bitwright.ir.ops.base import channel_shape

BY_AXIS = (BatchNorm, Quantize, Dequantize)  # one parameter for all, or one for each channel


def spread(op: Op, a: Array) -> Array:
    """Return a constant that `op` reads with as many axes as its result, thresholds behind them."""
    rank = len(op.output.shape)
    if isinstance(op, CountThresholds):
        return a.reshape(*channel_shape(a.shape[0], op.axis, rank), a.shape[1])
    if isinstance(op, BY_AXIS):
        return along(op, a, op.axis)
    return a.reshape((1,) * (rank - a.ndim) + a.shape)
