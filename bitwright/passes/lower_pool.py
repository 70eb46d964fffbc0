"""Lower pools of real values to pools of the integers they are made of."""

from collections.abc import Mapping

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Builder, Constants
from bitwright.ir.ops import (
    Arith,
    Arithmetic,
    AveragePool,
    Dequantize,
    MaxPool,
    MinPool,
    Op,
    Requantize,
    Round,
    SumPool,
    Value,
    build,
)
from bitwright.ir.ops.base import rebuilt
from bitwright.ir.types import Bipolar, Int, is_integral
from bitwright.passes.chain import Chain, check_scalar
from bitwright.passes.direction import direction
from bitwright.passes.lower_linear import Line, Lowered
from bitwright.passes.positions import sample
from bitwright.passes.region import Region, cut
from bitwright.passes.step_function import Lattice


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
    chain = sampled.chain
    signs = {chain.leaf.name: np.ones(chain.leaf.shape[-1], np.int64)}
    for o in chain.region.ops:
        moving = [i for i, v in enumerate(o.inputs) if v.name in signs]
        found = [(direction(o, chain.constants, i), signs[o.inputs[i].name]) for i in moving]
        ways = [sign * way for way, sign in found if way is not None]
        if len(ways) < len(moving) or any((way != ways[0]).any() for way in ways):
            raise CompileError(
                f"{op.loc}: {type(o).__name__} {o.loc} lies between it and the last quantizer, and "
                "does not keep an order; quantize the pool's input"
            )
        if ways:
            signs[o.name] = ways[0]
    return signs[op.inputs[0].name]


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
        new = rebuilt(o, inputs, name)
        known[o.name] = new.output
        out.append(new)
    return tuple(out)
