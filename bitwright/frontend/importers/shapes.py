"""Shapes, index maps and casts."""

from math import prod

import numpy as np
from onnx import TensorProto

from bitwright.errors import CompileError
from bitwright.frontend.context import Comparison, Context, Operand
from bitwright.frontend.importers.integers import nonzero
from bitwright.frontend.importers.linear import transposed_codes
from bitwright.frontend.importers.signs import cast_comparison, levels
from bitwright.frontend.messages import Refusal
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import (
    flattened,
    moved_axis,
    permutation,
    reshaped,
    squeezed,
    unsqueezed,
)
from bitwright.frontend.tensors import BOOLEAN, REAL_TYPES, Constant, element_type, type_name
from bitwright.ir.ops import Dequantize, IntArithmetic, Reshape, ToInt, Transpose, Value, Whole
from bitwright.ir.types import Int, Real

CONSTANT_ONLY = ("Constant", "ConstantOfShape", "Range", "Mod")


def constant_only(_ctx: Context, node: Node) -> Operand:
    """Refuse an operator that is handled on constants, and was not folded."""
    raise Refusal(
        f"{node.op_type} of a computed tensor is not handled yet",
        "it is handled where its operands are constant",
    )


def shape(ctx: Context, node: Node) -> Constant:
    """Fold Shape: every value has a fixed one."""
    dims = _shape_of(ctx, node)
    end = node.integer("end", len(dims))
    return Constant(np.array(dims[node.integer("start", 0) : end], np.int64), TensorProto.INT64)


def size(ctx: Context, node: Node) -> Constant:
    """Fold Size."""
    return Constant(np.array(prod(_shape_of(ctx, node)), np.int64), TensorProto.INT64)


def _shape_of(ctx: Context, node: Node) -> tuple[int, ...]:
    found = ctx.get(node, 0)
    if isinstance(found, Constant):
        return found.array.shape
    return found.shape if isinstance(found, Comparison) else ctx.value(node, 0).shape


def reshape(ctx: Context, node: Node) -> Value:
    """Import Reshape; a batch size written into the target becomes 1."""
    x = ctx.value(node, 0)
    wanted = [int(i) for i in ctx.array(node, 1).reshape(-1)]
    fixed = [d for d in wanted if d > 0]
    if ctx.batch > 1 and wanted and wanted[0] > 0 and wanted[0] % ctx.batch == 0:
        misfit = -1 not in wanted and prod(fixed) == x.type.size * ctx.batch
        if misfit or (-1 in wanted and wanted[0] == ctx.batch):
            wanted[0] //= ctx.batch
    target = reshaped(x.shape, wanted, bool(node.integer("allowzero", 0)), node.loc)
    return to_shape(ctx, node, x, target)


def flatten(ctx: Context, node: Node) -> Value:
    """Import Flatten."""
    x = ctx.value(node, 0)
    return to_shape(ctx, node, x, flattened(x.shape, node.integer("axis", 1), node.loc))


def squeeze(ctx: Context, node: Node) -> Value:
    """Import Squeeze, its axes an attribute (before version 13) or a constant input."""
    x = ctx.value(node, 0)
    return to_shape(ctx, node, x, squeezed(x.shape, _axes(ctx, node), node.loc))


def unsqueeze(ctx: Context, node: Node) -> Value:
    """Import Unsqueeze, its axes an attribute (before version 13) or a constant input."""
    x = ctx.value(node, 0)
    axes = _axes(ctx, node)
    if axes is None:
        raise CompileError(f"{node.loc}: Unsqueeze names no axes")
    return to_shape(ctx, node, x, unsqueezed(x.shape, axes, node.loc))


def _axes(ctx: Context, node: Node) -> tuple[int, ...] | None:
    given = ctx.optional_array(node, 1)
    return node.integers("axes") if given is None else tuple(int(i) for i in given.reshape(-1))


def to_shape(ctx: Context, node: Node, x: Value, target: tuple[int, ...], part: str = "") -> Value:
    """Emit a Reshape; below the Dequantize of constant codes it acts on the codes."""
    op = ctx.producer(x)
    if isinstance(op, Dequantize) and op.inputs[0].name in ctx.builder.constants:
        q, scale, zero = op.inputs
        vector = max(scale.type.size, zero.type.size) > 1
        axis = moved_axis(x.shape, target, op.axis % len(x.shape)) if vector else -1
        if axis is not None:
            numbers = ctx.builder.constants[q.name].reshape(target)
            codes = ctx.constant(f"{q.name}.reshaped", numbers, q.elem)
            return ctx.emit(Dequantize, (codes, scale, zero), node, part, axis=axis)
    return ctx.emit(Reshape, (x,), node, part, shape=target)


def transpose(ctx: Context, node: Node) -> Value:
    """Import Transpose; on quantized constants it acts on the codes."""
    x = ctx.value(node, 0)
    perm = permutation(node.integers("perm"), len(x.shape), node.loc)
    op = ctx.producer(x)
    if isinstance(op, Dequantize) and op.inputs[0].name in ctx.builder.constants:
        return transposed_codes(ctx, op, node, perm)
    return ctx.emit(Transpose, (x,), node, perm=perm)


def identity(ctx: Context, node: Node) -> Operand:
    """Import Identity: another name for the same value."""
    return ctx.get(node, 0)


def dropout(ctx: Context, node: Node) -> Operand:
    """Import Dropout in inference form: nothing is dropped, and its mask says so."""
    training, ratio = ctx.optional_array(node, 2), ctx.optional_array(node, 1)
    drops = ratio is None or ratio.any()
    if training is not None and training.any() and drops:
        raise Refusal("it is in training mode", "export the model in evaluation mode")
    if len(node.outputs) > 1 and node.outputs[1]:
        shape = _shape_of(ctx, node)
        ctx.account(node, shape)
        ctx.env[node.outputs[1]] = Constant(np.ones(shape, np.bool_), TensorProto.BOOL)
    return ctx.get(node, 0)


def cast(ctx: Context, node: Node) -> Operand:
    """Import Cast."""
    return _cast_to(ctx, node, node.integer("to", 0))


def cast_like(ctx: Context, node: Node) -> Operand:
    """Import CastLike: a cast to the type of the second operand."""
    like = ctx.get(node, 1)
    real = isinstance(like, Value) and isinstance(like.elem, Real)
    return _cast_to(ctx, node, int(TensorProto.FLOAT) if real else ctx.kind_of(node, 1))


def _cast_to(ctx: Context, node: Node, to: int) -> Operand:
    elem = element_type(to)
    if to not in REAL_TYPES and elem is None:
        raise Refusal(f"it casts to {type_name(to)}", "cast to a float or an integer type")
    found = ctx.get(node, 0)
    if isinstance(found, Comparison):
        if to == BOOLEAN:
            return found
        if elem is not None:
            ctx.whole.add(node.out)
        return cast_comparison(ctx, node, found)
    x = ctx.value(node, 0)
    if elem is None:
        return x if isinstance(x.elem, Real) else levels(ctx, node, x, (1.0, 0.0))
    ctx.kinds[node.out] = to
    if isinstance(x.elem, Real):
        return _cast_real(ctx, node, x, elem)
    return _cast_codes(ctx, node, x, elem)


def _cast_codes(ctx: Context, node: Node, x: Value, elem: Int) -> Value:
    if elem.lo <= x.type.integer.lo and x.type.integer.hi <= elem.hi:
        return x
    if elem.bits == 1:
        return nonzero(ctx, node, x)
    zero = ctx.constant(f"{node.out}.wrap", 0)
    return ctx.emit(IntArithmetic, (x, zero), node, kind=Whole.ADD, elem=elem)


def _cast_real(ctx: Context, node: Node, x: Value, elem: Int) -> Value:
    if node.inputs[0] in ctx.whole:
        ctx.whole.add(node.out)
        return x
    if elem.bits == 1:
        return nonzero(ctx, node, x)
    return ctx.emit(ToInt, (x,), node, elem=elem)
