"""What each real op computes, in torch, with gradients: the counterpart of ir/evaluate.

Axis 0 of every data tensor counts samples; constants have no such axis and broadcast.
"""

from collections.abc import Callable
from functools import singledispatch
from math import isinf, prod

import torch
from torch.nn import functional

from bitwright.errors import UnsupportedError
from bitwright.ir.ops import (
    Activation,
    ArgMax,
    Arith,
    Arithmetic,
    Binarize,
    Clip,
    Compare,
    Dequantize,
    Linear,
    LocalResponseNorm,
    MatMul,
    Normalize,
    Op,
    Order,
    PRelu,
    Quantize,
    Reduce,
    Reduction,
    Resample,
    Rounding,
    Select,
    Sign,
    Softmax,
    TopK,
)
from bitwright.ir.ops.base import channel_shape
from bitwright.training.base import Tensor
from bitwright.training.run_scalar import CURVES
from bitwright.training.ste import sign, through


@singledispatch
def run(op: Op, *args: Tensor) -> Tensor:
    """Return what `op` computes; UnsupportedError where it has no gradient to train through."""
    del args
    raise UnsupportedError(
        f"{op.loc}: fine-tuning does not handle {type(op).__name__}; fine-tune the float model"
    )


def along(op: Op, parameter: Tensor, axis: int) -> Tensor:
    """Shape a per-channel parameter so that it broadcasts along `axis` of the first operand."""
    return parameter.reshape(channel_shape(parameter.numel(), axis, len(op.inputs[0].shape)))


@run.register
def _(_op: Linear, x: Tensor, w: Tensor, *bias: Tensor) -> Tensor:
    y = functional.linear(x.reshape(-1, x.shape[-1]), w, *bias)
    return y.reshape(*x.shape[:-1], w.shape[0])


_ARITH: dict[Arith, Callable[[Tensor, Tensor], Tensor]] = {
    Arith.ADD: torch.add,
    Arith.SUB: torch.sub,
    Arith.MUL: torch.mul,
    Arith.DIV: torch.div,
    Arith.POW: torch.pow,
    Arith.MIN: torch.minimum,
    Arith.MAX: torch.maximum,
}


@run.register
def _(op: Arithmetic, a: Tensor, b: Tensor) -> Tensor:
    return _ARITH[op.kind](a, b)


@run.register
def _(op: Activation, x: Tensor) -> Tensor:
    return CURVES[op.kind](x, op.alpha, op.beta)


@run.register
def _(_op: PRelu, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, x * slope, x)


@run.register
def _(op: Clip, x: Tensor) -> Tensor:
    ends = {"min": op.lo, "max": op.hi}
    finite = {name: v for name, v in ends.items() if not isinf(v)}
    return torch.clamp(x, **finite) if finite else x


@run.register
def _(op: Softmax, x: Tensor) -> Tensor:
    shape = op.inputs[0].shape
    middle = prod(shape[op.axis : op.end])
    block = x.reshape(x.shape[0], prod(shape[: op.axis]), middle, prod(shape[op.end :]))
    y = functional.log_softmax(block, 2) if op.log else functional.softmax(block, 2)
    return y.reshape(x.shape)


_ROUND: dict[Rounding, Callable[[Tensor], Tensor]] = {
    Rounding.HALF_EVEN: torch.round,
    Rounding.FLOOR: torch.floor,
    Rounding.CEIL: torch.ceil,
    Rounding.DOWN: torch.trunc,
    Rounding.UP: lambda x: torch.sign(x) * torch.ceil(x.abs()),
    Rounding.HALF_UP: lambda x: torch.sign(x) * torch.floor(x.abs() + 0.5),
    Rounding.HALF_DOWN: lambda x: torch.sign(x) * torch.ceil(x.abs() - 0.5),
}


@run.register
def _(op: Quantize, x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    zero = along(op, zero, op.axis).to(x.dtype)
    v = x / along(op, scale, op.axis)
    if op.zero_after:
        v = torch.clamp(v, op.elem.lo - zero, op.elem.hi - zero)
        return through(_ROUND[op.rounding](v), v) + zero
    v = torch.clamp(v + zero, op.elem.lo, op.elem.hi)
    return through(_ROUND[op.rounding](v), v)


@run.register
def _(_op: Binarize, x: Tensor) -> Tensor:
    return sign(x)


@run.register
def _(_op: Sign, x: Tensor) -> Tensor:
    return sign(x) * (x != 0)


@run.register
def _(op: Dequantize, q: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    return (q - along(op, zero, op.axis)).to(scale.dtype) * along(op, scale, op.axis)


@run.register
def _(op: ArgMax, x: Tensor) -> Tensor:
    return torch.argmax(x, dim=op.axis + 1, keepdim=True)


_ORDER: dict[Order, Callable[[Tensor, Tensor], Tensor]] = {
    Order.EQUAL: torch.eq,
    Order.LESS: torch.lt,
    Order.LESS_EQUAL: torch.le,
}


@run.register
def _(op: Compare, a: Tensor, b: Tensor) -> Tensor:
    return _ORDER[op.kind](a, b).to(torch.int64)


@run.register
def _(_op: Select, c: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(c != 0, a, b)


@run.register
def _(_op: MatMul, a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b)


@run.register
def _(op: TopK, x: Tensor) -> Tensor:
    order = torch.sort(x, dim=op.axis + 1, descending=op.largest, stable=True)
    found = order.indices if op.places else order.values
    return found.narrow(op.axis + 1, 0, op.k)


def _product(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    for a in axes:
        x = x.prod(dim=a, keepdim=True)
    return x


_REDUCE: dict[Reduction, Callable[[Tensor, tuple[int, ...]], Tensor]] = {
    Reduction.MEAN: lambda x, a: x.mean(dim=a, keepdim=True),
    Reduction.SUM: lambda x, a: x.sum(dim=a, keepdim=True),
    Reduction.MAX: lambda x, a: x.amax(dim=a, keepdim=True),
    Reduction.MIN: lambda x, a: x.amin(dim=a, keepdim=True),
    Reduction.PROD: _product,
    Reduction.L1: lambda x, a: x.abs().sum(dim=a, keepdim=True),
    Reduction.L2: lambda x, a: torch.sqrt((x * x).sum(dim=a, keepdim=True)),
    Reduction.SUM_SQUARE: lambda x, a: (x * x).sum(dim=a, keepdim=True),
    Reduction.LOG_SUM: lambda x, a: torch.log(x.sum(dim=a, keepdim=True)),
    Reduction.LOG_SUM_EXP: lambda x, a: torch.logsumexp(x, dim=a, keepdim=True),
}


def _axes(op: Reduce | Normalize) -> tuple[int, ...]:
    return tuple(a + 1 for a in op.axes)  # axis 0 of every tensor counts samples


@run.register
def _(op: Reduce, x: Tensor) -> Tensor:
    y = _REDUCE[op.kind](x, _axes(op)) if op.axes else _REDUCE[op.kind](x[..., None], (x.ndim,))
    return y.reshape(x.shape[0], *op.output.shape)


@run.register
def _(op: Normalize, x: Tensor) -> Tensor:
    axes = _axes(op)
    if not axes:
        return torch.zeros_like(x)
    centred = x - x.mean(dim=axes, keepdim=True)
    variance = (centred * centred).mean(dim=axes, keepdim=True)
    return centred / torch.sqrt(variance + op.epsilon)


@run.register
def _(op: LocalResponseNorm, x: Tensor) -> Tensor:
    last = x.shape[-1] - 1
    ends = (min((op.size - 1) // 2, last), min(op.size // 2, last))
    total = functional.pad(x * x, ends).unfold(-1, sum(ends) + 1, 1).sum(dim=-1)
    return x / (op.bias + op.alpha / op.size * total) ** op.beta


@run.register
def _(op: Resample, x: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    axis = op.axis + 1
    shape = (-1, *(1,) * (x.ndim - axis - 1))
    y: Tensor = 0
    for t in range(weights.shape[1]):
        seen = torch.index_select(x, axis, positions[:, t].to(torch.int64))
        y = y + seen * weights[:, t].reshape(shape).to(x.dtype)
    return y
