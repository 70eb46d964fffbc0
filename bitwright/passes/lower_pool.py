"""Lower pools of real values to pools of the integers they are made of."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Builder, Constants
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Binarize,
    Clip,
    CountThresholds,
    Dequantize,
    Function,
    MaxPool,
    MinPool,
    Op,
    Quantize,
    Requantize,
    Round,
    Sign,
    SumPool,
    Value,
    build,
)
from bitwright.ir.types import Bipolar, Int, is_integral
from bitwright.passes.chain import Chain, check_scalar
from bitwright.passes.lower_linear import Line, Lowered
from bitwright.passes.positions import sample
from bitwright.passes.region import Region, cut
from bitwright.passes.step_function import Lattice

_RISING = {
    Function.RELU, Function.SIGMOID, Function.TANH, Function.HARD_SIGMOID, Function.SOFTPLUS,
    Function.SOFTSIGN, Function.EXP, Function.ERF, Function.FLOOR, Function.CEIL, Function.ROUND,
}  # fmt: skip
_RISING_WITH_ALPHA = {Function.LEAKY_RELU, Function.ELU, Function.SELU, Function.CELU}


def lower_average(b: Builder, op: AveragePool, line: Line, x: Value) -> Lowered:
    """Append the SumPool of `op` over the codes `x` and return what its sums mean.

    The real average is `scale * (sum - zero * taps inside) / divisor`, by position.
    """
    inside = _product(op.window.tap_counts(op.inputs[0].shape[1:-1], op.loc))
    divisor = _product(op.divisors())
    elem = x.type.integer
    reach = [e * int(n) for e in (elem.lo, elem.hi) for n in (inside.min(), inside.max())]
    channels = op.output.shape[-1]
    step = 2 if isinstance(elem, Bipolar) and np.ptp(inside) == 0 else 1
    one = np.ones(channels, np.int64)
    lattice = Lattice(one * min(reach), one * max(reach), one * step)
    acc = b.op(
        SumPool, (x,), f"{op.name}:acc", op.loc, window=op.window, elem=Int(min(reach), max(reach))
    )
    unit, none = (
        b.constant(f"{op.name}:one", np.ones(1)),
        b.constant(f"{op.name}:none", np.zeros(1)),
    )
    ops: list[Op] = [build(Dequantize, (acc, unit, none), b.unique(f"{op.name}:sum"), op.loc)]
    steps = ((Arith.SUB, line.zero * inside, "zero"), (Arith.MUL, np.array(line.scale), "scale"),
             (Arith.DIV, divisor.astype(np.float64), "divisor"))  # fmt: skip
    for kind, numbers, part in steps:
        last = part == "divisor"
        factor = b.constant(f"{op.name}:{part}", _shared(np.asarray(numbers, np.float64)))
        name = op.name if last else b.unique(f"{op.name}:less_{part}")
        ops.append(build(Arithmetic, (ops[-1].output, factor), name, op.loc, kind=kind))
    return Lowered(acc, lattice, tuple(ops))


def _product(counts: tuple[tuple[int, ...], ...]) -> Array:
    """Return the products over the axes, shaped (1, *S, 1)."""
    total = np.ones((1,) * (len(counts) + 2), np.int64)
    for axis, of_axis in enumerate(counts):
        total = total * np.array(of_axis).reshape(
            1, *(-1 if i == axis else 1 for i in range(len(counts))), 1
        )
    return total


def _shared(a: Array) -> Array:
    return a.reshape(-1)[:1] if a.size and np.ptp(a) == 0 else a


def lower_extreme(
    b: Builder,
    op: MaxPool | MinPool,
    producers: Mapping[str, Op],
    constants: Constants,
    lattices: Mapping[str, Lattice],
) -> Lowered:
    """Append the pool of `op` over the integers behind it, and return what its results mean.

    A pool commutes with a function that rises; where it falls in some channels, these are negated
    before the pool and back after it.
    """
    region = cut(op.inputs, producers, constants)
    if len(region.leaves) != 1 or not is_integral(region.leaves[0].elem):
        raise CompileError(
            f"{op.loc}: its input {op.inputs[0].name!r} is not quantized; quantize it, or the "
            "model's input with --input"
        )
    chain = Chain(region, constants, op.inputs[0])
    check_scalar(chain)
    leaf = chain.leaf
    if any(o.output.shape != leaf.shape for o in region.ops):
        raise CompileError(f"{op.loc}: a map of elements lies between it and the integers it pools")
    signs = _signs(chain, op)
    x, flips = leaf, bool((signs < 0).any())
    if flips:
        x = _negated(b, leaf, signs, f"{op.name}:in", op.loc)
    y = b.op(type(op), (x,), f"{op.name}:acc", op.loc, window=op.window)
    if flips:
        y = _negated(b, y, signs, f"{op.name}:out", op.loc)
    one = np.ones(leaf.shape[-1], np.int64)
    elem = leaf.type.integer
    step = 2 if isinstance(elem, Bipolar) else 1
    lattice = lattices.get(leaf.name, Lattice(one * elem.lo, one * elem.hi, one * step))
    return Lowered(y, lattice, _again(b, region, y, op))


def _signs(chain: Chain, op: Op) -> Array:
    """Return +1 for each channel in which the chain rises, -1 where it falls; one for all positions."""
    sampled = sample(chain)
    if sampled.classes:
        raise CompileError(f"{op.loc}: what lies before it varies by position; quantize its input")
    signs = np.ones(chain.leaf.shape[-1], np.int64)
    for o in sampled.chain.region.ops:
        signs = signs * _direction(sampled.chain, o, op)
    return signs


def _direction(chain: Chain, o: Op, op: Op) -> Array:
    """Return the sign of each channel's slope; CompileError when it has none."""
    rises = np.array(1)
    if isinstance(o, Dequantize | BatchNorm):
        return _sign_of(chain.constants[o.inputs[1].name])
    if isinstance(o, Clip) or (isinstance(o, Activation) and _activation_rises(o)):
        return rises
    if isinstance(o, Activation) and o.kind is Function.NEG:
        return -rises
    fixed = [chain.constants.get(v.name) for v in o.inputs]
    found = _arithmetic(fixed, o) if isinstance(o, Arithmetic) else None
    if found is None:
        raise CompileError(
            f"{op.loc}: {type(o).__name__} {o.loc} lies between it and the last quantizer, and does "
            "not keep an order; quantize the pool's input"
        )
    return found


def rises(o: Op, constants: Constants) -> bool:
    """Tell whether `o`, a scalar op or a quantizer, rises in every channel."""
    if isinstance(o, Quantize | Binarize | Sign | CountThresholds):
        return True
    if isinstance(o, Dequantize | BatchNorm):
        return bool((constants[o.inputs[1].name] >= 0).all())
    if isinstance(o, Clip):
        return True
    if isinstance(o, Activation):
        return _activation_rises(o)
    if isinstance(o, Arithmetic):
        signs = _arithmetic([constants.get(v.name) for v in o.inputs], o)
        return signs is not None and bool((signs > 0).all())
    return False


def _activation_rises(o: Activation) -> bool:
    return o.kind in _RISING or (o.kind in _RISING_WITH_ALPHA and o.alpha >= 0)


def _arithmetic(fixed: list[Array | None], o: Arithmetic) -> Array | None:
    """Return the sign of the slope by channel; None where there is none."""
    first, second = fixed
    other = first if first is not None else second
    if o.kind in {Arith.ADD, Arith.MIN, Arith.MAX}:
        return np.array(1)
    if o.kind is Arith.SUB:
        return np.array(1 if first is None else -1)
    if other is not None and (o.kind is Arith.MUL or (o.kind is Arith.DIV and first is None)):
        return _sign_of(other.reshape(-1))
    return None


def _sign_of(a: Array) -> Array:
    return np.where(a < 0, -1, 1).astype(np.int64)


def _negated(b: Builder, x: Value, signs: Array, name: str, loc: str) -> Value:
    elem = x.type.integer
    most = max(abs(elem.lo), abs(elem.hi))
    mul = b.constant(f"{name}:sign", signs)
    add = b.constant(f"{name}:add", np.zeros(1, np.int64))
    return b.op(
        Requantize, (x, mul, add), name, loc, elem=Int(-most, most), shift=0, zero=0,
        rounding=Round.FLOOR,
    )  # fmt: skip


def _again(b: Builder, region: Region, y: Value, op: Op) -> tuple[Op, ...]:
    """Return the region's ops over the pooled integers, the last defining the pool's result."""
    if not region.ops:
        raise CompileError(f"{op.loc}: it pools integers that are already codes")
    known = {region.leaves[0].name: y}
    out: list[Op] = []
    for n, o in enumerate(region.ops):
        inputs = tuple(known.get(v.name, v) for v in o.inputs)
        last = n == len(region.ops) - 1
        name = op.name if last else b.unique(f"{op.name}:{o.name}")
        probe = replace(o, inputs=inputs, output=Value(name, o.output.type))
        new = replace(probe, output=Value(name, probe.infer()))
        known[o.name] = new.output
        out.append(new)
    return tuple(out)
