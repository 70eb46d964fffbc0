"""Operators on codes (QLinear*, QGemm, MatMulInteger): expanded into Dequantize, real, Quantize."""

from dataclasses import replace

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context
from bitwright.frontend.importers.heads import softmax_axes
from bitwright.frontend.importers.linear import as_weight
from bitwright.frontend.importers.qdq import dequantized, quantized
from bitwright.frontend.messages import Refusal, show
from bitwright.frontend.node import Node
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    Concat,
    Dequantize,
    Function,
    Linear,
    Softmax,
    Take,
    Value,
)

_BATCHED = 3


def matmul(ctx: Context, node: Node) -> Value:
    """Import QLinearMatMul(a, scale, zero, b, scale, zero, scale, zero)."""
    a = dequantized(ctx, node, (0, 1, 2), "a")
    b = dequantized(ctx, node, (3, 4, 5), "b")
    if len(a.shape) == len(b.shape) == _BATCHED and ctx.folded(b) is not None:
        return _batched(ctx, node, a, b)
    w = as_weight(ctx, node, b, transpose=True)
    return quantized(ctx, node, ctx.emit(Linear, (a, w), node, "product"), (6, 7))


def _batched(ctx: Context, node: Node, a: Value, b: Value) -> Value:
    """Multiply each matrix of a batch by its own constant matrix, then join the codes."""
    count = b.shape[0]
    if a.shape[0] not in {1, count}:
        raise CompileError(f"{node.loc}: {a.shape} does not fit {b.shape}")
    ctx.check_result(node, (count, a.shape[1], b.shape[2]))
    codes = []
    for i in range(count):
        part = replace(node, outputs=(ctx.builder.unique(f"{node.out}.of{i}"),))
        at = ctx.constant(f"{node.out}.at{i}", np.array([i]))
        x = a if a.shape[0] == 1 else ctx.emit(Take, (a, at), part, "x", axis=0)
        w = as_weight(ctx, part, _matrix(ctx, part, b, i), transpose=True)
        codes.append(quantized(ctx, part, ctx.emit(Linear, (x, w), part, "product"), (6, 7)))
    return ctx.emit(Concat, tuple(codes), node, axis=0)


def _matrix(ctx: Context, node: Node, b: Value, index: int) -> Value:
    """Return one matrix of constant quantized matrices; one scale holds for all."""
    op = ctx.producer(b)
    numbers = None if op is None else ctx.folded(op.inputs[0])
    if op is None or numbers is None or max(v.type.size for v in op.inputs[1:]) > 1:
        raise Refusal("its matrices have scales of their own", "give all of them one scale")
    codes = ctx.constant(f"{node.out}.codes", numbers[index], op.inputs[0].elem)
    return ctx.emit(Dequantize, (codes, *op.inputs[1:]), node, "matrix")


def gemm(ctx: Context, node: Node) -> Value:
    """Import QGemm(a, scale, zero, b, scale, zero, c, scale, zero); without the last two: real."""
    if node.integer("transA", 0):
        raise Refusal("it transposes its first operand", "export it with transA = 0")
    alpha = node.real("alpha", 1.0)
    a = dequantized(ctx, node, (0, 1, 2), "a")
    transposed = bool(node.integer("transB", 0))
    b = dequantized(ctx, node, (3, 4, 5), "b", 0 if transposed else 1)
    b = as_weight(ctx, node, b, transpose=not transposed)
    if alpha != 1.0:
        raise Refusal(f"its alpha is {alpha:g}", "fold alpha into the scale of b")
    operands = (a, b, coded_bias(ctx, node, 6, b.shape[0])) if node.has_input(6) else (a, b)
    coded = node.has_input(7)
    y = ctx.emit(Linear, operands, node, "product" if coded else "")
    return quantized(ctx, node, y, (7, 8)) if coded else y


def coded_bias(ctx: Context, node: Node, index: int, size: int) -> Value:
    """Return an int32 bias, whose scale is the product of the operands' (inputs 1 and 4)."""
    codes = ctx.array(node, index)
    if codes.size not in {1, size}:
        raise CompileError(f"{node.loc}: a bias of shape {codes.shape} for {size} outputs")
    scales = (ctx.array(node, 1) * ctx.array(node, 4)).astype(np.float32).reshape(-1)
    q = ctx.constant(f"{node.out}.bias", np.broadcast_to(codes.reshape(-1), (size,)))
    return ctx.emit(Dequantize, (q, _flat(ctx, node, scales), _zero(ctx, node)), node, "c", axis=0)


def _flat(ctx: Context, node: Node, a: Array) -> Value:
    return ctx.constant(f"{node.out}.c_scale", a.reshape(()) if a.size == 1 else a)


def _zero(ctx: Context, node: Node) -> Value:
    return ctx.constant(f"{node.out}.c_zero", 0)


def matmul_integer(ctx: Context, node: Node) -> Value:
    """Import MatMulInteger: its int32 result is held as a real, exactly."""
    a = _minus_zero(ctx, node, (0, 2), "a")
    b = as_weight(ctx, node, _minus_zero(ctx, node, (1, 3), "b"), transpose=True)
    ctx.whole.add(node.out)
    return ctx.emit(Linear, (a, b), node)


def _minus_zero(ctx: Context, node: Node, at: tuple[int, int], part: str) -> Value:
    return minus_zero(ctx, node, at, part, -1)


def minus_zero(ctx: Context, node: Node, at: tuple[int, int], part: str, axis: int) -> Value:
    """Return codes less their zero point as reals; that of `b` may lie along `axis`."""
    codes = ctx.codes(node, at[0])
    zero = ctx.optional_array(node, at[1])
    zero = np.zeros((), np.int64) if zero is None else zero.astype(np.int64)
    if zero.size != 1 and (part == "a" or zero.size != codes.shape[axis]):
        raise Refusal(
            f"its zero point {show(node.inputs[at[1]])} is neither scalar nor per output channel"
        )
    one = ctx.constant(f"{node.out}.{part}_scale", np.float32(1))
    flat = zero.reshape(()) if zero.size == 1 else zero.reshape(-1)
    z = ctx.constant(f"{node.out}.{part}_zero", flat)
    return ctx.emit(Dequantize, (codes, one, z), node, part, axis=axis % len(codes.shape))


def binary(ctx: Context, node: Node) -> Value:
    """Import QLinearAdd and QLinearMul."""
    kind = Arith.ADD if node.op_type == "QLinearAdd" else Arith.MUL
    a, b = dequantized(ctx, node, (0, 1, 2), "a"), dequantized(ctx, node, (3, 4, 5), "b")
    return quantized(ctx, node, ctx.emit(Arithmetic, (a, b), node, "real", kind=kind), (6, 7))


def sigmoid(ctx: Context, node: Node) -> Value:
    """Import QLinearSigmoid."""
    return _activation(ctx, node, Function.SIGMOID, 0.0)


def leaky_relu(ctx: Context, node: Node) -> Value:
    """Import QLinearLeakyRelu."""
    return _activation(ctx, node, Function.LEAKY_RELU, node.real("alpha", 0.01))


def _activation(ctx: Context, node: Node, kind: Function, alpha: float) -> Value:
    x = dequantized(ctx, node, (0, 1, 2), "x")
    y = ctx.emit(Activation, (x,), node, "real", kind=kind, alpha=alpha)
    return quantized(ctx, node, y, (3, 4))


def softmax(ctx: Context, node: Node) -> Value:
    """Import QLinearSoftmax, whose axis follows the operator set named in its attribute."""
    x = dequantized(ctx, node, (0, 1, 2), "x")
    axes = softmax_axes(node.integer("opset", ctx.opset), node, len(x.shape))
    return quantized(ctx, node, ctx.emit(Softmax, (x,), node, "real", **axes), (3, 4))
