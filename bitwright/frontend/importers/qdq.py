"""QuantizeLinear and DequantizeLinear."""

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context, finite
from bitwright.frontend.messages import Refusal, show
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import axis_of
from bitwright.frontend.tensors import INTEGER_TYPES, Constant, type_name
from bitwright.ir.graph import Array
from bitwright.ir.ops import Dequantize, Quantize, Value
from bitwright.ir.types import Int, Real

_UINT8 = 2


def quantize_linear(ctx: Context, node: Node) -> Value:
    """Import QuantizeLinear: codes of the zero point's type, rounded half to even, then shifted."""
    return quantized(ctx, node, ctx.real(node, 0), (1, 2))


def dequantize_linear(ctx: Context, node: Node) -> Value:
    """Import DequantizeLinear: `scale * (codes - zero)`."""
    return dequantized(ctx, node, (0, 1, 2))


def quantized(ctx: Context, node: Node, x: Value, at: tuple[int, int]) -> Value:
    """Quantize x by the scale and zero point at these inputs; the node's result are codes."""
    scale, zero, axis = grid(ctx, node, at, x.shape)
    if not (ctx.builder.constants[scale.name] > 0).all():
        raise CompileError(f"{node.loc}: the scale {show(node.inputs[at[0]])} is not positive")
    elem = _code_type(ctx, node, at[1])
    return ctx.emit(Quantize, (x, scale, zero), node, elem=elem, axis=axis, zero_after=True)


def dequantized(
    ctx: Context, node: Node, at: tuple[int, int, int], part: str = "", axis: int = 1
) -> Value:
    """Return the reals of the codes, scale and zero point at these inputs.

    Several scales lie along the node's attribute `axis`, or where it has none along this one.
    """
    index, *rest = at
    if isinstance(ctx.value(node, index).elem, Real) and node.inputs[index] in ctx.whole:
        raise Refusal(
            "it reads an integer accumulator", "let a Cast and a Mul take the place of it"
        )
    codes = ctx.codes(node, index)
    scale, zero, axis = grid(ctx, node, (rest[0], rest[1]), codes.shape, axis)
    return ctx.emit(Dequantize, (codes, scale, zero), node, part, axis=axis)


def grid(
    ctx: Context, node: Node, at: tuple[int, int], shape: tuple[int, ...], default: int = 1
) -> tuple[Value, Value, int]:
    """Return scale, zero point (0 when left out) and the axis they lie on, `axis` or `default`."""
    if node.integer("block_size", 0):
        raise Refusal("it quantizes in blocks", "quantize per tensor or per channel")
    scale = finite(ctx.array(node, at[0]), show(node.inputs[at[0]]))
    zero = ctx.optional_array(node, at[1])
    zero = np.zeros((), np.int64) if zero is None else zero
    if zero.dtype.kind not in "iu":
        raise Refusal(f"its zero point {show(node.inputs[at[1]])} is no integer")
    wide = max(scale.size, zero.size) > 1
    axis = axis_of(node.integer("axis", default), len(shape), node.loc) if wide else -1
    s = ctx.constant(f"{node.out}.scale{at[0]}", _vector(node, scale, shape, axis))
    z = ctx.constant(f"{node.out}.zero{at[0]}", _vector(node, zero, shape, axis))
    return s, z, axis


def _vector(node: Node, a: Array, shape: tuple[int, ...], axis: int) -> Array:
    if a.size == 1:
        return a.reshape(())
    if a.ndim == 1 and a.size == shape[axis]:
        return a
    raise CompileError(
        f"{node.loc}: a scale or zero point of shape {a.shape} does not fit axis {axis} of {shape}"
    )


def _code_type(ctx: Context, node: Node, index: int) -> Int:
    """Return the codes of the zero point's type; without one of `output_dtype`, else of uint8."""
    kind = node.integer("output_dtype", 0) or _UINT8
    if node.has_input(index):
        found = ctx.get(node, index)
        if isinstance(found, Constant):
            kind = found.data_type
    if kind not in INTEGER_TYPES:
        raise Refusal(f"it quantizes to {type_name(kind)}", "quantize to an integer type")
    return INTEGER_TYPES[kind]
