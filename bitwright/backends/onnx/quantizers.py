"""Quantizers and the reals that their codes stand for: one node of QONNX, or standard operators."""

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from bitwright.backends.onnx.exporter import Exporter, Laid
from bitwright.backends.onnx.spelled import count_reached, sign_of, spelled
from bitwright.backends.onnx.weights import linear_grid, width
from bitwright.backends.onnx.writer import FLOAT, INT8, QONNX, UINT8, Tensor
from bitwright.errors import UnsupportedError, VerifyError
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    CountThresholds,
    Dequantize,
    Op,
    Quantize,
    Rounding,
    Sign,
)
from bitwright.ir.types import Int
from bitwright.passes.chain import QUANTIZERS

_BYTES = {Int(-128, 127): INT8, Int(0, 255): UINT8}
_LAYOUTS = {2: "NC", 3: "NCW", 4: "NCHW", 5: "NCDHW"}
_SYMMETRIC = {Rounding.HALF_UP, Rounding.HALF_DOWN, Rounding.UP, Rounding.DOWN}


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A quantizer and what its codes are taken for: `scale * (q - zero)`.

    `op` is the op whose result is written: the Dequantize, or the quantizer for codes alone.
    """

    op: Op
    source: Op
    scale: Array
    zero: Array
    axis: int

    @property
    def codes(self) -> bool:
        """Whether the reals are the codes themselves."""
        return bool((self.scale == 1).all() and not self.zero.any())


def dequantized(e: Exporter, d: Dequantize) -> Laid:
    """Write a Dequantize of computed codes, with its quantizer where that stands before it."""
    source = e.producers.get(d.inputs[0].name)
    rank = max(len(d.output.shape), 1)
    scale, zero = e.array(d.inputs[1]), e.array(d.inputs[2])
    if isinstance(source, QUANTIZERS):
        found = fused(e, Pair(d, source, np.asarray(scale), np.asarray(zero), d.axis % rank))
        if found is not None:
            return found
    return _affine(e, d, scale, zero)


def codes_of(e: Exporter, op: Op) -> Laid:
    """Write a quantizer whose codes themselves are read: integers held as float32, or bytes."""
    if not isinstance(op, QUANTIZERS):
        raise VerifyError(f"{op.loc}: {op.name!r} is read before it is written")
    if isinstance(op, Quantize):
        if _bytes(e, op):
            return _quantize_linear(e, op, op.name)
        return _integers(e, op)
    found = fused(e, Pair(op, op, np.ones(1), np.zeros(1), 0))
    if found is None:
        raise VerifyError(f"{op.loc}: its codes cannot be written")
    return found


def fused(e: Exporter, p: Pair) -> Laid | None:
    """Write a quantizer and its reals together; None where the two do not go together."""
    if isinstance(p.source, Quantize):
        return _uniform(e, p, p.source)
    if isinstance(p.source, CountThresholds):
        return _thresholds(e, p, p.source)
    if p.zero.any():
        return None
    x = e.laid(p.source.inputs[0])
    if isinstance(p.source, Sign):
        return _scaled(e, p, x, "Sign", [x.tensor])
    if not e.standard:
        scale = e.channel(p.scale, p.axis, x, f"{p.op.name}/scale")
        return e.finish(p.op, "BipolarQuant", [x.tensor, scale], x, domain=QONNX)
    return sign_of(e, p.op, x, p.scale, p.axis)


def _scaled(e: Exporter, p: Pair, x: Laid, kind: str, inputs: list[Tensor | None]) -> Laid:
    """Write a node and, unless its result is wanted as it is, a Mul by the scale."""
    if (p.scale == 1).all():
        return e.finish(p.op, kind, inputs, x)
    y = e.step(p.op, kind, inputs, "codes", x.tensor.shape)
    scale = e.channel(p.scale, p.axis, x, f"{p.op.name}/scale")
    return e.finish(p.op, "Mul", [y, scale], x)


def _affine(e: Exporter, d: Dequantize, scale: Array, zero: Array) -> Laid:
    """Write `scale * (codes - zero)` of codes that are there already."""
    x, axis = e.laid(d.inputs[0]), d.axis % max(len(d.output.shape), 1)
    kept = np.array_equal(zero, np.rint(zero)) and x.order is None
    info = {INT8: np.int8, UINT8: np.uint8}.get(x.tensor.type)
    if info is not None and kept and np.array_equal(zero, zero.astype(info)):
        grid, how = linear_grid(e, d.name, (scale, zero.astype(info)), x.perm.index(axis))
        return e.finish(d, "DequantizeLinear", [x.tensor, *grid], x, **how)
    y = e.typed(x.tensor, FLOAT)
    if zero.any():
        y = e.step(d, "Sub", [y, e.channel(zero, axis, x, f"{d.name}/zero")], "shifted", y.shape)
    return e.finish(d, "Mul", [y, e.channel(scale, axis, x, f"{d.name}/scale")], x)


# -- uniform grids -------------------------------------------------------------------------------


def _uniform(e: Exporter, p: Pair, q: Quantize) -> Laid | None:
    scale, zero = e.array(q.inputs[1]), e.array(q.inputs[2])
    axis = q.axis % max(len(q.output.shape), 1)
    wide = max(scale.size, zero.size) > 1
    same = np.array_equal(scale, p.scale) and np.array_equal(zero, p.zero)
    if not same or (wide and axis != p.axis):
        return None
    shifted = not (q.zero_after and zero.any()) or _commutes(q.rounding, zero)
    if not e.standard and shifted and (scale > 0).all():
        return _quant(e, p.op, q, e.laid(q.inputs[0]))
    if _bytes(e, q):
        codes = _quantize_linear(e, q, e.w.unique(f"{p.op.name}/codes"))
        kind = np.int8 if codes.tensor.type == INT8 else np.uint8
        place = codes.perm.index(axis)
        grid, how = linear_grid(e, q.name, (scale, zero.astype(kind)), place)
        return e.finish(p.op, "DequantizeLinear", [codes.tensor, *grid], codes, **how)
    return spelled(e, p.op, q, e.laid(q.inputs[0]))


def _commutes(rounding: Rounding, zero: Array) -> bool:
    """Tell whether rounding and adding the zero point may be exchanged."""
    if rounding in _SYMMETRIC:
        return False
    return rounding is not Rounding.HALF_EVEN or not (np.rint(zero) % 2).any()


def _bytes(e: Exporter, q: Quantize) -> bool:
    """Tell whether QuantizeLinear means the same: all codes of a byte, half to even, zero behind."""
    scale, zero = e.array(q.inputs[1]), e.array(q.inputs[2])
    fits = ((zero >= q.elem.lo) & (zero <= q.elem.hi) & (zero == np.rint(zero))).all()
    wide = max(scale.size, zero.size) > 1
    unmoved = not wide or e.laid(q.inputs[0]).order is None
    even = q.rounding is Rounding.HALF_EVEN and (q.zero_after or not zero.any())
    return bool(q.elem in _BYTES and even and fits and unmoved and (scale > 0).all())


def _quantize_linear(e: Exporter, q: Quantize, name: str) -> Laid:
    x, kind = e.laid(q.inputs[0]), _BYTES[q.elem]
    scale, zero = e.array(q.inputs[1]), e.array(q.inputs[2])
    dtype = np.int8 if kind == INT8 else np.uint8
    axis = x.perm.index(q.axis % max(len(q.output.shape), 1)) if x.perm else 0
    grid, how = linear_grid(e, q.name, (scale, zero.astype(dtype)), axis)
    made = Tensor(name, x.tensor.shape, kind)
    y = e.w.op("QuantizeLinear", [x.tensor, *grid], made, q.loc, **how)
    return replace(x, tensor=y)


def _quant(e: Exporter, op: Op, q: Quantize, x: Laid, *, unit: bool = False) -> Laid:
    """Write Quant: the codes of `q` as reals; with `unit` the operand was divided by the scale."""
    zero = e.array(q.inputs[2])
    scale = np.ones(1) if unit else e.array(q.inputs[1])
    axis = q.axis % max(len(q.output.shape), 1)
    signed, bits, narrow = width(q.elem.lo, q.elem.hi)
    y = _clamped(e, op, q, x, (scale, zero, _reach(signed, bits, narrow)))
    operands: list[Tensor | None] = [
        y.tensor,
        e.channel(scale, axis, x, f"{op.name}/scale"),
        e.channel(zero, axis, x, f"{op.name}/zero"),
        e.w.constant(f"{op.name}/bits", np.array(float(bits))),
    ]
    return e.finish(
        op, "Quant", operands, x, domain=QONNX, signed=int(signed), narrow=int(narrow),
        rounding_mode=q.rounding.value,
    )  # fmt: skip


def _reach(signed: bool, bits: int, narrow: bool) -> Int:
    if signed:
        return Int(narrow - (1 << (bits - 1)), (1 << (bits - 1)) - 1)
    return Int(0, (1 << bits) - 1 - narrow)


def _clamped(e: Exporter, op: Op, q: Quantize, x: Laid, grid: tuple[Array, Array, Int]) -> Laid:
    """Clamp the operand where Quant has more codes than `q`, within the cells of the end codes."""
    scale, zero, reach = grid
    axis = q.axis % max(len(q.output.shape), 1)
    y = x.tensor
    ends = (("Max", q.elem.lo, reach.lo, "least"), ("Min", q.elem.hi, reach.hi, "most"))
    for kind, code, has, part in ends:
        if code != has:
            end = scale.astype(np.float64) * (_inside(code, q.rounding) - zero)
            bound = e.channel(end, axis, x, f"{op.name}/{part}")
            y = e.step(op, kind, [y, bound], part, y.shape)
    return replace(x, tensor=y)


def _inside(code: int, rounding: Rounding) -> float:
    """Return a number that rounds to `code` and has neighbours on both sides that do, if any."""
    below = {Rounding.FLOOR: inf, Rounding.CEIL: -inf, Rounding.UP: -code, Rounding.DOWN: code}
    return code + 0.5 * float(np.sign(below.get(rounding, 0)))


def _integers(e: Exporter, q: Quantize) -> Laid:
    """Write the codes of a uniform quantizer as float32 integers."""
    scale, zero = e.array(q.inputs[1]), e.array(q.inputs[2])
    x, axis = e.laid(q.inputs[0]), q.axis % max(len(q.output.shape), 1)
    shifted = not (q.zero_after and zero.any()) or _commutes(q.rounding, zero)
    if e.standard or not shifted or not (scale > 0).all():
        return spelled(e, q, q, x, codes=True)
    if not (scale == 1).all():
        by = e.channel(scale, axis, x, f"{q.name}/scale")
        x = replace(x, tensor=e.step(q, "Div", [x.tensor, by], "divided", x.tensor.shape))
    if not zero.any():
        return _quant(e, q, q, x, unit=True)
    inner = replace(q, output=replace(q.output, name=e.w.unique(f"{q.name}/centred")))
    y = _quant(e, inner, q, x, unit=True)
    return e.finish(q, "Add", [y.tensor, e.channel(zero, axis, x, f"{q.name}/zero")], y)


# -- thresholds ----------------------------------------------------------------------------------


def _thresholds(e: Exporter, p: Pair, q: CountThresholds) -> Laid | None:
    if p.scale.size > 1 or p.zero.size > 1:
        return None
    scale, zero = np.float32(p.scale.reshape(-1)[0]), float(p.zero.reshape(-1)[0])
    bias = np.float32(-zero * float(scale))
    if float(bias) != -zero * float(scale):
        return None
    t = e.array(q.inputs[1]).astype(np.float32)
    x = e.laid(q.inputs[0])
    rank = len(x.perm)
    if t.shape[0] > 1 and x.order is not None:
        t = t[x.order]
    if e.standard:
        return count_reached(e, p.op, x, (t, x.perm.index(q.axis)), (float(scale), float(bias)))
    if t.shape[0] > 1 and rank > 1 and x.perm.index(q.axis) != 1:
        rest = [a for a in x.perm if a != q.axis]
        perm = (rest[0], q.axis, *rest[1:])
        x = Laid(e.at(q.inputs[0], perm), perm)
    if rank not in _LAYOUTS:
        raise UnsupportedError(f"{q.loc}: MultiThreshold has no layout for {rank} axes")
    given = e.w.constant(f"{p.op.name}/thresholds", t)
    bits = max(t.shape[1].bit_length(), 1)
    how = {"out_scale": float(scale), "out_bias": float(bias), "out_dtype": f"UINT{bits}"}
    return e.finish(
        p.op, "MultiThreshold", [x.tensor, given], x, domain=QONNX, data_layout=_LAYOUTS[rank],
        **how,
    )  # fmt: skip
