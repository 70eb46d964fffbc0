"""Quantizers in standard operators alone: Div, Clip, Round, Mul; a sign with sign(0) = +1."""

import numpy as np

from bitwright.backends.onnx.exporter import Exporter, Laid
from bitwright.backends.onnx.writer import BOOL, FLOAT, Tensor
from bitwright.ir.graph import Array
from bitwright.ir.ops import Op, Quantize, Rounding

_PLAIN = {Rounding.HALF_EVEN: "Round", Rounding.FLOOR: "Floor", Rounding.CEIL: "Ceil"}


def spelled(e: Exporter, op: Op, q: Quantize, x: Laid, *, codes: bool = False) -> Laid:
    """Write clamp and rounding of `x / scale + zero`, then the reals, or with `codes` those."""
    scale, zero = e.array(q.inputs[1]), e.array(q.inputs[2])
    axis, shape = q.axis % max(len(q.output.shape), 1), x.tensor.shape
    y, by = x.tensor, e.channel(scale, axis, x, f"{op.name}/scale")
    z = e.channel(zero, axis, x, f"{op.name}/zero") if zero.any() else None
    if not (scale == 1).all():
        y = e.step(op, "Div", [y, by], "divided", shape)
    if z is not None and not q.zero_after:
        y = e.step(op, "Add", [y, z], "shifted", shape)
    y = _clamped(e, op, q, x, y)
    last = [] if (scale == 1).all() or codes else [("Mul", by)]
    if z is not None and codes == q.zero_after:
        last.insert(0, ("Add" if codes else "Sub", z))
    if not last:
        return _rounded(e, op, q.rounding, x, y)
    y = _rounded(e, op, q.rounding, x, y, last=False).tensor
    for kind, constant in last[:-1]:
        y = e.step(op, kind, [y, constant], "centred", shape)
    return e.finish(op, last[-1][0], [y, last[-1][1]], x)


def _clamped(e: Exporter, op: Op, q: Quantize, x: Laid, y: Tensor) -> Tensor:
    zero = e.array(q.inputs[2]) if q.zero_after else np.zeros(1)
    lo, hi = q.elem.lo - zero, q.elem.hi - zero
    axis = q.axis % max(len(q.output.shape), 1)
    if zero.size == 1:
        ends = [e.scalar(op, float(a.reshape(-1)[0]), part) for a, part in ((lo, "lo"), (hi, "hi"))]
        return e.step(op, "Clip", [y, *ends], "clamped", y.shape)
    for kind, a in (("Max", lo), ("Min", hi)):
        bound = e.channel(a, axis, x, f"{op.name}/{kind.lower()}")
        y = e.step(op, kind, [y, bound], f"clamped_{kind.lower()}", y.shape)
    return y


def _rounded(
    e: Exporter, op: Op, rounding: Rounding, x: Laid, y: Tensor, *, last: bool = True
) -> Laid:
    """Round in one of QONNX's modes, as the result of `op` or as a step towards it."""

    def end(kind: str, inputs: list[Tensor | None]) -> Laid:
        if last:
            return e.finish(op, kind, inputs, x)
        return Laid(e.step(op, kind, inputs, "rounded", y.shape), x.perm, x.order)

    if rounding in _PLAIN:
        return end(_PLAIN[rounding], [y])
    size = e.step(op, "Abs", [y], "size", y.shape)
    sign = e.step(op, "Sign", [y], "sign", y.shape)
    shift = {Rounding.HALF_UP: ("Add", 0.5), Rounding.HALF_DOWN: ("Sub", 0.5)}.get(rounding)
    if shift is not None:
        size = e.step(op, shift[0], [size, e.scalar(op, shift[1], "half")], "moved", y.shape)
    up = rounding in {Rounding.UP, Rounding.HALF_DOWN}
    whole = e.step(op, "Ceil" if up else "Floor", [size], "whole", y.shape)
    return end("Mul", [sign, whole])


def sign_of(e: Exporter, op: Op, x: Laid, scale: Array, axis: int) -> Laid:
    """Write `scale` where x >= 0 and `-scale` elsewhere: unlike Sign it takes 0 to +1."""
    zero = e.scalar(op, 0.0, "zero")
    shape = x.tensor.shape
    up = e.step(op, "GreaterOrEqual", [x.tensor, zero], "up", shape, type=BOOL)
    one = float(scale.reshape(-1)[0]) if scale.size == 1 else 1.0
    ends: list[Tensor | None] = [up, e.scalar(op, one, "high"), e.scalar(op, -one, "low")]
    if scale.size == 1:
        return e.finish(op, "Where", ends, x)
    y = e.step(op, "Where", ends, "codes", shape)
    return e.finish(op, "Mul", [y, e.channel(scale, axis, x, f"{op.name}/scale")], x)


def count_reached(
    e: Exporter, op: Op, x: Laid, thresholds: tuple[Array, int], affine: tuple[float, float]
) -> Laid:
    """Write `affine[0] * (number of thresholds that x reaches) + affine[1]`, thresholds on an axis."""
    t, axis = thresholds
    shape, count = x.tensor.shape, t.shape[1]
    rank = len(shape)
    wide = (*(t.shape[0] if i == axis else 1 for i in range(rank)), count)
    last = e.w.integers(f"{op.name}/last", [rank])
    spread = e.step(op, "Unsqueeze", [x.tensor, last], "spread", (*shape, 1))
    levels = e.w.constant(f"{op.name}/thresholds", t.reshape(wide))
    up = e.step(op, "GreaterOrEqual", [spread, levels], "up", (*shape, count), type=BOOL)
    each = e.step(op, "Cast", [up], "each", (*shape, count), to=FLOAT)
    total: list[Tensor | None] = [each, last]
    parts = [
        (k, v) for k, v, idle in (("Mul", affine[0], 1.0), ("Add", affine[1], 0.0)) if v != idle
    ]
    if not parts:
        return e.finish(op, "ReduceSum", total, x, keepdims=0)
    y = e.step(op, "ReduceSum", total, "count", shape, keepdims=0)
    for kind, number in parts[:-1]:
        y = e.step(op, kind, [y, e.scalar(op, number, kind.lower())], "scaled", shape)
    kind, number = parts[-1]
    return e.finish(op, kind, [y, e.scalar(op, number, kind.lower())], x)
