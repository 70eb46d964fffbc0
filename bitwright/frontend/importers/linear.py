"""Dot products with constant weights, matrix products, and batch normalization."""

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context, finite, per_axis
from bitwright.frontend.messages import Refusal, show
from bitwright.frontend.node import Node
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Arith,
    Arithmetic,
    BatchNorm,
    Dequantize,
    Linear,
    MatMul,
    Reshape,
    Transpose,
    Value,
)

_MATRIX = 2


def matmul(ctx: Context, node: Node) -> Value:
    """Import MatMul: as Linear where the second operand is a constant matrix, else as a product."""
    x, w = ctx.real(node, 0), ctx.real(node, 1)
    if not x.shape or not w.shape:
        raise CompileError(f"{node.loc}: MatMul reads a number without axes")
    fixed = ctx.folded(w) is not None and ctx.folded(x) is None
    if fixed and len(w.shape) == _MATRIX:
        return ctx.emit(Linear, (x, as_weight(ctx, node, w, transpose=True)), node)
    return product(ctx, node, x, w)


def product(ctx: Context, node: Node, a: Value, b: Value, part: str = "") -> Value:
    """Return the matrix product of two tensors; one of a single axis is a row or a column."""
    rows, columns = len(a.shape) > 1, len(b.shape) > 1
    if rows and columns:
        return ctx.emit(MatMul, (a, b), node, part)
    if not rows:
        a = ctx.emit(Reshape, (a,), node, "row", shape=(1, *a.shape))
    if not columns:
        b = ctx.emit(Reshape, (b,), node, "column", shape=(*b.shape, 1))
    y = ctx.emit(MatMul, (a, b), node, "product")
    left = (*y.shape[:-2], *((y.shape[-2],) if rows else ()), *((y.shape[-1],) if columns else ()))
    return ctx.emit(Reshape, (y,), node, part, shape=left)


def weight(ctx: Context, node: Node, index: int, transpose: bool) -> Value:
    """Return a constant matrix as (outputs, inputs); quantized weights stay codes."""
    return as_weight(ctx, node, ctx.real(node, index), transpose)


def as_weight(ctx: Context, node: Node, w: Value, transpose: bool) -> Value:
    """Return a constant value as a weight matrix, transposed where asked."""
    if ctx.folded(w) is None:
        raise Refusal(
            "its second operand is computed at run time",
            "only products with constant weights on the right are handled",
        )
    if len(w.shape) != _MATRIX:
        raise Refusal(f"its weight {show(w.name)} has {len(w.shape)} axes, expected two")
    op = ctx.producer(w)
    if op is not None and not isinstance(op, Dequantize):
        raise Refusal(
            f"its weight {show(w.name)} is computed from quantized numbers",
            "let the quantizer be the last step before the product",
        )
    if not transpose:
        return w
    if op is None:
        return ctx.constant(f"{w.name}.T", ctx.builder.constants[w.name].T)
    return transposed_codes(ctx, op, node, (1, 0), "weight")


def transposed_codes(
    ctx: Context, op: Dequantize, node: Node, perm: tuple[int, ...], part: str = ""
) -> Value:
    """Transpose the constant codes below a Dequantize, its channel axis with them."""
    q, scale, zero = op.inputs
    numbers = ctx.folded(q)
    if numbers is None:
        raise Refusal(f"the codes {show(q.name)} are computed at run time")
    turned = np.ascontiguousarray(numbers.transpose(perm))
    codes = ctx.constant(f"{q.name}.T", turned, q.elem)
    axis = perm.index(op.axis % len(perm)) if max(scale.type.size, zero.type.size) > 1 else -1
    return ctx.emit(Dequantize, (codes, scale, zero), node, part, axis=axis)


def gemm(ctx: Context, node: Node) -> Value:
    """Import Gemm, `alpha * A @ B + beta * C`, as Linear with what it needs around."""
    x, w = ctx.real(node, 0), ctx.real(node, 1)
    for v in (x, w):
        if len(v.shape) != _MATRIX:
            raise CompileError(
                f"{node.loc}: Gemm reads a tensor of shape {v.shape}, expected two axes"
            )
    if node.integer("transA", 0):
        x = ctx.emit(Transpose, (x,), node, "turned", perm=(1, 0))
    transposed = bool(node.integer("transB", 0))
    if ctx.folded(w) is None:
        return _general_gemm(ctx, node, x, w, transposed)
    w = as_weight(ctx, node, w, transpose=not transposed)
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    if not node.has_input(2) or beta == 0.0:
        return _scaled(ctx, node, ctx.emit(Linear, (x, w), node, "product" * (alpha != 1)), alpha)
    bias = ctx.real(node, 2)
    if alpha == 1.0 and beta == 1.0 and ctx.folded(bias) is not None:
        vector = _vector(ctx, node, bias, w.shape[0])
        if vector is not None:
            return ctx.emit(Linear, (x, w, vector), node)
    return _biased(ctx, node, ctx.emit(Linear, (x, w), node, "product"))


def _general_gemm(ctx: Context, node: Node, x: Value, w: Value, transposed: bool) -> Value:
    """Emit Gemm of two computed matrices."""
    if transposed:
        w = ctx.emit(Transpose, (w,), node, "turned_b", perm=(1, 0))
    return _biased(ctx, node, product(ctx, node, x, w, "product"))


def _biased(ctx: Context, node: Node, y: Value) -> Value:
    """Return `alpha * y + beta * C`."""
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    y = _scaled(ctx, node, y, alpha, "scaled")
    bias = ctx.real(node, 2) if node.has_input(2) else ctx.constant(f"{node.out}.none", 0.0)
    return ctx.emit(Arithmetic, (y, _times(ctx, node, bias, beta)), node, kind=Arith.ADD)


def _scaled(ctx: Context, node: Node, y: Value, by: float, part: str = "") -> Value:
    return y if by == 1.0 else _times(ctx, node, y, by, part)


def _times(ctx: Context, node: Node, v: Value, by: float, part: str = "bias") -> Value:
    if by == 1.0:
        return v
    factor = ctx.constant(f"{node.out}.{part or 'alpha'}", np.float32(by))
    return ctx.emit(Arithmetic, (v, factor), node, part, kind=Arith.MUL)


def _vector(ctx: Context, node: Node, bias: Value, size: int) -> Value | None:
    """Return a constant bias as one number per output; None when it is not of that form."""
    if bias.shape == (size,):
        return bias
    a = ctx.builder.constants.get(bias.name)
    if a is None or a.size not in {1, size} or (a.size == size and a.shape[-1] != size):
        return None
    return ctx.constant(f"{node.inputs[2]}.row", np.broadcast_to(a.reshape(-1), (size,)))


def batch_norm(ctx: Context, node: Node) -> Value:
    """Import BatchNormalization in inference form, along axis 1."""
    return normalized(ctx, node, 1)


def normalized(ctx: Context, node: Node, axis: int) -> Value:
    """Emit the batch normalization of a node along an axis."""
    if node.integer("training_mode", 0):
        raise Refusal("it is in training mode", "export the model in evaluation mode")
    if not node.integer("spatial", 1):
        raise Refusal("it normalizes each position by itself", "export it with spatial = 1")
    x = ctx.real(node, 0)
    epsilon = node.real("epsilon", 1e-5)
    parameters = tuple(_parameter(ctx, node, i) for i in range(1, 5))
    variance = ctx.builder.constants[parameters[3].name]
    if float((variance + np.float32(epsilon)).min(initial=1.0)) <= 0:
        raise CompileError(f"{node.loc}: variance + epsilon is {variance.min()}, not positive")
    return ctx.emit(BatchNorm, (x, *parameters), node, epsilon=epsilon, axis=axis)


def _parameter(ctx: Context, node: Node, index: int) -> Value:
    """Return a constant vector; a quantized one is taken as its real numbers."""
    value = ctx.real(node, index)
    if value.name in ctx.builder.constants:
        return value
    return ctx.constant(f"{node.inputs[index]}.folded", ctx.array(node, index))


def channel_parameter(
    ctx: Context, node: Node, index: int, shape: tuple[int, ...]
) -> tuple[Array, int]:
    """Return a constant scale or zero point as scalar or vector, and the axis it lies on."""
    a = finite(ctx.array(node, index), show(node.inputs[index]))
    return per_axis(a, shape, show(node.inputs[index]))
