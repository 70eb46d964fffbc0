"""What ends a classifier: softmax and the choice of the greatest."""

from dataclasses import replace
from typing import Any

import numpy as np
from onnx import TensorProto

from bitwright.errors import CompileError
from bitwright.frontend.context import Context, Operand, Unavailable
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import axis_of
from bitwright.ir.ops import (
    Activation,
    ArgMax,
    Function,
    IntArithmetic,
    Reshape,
    Softmax,
    Take,
    TopK,
    Value,
    Whole,
)
from bitwright.ir.types import Int

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
    """Import ArgMax, and ArgMin of reals as that of the negated ones.

    Of equal elements the one with the lowest index counts, with `select_last_index` the highest.
    """
    x = ctx.value(node, 0)
    if node.op_type == "ArgMin":
        x = ctx.emit(Activation, (ctx.real(node, 0),), node, "negated", kind=Function.NEG)
    axis = axis_of(node.integer("axis", 0), len(x.shape), node.loc)
    keep = bool(node.integer("keepdims", 1))
    ctx.kinds[node.out] = int(TensorProto.INT64)
    if node.integer("select_last_index", 0):
        index = _last_index(ctx, node, x, axis, "" if keep else "index")
    else:
        index = ctx.emit(ArgMax, (x,), node, "" if keep else "index", axis=axis)
    if keep:
        return index
    return ctx.emit(Reshape, (index,), node, shape=x.shape[:axis] + x.shape[axis + 1 :])


def _last_index(ctx: Context, node: Node, x: Value, axis: int, part: str) -> Value:
    """Return the index of the greatest element, the highest of equals: found from the end."""
    last = x.shape[axis] - 1
    ctx.account(node, (last + 1,))
    order = ctx.constant(f"{node.out}.reversed", np.arange(last, -1, -1))
    turned = ctx.emit(Take, (x, order), node, "turned", axis=axis)
    from_end = ctx.emit(ArgMax, (turned,), node, "from_end", axis=axis)
    whole = Int(0, (1 << max(last.bit_length(), 1)) - 1)
    count = ctx.constant(f"{node.out}.last", last)
    return ctx.emit(IntArithmetic, (count, from_end), node, part, kind=Whole.SUB, elem=whole)


def top_k(ctx: Context, node: Node) -> Operand:
    """Import TopK with a constant k; its only greatest element is an ArgMax."""
    x = ctx.value(node, 0)
    k = ctx.scalar(node, 1) if node.has_input(1) else node.integer("k", 0)
    axis = axis_of(node.integer("axis", -1), len(x.shape), node.loc)
    if not 1 <= k <= x.shape[axis]:
        raise CompileError(f"{node.loc}: takes k = {k:g} of {x.shape[axis]} elements")
    largest = bool(node.integer("largest", 1))
    how = {"axis": axis, "k": int(k), "largest": largest}
    if len(node.outputs) > 1 and node.outputs[1]:
        index = replace(node, outputs=node.outputs[1:])
        ctx.kinds[index.out] = int(TensorProto.INT64)
        ctx.env[index.out] = (
            ctx.emit(ArgMax, (x,), index, axis=axis)
            if k == 1 and largest
            else ctx.emit(TopK, (x,), index, **how, places=True)
        )
    if not node.out:
        return Unavailable()
    return ctx.emit(TopK, (x,), node, **how)
