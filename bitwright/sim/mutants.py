"""Small wrong numbers to put into a network: one weight, one threshold, one scale parameter."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Encoding, IntLinear, Lookup, Op, Requantize, Steps, Value

CANDIDATES = 60  # tried for each place


@dataclass(frozen=True, slots=True)
class Place:
    """A constant of one op that mutants change."""

    op: Op
    role: str  # weight, bias, threshold, addend, multiplier or table
    value: Value


@dataclass(frozen=True, slots=True)
class Mutant:
    """One number of a place, and what it becomes."""

    place: Place
    index: tuple[int, ...]
    old: int
    new: int

    def apply(self, body: Graph) -> Graph:
        """Return the body with the wrong number."""
        constant = body.constant(self.place.value).copy()
        constant[self.index] = self.new
        return replace(body, constants={**body.constants, self.place.value.name: constant})

    def __str__(self) -> str:
        """Return the change."""
        return f"{self.place.role} {list(self.index)} {self.old} -> {self.new}"


def places(body: Graph) -> list[Place]:
    """Return a weight for each dot product, and a parameter for each op that has some."""
    found = []
    for op in body.ops:
        roles: tuple[str, ...] = ()
        if isinstance(op, IntLinear):
            roles = ("weight", "bias")[: len(op.inputs) - 1]
        elif isinstance(op, Steps):
            thresholds = op.inputs[1].type.size
            roles = ("threshold",) if thresholds else ()
        elif isinstance(op, Requantize):
            roles = ("multiplier", "addend")
        elif isinstance(op, Lookup):
            roles = ("table",)
        pairs = zip(roles, op.inputs[1:], strict=False)
        found += [Place(op, role, v) for role, v in pairs if body.is_constant(v)]
    return found


def mutants(body: Graph, place: Place, values: Mapping[str, Array]) -> Iterator[Mutant]:
    """Yield candidates for a place, in random but fixed order, each with a legal number.

    `values` are what the graph gives on the samples: a threshold moves by one, or just far enough
    to pass an accumulator that was seen.
    """
    seen = values[place.op.inputs[0].name]
    constant = body.constant(place.value)
    rng = np.random.default_rng([*place.op.name.encode(), *place.role.encode()])
    for flat in rng.integers(0, max(constant.size, 1), CANDIDATES):
        index = tuple(int(i) for i in np.unravel_index(int(flat), constant.shape))
        old = int(constant[index])
        near = _numbers(place, constant, index)
        if isinstance(place.op, Steps):
            near = _thresholds(constant, index, seen)
        options = [n for n in near if n != old]
        if options:
            yield Mutant(place, index, old, int(rng.choice(options)))


def _numbers(place: Place, constant: Array, index: tuple[int, ...]) -> list[int]:
    """Return what the number may become without any storage growing wider."""
    op, old = place.op, int(constant[index])
    if isinstance(op, IntLinear) and place.role == "weight":
        return _weights(op.encoding, constant, old)
    if isinstance(op, Requantize):
        step = 1 << op.shift if place.role == "addend" else max(abs(old) >> 4, 1)
        near = [old - step, old - max(step // 2, 1), old + max(step // 2, 1), old + step]
    else:
        near = [old - 1, old + 1]
    return [n for n in near if constant.min() <= n <= constant.max()]


def _thresholds(constant: Array, index: tuple[int, ...], seen: Array) -> list[int]:
    """Return thresholds next to the old one that keep the row ascending."""
    old, row, at = int(constant[index]), constant[index[0]], index[1]
    low = int(row[at - 1]) if at else int(constant.min())
    high = int(row[at + 1]) if at + 1 < row.size else int(constant.max())
    channel = seen[..., index[0]] if constant.shape[0] > 1 else seen
    below, above = channel[channel < old], channel[channel >= old]
    near = [old - 1, old + 1, int(below.max(initial=low)), int(above.min(initial=high)) + 1]
    return [n for n in near if low <= n <= high]


def _weights(encoding: Encoding, constant: Array, old: int) -> list[int]:
    if encoding is Encoding.BIPOLAR:
        return [-old]
    if encoding is Encoding.TERNARY:
        return [-1, 0, 1]
    if encoding is Encoding.POWER_OF_TWO:
        return [-old] if old else [int(n) for n in np.unique(constant) if abs(n) == 1]
    return [n for n in (old - 1, old + 1, -old) if constant.min() <= n <= constant.max()]
