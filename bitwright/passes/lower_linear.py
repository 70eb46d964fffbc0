"""Lower a Linear or Conv to integers and the real ops that say what its accumulator means."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.evaluate.spatial import convolve
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Arith,
    Arithmetic,
    Conv,
    Dequantize,
    IntConv,
    IntLinear,
    Linear,
    Op,
    Value,
    build,
)
from bitwright.ir.ops.real import real_type
from bitwright.ir.ops.window import Window
from bitwright.ir.types import Bipolar, Int, Integral
from bitwright.passes.chain import Chain, check_scalar
from bitwright.passes.fold_constants import is_coded
from bitwright.passes.positions import small
from bitwright.passes.region import INDEX_MAPS, cut
from bitwright.passes.step_function import Lattice
from bitwright.passes.weights import encoding_of, weights_of

_AFFINE = 1e-9  # relative deviation from a straight line that float64 noise can explain
_SAME_SCALE = 2.0**-23  # a bias on the accumulator's own grid
_MAX_DOMAIN = 1 << 16


@dataclass(frozen=True, slots=True)
class Line:
    """What a layer reads: `real = scale * (code - zero)` for every element of `source`."""

    source: Value
    moves: tuple[Op, ...]  # index maps between the codes and the layer
    scale: float
    zero: float


@dataclass(frozen=True, slots=True)
class Lowered:
    """The accumulator, the integers each channel of it can take, and its meaning in reals."""

    acc: Value
    lattice: Lattice
    meaning: tuple[Op, ...]  # ops that define the layer's old result from `acc`


Dot = Linear | Conv


def input_line(op: Op, producers: Mapping[str, Op], graph: Graph, which: int = 0) -> Line:
    """Return how an input of `op` follows from codes; CompileError unless it is affine in them."""
    x = op.inputs[which]
    region = cut((x,), producers, graph.constants)
    if not region.leaves or any(real_type(v.elem) for v in region.leaves):
        reals = [v.name for v in region.leaves if real_type(v.elem)] or [x.name]
        raise CompileError(
            f"{op.loc}: its input {reals[0]!r} is not quantized; give the device's input with --input"
            " (such as --input uint8:1/255), or quantize with --calibrate data.npz"
        )
    if len(region.leaves) > 1:
        names = " and ".join(repr(v.name) for v in region.leaves)
        raise CompileError(
            f"{op.loc}: its input {x.name!r} joins {names}, whose scales differ; quantize what is "
            "joined, or give all one scale"
        )
    chain = Chain(region, graph.constants, x)
    check_scalar(chain)
    leaf = region.leaves[0]
    scale, zero = _affine(chain, op)
    moves = tuple(o for o in region.ops if isinstance(o, INDEX_MAPS))
    return Line(leaf, moves, scale, zero)


def _affine(chain: Chain, op: Op) -> tuple[float, float]:
    chain = small(chain)
    elem = chain.leaf.type.integer
    if elem.hi - elem.lo > _MAX_DOMAIN:
        raise CompileError(f"{op.loc}: its input takes more than {_MAX_DOMAIN} values")
    step = 2 if isinstance(elem, Bipolar) else 1
    q = np.arange(elem.lo, elem.hi + 1, step)
    a = np.broadcast_to(q.reshape(-1, *(1,) * len(chain.leaf.shape)), (q.size, *chain.leaf.shape))
    v = chain.values(a).reshape(q.size, -1)
    if v.size == 0:
        return 1.0, 0.0
    first = v[:, :1]
    if q.size == 1 and (v == first).all():
        return 1.0, float(q[0] - first[0, 0])
    slope = (first[-1, 0] - first[0, 0]) / max(q[-1] - q[0], 1)
    offset = first[0, 0] - slope * q[0]
    error = np.abs(v - (slope * q + offset)[:, None]).max()
    if slope == 0 or error > _AFFINE * max(abs(slope), abs(offset), np.abs(v).max()):
        raise CompileError(
            f"{op.loc}: between the codes {chain.leaf.name!r} and this layer lies a function that "
            "is not one straight line for all elements; quantize the layer's input itself"
        )
    zero = -offset / slope
    nearest = round(zero)
    whole = abs(zero - nearest) <= _AFFINE * max(1, abs(zero))
    return float(slope), float(nearest) if whole else float(zero)


def lower_dot(b: Builder, op: Dot, graph: Graph, line: Line, x: Value) -> Lowered:
    """Append the IntLinear or IntConv of `op` over the codes `x` and return what it means."""
    weights = weights_of(graph, op)
    rows = weights.codes.reshape(weights.codes.shape[0], -1)
    scale = line.scale * weights.scale
    bias_codes, bias_real = _bias(op, graph, scale)
    fixed = np.zeros(rows.shape[0], np.int64)
    pad, window = _pad_code(op, line, x.type.integer)
    if pad is None:  # taps outside are left out, and what they would have meant differs by position
        inside = convolve(np.ones((1, *x.shape)), weights.codes, window, op.groups, 0)[0]  # type: ignore[union-attr,arg-type]
        bias_real = _alike(bias_real - line.zero * scale * inside)
    elif line.zero == round(line.zero):
        fixed = fixed - int(line.zero) * rows.sum(axis=1)
    else:
        bias_real = bias_real - line.zero * scale * rows.sum(axis=1)
    if bias_codes is not None:
        fixed = fixed + bias_codes
    padded = isinstance(op, Conv) and op.window.padded
    lattice = reachable(rows, fixed, x.type.integer, (pad or 0) if padded else None)
    acc = _emit(b, op, x, _Sums(weights.codes, fixed, lattice, pad or 0))
    return Lowered(acc, lattice, _meaning(b, op, acc, scale, bias_real))


def _alike(offsets: Array) -> Array:
    """Return offsets (1, *S, O) as (O,) where all positions share them."""
    rows = offsets.reshape(-1, offsets.shape[-1])
    return rows[0] if rows.size and (rows == rows[0]).all() else offsets


def _pad_code(op: Dot, line: Line, elem: Integral) -> tuple[int | None, Window | None]:
    """Return the code of a tap outside; None where no code stands for the real zero."""
    if not isinstance(op, Conv) or not op.window.padded:
        return 0, None
    whole = line.zero == round(line.zero)
    if line.zero == 0 or (
        whole and elem.lo <= line.zero <= elem.hi and not isinstance(elem, Bipolar)
    ):
        return int(line.zero), op.window
    return None, op.window


@dataclass(frozen=True, slots=True)
class _Sums:
    """Weights, bias, what they reach, and the code of a tap outside."""

    weights: Array
    bias: Array
    lattice: Lattice
    pad: int


def _emit(b: Builder, op: Dot, x: Value, sums: _Sums) -> Value:
    w, lattice = b.constant(f"{op.name}:weights", sums.weights), sums.lattice
    operands = (x, w, b.constant(f"{op.name}:bias", sums.bias)) if sums.bias.any() else (x, w)
    elem = Int(int(lattice.lo.min(initial=0)), int(lattice.hi.max(initial=0)))
    if lattice.lo.size:
        elem = Int(int(lattice.lo.min()), int(lattice.hi.max()))
    attrs: dict[str, object] = {"encoding": encoding_of(sums.weights), "elem": elem}
    if isinstance(op, Conv):
        attrs |= {"window": op.window, "groups": op.groups, "pad": sums.pad}
        return b.op(IntConv, operands, f"{op.name}:acc", op.loc, **attrs)
    return b.op(IntLinear, operands, f"{op.name}:acc", op.loc, **attrs)


def reachable(w: Array, bias: Array, x: Integral, pad: int | None = None) -> Lattice:
    """Return the integers that each row of `w @ x + bias` can take for any x of this type.

    w is (O, I). With `pad` any tap may also read that code.
    """
    ends = np.stack([w * x.lo, w * x.hi, *([w * pad] if pad is not None else [])])
    lo = ends.min(axis=0).sum(axis=1) + bias
    hi = ends.max(axis=0).sum(axis=1) + bias
    step = 2 if isinstance(x, Bipolar) and pad is None else 1
    stride = np.gcd.reduce(np.abs(w), axis=1, initial=0) * step
    return Lattice(lo, hi, np.maximum(stride, 1))


def _bias(op: Dot, graph: Graph, scale: Array) -> tuple[Array | None, Array]:
    """Split the bias into integers on the accumulator's grid, or reals where it has another."""
    none = np.zeros(scale.size, np.float64)
    if len(op.inputs) < 3:  # noqa: PLR2004
        return None, none
    value = op.inputs[2]
    source = graph.producers().get(value.name)
    if is_coded(source, graph.constants):
        codes, own, zero = (graph.constant(v) for v in source.inputs)
        own = np.broadcast_to(np.asarray(own, np.float64).reshape(-1), scale.shape)
        shifted = codes - np.rint(zero).astype(np.int64).reshape(-1)
        if (np.abs(own - scale) <= _SAME_SCALE * np.abs(scale)).all():
            return shifted, none
        return None, shifted * own
    if graph.is_constant(value):
        return None, np.asarray(graph.constant(value), np.float64)
    raise CompileError(f"{op.loc}: its bias is computed at run time; it must be constant")


def _meaning(b: Builder, op: Dot, acc: Value, scale: Array, bias: Array) -> tuple[Op, ...]:
    """Return the ops that compute the layer's real result from its accumulator."""
    s = b.constant(f"{op.name}:scale", scale)
    z = b.constant(f"{op.name}:zero", np.zeros(1))
    if not bias.any():
        return (build(Dequantize, (acc, s, z), op.name, op.loc, axis=-1),)
    name = b.unique(f"{op.name}:scaled")
    scaled = build(Dequantize, (acc, s, z), name, op.loc, axis=-1)
    offset = b.constant(f"{op.name}:offset", bias)
    total = build(Arithmetic, (scaled.output, offset), op.name, op.loc, kind=Arith.ADD)
    return (scaled, total)
