"""Lower one Linear to an IntLinear and the real ops that say what its accumulator means."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Arith, Arithmetic, Dequantize, IntLinear, Linear, Op, Value, build
from bitwright.ir.ops.real import real_type
from bitwright.ir.types import Bipolar, Int, Integral
from bitwright.passes.chain import Chain, check_scalar
from bitwright.passes.region import INDEX_MAPS, cut
from bitwright.passes.step_function import Lattice
from bitwright.passes.weights import Weights, encoding_of, weights_of

_AFFINE = 1e-9  # relative deviation from a straight line that float64 noise can explain
_SAME_SCALE = 2.0**-23  # a bias on the accumulator's own grid
_MAX_DOMAIN = 1 << 16


@dataclass(frozen=True, slots=True)
class Line:
    """What a Linear reads: `real = scale * (code - zero)` for every element of `source`."""

    source: Value
    moves: tuple[Op, ...]  # index maps between the codes and the Linear
    scale: float
    zero: float


@dataclass(frozen=True, slots=True)
class Lowered:
    """The accumulator, the integers each channel of it can take, and its meaning in reals."""

    acc: Value
    lattice: Lattice
    meaning: tuple[Op, ...]  # ops that define the Linear's old result from `acc`


def input_line(op: Linear, producers: Mapping[str, Op], graph: Graph) -> Line:
    """Return how the input of `op` follows from codes; CompileError unless it is affine in them."""
    x = op.inputs[0]
    region = cut((x,), producers, graph.constants)
    if len(region.leaves) != 1 or real_type(region.leaves[0].elem):
        raise CompileError(
            f"{op.loc}: its input {x.name!r} is not quantized; give the device's input with --input"
            " (such as --input uint8:1/255), or quantize with --calibrate data.npz"
        )
    chain = Chain(region, graph.constants, x)
    check_scalar(chain)
    leaf = region.leaves[0]
    scale, zero = _affine(chain, op)
    moves = tuple(o for o in region.ops if isinstance(o, INDEX_MAPS))
    return Line(leaf, moves, scale, zero)


def _affine(chain: Chain, op: Linear) -> tuple[float, float]:
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


def lower_linear(b: Builder, op: Linear, graph: Graph, line: Line, x: Value) -> Lowered:
    """Append the IntLinear of `op` over the codes `x` and return what it means."""
    weights = weights_of(graph, op)
    whole_zero = line.zero == round(line.zero)
    constant = -int(line.zero) * weights.codes.sum(axis=1) if whole_zero else None
    scale = line.scale * weights.scale
    bias_codes, bias_real = _bias(op, graph, scale)
    fixed = np.zeros(weights.codes.shape[0], np.int64)
    if constant is not None:
        fixed = fixed + constant
    else:
        bias_real = bias_real - line.zero * scale * weights.codes.sum(axis=1)
    if bias_codes is not None:
        fixed = fixed + bias_codes
    lattice = reachable(weights.codes, fixed, x.type.integer)
    acc = _emit(b, op, x, weights, fixed, lattice)
    return Lowered(acc, lattice, _meaning(b, op, acc, scale, bias_real))


def _emit(
    b: Builder, op: Linear, x: Value, weights: Weights, fixed: Array, lattice: Lattice
) -> Value:
    w = b.constant(f"{op.name}:weights", weights.codes)
    operands = (x, w, b.constant(f"{op.name}:bias", fixed)) if fixed.any() else (x, w)
    elem = Int(int(lattice.lo.min(initial=0)), int(lattice.hi.max(initial=0)))
    if lattice.lo.size:
        elem = Int(int(lattice.lo.min()), int(lattice.hi.max()))
    encoding = encoding_of(weights.codes)
    return b.op(IntLinear, operands, f"{op.name}:acc", op.loc, encoding=encoding, elem=elem)


def reachable(w: Array, bias: Array, x: Integral) -> Lattice:
    """Return the integers that each row of `w @ x + bias` can take for any x of this type."""
    ends = np.stack([w * x.lo, w * x.hi])
    lo = ends.min(axis=0).sum(axis=1) + bias
    hi = ends.max(axis=0).sum(axis=1) + bias
    stride = np.gcd.reduce(np.abs(w), axis=1, initial=0) * (2 if isinstance(x, Bipolar) else 1)
    return Lattice(lo, hi, np.maximum(stride, 1))


def _bias(op: Linear, graph: Graph, scale: Array) -> tuple[Array | None, Array]:
    """Split the bias into integers on the accumulator's grid, or reals where it has another."""
    none = np.zeros(scale.size, np.float64)
    if len(op.inputs) < 3:  # noqa: PLR2004
        return None, none
    value = op.inputs[2]
    source = graph.producers().get(value.name)
    if isinstance(source, Dequantize) and all(graph.is_constant(v) for v in source.inputs):
        codes, own, zero = (graph.constant(v) for v in source.inputs)
        own = np.broadcast_to(np.asarray(own, np.float64).reshape(-1), scale.shape)
        shifted = codes - np.rint(zero).astype(np.int64).reshape(-1)
        if (np.abs(own - scale) <= _SAME_SCALE * np.abs(scale)).all():
            return shifted, none
        return None, shifted * own
    if graph.is_constant(value):
        return None, np.asarray(graph.constant(value), np.float64)
    raise CompileError(f"{op.loc}: its bias is computed at run time; it must be constant")


def _meaning(b: Builder, op: Linear, acc: Value, scale: Array, bias: Array) -> tuple[Op, ...]:
    """Return the ops that compute the Linear's real result from its accumulator."""
    s = b.constant(f"{op.name}:scale", scale)
    z = b.constant(f"{op.name}:zero", np.zeros(1))
    if not bias.any():
        return (build(Dequantize, (acc, s, z), op.name, op.loc, axis=-1),)
    name = b.unique(f"{op.name}:scaled")
    scaled = build(Dequantize, (acc, s, z), name, op.loc, axis=-1)
    offset = b.constant(f"{op.name}:offset", bias)
    total = build(Arithmetic, (scaled.output, offset), op.name, op.loc, kind=Arith.ADD)
    return (scaled, total)
