"""Fields of bits in bytes: segments one after another, each begun at a byte."""

from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array

_BYTE = 8


@dataclass(frozen=True, slots=True)
class Fields:
    """Numbers with their widths in bits; `segments` says how many belong to each segment."""

    values: Array
    widths: Array
    segments: Array

    @property
    def bits(self) -> Array:
        """Return the bits of each segment."""
        return segment_sums(self.widths, self.segments)


def segment_sums(values: Array, segments: Array) -> Array:
    """Return the sum over each segment of `values`, `segments` entries each."""
    ends = np.cumsum(segments)
    sums = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(sums[ends] - sums[ends - segments], np.int64)


def count_bytes(counts: Array) -> int:
    """Return the least bytes that hold every number of `counts`, at least 1."""
    return max(1, -(-int(counts.max(initial=0)).bit_length() // _BYTE))


def pack(fields: Fields, prefix: int = 0, *, high_first: bool = False) -> Array:
    """Return the bytes of all segments, each begun at a byte behind `prefix` bytes of its count.

    A field begins at its lowest bit in the lowest free bit of a byte, or under `high_first` at its
    highest in the highest. The count of fields comes with its lowest byte first; unused bits are 0.
    """
    lengths = prefix + -(-fields.bits // _BYTE)
    starts = np.cumsum(lengths) - lengths
    out = np.zeros(int(lengths.sum()) * _BYTE, np.uint8)
    if fields.values.size:
        _set_bits(out, fields, (starts + prefix) * _BYTE, high_first=high_first)
    packed = np.packbits(out, bitorder="big" if high_first else "little")
    for k in range(prefix):
        packed[starts + k] = fields.segments >> (_BYTE * k) & 0xFF
    return packed


def _set_bits(out: Array, fields: Fields, starts: Array, *, high_first: bool) -> None:
    before = np.cumsum(fields.widths) - fields.widths
    segment = np.repeat(np.arange(fields.segments.size), fields.segments)
    first = np.concatenate([[0], np.cumsum(fields.bits)])[segment]
    at = starts[segment] + before - first
    for k in range(int(fields.widths.max(initial=0))):
        has = fields.widths > k
        shift = fields.widths[has] - 1 - k if high_first else k
        out[at[has] + k] = fields.values[has] >> shift & 1


def bits_of(data: Array, *, high_first: bool = False) -> Array:
    """Return the bits of bytes in the order in which `pack` filled them."""
    return np.unpackbits(data.astype(np.uint8), bitorder="big" if high_first else "little")


def number(bits: Array, *, high_first: bool = False) -> int:
    """Return the number that a field of bits holds."""
    ordered = bits[::-1] if high_first else bits
    return int((ordered.astype(np.int64) << np.arange(ordered.size)).sum())
