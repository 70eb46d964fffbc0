"""Weights of a layer as rows of bytes: the layout of each form, encoded and decoded in numpy."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bitwright.backends.coding.codebook import Codebook, item_bytes
from bitwright.backends.coding.gaps import Entries, restore
from bitwright.backends.coding.huffman import Code
from bitwright.backends.coding.stream import Fields, bits_of, number, pack
from bitwright.ir.graph import Array

_BYTE = 8
_WORD = 4  # bytes that a decoder reads at once
_LIMIT_BYTES = 4  # of each length: the first code behind it, and what leads to its symbols


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Bytes by what they hold: counts of rows, gaps, values, tables of the decoder, unused bits."""

    weights: int
    rows: int = 0
    gaps: int = 0
    values: int = 0
    tables: int = 0
    unused: int = 0

    @property
    def total(self) -> int:
        """All bytes."""
        return self.rows + self.gaps + self.values + self.tables + self.unused

    @property
    def bits_per_weight(self) -> float:
        """Bits of flash for each weight, zeros counted."""
        return self.total * _BYTE / max(self.weights, 1)


class Coded(Protocol):
    """The bytes of a layer and how they divide."""

    @property
    def stream(self) -> Array:
        """The bytes of all segments, one after another."""

    @property
    def parts(self) -> Breakdown:
        """All bytes in flash, tables included."""

    def decode(self) -> Array:
        """Return all weights, flat."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Weights as an array of the narrowest integers."""

    flat: Array

    @property
    def stream(self) -> Array:
        """The weights themselves."""
        return self.flat

    @property
    def parts(self) -> Breakdown:
        """Bytes of the array."""
        size = int(self.flat.size)
        return Breakdown(weights=size, values=size * item_bytes(self.flat))

    def decode(self) -> Array:
        """Return the weights."""
        return self.flat


@dataclass(frozen=True, slots=True)
class Indexed:
    """An index into the codebook for each weight, lowest bits first."""

    book: Codebook
    index: Array
    sizes: Array

    @property
    def _fields(self) -> Fields:
        return Fields(self.index, np.full(self.index.size, self.book.bits), self.sizes)

    @property
    def stream(self) -> Array:
        """The indexes, each segment begun at a byte."""
        return pack(self._fields)

    @property
    def parts(self) -> Breakdown:
        """Bytes of indexes and values."""
        used = self.index.size * self.book.bits // _BYTE
        total = int((-(-self._fields.bits // _BYTE)).sum())
        table = self.book.values.size * self.book.itemsize
        return Breakdown(
            weights=int(self.index.size), values=used, tables=table, unused=total - used
        )

    def decode(self) -> Array:
        """Return the weights that the bytes hold."""
        stream, out, at = self.stream, [], 0
        for size in self.sizes.tolist():
            length = -(-size * self.book.bits // _BYTE)
            bits = bits_of(stream[at : at + length])[: size * self.book.bits]
            index = bits.reshape(size, self.book.bits).astype(np.int64) @ (
                1 << np.arange(self.book.bits)
            )
            out.append(self.book.values[index])
            at += length
        return np.concatenate([np.zeros(0, np.int64), *out])


@dataclass(frozen=True, slots=True)
class Sparse:
    """Entries of fixed width: a value in the low bits, the gap above, a count before each segment.

    A value is an index into `book`, or without one itself, from `low` up. Behind the last segment lie
    `ahead` bytes, which a decoder that reads two or four bytes at once may touch.
    """

    entries: Entries
    sizes: Array
    gap_bits: int
    value_bits: int
    count_bytes: int
    low: int = 0
    book: Codebook | None = None

    @property
    def width(self) -> int:
        """Bits of an entry."""
        return self.gap_bits + self.value_bits

    @property
    def ahead(self) -> int:
        """Bytes that are read, at most, behind the last entry."""
        if self.width % _BYTE == 0:
            return 0
        return 1 if self.width <= _BYTE + 1 else _WORD - 1

    @property
    def _fields(self) -> Fields:
        values = self.entries.values
        stored = values - self.low if self.book is None else self.book.index(values)
        fields = stored | self.entries.gaps << self.value_bits
        return Fields(fields, np.full(fields.size, self.width), self.entries.segments)

    @property
    def stream(self) -> Array:
        """The entries, each segment begun at a byte."""
        packed = pack(self._fields, self.count_bytes)
        return np.concatenate([packed, np.zeros(self.ahead, np.uint8)])

    @property
    def parts(self) -> Breakdown:
        """Bytes of counts, gaps, values and the codebook."""
        count = int(self.entries.gaps.size)
        gaps, values = count * self.gap_bits // _BYTE, count * self.value_bits // _BYTE
        total = int((-(-self.entries.segments * self.width // _BYTE)).sum())
        return Breakdown(
            weights=int(self.sizes.sum()),
            rows=self.sizes.size * self.count_bytes,
            gaps=gaps,
            values=values,
            tables=self.book.values.size * self.book.itemsize if self.book else 0,
            unused=total - gaps - values + self.ahead,
        )

    def decode(self) -> Array:
        """Return the weights that the bytes hold."""
        stream, at = self.stream, 0
        fields: list[int] = []
        counts: list[int] = []
        for _ in range(self.sizes.size):
            counts.append(number(bits_of(stream[at : at + self.count_bytes])))
            at += self.count_bytes
            length = -(-counts[-1] * self.width // _BYTE)
            bits = bits_of(stream[at : at + length])[: counts[-1] * self.width]
            fields += [number(f) for f in bits.reshape(counts[-1], self.width)]
            at += length
        found = np.array(fields, np.int64)
        stored = found & (1 << self.value_bits) - 1
        values = stored + self.low if self.book is None else self.book.values[stored]
        return restore(
            Entries(found >> self.value_bits, values, np.array(counts, np.int64)), self.sizes
        )


@dataclass(frozen=True, slots=True)
class HuffmanRows:
    """Entries whose gap and value each have a canonical Huffman code, highest bits first.

    Behind the last segment lie `ahead` bytes, which a decoder that reads four at once may touch.
    """

    entries: Entries
    sizes: Array
    gaps: Code
    codes: Code
    count_bytes: int

    @property
    def ahead(self) -> int:
        """Bytes that are read, at most, behind the last code."""
        return _WORD - 1 if self.gaps.longest + self.codes.longest else 0

    @property
    def _fields(self) -> tuple[Fields, Array]:
        """Return both codes of each entry as one field, and the width of the gap's."""
        gap, gap_width = self.gaps.encode(self.entries.gaps)
        code, width = self.codes.encode(self.entries.values)
        fields = Fields(gap << width | code, gap_width + width, self.entries.segments)
        return fields, gap_width

    @property
    def stream(self) -> Array:
        """The codes, each segment begun at a byte."""
        packed = pack(self._fields[0], self.count_bytes, high_first=True)
        return np.concatenate([packed, np.zeros(self.ahead, np.uint8)])

    @property
    def parts(self) -> Breakdown:
        """Bytes of counts, codes and the tables of the decoder."""
        fields, gap_width = self._fields
        gap_bits = int(gap_width.sum())
        gaps, values = gap_bits // _BYTE, (int(fields.widths.sum()) - gap_bits) // _BYTE
        total = int((-(-fields.bits // _BYTE)).sum())
        return Breakdown(
            weights=int(self.sizes.sum()),
            rows=self.sizes.size * self.count_bytes,
            gaps=gaps,
            values=values,
            tables=_table_bytes(self.gaps) + _table_bytes(self.codes),
            unused=total - gaps - values + self.ahead,
        )

    def decode(self) -> Array:
        """Return the weights that the bytes hold."""
        stream, at = self.stream, 0
        gaps: list[int] = []
        values: list[int] = []
        counts: list[int] = []
        for _ in range(self.sizes.size):
            counts.append(number(bits_of(stream[at : at + self.count_bytes])))
            bits = bits_of(stream[at + self.count_bytes :], high_first=True)
            begin = 0
            for _ in range(counts[-1]):
                gap, begin = self.gaps.decode(bits, begin)
                value, begin = self.codes.decode(bits, begin)
                gaps.append(gap)
                values.append(value)
            at += self.count_bytes + -(-begin // _BYTE)
        entries = Entries(
            np.array(gaps, np.int64), np.array(values, np.int64), np.array(counts, np.int64)
        )
        return restore(entries, self.sizes)


def _table_bytes(code: Code) -> int:
    """Return the bytes of the decoder's tables.

    A single symbol is written into the code; codes of one length need no table of lengths.
    """
    if not code.longest:
        return 0
    lengths = code.longest - code.shortest + 1 if code.shortest < code.longest else 0
    return lengths * _LIMIT_BYTES + code.symbols.size * item_bytes(code.symbols)
