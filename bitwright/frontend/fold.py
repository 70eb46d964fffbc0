"""Evaluate nodes whose inputs are all constants: shape chains, and arithmetic on parameters."""

from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np
from onnx import TensorProto

from bitwright.frontend.context import Context
from bitwright.frontend.messages import Refusal
from bitwright.frontend.node import Node
from bitwright.frontend.shape_rules import (
    axis_of,
    flattened,
    permutation,
    reshaped,
    sliced,
    squeezed,
    unsqueezed,
)
from bitwright.frontend.tensors import INTEGER_TYPES, REAL_TYPES, Constant, check_size, decode
from bitwright.ir.graph import Array

_LARGEST = 2.0**63
Inputs = list[Array | None]
_OF_NUMPY = {
    "float32": TensorProto.FLOAT, "float64": TensorProto.FLOAT, "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8, "int16": TensorProto.INT16, "uint16": TensorProto.UINT16,
    "int32": TensorProto.INT32, "uint32": TensorProto.UINT32, "int64": TensorProto.INT64,
    "uint64": TensorProto.UINT64, "bool": TensorProto.BOOL,
}  # fmt: skip
_TO_NUMPY = {v: k for k, v in _OF_NUMPY.items() if k != "float64"} | dict.fromkeys(
    REAL_TYPES, "float32"
)


def fold(ctx: Context, node: Node) -> Constant | None:
    """Return the result of a node that reads constants only; None where it is not such a one.

    Raises:
        CompileError: the result would be larger than 256 MiB, or all results than 1 GiB.

    """
    if node.domain or node.op_type not in FOLDERS:
        return None
    if node.op_type == "Constant":
        return _constant(ctx, node)
    found = [ctx.env.get(name) if name else None for name in node.inputs]
    given = [f for f, name in zip(found, node.inputs, strict=True) if name]
    if not given or not all(isinstance(f, Constant) for f in given):
        return None
    arrays = [f.array if isinstance(f, Constant) else None for f in found]
    with np.errstate(all="ignore"):
        result = np.asarray(FOLDERS[node.op_type](node, arrays))
    ctx.account(node, result.shape)
    if result.dtype == np.float64:
        result = result.astype(np.float32)
    return Constant(result, _OF_NUMPY[result.dtype.name])


def _constant(ctx: Context, node: Node) -> Constant:
    a = node.attributes
    if "value" in a:
        return decode(a["value"].t, ctx.folder)
    if "value_float" in a or "value_floats" in a:
        reals = a["value_float"].f if "value_float" in a else list(a["value_floats"].floats)
        return Constant(np.array(reals, np.float32), TensorProto.FLOAT)
    if "value_int" in a or "value_ints" in a:
        ints = a["value_int"].i if "value_int" in a else list(a["value_ints"].ints)
        return Constant(np.array(ints, np.int64), TensorProto.INT64)
    raise Refusal("its value is no dense tensor of numbers", "store it as a dense tensor")


def _need(arrays: Inputs, index: int) -> Array:
    a = arrays[index]
    if a is None:
        raise IndexError(index)
    return a


def _ints(node: Node, arrays: Inputs, name: str, index: int) -> tuple[int, ...] | None:
    """Return a list of integers that is an attribute in old versions, an input in new ones."""
    if index < len(arrays) and arrays[index] is not None:
        return tuple(int(i) for i in _need(arrays, index).reshape(-1))
    return node.integers(name)


def _broadcast(function: Callable[..., Array]) -> Callable[[Node, Inputs], Array]:
    def run(node: Node, arrays: Inputs) -> Array:
        operands = [_need(arrays, i) for i in range(len(arrays))]
        shape = np.broadcast_shapes(*(a.shape for a in operands))
        check_size(f"{node.loc}: result", shape, 8)
        result = operands[0]
        for a in operands[1:]:
            result = function(result, a)
        return np.asarray(result)

    return run


def _unary(function: Callable[[Array], Array]) -> Callable[[Node, Inputs], Array]:
    return lambda _node, arrays: function(_need(arrays, 0))


def _divide(a: Array, b: Array) -> Array:
    """Divide; integers toward zero, as ONNX does."""
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if not b.all():
        raise ValueError("division by zero")
    return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)


def _power(a: Array, b: Array) -> Array:
    return np.asarray(np.power(a.astype(np.float64), b)).astype(a.dtype)


def _cast(node: Node, arrays: Inputs) -> Array:
    to = node.integer("to", 0)
    x = _need(arrays, 0)
    if to not in _TO_NUMPY and to not in INTEGER_TYPES:
        raise Refusal("it casts to a type that is not handled", "cast to a float or integer type")
    if x.dtype.kind == "f" and to not in REAL_TYPES and not np.isfinite(x).all():
        raise ValueError("not finite")
    if x.dtype.kind == "f" and to not in REAL_TYPES and (np.abs(x) >= _LARGEST).any():
        raise ValueError("numbers too large")
    return x.astype(_TO_NUMPY.get(to, "int8"))


def _gather(node: Node, arrays: Inputs) -> Array:
    x, at = _need(arrays, 0), _need(arrays, 1).astype(np.int64)
    axis = axis_of(node.integer("axis", 0), x.ndim, node.loc)
    check_size(f"{node.loc}: result", x.shape[:axis] + at.shape + x.shape[axis + 1 :], x.itemsize)
    return np.take(x, at, axis=axis)


def _concat(node: Node, arrays: Inputs) -> Array:
    parts = [_need(arrays, i) for i in range(len(arrays))]
    check_size(f"{node.loc}: result", (sum(p.nbytes for p in parts),))
    return np.concatenate(parts, axis_of(node.integer("axis", 0), parts[0].ndim, node.loc))


def _constant_of_shape(node: Node, arrays: Inputs) -> Array:
    shape = tuple(int(i) for i in _need(arrays, 0).reshape(-1))
    check_size(f"{node.loc}: result", shape, 8)
    given = node.attributes.get("value")
    if given is None:
        return np.zeros(shape, np.float32)
    if given.t.data_location == TensorProto.EXTERNAL:
        raise ValueError("one number in external data")
    value = decode(given.t, Path()).array
    return np.full(shape, value.reshape(-1)[0], value.dtype)


def _range(node: Node, arrays: Inputs) -> Array:
    start, stop, step = (_need(arrays, i).reshape(()) for i in range(3))
    if not step or not np.isfinite([start, stop, step]).all():
        raise ValueError("no range")
    count = max(int(np.ceil((float(stop) - float(start)) / float(step))), 0)
    check_size(f"{node.loc}: result", (count,), 8)
    return np.asarray(start + np.arange(count) * step).astype(start.dtype)


def _slice(node: Node, arrays: Inputs) -> Array:
    x = _need(arrays, 0)
    starts, ends = _ints(node, arrays, "starts", 1), _ints(node, arrays, "ends", 2)
    if starts is None or ends is None:
        raise IndexError("starts")
    axes = _ints(node, arrays, "axes", 3) or tuple(range(len(starts)))
    steps = _ints(node, arrays, "steps", 4) or (1,) * len(starts)
    for axis, *cut in zip(axes, starts, ends, steps, strict=True):
        at = axis_of(axis, x.ndim, node.loc)
        taken = sliced(x.shape[at], *cut)
        x = np.take(x, np.arange(taken.start, taken.stop, taken.step), axis=at)
    return x


def _expand(node: Node, arrays: Inputs) -> Array:
    x = _need(arrays, 0)
    shape = np.broadcast_shapes(x.shape, tuple(int(i) for i in _need(arrays, 1)))
    check_size(f"{node.loc}: result", shape, x.itemsize)
    return np.broadcast_to(x, shape).copy()


def _reshape(node: Node, arrays: Inputs) -> Array:
    x, wanted = _need(arrays, 0), [int(i) for i in _need(arrays, 1).reshape(-1)]
    return x.reshape(reshaped(x.shape, wanted, bool(node.integer("allowzero", 0)), node.loc))


def _squeeze(node: Node, arrays: Inputs) -> Array:
    x = _need(arrays, 0)
    return x.reshape(squeezed(x.shape, _ints(node, arrays, "axes", 1), node.loc))


def _unsqueeze(node: Node, arrays: Inputs) -> Array:
    x = _need(arrays, 0)
    return x.reshape(unsqueezed(x.shape, _ints(node, arrays, "axes", 1) or (), node.loc))


def _transpose(node: Node, arrays: Inputs) -> Array:
    x = _need(arrays, 0)
    return x.transpose(permutation(node.integers("perm"), x.ndim, node.loc))


def _flatten(node: Node, arrays: Inputs) -> Array:
    x = _need(arrays, 0)
    return x.reshape(flattened(x.shape, node.integer("axis", 1), node.loc))


def _reduction(function: Callable[..., Array]) -> Callable[[Node, Inputs], Array]:
    def run(node: Node, arrays: Inputs) -> Array:
        x, axes = _need(arrays, 0), _ints(node, arrays, "axes", 1)
        if not axes and node.integer("noop_with_empty_axes", 0):
            raise Refusal("it reduces no axis of a constant", "leave it out")
        places = tuple(axis_of(a, x.ndim, node.loc) for a in axes) if axes else None
        y = function(x, axis=places, keepdims=bool(node.integer("keepdims", 1)))
        return np.asarray(y).astype(x.dtype)

    return run


def _tile(node: Node, arrays: Inputs) -> Array:
    x, repeats = _need(arrays, 0), [int(i) for i in _need(arrays, 1).reshape(-1)]
    if len(repeats) != x.ndim:
        raise IndexError("repeats")
    shape = tuple(d * r for d, r in zip(x.shape, repeats, strict=True))
    check_size(f"{node.loc}: result", shape, x.itemsize)
    return np.tile(x, repeats)


def _where(node: Node, arrays: Inputs) -> Array:
    c, a, b = (_need(arrays, i) for i in range(3))
    check_size(f"{node.loc}: result", (prod(np.broadcast_shapes(c.shape, a.shape, b.shape)),), 8)
    return np.where(c, a, b)


FOLDERS: dict[str, Callable[[Node, Inputs], Array]] = {
    "Constant": lambda _node, arrays: _need(arrays, 0),
    "ConstantOfShape": _constant_of_shape,
    "Cast": _cast,
    "Gather": _gather,
    "Concat": _concat,
    "Slice": _slice,
    "Range": _range,
    "Expand": _expand,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Flatten": _flatten,
    "Where": _where,
    "Tile": _tile,
    "ReduceMax": _reduction(np.max),
    "ReduceMin": _reduction(np.min),
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "ReduceMean": _reduction(np.mean),
    "Add": _broadcast(np.add),
    "Sub": _broadcast(np.subtract),
    "Mul": _broadcast(np.multiply),
    "Div": _broadcast(_divide),
    "Mod": _broadcast(np.mod),
    "Pow": _broadcast(_power),
    "Min": _broadcast(np.minimum),
    "Max": _broadcast(np.maximum),
    "Equal": _broadcast(np.equal),
    "Less": _broadcast(np.less),
    "LessOrEqual": _broadcast(np.less_equal),
    "Greater": _broadcast(np.greater),
    "GreaterOrEqual": _broadcast(np.greater_equal),
    "And": _broadcast(np.logical_and),
    "Or": _broadcast(np.logical_or),
    "Xor": _broadcast(np.logical_xor),
    "Not": _unary(np.logical_not),
    "Sqrt": _unary(np.sqrt),
    "Neg": _unary(np.negative),
    "Abs": _unary(np.abs),
    "Reciprocal": _unary(np.reciprocal),
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "Exp": _unary(np.exp),
}
