"""Evaluate a chain at as few positions as tell all: one for each class of equal parameters.

Between convolutions every position is treated alike, but for parameters that vary near a border.
"""

from dataclasses import dataclass, replace

import numpy as np

from bitwright.ir.graph import Array
from bitwright.ir.ops import CountThresholds, Op, Value
from bitwright.ir.ops.base import rebuilt
from bitwright.ir.ops.integer import Classes
from bitwright.ir.types import TensorType
from bitwright.passes.chain import Chain
from bitwright.passes.parameters import BY_AXIS, spread
from bitwright.passes.region import INDEX_MAPS, Region

_LEAST_RANK = 3


@dataclass(frozen=True, slots=True)
class Sampled:
    """A chain at one position of each class; `classes` is () where all positions are alike."""

    chain: Chain
    classes: Classes


def small(chain: Chain) -> Chain:
    """Return the chain at one position of each class."""
    return sample(chain).chain


def sample(chain: Chain) -> Sampled:
    """Return `chain` over (1, *classes, C) instead of (N, *S, C); unchanged where that cannot be."""
    leaf, ops = chain.leaf, chain.region.ops
    rank = len(leaf.shape)
    same = all(op.output.shape == leaf.shape or _fixed(chain, op, rank) for op in ops)
    if rank < _LEAST_RANK or not same or any(isinstance(op, INDEX_MAPS) for op in ops):
        return Sampled(chain, ())
    of_axis = [_classes(chain, axis) for axis in range(rank - 1)]
    if max(of_axis[0], default=0) > 0:
        return Sampled(chain, ())
    picked = [_first(classes) for classes in of_axis]
    spatial = tuple(of_axis[1:])
    uniform = all(p.size == 1 for p in picked)
    return Sampled(_at(chain, picked), () if uniform else spatial)


def _fixed(chain: Chain, op: Op, rank: int) -> bool:
    """Tell whether `op` makes of constants alone what all positions share."""
    alone = all(v.name in chain.constants for v in op.inputs)
    return alone and all(d == 1 for d in op.output.shape[:-1]) and len(op.output.shape) <= rank


def _classes(chain: Chain, axis: int) -> tuple[int, ...]:
    """Return the class of each position along `axis`: positions with equal parameters share one."""
    size = chain.leaf.shape[axis]
    rows = [
        np.moveaxis(a, axis, 0).reshape(size, -1)
        for op in chain.region.ops
        if op.output.shape == chain.leaf.shape
        for v in op.inputs
        if v.name in chain.constants
        for a in [spread(op, chain.constants[v.name])]
        if a.shape[axis] != 1
    ]
    if not rows:
        return (0,) * size
    seen: dict[bytes, int] = {}
    joined = np.concatenate(rows, axis=1)
    return tuple(seen.setdefault(row.tobytes(), len(seen)) for row in joined)


def _first(classes: tuple[int, ...]) -> Array:
    return np.array([classes.index(c) for c in range(max(classes, default=0) + 1)], np.int64)


def _at(chain: Chain, picked: list[Array]) -> Chain:
    """Return the chain at the picked positions of every axis but the last."""
    shape = (*(p.size for p in picked), chain.leaf.shape[-1])
    leaf = Value(chain.leaf.name, TensorType(chain.leaf.elem, shape))
    constants: dict[str, Array] = {}
    known = {leaf.name: leaf}
    ops: list[Op] = []
    for n, op in enumerate(chain.region.ops):
        inputs = []
        for i, v in enumerate(op.inputs):
            if v.name in known:
                inputs.append(known[v.name])
                continue
            array = chain.constants[v.name]
            if op.output.shape == chain.leaf.shape:
                array = _picked(op, array, picked)
            name = f"{n}.{i}:{v.name}"
            constants[name] = array
            inputs.append(Value(name, TensorType(v.elem, array.shape)))
        new = rebuilt(op, tuple(inputs), op.name)
        known[op.name] = new.output
        ops.append(new)
    return replace(
        chain, region=Region(tuple(ops), (leaf,)), constants=constants, target=ops[-1].output
    )


def _picked(op: Op, a: Array, picked: list[Array]) -> Array:
    """Return the part of a constant that the picked positions read."""
    if isinstance(op, (*BY_AXIS, CountThresholds)):
        axis = op.axis % len(op.output.shape)
        inner = axis >= len(picked) or a.shape[:1] in ((), (1,))
        return a if inner else a[picked[axis]]
    lead = len(op.output.shape) - a.ndim
    for axis, places in enumerate(picked):
        if axis >= lead and a.shape[axis - lead] != 1:
            a = np.take(a, places, axis=axis - lead)
    return a
