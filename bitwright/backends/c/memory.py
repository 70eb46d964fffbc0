"""The arena: when each tensor lives, and at which offset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ALIGN = 8
_ENOUGH = 1.02  # times the lower bound: no further search
_WORK = 4_000_000  # looks at neighbours, a second or two
_FEWEST = 200  # plans to try, however many buffers there are


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes that are in use from layer `first` to layer `last`, both included."""

    name: str
    bytes: int
    first: int
    last: int

    @property
    def padded(self) -> int:
        """Bytes up to the next aligned offset."""
        return -(-self.bytes // ALIGN) * ALIGN

    def meets(self, other: "Buffer") -> bool:
        """Tell whether both are in use at once."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Plan:
    """Offsets by name, the size of the arena, and the least any plan could reach."""

    offsets: Mapping[str, int]
    bytes: int
    bound: int


def plan_memory(buffers: Sequence[Buffer]) -> Plan:
    """Return the smallest of several plans; the search is deterministic.

    Buffers are placed one by one, in orders of several kinds, each in the tightest or in the lowest
    gap. While that is not near the lower bound, buffers at the top are placed earlier and earlier.
    """
    bound = lower_bound(buffers)
    meets = [[j for j, o in enumerate(buffers) if j != i and b.meets(o)]
             for i, b in enumerate(buffers)]  # fmt: skip
    sizes = [b.padded for b in buffers]
    found = [
        _place(order, sizes, meets, tight=tight)
        for order in _orders(buffers)
        for tight in (True, False)
    ]
    best = min(found, key=lambda f: f.bytes)
    if best.bytes > bound * _ENOUGH:
        best = _improved(best, sizes, meets, bound)
    return Plan(
        {b.name: at for b, at in zip(buffers, best.offsets, strict=True)}, best.bytes, bound
    )


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """Return the largest sum of buffers in use at once."""
    times = {b.first for b in buffers}
    return max((sum(b.padded for b in buffers if b.first <= t <= b.last) for t in times), default=0)


@dataclass(frozen=True, slots=True)
class _Found:
    """A plan by index: the order of placing, its offsets, its size, and how it chose gaps."""

    order: tuple[int, ...]
    offsets: tuple[int, ...]
    bytes: int
    tight: bool


def _orders(buffers: Sequence[Buffer]) -> list[list[int]]:
    """Return the orders in which to place: by size, lifetime, area, start, end."""
    keys: tuple[Callable[[Buffer], tuple[int, int]], ...] = (
        lambda b: (-b.padded, b.first),
        lambda b: (b.first - b.last, -b.padded),
        lambda b: (-b.padded * (b.last - b.first + 1), b.first),
        lambda b: (b.first, -b.padded),
        lambda b: (-b.last, -b.padded),
    )
    return [sorted(range(len(buffers)), key=lambda i, k=k: (k(buffers[i]), i)) for k in keys]  # type: ignore[misc]


def _improved(best: _Found, sizes: list[int], meets: list[list[int]], bound: int) -> _Found:
    """Return the best of many plans, each from a good one by placing a buffer at its top earlier."""
    current, state = best, 1
    rounds = _WORK // (1 + sum(len(m) for m in meets))
    for _ in range(max(rounds, _FEWEST)):
        if best.bytes <= bound * _ENOUGH:
            break
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        order = _promoted(current, sizes, state >> 20)
        now = _place(order, sizes, meets, tight=bool(state >> 63))
        if now.bytes <= best.bytes + bound // 32:  # a slightly worse plan may lead on
            current = now
        best = min(best, now, key=lambda f: f.bytes)
    return best


def _promoted(found: _Found, sizes: list[int], number: int) -> list[int]:
    """Return the order of `found` with one buffer that reaches its top moved forward."""
    top = [i for i in found.order if found.offsets[i] + sizes[i] == found.bytes]
    chosen = top[number % len(top)]
    place = found.order.index(chosen)
    order = [i for i in found.order if i != chosen]
    order.insert(number // 64 % (place + 1), chosen)
    if number % 5 == 0:  # now and then exchange any two, so that the search does not circle
        i, j = number // 7 % len(order), number // 4099 % len(order)
        order[i], order[j] = order[j], order[i]
    return order


def _place(
    order: Sequence[int], sizes: list[int], meets: list[list[int]], *, tight: bool
) -> _Found:
    """Place each buffer in the tightest or lowest gap among those that it meets."""
    offsets = [-1] * len(sizes)
    top = 0
    for i in order:
        taken = sorted((offsets[j], offsets[j] + sizes[j]) for j in meets[i] if offsets[j] >= 0)
        offsets[i] = _gap(taken, sizes[i], tight=tight)
        top = max(top, offsets[i] + sizes[i])
    return _Found(tuple(order), tuple(offsets), top, tight)


def _gap(taken: list[tuple[int, int]], size: int, *, tight: bool) -> int:
    best, width, end = -1, -1, 0
    for start, stop in taken:
        gap = start - end
        if gap >= size and (best < 0 or gap < width):
            best, width = end, gap
            if not tight:
                return best
        end = max(end, stop)
    return best if best >= 0 else end
