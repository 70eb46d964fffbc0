"""Canonical Huffman codes with a bound on their length, as a small decoder wants them.

Lengths by package-merge (Larmore and Hirschberg, J. ACM 37(3), 1990), which is optimal under the
bound. Codes of one length follow one another, and longer ones are numerically behind: a decoder needs
for each length the first code, the index of its symbol, and how many there are.
"""

from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array

LONGEST = 12


@dataclass(frozen=True, slots=True)
class Code:
    """A canonical code: `symbols` by code, and by length 0 to `longest` the three tables.

    A single symbol takes no bits; an empty code has none.
    """

    symbols: Array
    count: Array
    first_code: Array
    first_index: Array

    @property
    def longest(self) -> int:
        """Bits of the longest code."""
        return int(self.count.size) - 1

    @property
    def shortest(self) -> int:
        """Bits of the shortest code."""
        return int(np.flatnonzero(self.count)[0]) if self.symbols.size else 0

    @property
    def lengths(self) -> Array:
        """Bits of each symbol of `symbols`."""
        return np.repeat(np.arange(self.count.size), self.count)

    @property
    def codes(self) -> Array:
        """The code of each symbol of `symbols`."""
        lengths = self.lengths
        return self.first_code[lengths] + np.arange(lengths.size) - self.first_index[lengths]

    @property
    def limits(self) -> Array:
        """By length, shortest to longest, what `longest` bits are below whose code is no longer."""
        lengths = np.arange(self.shortest, self.longest + 1)
        behind = (self.first_code + self.count)[lengths]
        return behind << (self.longest - lengths)

    @property
    def leads(self) -> Array:
        """By length, shortest to longest, the code less the index of its symbol."""
        return (self.first_code - self.first_index)[self.shortest :]

    def encode(self, message: Array) -> tuple[Array, Array]:
        """Return codes and their widths for symbols; ValueError when one has no code."""
        order = np.argsort(self.symbols)
        at = np.searchsorted(self.symbols[order], message)
        if message.size and not (
            self.symbols.size and np.array_equal(self.symbols[order][at % order.size], message)
        ):
            raise ValueError("a symbol has no code")
        rank = order[at]
        return self.codes[rank], self.lengths[rank]

    def decode(self, bits: Array, begin: int = 0) -> tuple[int, int]:
        """Return the symbol whose code begins at bit `begin`, and the bit behind it."""
        code = 0
        for length in range(self.longest + 1):
            if length:
                code = code << 1 | int(bits[begin + length - 1])
            above = code - int(self.first_code[length])
            if 0 <= above < self.count[length]:
                return int(self.symbols[int(self.first_index[length]) + above]), begin + length
        raise ValueError("no code")


def code_of(message: Array, longest: int = LONGEST) -> Code:
    """Return the code of least total length for the symbols of `message`.

    ValueError when it has more than 2^longest distinct symbols.
    """
    symbols, counts = np.unique(message, return_counts=True)
    lengths = code_lengths(counts, longest)
    order = np.lexsort((symbols, lengths))
    count = np.bincount(lengths, minlength=1)
    first_code, first_index = np.zeros_like(count), np.zeros_like(count)
    for length in range(1, count.size):
        first_code[length] = (first_code[length - 1] + count[length - 1]) << 1
        first_index[length] = first_index[length - 1] + count[length - 1]
    return Code(symbols[order], count, first_code, first_index)


def code_lengths(counts: Array, longest: int = LONGEST) -> Array:
    """Return the bits of each symbol, at most `longest`, that occurs counts[i] > 0 times."""
    if counts.size > 1 << longest:
        raise ValueError(f"{counts.size} symbols do not fit codes of {longest} bits")
    lengths = np.zeros(counts.size, np.int64)
    if counts.size <= 1:
        return lengths
    order = np.argsort(counts, kind="stable")
    items = merged = counts[order]
    levels = [np.ones(items.size, bool)]
    for _ in range(longest - 1):
        packages = merged[: merged.size // 2 * 2].reshape(-1, 2).sum(axis=1)
        both = np.concatenate([items, packages])
        rank = np.argsort(both, kind="stable")
        merged = both[rank]
        levels.append(rank < items.size)
    taken = 2 * items.size - 2
    for single in reversed(levels):
        chosen = int(single[:taken].sum())
        lengths[order[:chosen]] += 1
        taken = 2 * (taken - chosen)
    return lengths
