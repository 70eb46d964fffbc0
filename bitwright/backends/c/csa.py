"""Counting ones by carry-save adders: the network of adders, then one merged SWAR count.

Three words of one weight become two, their sum and their carry of twice the weight, in five
operations; what is left is counted once. After Harley and Seal (Warren, Hacker's Delight, 5-1).
"""

from dataclasses import dataclass, field

UNROLL = 16  # words whose terms are added without a loop
BLOCK = 8  # terms added by one turn of the loop
_NIBBLE, _BYTE = 15, 255


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the network: a term read (`load`), a full or a half adder."""

    kind: str
    low: str
    a: str
    b: str = ""
    c: str = ""
    high: str = ""


@dataclass
class Adders:
    """Adds words as they come and keeps at most two of each weight."""

    prefix: str
    steps: list[Step] = field(default_factory=list)
    pending: dict[int, list[str]] = field(default_factory=dict)

    def load(self, text: str, level: int) -> None:
        """Read a term that weighs 2^level."""
        name = self._fresh("x")
        self.steps.append(Step("load", name, text))
        self.push(name, level)

    def push(self, name: str, level: int) -> None:
        """Add the word `name` that weighs 2^level."""
        waiting = self.pending.setdefault(level, [])
        waiting.append(name)
        if len(waiting) == 3:  # noqa: PLR2004
            self._adder("full", level)

    def close(self, levels: int) -> None:
        """Leave one word of each weight below 2^levels, by half adders."""
        for level in range(levels):
            if len(self.pending.get(level, [])) == 2:  # noqa: PLR2004
                self._adder("half", level)

    def _adder(self, kind: str, level: int) -> None:
        low, high = self._fresh("s"), self._fresh("c")
        a, b, *c = self.pending[level]
        self.steps.append(Step(kind, low, a, b, c[0] if c else "", high))
        self.pending[level] = [low]
        self.push(high, level + 1)

    def _fresh(self, letter: str) -> str:
        return f"{letter}{self.prefix}{len(self.steps)}{'h' if letter == 'c' else ''}"


@dataclass(frozen=True, slots=True)
class Lanes:
    """A sum of counts in the bytes of a word, times 2^level; the most that a byte can hold."""

    text: str
    per_byte: int
    level: int


def merge(pending: dict[int, list[str]]) -> list[Lanes]:
    """Return C expressions, each a sum in bytes, that together count `pending`."""
    planes = [(level, name) for level in sorted(pending) for name in pending[level]]
    out: list[Lanes] = []
    while planes:
        level, name = planes.pop(0)
        nibbles, most = f"nibbles({name})", 4
        if planes and 4 * (1 + (1 << (planes[0][0] - level))) <= _NIBBLE:
            above, partner = planes.pop(0)
            times = "" if above == level else "2u * "
            nibbles, most = f"{nibbles} + {times}nibbles({partner})", most + (4 << (above - level))
        out = _join(out, Lanes(f"octets({nibbles})", 2 * most, level))
    return out


def _join(sums: list[Lanes], new: Lanes) -> list[Lanes]:
    """Add `new` to the last of `sums` where a byte holds both."""
    if not sums:
        return [new]
    last = sums[-1]
    shift = new.level - last.level
    most = last.per_byte + (new.per_byte << shift)
    if most > _BYTE:
        return [*sums, new]
    times = f"{1 << shift}u * " if shift else ""
    return [*sums[:-1], Lanes(f"{last.text} + {times}{new.text}", most, last.level)]
