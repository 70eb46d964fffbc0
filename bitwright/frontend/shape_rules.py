"""What ONNX's shape operators do to a shape; used on constants and on graph values alike."""

from collections.abc import Sequence
from math import prod

from bitwright.errors import CompileError

Shape = tuple[int, ...]


def axis_of(axis: int, rank: int, loc: str) -> int:
    """Return a non-negative axis; CompileError when it lies outside the rank."""
    if not -rank <= axis < rank:
        raise CompileError(f"{loc}: axis {axis} is outside a tensor of {rank} axes")
    return axis % rank


def reshaped(shape: Shape, wanted: Sequence[int], allow_zero: bool, loc: str) -> Shape:
    """Apply Reshape's rules: 0 copies a dimension (unless `allow_zero`), one -1 is inferred."""
    out = []
    for i, d in enumerate(wanted):
        if d == 0 and not allow_zero:
            if i >= len(shape):
                raise CompileError(f"{loc}: shape {tuple(wanted)} copies axis {i} of {shape}")
            d = shape[i]  # noqa: PLW2901 - the rule says: copy
        out.append(int(d))
    holes = [i for i, d in enumerate(out) if d == -1]
    known = prod(d for d in out if d != -1)
    if holes and len(holes) == 1 and known and prod(shape) % known == 0:
        out[holes[0]] = prod(shape) // known
    if any(d < 0 for d in out) or prod(out) != prod(shape):
        raise CompileError(f"{loc}: cannot reshape {shape} to {tuple(int(d) for d in wanted)}")
    return tuple(out)


def squeezed(shape: Shape, axes: Sequence[int] | None, loc: str) -> Shape:
    """Drop the given axes, each of size 1; without axes drop every axis of size 1."""
    if axes is None:
        return tuple(d for d in shape if d != 1)
    drop = {axis_of(int(a), len(shape), loc) for a in axes}
    wide = [a for a in drop if shape[a] != 1]
    if wide:
        raise CompileError(f"{loc}: cannot squeeze axis {wide[0]} of {shape}")
    return tuple(d for i, d in enumerate(shape) if i not in drop)


def unsqueezed(shape: Shape, axes: Sequence[int], loc: str) -> Shape:
    """Insert axes of size 1 at the given places of the result."""
    rank = len(shape) + len(axes)
    places = {axis_of(int(a), rank, loc) for a in axes}
    if len(places) != len(axes):
        raise CompileError(f"{loc}: an axis is named twice in {tuple(axes)}")
    rest = iter(shape)
    return tuple(1 if i in places else next(rest) for i in range(rank))


def flattened(shape: Shape, axis: int, loc: str) -> Shape:
    """Join the axes before `axis` into one, and those from it on into another."""
    if not -len(shape) <= axis <= len(shape):
        raise CompileError(f"{loc}: axis {axis} is outside {shape}")
    axis = axis + len(shape) if axis < 0 else axis
    return (prod(shape[:axis]), prod(shape[axis:]))


def permutation(perm: Sequence[int] | None, rank: int, loc: str) -> tuple[int, ...]:
    """Return Transpose's permutation; without one the axes are reversed."""
    found = tuple(reversed(range(rank))) if perm is None else tuple(perm)
    if sorted(found) != list(range(rank)):
        raise CompileError(f"{loc}: permutation {found} does not fit a tensor of {rank} axes")
    return found


def moved_axis(old: Shape, new: Shape, axis: int) -> int | None:
    """Return where `axis` of `old` lies after a reshape to `new`; None when it does not survive."""
    for j, d in enumerate(new):
        if d == old[axis] and prod(new[:j]) == prod(old[:axis]):
            return j
    return None


def channels_last(rank: int) -> tuple[int, ...]:
    """Return the permutation from (N, C, *S) to (N, *S, C)."""
    return (0, *range(2, rank), 1)


def channels_first(rank: int) -> tuple[int, ...]:
    """Return the permutation from (N, *S, C) to (N, C, *S)."""
    return (0, rank - 1, *range(1, rank - 1))


def sliced(size: int, start: int, end: int, step: int) -> range:
    """Return the positions that Slice takes along an axis: ends wrap once, then are clamped.

    Raises:
        ValueError: the step is 0.

    """
    first, last = (i + size if i < 0 else i for i in (start, end))
    if step < 0:
        return range(min(max(first, 0), size - 1), min(max(last, -1), size - 1), step)
    return range(min(max(first, 0), size), min(max(last, 0), size), step)
