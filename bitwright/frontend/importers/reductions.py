"""Reductions over axes, and Mean over operands."""

import numpy as np

from bitwright.frontend.context import Context
from bitwright.frontend.importers.arithmetic import variadic
from bitwright.frontend.importers.integers import reduced
from bitwright.frontend.importers.pieces import integers
from bitwright.frontend.messages import Refusal
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import axis_of
from bitwright.ir.ops import Arith, Arithmetic, Reduce, Reduction, Value
from bitwright.ir.types import is_integral

KINDS = {
    "ReduceMean": Reduction.MEAN,
    "ReduceSum": Reduction.SUM,
    "ReduceMax": Reduction.MAX,
    "ReduceMin": Reduction.MIN,
    "ReduceProd": Reduction.PROD,
    "ReduceL1": Reduction.L1,
    "ReduceL2": Reduction.L2,
    "ReduceSumSquare": Reduction.SUM_SQUARE,
    "ReduceLogSum": Reduction.LOG_SUM,
    "ReduceLogSumExp": Reduction.LOG_SUM_EXP,
}


def reduce(ctx: Context, node: Node) -> Value:
    """Import a reduction, its axes an attribute (in old versions) or a constant input."""
    x = ctx.value(node, 0)
    axes = integers(ctx, node, "axes", 1)
    if not axes:
        nothing = bool(node.integer("noop_with_empty_axes", 0))
        axes = () if nothing else tuple(range(len(x.shape)))
    places = checked_axes(ctx, node, axes, len(x.shape))
    keep = bool(node.integer("keepdims", 1))
    attributes = {"kind": KINDS[node.op_type], "axes": places, "keep": keep}
    if is_integral(x.elem) and x.name not in ctx.builder.constants:
        return reduced(ctx, node, attributes)
    return ctx.emit(Reduce, (ctx.real(node, 0),), node, **attributes)


def checked_axes(ctx: Context, node: Node, axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Return ascending axes; Refusal where they would join the samples of a fixed batch."""
    places = tuple(sorted({axis_of(a, rank, node.loc) for a in axes}))
    if ctx.batch > 1 and 0 in places and rank > 1:
        raise Refusal(
            f"it joins the {ctx.batch} samples of a batch", "export the model with a batch of 1"
        )
    return places


def mean(ctx: Context, node: Node) -> Value:
    """Import Mean of any number of tensors."""
    count = len(node.inputs)
    if count == 1:
        return ctx.real(node, 0)
    total = variadic(ctx, node, "sum")
    c = ctx.constant(f"{node.out}.count", np.float32(count))
    return ctx.emit(Arithmetic, (total, c), node, kind=Arith.DIV)
