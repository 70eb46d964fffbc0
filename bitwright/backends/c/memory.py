"""The arena: when each tensor lives, and at which offset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

ALIGN = 8
_ENOUGH = 1.05  # times the lower bound: no further search
_FEW = 7  # buffers whose orders are all tried


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
    """Return the smallest of several best-fit plans; the search is deterministic."""
    bound = lower_bound(buffers)
    best: Plan | None = None
    for order in _orders(buffers):
        offsets = _place(order)
        size = max((offsets[b.name] + b.padded for b in buffers), default=0)
        if best is None or size < best.bytes:
            best = Plan(offsets, size, bound)
        if best.bytes <= bound * _ENOUGH:
            break
    return best or Plan({}, 0, 0)


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """Return the largest sum of buffers in use at once."""
    times = {b.first for b in buffers}
    return max((sum(b.padded for b in buffers if b.first <= t <= b.last) for t in times), default=0)


def _orders(buffers: Sequence[Buffer]) -> list[list[Buffer]]:
    """Return the orders in which to place: by size, lifetime, start; all of them where few."""
    keys = (
        lambda b: (-b.padded, b.first),
        lambda b: (b.first - b.last, -b.padded),
        lambda b: (-b.padded * (b.last - b.first + 1), b.first),
        lambda b: (b.first, -b.padded),
        lambda b: (-b.last, -b.padded),
    )
    orders = [sorted(buffers, key=lambda b, k=k: (*k(b), b.name)) for k in keys]  # type: ignore[misc]
    if len(buffers) <= _FEW:
        return orders + [list(p) for p in permutations(orders[0])]
    return orders + [_swapped(orders[n % len(orders)], n) for n in range(_TRIES)]


_TRIES = 400


def _swapped(order: list[Buffer], seed: int) -> list[Buffer]:
    """Return `order` with some pairs exchanged, the same for the same seed."""
    out = list(order)
    state = seed * 2654435761 + 1
    for _ in range(1 + seed % 5):
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        i, j = (state >> 33) % len(out), (state >> 17) % len(out)
        out[i], out[j] = out[j], out[i]
    return out


def _place(order: Sequence[Buffer]) -> dict[str, int]:
    """Place each buffer in the tightest gap among those that it meets."""
    offsets: dict[str, int] = {}
    placed: list[Buffer] = []
    for b in order:
        others = sorted((offsets[o.name], offsets[o.name] + o.padded) for o in placed if o.meets(b))
        offsets[b.name] = _gap(others, b.padded)
        placed.append(b)
    return offsets


def _gap(taken: list[tuple[int, int]], size: int) -> int:
    best, width, end = -1, -1, 0
    for start, stop in taken:
        gap = start - end
        if gap >= size and (best < 0 or gap < width):
            best, width = end, gap
        end = max(end, stop)
    return best if best >= 0 else end
