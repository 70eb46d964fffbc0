"""Small wrong numbers to put into a network: one weight, one threshold, one parameter of a layer."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    AddInt,
    Encoding,
    IntConv,
    IntLinear,
    Lookup,
    MaxPool,
    MinPool,
    Op,
    Requantize,
    Steps,
    SumPool,
    Value,
    Window,
)
from bitwright.ir.types import Int

CANDIDATES = 60  # tried for each place
SHARED = "shared value"


@dataclass(frozen=True, slots=True)
class Place:
    """A constant of one op that mutants change, or (`value` None) the attribute called `role`.

    `shared` weights are indices into a table: they become another of its values, and the role
    `shared value` is an entry of the table, and so all weights that are equal.
    """

    op: Op
    role: str  # weight, shared value, bias, threshold, addend, multiplier, table; or an attribute
    value: Value | None = None
    shared: bool = False

    def in_code(self, body: Graph) -> bool:
        """Tell whether the number stands alone, and so perhaps in the code instead of a table."""
        return self.value is None or np.ptp(body.constant(self.value)) == 0


@dataclass(frozen=True, slots=True)
class Mutant:
    """One number of a place (or its window), and what it becomes."""

    place: Place
    index: tuple[int, ...]
    old: int | Window
    new: int | Window

    def apply(self, body: Graph) -> Graph:
        """Return the body with the wrong number."""
        value, op = self.place.value, self.place.op
        if value is None:
            wrong = replace(op, **{self.place.role: self.new})  # type: ignore[arg-type]
            return replace(body, ops=tuple(wrong if o is op else o for o in body.ops))
        constant = body.constant(value).copy()
        if self.place.role == SHARED:
            constant[constant == self.old] = self.new
        else:
            constant[self.index] = self.new
        return replace(body, constants={**body.constants, value.name: constant})

    def __str__(self) -> str:
        """Return the change."""
        where = f" {list(self.index)}" if self.index else ""
        return f"{self.place.role}{where} {_text(self.old)} -> {_text(self.new)}"


def _text(number: int | Window) -> str:
    if isinstance(number, int):
        return str(number)
    kernel = "x".join(map(str, number.kernel))
    return f"{kernel} from {number.before}"


def places(body: Graph, shared: Collection[str] = ()) -> list[Place]:
    """Return a weight for each dot product, and each parameter of an op that has some.

    Of the ops named `shared`, whose weights are indices into a table, also a value of the table.
    """
    found = []
    for op in body.ops:
        pairs = zip(_roles(op), op.inputs[1:], strict=False)
        found += [Place(op, r, v, op.name in shared) for r, v in pairs if body.is_constant(v)]
        if op.name in shared and isinstance(op, IntLinear | IntConv):
            found.append(Place(op, SHARED, op.inputs[1], shared=True))
        found += [Place(op, field) for field in _fields(op)]
    return found


def _roles(op: Op) -> tuple[str, ...]:
    """Return what the operands behind the first are, as far as mutants change them."""
    if isinstance(op, IntLinear | IntConv):
        return ("weight", "bias")
    if isinstance(op, Steps):
        return ("threshold",) if op.inputs[1].type.size else ()
    if isinstance(op, Requantize):
        return ("multiplier", "addend")
    return ("table",) if isinstance(op, Lookup) else ()


def _fields(op: Op) -> tuple[str, ...]:
    """Return the attributes that mutants change."""
    if isinstance(op, AddInt):
        return ("mul_a", "mul_b", "add")
    if isinstance(op, IntConv):
        padded = op.window.padded and isinstance(op.inputs[0].elem, Int)
        return ("pad",) if padded else ()
    return ("window",) if isinstance(op, MaxPool | MinPool | SumPool) else ()


def mutants(body: Graph, place: Place, values: Mapping[str, Array]) -> Iterator[Mutant]:
    """Yield candidates for a place, in random but fixed order, each with a legal number.

    `values` are what the graph gives on the samples: a threshold moves by one, or just far enough
    to pass an accumulator that was seen.
    """
    if place.value is None:
        yield from _attribute_mutants(place)
        return
    seen = values[place.op.inputs[0].name]
    constant = body.constant(place.value)
    rng = np.random.default_rng([*place.op.name.encode(), *place.role.encode()])
    for flat in rng.integers(0, max(constant.size, 1), CANDIDATES):
        index = tuple(int(i) for i in np.unravel_index(int(flat), constant.shape))
        old = int(constant[index])
        near = _numbers(place, constant, index)
        if isinstance(place.op, Steps):
            near = _thresholds(constant, index, _of_row(place.op, constant, index[0], seen))
        options = [n for n in near if n != old]
        if options:
            where = () if place.role == SHARED else index
            yield Mutant(place, where, old, int(rng.choice(options)))


def _attribute_mutants(place: Place) -> Iterator[Mutant]:
    old = getattr(place.op, place.role)
    near = _windows(place.op, old) if isinstance(old, Window) else _attributes(place.op, place.role)
    for new in near:
        if new != old:
            yield Mutant(place, (), old, new)


def _attributes(op: Op, role: str) -> list[int]:
    """Return what an attribute may become."""
    old = int(getattr(op, role))
    if role == "pad":
        elem = op.inputs[0].type.integer
        return [n for n in (old + 1, old - 1, elem.hi, elem.lo) if elem.lo <= n <= elem.hi]
    assert isinstance(op, AddInt)
    step = 1 << op.shift if role == "add" else max(abs(old) >> 4, 1)
    return [old - step, old + step, old - max(step // 2, 1), old + max(step // 2, 1)]


def _windows(op: Op, window: Window) -> Iterator[Window]:
    """Yield windows that give as many results but look elsewhere: moved by one, or one smaller."""
    for axis in range(window.rank):
        for before, after, kernel in ((1, -1, 0), (-1, 1, 0), (0, -1, -1), (-1, 0, -1), (0, 0, -1)):
            wrong = Window(
                _plus(window.kernel, axis, kernel), window.strides,
                _plus(window.before, axis, before), _plus(window.after, axis, after),
                window.dilations,
            )  # fmt: skip
            smallest = min(*wrong.kernel, *(n + 1 for n in (*wrong.before, *wrong.after)))
            inside = all(b < k for b, k in zip(wrong.before, wrong.kernel, strict=True))
            if smallest >= 1 and inside and _same_result(op, wrong):
                yield wrong


def _plus(sizes: tuple[int, ...], axis: int, more: int) -> tuple[int, ...]:
    return (*sizes[:axis], sizes[axis] + more, *sizes[axis + 1 :])


def _same_result(op: Op, window: Window) -> bool:
    shape = op.inputs[0].shape
    return window.output(shape[1:-1], op.loc) == op.output.shape[1:-1]


def _of_row(op: Steps, constant: Array, row: int, seen: Array) -> Array:
    """Return the values that meet one row of thresholds: those of its channel and border class."""
    if constant.shape[0] == 1:
        return seen
    channels = seen.shape[-1]
    of_class = np.zeros((), np.int64)
    for axis in op.classes:
        of_class = of_class[..., None] * (max(axis) + 1) + np.array(axis)
    values = seen[..., row % channels]
    return values[..., of_class == row // channels] if op.classes else values


def _numbers(place: Place, constant: Array, index: tuple[int, ...]) -> list[int]:
    """Return what the number may become, where possible without any table growing wider."""
    op, old = place.op, int(constant[index])
    if place.role == SHARED:
        low, high = int(constant.min()), int(constant.max())
        near = [n for n in (old - 1, old + 1) if low <= n <= high]
        return [n for n in near if not (constant == n).any()]
    if place.role == "weight" and place.shared:
        values = np.unique(constant)
        at = int(np.searchsorted(values, old))
        return [int(n) for n in values[[max(at - 1, 0), min(at + 1, values.size - 1)]]]
    if isinstance(op, IntLinear | IntConv) and place.role == "weight":
        return _weights(op.encoding, constant, old)
    if isinstance(op, Requantize):
        step = 1 << op.shift if place.role == "addend" else max(abs(old) >> 4, 1)
        near = [old - step, old - max(step // 2, 1), old + max(step // 2, 1), old + step]
    else:
        near = [old - 1, old + 1]
    inside = [n for n in near if constant.min() <= n <= constant.max()]
    return inside or near


def _thresholds(constant: Array, index: tuple[int, ...], seen: Array) -> list[int]:
    """Return thresholds next to the old one that keep the row ascending; `seen` are its inputs."""
    old, row, at = int(constant[index]), constant[index[0]], index[1]
    low = int(row[at - 1]) if at else int(constant.min())
    high = int(row[at + 1]) if at + 1 < row.size else int(constant.max())
    below, above = seen[seen < old], seen[seen >= old]
    near = [old - 1, old + 1, int(below.max(initial=low)), int(above.min(initial=high)) + 1]
    return [n for n in near if low <= n <= high] if constant.min() < constant.max() else near


def _weights(encoding: Encoding, constant: Array, old: int) -> list[int]:
    if encoding is Encoding.BIPOLAR:
        return [-old]
    if encoding is Encoding.TERNARY:
        return [-1, 0, 1]
    if encoding is Encoding.POWER_OF_TWO:
        return [-old] if old else [int(n) for n in np.unique(constant) if abs(n) == 1]
    return [n for n in (old - 1, old + 1, -old) if constant.min() <= n <= constant.max()]
