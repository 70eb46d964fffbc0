"""Constants that are stored as codes: as quantizers over floats, or as integers with a scale."""

from typing import Any

import numpy as np

from bitwright.backends.onnx.exporter import Codes, Exporter, real_numbers
from bitwright.backends.onnx.writer import QONNX, Tensor
from bitwright.ir.graph import Array
from bitwright.ir.ops.base import channel_shape

_EXACT = 1 << 22  # codes that float32 divides and rounds back to themselves
_FLOAT32 = 1 << 24


def quantized_constant(e: Exporter, c: Codes, name: str, loc: str) -> Tensor:
    """Append what gives the reals of constant codes: Quant, BipolarQuant or DequantizeLinear."""
    place = loc or name
    whole = np.array_equal(c.zero, np.rint(c.zero)) and np.isfinite(c.scale).all()
    reach = int(np.abs(c.codes).max(initial=0)) + int(np.abs(c.zero).max(initial=0)) if whole else 0
    if not whole or reach >= _FLOAT32:
        return e.w.constant(name, real_numbers(c))
    if e.standard or not (c.scale > 0).all() or reach >= _EXACT:
        return _dequantized(e, c, name, place)
    made = Tensor(e.w.free(name), c.codes.shape)
    numbers = e.w.constant(f"{name}/float", real_numbers(c))
    scale = e.w.constant(f"{name}/scale", _spread(c, c.scale))
    if not c.zero.any() and c.codes.size and (np.abs(c.codes) == 1).all():
        operands = [numbers, scale]
        return e.w.op("BipolarQuant", operands, made, f"{place}/weight", QONNX)
    least, most = int(c.codes.min(initial=0)), int(c.codes.max(initial=0))
    signed, bits, narrow = width(least if c.zero.any() else min(least, -1), most)
    zero = e.w.constant(f"{name}/zero", _spread(c, c.zero))
    return e.w.op(
        "Quant", [numbers, scale, zero, e.w.constant(f"{name}/bits", np.array(float(bits)))], made,
        f"{place}/weight", QONNX, signed=int(signed), narrow=int(narrow), rounding_mode="ROUND",
    )  # fmt: skip


def width(lo: int, hi: int) -> tuple[bool, int, bool]:
    """Return signedness, bits and narrowness of the smallest Quant that holds lo..hi."""
    if lo < 0 or hi == 0:
        bits = 2
        while lo < -(1 << (bits - 1)) or hi >= 1 << (bits - 1):
            bits += 1
        return True, bits, lo > -(1 << (bits - 1))
    bits = hi.bit_length()
    return False, bits, bits > 1 and hi < (1 << bits) - 1


def _spread(c: Codes, a: Array) -> Array:
    """Return parameters with as many axes as the codes; a scalar has none."""
    a = np.asarray(a, np.float32)
    return a.reshape(() if a.size == 1 else channel_shape(a.size, c.axis, c.codes.ndim))


def _dequantized(e: Exporter, c: Codes, name: str, place: str) -> Tensor:
    zero = np.rint(c.zero).astype(np.int64)
    codes, kept = c.codes, np.zeros(zero.shape, np.int64)
    kind = next((k for k in (np.int8, np.uint8) if _holds(k, codes) and _holds(k, zero)), None)
    if kind is None:
        codes = codes - zero.reshape(channel_shape(zero.size, c.axis, codes.ndim))
    else:
        kept = zero
    kept = kept.astype(kind or (np.int8 if _holds(np.int8, codes) else np.int32))
    grid, how = linear_grid(e, name, (c.scale, kept), c.axis)
    stored = e.w.constant(f"{name}/codes", codes.astype(kept.dtype))
    made = Tensor(e.w.free(name), c.codes.shape)
    return e.w.op("DequantizeLinear", [stored, *grid], made, f"{place}/weight", **how)


def linear_grid(
    e: Exporter, name: str, parameters: tuple[Array, Array], axis: int
) -> tuple[list[Tensor | None], dict[str, Any]]:
    """Return the scale and typed zero point of QuantizeLinear or DequantizeLinear, and the axis."""
    size = max(a.size for a in parameters)
    shape = () if size == 1 else (size,)
    s, z = (np.broadcast_to(a.reshape(-1), (size,)).reshape(shape) for a in parameters)
    scale = e.w.constant(f"{name}/scale", s.astype(np.float32))
    return [scale, e.w.constant(f"{name}/zero", z)], {} if size == 1 else {"axis": axis}


def _holds(kind: type, a: Array) -> bool:
    info = np.iinfo(kind)
    return bool(((a >= info.min) & (a <= info.max)).all())
