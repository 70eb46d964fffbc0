"""What ends a classifier: softmax and the choice of the greatest."""

from typing import Any

from bitwright.errors import CompileError
from bitwright.frontend.context import Context, Operand, Unavailable
from bitwright.frontend.messages import Refusal
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import axis_of
from bitwright.ir.ops import Activation, ArgMax, Function, Reshape, Softmax, Value

_ONE_AXIS = 13  # from this version on softmax runs over one axis


def softmax(ctx: Context, node: Node) -> Value:
    """Import Softmax and LogSoftmax; before version 13 they run from `axis` to the last."""
    x = ctx.real(node, 0)
    return ctx.emit(Softmax, (x,), node, **softmax_axes(ctx.opset, node, len(x.shape)))


def softmax_axes(opset: int, node: Node, rank: int) -> dict[str, Any]:
    """Return the attributes of Softmax for ONNX's `axis` under this operator set."""
    single = opset >= _ONE_AXIS
    axis = axis_of(node.integer("axis", -1 if single else 1), max(rank, 1), node.loc)
    return {"axis": axis, "end": axis + 1 if single else rank, "log": node.op_type == "LogSoftmax"}


def arg_max(ctx: Context, node: Node) -> Value:
    """Import ArgMax, and ArgMin of reals as that of the negated ones; ties go to the lowest index."""
    if node.integer("select_last_index", 0):
        raise Refusal("it takes the last of equal elements", "use select_last_index = 0")
    x = ctx.value(node, 0)
    if node.op_type == "ArgMin":
        x = ctx.emit(Activation, (ctx.real(node, 0),), node, "negated", kind=Function.NEG)
    axis = axis_of(node.integer("axis", 0), len(x.shape), node.loc)
    if node.integer("keepdims", 1):
        return ctx.emit(ArgMax, (x,), node, axis=axis)
    index = ctx.emit(ArgMax, (x,), node, "index", axis=axis)
    return ctx.emit(Reshape, (index,), node, shape=x.shape[:axis] + x.shape[axis + 1 :])


def top_k(ctx: Context, node: Node) -> Operand:
    """Import TopK with k = 1 whose indices are read: an ArgMax."""
    x = ctx.value(node, 0)
    k = ctx.scalar(node, 1) if node.has_input(1) else node.integer("k", 0)
    if k != 1 or not node.integer("largest", 1):
        raise Refusal(f"it takes k = {k:g} elements", "only the greatest one is handled")
    axis = axis_of(node.integer("axis", -1), len(x.shape), node.loc)
    if len(node.outputs) < 2 or not node.outputs[1]:  # noqa: PLR2004 - values and indices
        raise CompileError(f"{node.loc}: TopK has no output of indices")
    index = Node(node.op_type, node.domain, node.loc, node.inputs, node.outputs[1:], {})
    ctx.env[node.outputs[1]] = ctx.emit(ArgMax, (x,), index, axis=axis)
    return Unavailable(
        "it reads the values of a TopK, of which only the indices are computed", "read the indices"
    )
