"""What an op costs to compute, whatever machine computes it."""

from math import prod

from bitwright.ir.ops import Conv, ConvTranspose, IntConv, IntLinear, Linear, Op


def macs(op: Op) -> int:
    """Return the multiplications of a layer with weights; 0 for any other op."""
    if not isinstance(op, IntLinear | IntConv | Linear | Conv | ConvTranspose):
        return 0
    if isinstance(op, ConvTranspose):
        x, w = op.inputs[0].type, op.inputs[1].type
        return x.size // op.groups * w.size // w.shape[-1]
    return op.output.type.size * prod(op.inputs[1].shape[1:])
