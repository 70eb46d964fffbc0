"""Operations that treat each element by itself, and those along one axis."""

from dataclasses import replace
from math import inf, pi, prod, sqrt

import numpy as np

from bitwright.backends.onnx.exporter import Exporter, Laid, real_inputs, unmoved
from bitwright.backends.onnx.writer import Tensor
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    BatchNorm,
    Clip,
    Function,
    Op,
    PRelu,
    Softmax,
    Value,
)

_ARITH = {
    Arith.ADD: "Add", Arith.SUB: "Sub", Arith.MUL: "Mul", Arith.DIV: "Div", Arith.POW: "Pow",
    Arith.MIN: "Min", Arith.MAX: "Max",
}  # fmt: skip
_NAMES = {
    Function.RELU: "Relu", Function.SIGMOID: "Sigmoid", Function.TANH: "Tanh",
    Function.HARD_SWISH: "HardSwish", Function.SOFTPLUS: "Softplus", Function.SOFTSIGN: "Softsign",
    Function.NEG: "Neg", Function.ABS: "Abs", Function.EXP: "Exp", Function.LOG: "Log",
    Function.SQRT: "Sqrt", Function.RECIPROCAL: "Reciprocal", Function.ERF: "Erf",
    Function.FLOOR: "Floor", Function.CEIL: "Ceil", Function.ROUND: "Round",
    Function.LEAKY_RELU: "LeakyRelu", Function.ELU: "Elu", Function.SELU: "Selu",
    Function.CELU: "Celu", Function.HARD_SIGMOID: "HardSigmoid",
    Function.THRESHOLDED_RELU: "ThresholdedRelu",
}  # fmt: skip
_ALPHA = {
    Function.LEAKY_RELU, Function.ELU, Function.SELU, Function.CELU, Function.HARD_SIGMOID,
    Function.THRESHOLDED_RELU,
}  # fmt: skip
_BETA = {Function.SELU: "gamma", Function.HARD_SIGMOID: "beta"}


def activation(e: Exporter, op: Activation) -> Laid:
    """Write a scalar function; what operator set 14 does not have, as a formula."""
    real_inputs(op)
    x = e.laid(op.inputs[0])
    if op.kind not in _NAMES:
        return _formula(e, op, x)
    how = {"alpha": op.alpha} if op.kind in _ALPHA else {}
    if op.kind in _BETA:
        how[_BETA[op.kind]] = op.beta
    return e.finish(op, _NAMES[op.kind], [x.tensor], x, **how)


def _formula(e: Exporter, op: Activation, x: Laid) -> Laid:
    shape = x.tensor.shape

    def step(kind: str, part: str, *inputs: Tensor | None) -> Tensor:
        return e.step(op, kind, list(inputs), part, shape)

    def number(value: float, part: str) -> Tensor:
        return e.scalar(op, value, part)

    if op.kind is Function.SWISH:
        scaled = step("Mul", "scaled", x.tensor, number(op.alpha, "alpha"))
        return e.finish(op, "Mul", [x.tensor, step("Sigmoid", "gate", scaled)], x)
    if op.kind is Function.MISH:
        gate = step("Tanh", "gate", step("Softplus", "softplus", x.tensor))
        return e.finish(op, "Mul", [x.tensor, gate], x)
    if op.kind is Function.GELU:
        inner = step("Erf", "erf", step("Div", "scaled", x.tensor, number(sqrt(2), "root")))
    elif op.kind is Function.GELU_TANH:
        cube = step("Pow", "cube", x.tensor, number(3, "three"))
        bent = step("Add", "bent", x.tensor, step("Mul", "part", cube, number(0.044715, "share")))
        inner = step("Tanh", "tanh", step("Mul", "scaled", bent, number(sqrt(2 / pi), "root")))
    else:
        raise UnsupportedError(f"{op.loc}: {op.kind.value} has no form in operator set 14")
    gate = step("Add", "gate", inner, number(1, "one"))
    half = step("Mul", "half", x.tensor, number(0.5, "by"))
    return e.finish(op, "Mul", [half, gate], x)


def arithmetic(e: Exporter, op: Arithmetic) -> Laid:
    """Write a binary operation in the layout of its operand of full rank."""
    tensors, like = operands(e, op, op.inputs)
    return e.finish(op, _ARITH[op.kind], tensors, like)


def prelu(e: Exporter, op: PRelu) -> Laid:
    """Write PRelu, its slope shaped like its operand."""
    tensors, like = operands(e, op, op.inputs)
    return e.finish(op, "PRelu", tensors, like)


def operands(e: Exporter, op: Op, values: tuple[Value, ...]) -> tuple[list[Tensor | None], Laid]:
    """Return operands that broadcast, all in the layout of the greatest computed one."""
    rank = len(op.output.shape)
    full = [v for v in values if len(v.shape) == rank and not e.is_fixed(v)]
    lead = max(full, key=lambda v: v.type.size, default=None)
    found = e.laid(lead) if lead is not None else None
    perm, order = (unmoved(rank), None) if found is None else (found.perm, found.order)
    if order is not None and lead is not None and lead.shape[-1] != op.output.shape[-1]:
        order = None
    made: list[Tensor | None] = [_broadcast(e, v, perm, order) for v in values]
    first = next(t for t in made if t is not None)
    return made, Laid(first, perm, order)


def _broadcast(e: Exporter, v: Value, perm: tuple[int, ...], order: Array | None) -> Tensor:
    if e.is_fixed(v) and v.type.size == 1:
        return e.w.constant(v.name, np.asarray(e.array(v), np.float32).reshape(()))
    if v.shape[-1:] == (1,):
        order = None
    if e.is_fixed(v) or len(v.shape) == len(perm):
        return e.at(v, perm, order)
    t = e.plain(v)
    if perm == unmoved(len(perm)) and order is None:
        return t
    wide = (*(1,) * (len(perm) - len(v.shape)), *v.shape)
    key = Tensor(e.w.unique(f"{v.name}/wide"), wide, t.type)
    t = e.w.op("Reshape", [t, e.w.integers(f"{key.name}/shape", wide)], key, key.name)
    if order is not None:
        indices = e.w.constant(f"{key.name}/order", order.astype(np.int64))
        made = e.tensor(f"{v.name}/ordered", wide, t.type)
        t = e.w.op("Gather", [t, indices], made, made.name, axis=len(wide) - 1)
    turned = e.tensor(f"{v.name}/turned", tuple(wide[i] for i in perm), t.type)
    return e.w.op("Transpose", [t], turned, turned.name, perm=list(perm))


def clip(e: Exporter, op: Clip) -> Laid:
    """Write Clip; an infinite end is left out."""
    real_inputs(op)
    x = e.laid(op.inputs[0])
    lo = None if op.lo == -inf else e.scalar(op, op.lo, "min")
    hi = None if op.hi == inf else e.scalar(op, op.hi, "max")
    inputs: list[Tensor | None] = [x.tensor, lo, hi]
    while inputs[-1] is None:
        inputs.pop()
    return e.finish(op, "Clip", inputs, x)


def batch_norm(e: Exporter, op: BatchNorm) -> Laid:
    """Write BatchNormalization, the axis moved to the second place."""
    x, *parameters = op.inputs
    rank, found = len(x.shape), e.laid(x)
    if rank < 2:  # noqa: PLR2004
        raise UnsupportedError(f"{op.loc}: a batch norm of a tensor of shape {x.shape}")
    if found.perm.index(op.axis) != 1:
        rest = [a for a in found.perm if a != op.axis]
        perm = (rest[0], op.axis, *rest[1:])
        found = Laid(e.at(x, perm), perm)
    flat = found.order if op.axis == rank - 1 else None
    four = [e.fixed(v, (0,), flat, op.loc) if e.is_fixed(v) else e.plain(v) for v in parameters]
    inputs: list[Tensor | None] = [found.tensor, *four]
    return e.finish(op, "BatchNormalization", inputs, found, epsilon=op.epsilon)


def softmax(e: Exporter, op: Softmax) -> Laid:
    """Write Softmax or LogSoftmax; over several axes with these taken as one."""
    x = op.inputs[0]
    kind, found = "LogSoftmax" if op.log else "Softmax", e.laid(x)
    if op.end - op.axis == 1:
        axis = found.perm.index(op.axis)
        return e.finish(op, kind, [found.tensor], found, axis=axis)
    t = e.plain(x)
    middle = prod(x.shape[op.axis : op.end])
    shape = (prod(x.shape[: op.axis]), middle, prod(x.shape[op.end :]))
    t = e.step(op, "Reshape", [t, e.w.integers(f"{op.name}/joined", shape)], "block", shape)
    t = e.step(op, kind, [t], "normal", shape, axis=1)
    back = e.w.integers(f"{op.name}/shape", x.shape)
    return e.finish(op, "Reshape", [t, back], Laid(t, unmoved(len(x.shape))))


def unordered(e: Exporter, v: Value) -> Laid:
    """Return `v` in its layout, but with the elements of its last axis in their own order."""
    found = e.laid(v)
    return found if found.order is None else replace(found, tensor=e.plain(v), order=None)
