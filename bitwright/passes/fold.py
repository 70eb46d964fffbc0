"""Choose the integer form of a step function: Steps, Requantize or Lookup, all exact."""

from dataclasses import dataclass

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Builder
from bitwright.ir.ops import Exactness, Lookup, Requantize, Steps, Value
from bitwright.ir.ops.integer import Classes, tightest
from bitwright.ir.types import Int, Integral
from bitwright.passes.requantize import find_multipliers
from bitwright.passes.step_function import MAX_STEPS, StepFunction

FEW_STEPS = 15  # codes of 4 bits or fewer are compared, wider ones multiplied
LOOKUP_BITS = 12


@dataclass(frozen=True, slots=True)
class Place:
    """What the result is called, the user's node, the quantizer's zero point, border classes.

    With classes there is a row of parameters for each class and channel.
    """

    name: str
    loc: str
    zero: int = 0
    classes: Classes = ()


def emit_function(b: Builder, x: Value, steps: StepFunction, place: Place) -> Value:
    """Append the cheapest exact form of `steps` over `x` and return its result.

    Raises CompileError where no form is exact.
    """
    name, loc = place.name, place.loc
    widest = thresholds_needed(steps)
    elem = result_type(steps)
    if widest <= FEW_STEPS:
        return _steps(b, x, steps, place)
    clamp = Int(steps.low, steps.high)
    found = find_multipliers(steps, clamp, place.zero)
    if found is not None:
        mul = b.constant(f"{name}:mul", found.mul)
        add = b.constant(f"{name}:add", found.add)
        return b.op(
            Requantize, (x, mul, add), name, loc, elem=clamp, shift=found.shift,
            zero=found.zero, rounding=found.rounding, exactness=checked(steps), classes=place.classes,
        )  # fmt: skip
    domain = x.type.integer.hi - x.type.integer.lo + 1
    if steps.channels == 1 and domain <= 1 << LOOKUP_BITS:
        table = b.constant(f"{name}:table", as_table(steps, x.type.integer))
        return b.op(Lookup, (x, table), name, loc, elem=elem, exactness=checked(steps))
    if widest <= MAX_STEPS:
        return _steps(b, x, steps, place)
    raise CompileError(
        f"{loc}: its {widest} steps fit neither an exact multiplication nor {MAX_STEPS} thresholds; "
        "use fewer bits for this activation"
    )


def checked(steps: StepFunction) -> Exactness:
    """Return the record of an exact form, with the number of integers it was checked on."""
    return Exactness(0, 0, int(steps.lattice.counts.sum()))


def result_type(steps: StepFunction) -> Integral:
    """Return the narrowest element type of the codes that occur."""
    used = steps.used_codes()
    if used == {0} or not used:
        return Int(0, 0)
    if used <= {-1, 1}:
        return tightest(-1, 1, frozenset({0}))
    return tightest(min(used), max(used))


def counting(steps: StepFunction) -> bool:
    """Tell whether every channel only increases, so that code = base + number of thresholds.

    Not where the codes lie further apart than there may be thresholds.
    """
    if steps.high - steps.low > MAX_STEPS:
        return False
    return all((np.diff(steps.codes[c, : n + 1]) > 0).all() for c, n in enumerate(steps.count))


def thresholds_needed(steps: StepFunction) -> int:
    """Return the most thresholds that a channel needs; a jump by two codes counts twice."""
    if counting(steps) and not _sign_like(steps):
        return steps.high - steps.low
    return int(steps.count.max())


def _sign_like(steps: StepFunction) -> bool:
    return steps.used_codes() <= {-1, 1}


def threshold_table(steps: StepFunction, never: int) -> tuple[Array, Array]:
    """Return thresholds (C, T) ascending, padded with `never`, and codes (C, T + 1).

    Where every channel increases by counts, all channels share the codes low, low + 1, ..., high,
    so that the code is low plus the number of thresholds reached.
    """
    if counting(steps):
        return _counting_table(steps, never)
    width = max(int(steps.count.max()), 1)
    thresholds = np.full((steps.channels, width), never, np.int64)
    codes = np.zeros((steps.channels, width + 1), np.int64)
    for c, n in enumerate(steps.count):
        thresholds[c, :n] = steps.right[c, :n]
        codes[c] = steps.codes[c, n]
        codes[c, : n + 1] = steps.codes[c, : n + 1]
    return thresholds, codes


def _counting_table(steps: StepFunction, never: int) -> tuple[Array, Array]:
    levels = [-1, 1] if _sign_like(steps) else list(range(steps.low, steps.high + 1))
    if len(levels) == 1:
        levels = [levels[0], levels[0]]
    thresholds = np.full((steps.channels, len(levels) - 1), never, np.int64)
    for c, n in enumerate(steps.count):
        always = int(steps.lattice.lo[c])
        for i, level in enumerate(levels[1:]):
            reached = np.nonzero(steps.codes[c, : n + 1] >= level)[0]
            if reached.size and levels[0] != levels[-1]:
                thresholds[c, i] = always if reached[0] == 0 else steps.right[c, reached[0] - 1]
    return thresholds, np.array([levels])


def _steps(b: Builder, x: Value, steps: StepFunction, place: Place) -> Value:
    name = place.name
    thresholds, codes = threshold_table(steps, x.type.integer.hi + 1)
    t = b.constant(f"{name}:thresholds", thresholds)
    c = b.constant(f"{name}:codes", codes)
    elem = result_type(steps)
    return b.op(
        Steps,
        (x, t, c),
        name,
        place.loc,
        elem=elem,
        exactness=checked(steps),
        classes=place.classes,
    )


def as_table(steps: StepFunction, elem: Integral) -> Array:
    """Return the codes for every integer of `elem`, from lo to hi."""
    a = np.arange(elem.lo, elem.hi + 1)
    n = int(steps.count[0])
    return np.asarray(steps.codes[0, np.searchsorted(steps.right[0, :n], a, side="right")])
