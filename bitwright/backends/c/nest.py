"""Loops over a tensor with one stride per operand and axis, neighbouring axes merged."""

from collections.abc import Sequence
from dataclasses import dataclass

from bitwright.ir.ops import Value

Strides = tuple[int, ...]
_NAMES = (("acc", "x"), ("other", "b"), ("third", "p2"), ("fourth", "p3"), ("fifth", "p4"))

LONGEST = 128  # terms that one float adds up; longer sums are made of parts


@dataclass(frozen=True, slots=True)
class Walk:
    """How one operand is read: its value, its names in the kernel, the index as C text."""

    value: Value
    var: str
    pointer: str
    index: str


@dataclass(frozen=True, slots=True)
class Nest:
    """Loop bounds from the outside in, the operands, the index of the channel."""

    dims: tuple[int, ...]
    operands: tuple[Walk, ...]
    channel: str


def contiguous(shape: tuple[int, ...]) -> Strides:
    """Return the strides of a row-major tensor."""
    out: list[int] = []
    step = 1
    for d in reversed(shape):
        out.insert(0, step)
        step *= d
    return tuple(out)


def broadcast_strides(shape: tuple[int, ...], rank: int) -> Strides:
    """Return the strides that repeat a tensor of `shape` along the axes it lacks."""
    own = contiguous(shape)
    kept = tuple(0 if d == 1 else s for d, s in zip(shape, own, strict=True))
    return (0,) * (rank - len(shape)) + kept


def nest_of(
    shape: tuple[int, ...],
    operands: Sequence[tuple[Value, Strides]],
    channel: Strides | None = None,
    begin: int = 0,
) -> Nest:
    """Return the loops over `shape`; `channel` gives the strides of the parameters.

    The operands are read from element `begin` on.
    """
    walks = [s for _, s in operands] + [channel or (0,) * len(shape)]
    dims, merged = merge(shape, walks)
    named = zip(operands, _NAMES, merged, strict=False)
    return Nest(
        dims,
        tuple(Walk(v, var, pointer, index_text(s, begin)) for (v, _), (var, pointer), s in named),
        index_text(merged[-1]),
    )


def merge(
    shape: tuple[int, ...], walks: Sequence[Strides]
) -> tuple[tuple[int, ...], list[Strides]]:
    """Return loop bounds and the strides of every walk, axes of one element left out."""
    dims: list[int] = []
    steps: list[list[int]] = []  # per kept axis, the stride of every walk
    for axis, d in enumerate(shape):
        if d == 1:
            continue
        here = [w[axis] for w in walks]
        if dims and all(s == h * d for s, h in zip(steps[-1], here, strict=True)):
            dims[-1] *= d
            steps[-1] = here
        else:
            dims.append(d)
            steps.append(here)
    return tuple(dims), [tuple(s[k] for s in steps) for k in range(len(walks))]


def index_text(strides: Strides, begin: int = 0, names: str = "i") -> str:
    """Return the C text of `begin` plus every loop variable times its stride."""
    text = f"{begin}u" if begin else ""
    for k, s in enumerate(strides):
        factor = f" * {abs(s)}u" if abs(s) > 1 else ""
        if s > 0:
            text = f"{text} + {names}{k}{factor}" if text else f"{names}{k}{factor}"
        elif s < 0:  # follows a `begin` that is as great at least
            text = f"{text} - {names}{k}{factor}"
    return text or "0u"


def part_of(count: int) -> int:
    """Return the largest divisor of `count` that is no longer than one sum should be."""
    if count <= LONGEST:
        return count
    return max((d for d in range(LONGEST // 4, LONGEST + 1) if count % d == 0), default=count)
