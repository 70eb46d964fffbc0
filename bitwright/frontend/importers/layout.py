"""Channels first outside, channels last inside: the transposes around spatial operations."""

from typing import Any

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context
from bitwright.frontend.importers.linear import transposed_codes
from bitwright.frontend.messages import Refusal, show
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import channels_first, channels_last
from bitwright.ir.ops import Dequantize, Op, Transpose, Value


def as_last(ctx: Context, node: Node, x: Value, part: str = "x") -> Value:
    """Return (N, C, *S) data as (N, *S, C); a transpose that was just put there is taken away."""
    perm = channels_last(len(x.shape))
    made = ctx.producer(x)
    if isinstance(made, Transpose) and made.perm == channels_first(len(x.shape)):
        return made.inputs[0]
    return ctx.emit(Transpose, (x,), node, f"{part}.last", perm=perm)


def as_first(ctx: Context, node: Node, y: Value, part: str = "") -> Value:
    """Return (N, *S, C) data as (N, C, *S)."""
    return ctx.emit(Transpose, (y,), node, part, perm=channels_first(len(y.shape)))


def emit_spatial(
    ctx: Context, kind: type[Op], operands: tuple[Value, ...], node: Node, names: tuple[str, bool],
    /, **attributes: Any,
) -> Value:  # fmt: skip
    """Emit a channels-last op on the first operand, which `names` says how to name and to lay out.

    `names` is the part name of the result and whether data are channels last outside as well.
    """
    part, last = names
    x, *rest = operands
    if last:
        return ctx.emit(kind, operands, node, part, **attributes)
    inside = f"{part}.last" if part else "last"
    wide = as_last(ctx, node, x, f"{part}.x" if part else "x")
    y = ctx.emit(kind, (wide, *rest), node, inside, **attributes)
    return as_first(ctx, node, y, part)


def spatial_shape(node: Node, x: Value, last: bool = False) -> tuple[int, ...]:
    """Return the spatial axes of x; CompileError when it has none."""
    if len(x.shape) < 3:  # noqa: PLR2004 - batch, channels and one more
        raise CompileError(
            f"{node.loc}: {node.op_type} reads a tensor of shape {x.shape}, expected at least "
            "three axes"
        )
    return x.shape[1:-1] if last else x.shape[2:]


def laid_out(ctx: Context, node: Node, w: Value, perm: tuple[int, ...]) -> Value:
    """Return a constant weight with its axes permuted; quantized weights stay codes."""
    if w.name in ctx.builder.constants:
        turned = np.ascontiguousarray(ctx.builder.constants[w.name].transpose(perm))
        return ctx.constant(f"{w.name}.last", turned)
    op = ctx.producer(w)
    if isinstance(op, Dequantize) and ctx.folded(op.inputs[0]) is not None:
        return transposed_codes(ctx, op, node, perm, "weight")
    if ctx.folded(w) is None:
        raise Refusal(
            f"its weight {show(w.name)} is computed at run time",
            "only constant weights are handled",
        )
    raise Refusal(
        f"its weight {show(w.name)} is computed from quantized numbers",
        "let the quantizer be the last step before the product",
    )
