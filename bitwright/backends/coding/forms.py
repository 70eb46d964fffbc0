"""The forms in which the weights of a layer can lie in flash, each at its smallest."""

from collections.abc import Iterator
from enum import Enum

import numpy as np

from bitwright.backends.coding.codebook import codebook_of
from bitwright.backends.coding.gaps import relative
from bitwright.backends.coding.huffman import LONGEST, code_of
from bitwright.backends.coding.rows import Coded, HuffmanRows, Indexed, Plain, Sparse
from bitwright.backends.coding.stream import count_bytes
from bitwright.ir.graph import Array

_MOST_GAP_BITS = 10
_MOST_WIDTH = 25  # bits of an entry that a decoder finds in 32, however they lie in their bytes
_MOST_SHARED = 1 << 16
_INT32 = 1 << 31


class Form(Enum):
    """How the weights of a layer are stored."""

    PLAIN = "plain"
    CODEBOOK = "codebook"
    SPARSE = "sparse"
    SPARSE_CODEBOOK = "sparse-codebook"
    HUFFMAN = "huffman"

    @classmethod
    def _missing_(cls, value: object) -> "Form | None":
        return cls.PLAIN if value == "dense" else None


def encode(flat: Array, sizes: Array, form: Form) -> Coded | None:
    """Return weights coded as `form`, segments of `sizes` one after another; None if they do not fit.

    Gaps take the number of bits that gives the fewest bytes, measured on these weights.
    """
    if flat.size and not -_INT32 <= int(flat.min()) <= int(flat.max()) < _INT32:
        return None
    if form is Form.PLAIN:
        return Plain(flat)
    if form is Form.CODEBOOK:
        book = codebook_of(flat)
        return Indexed(book, book.index(flat), sizes) if book.values.size <= _MOST_SHARED else None
    kinds = {Form.SPARSE: _raw, Form.SPARSE_CODEBOOK: _shared, Form.HUFFMAN: _huffman}
    if form is Form.HUFFMAN and np.unique(flat).size > 1 << LONGEST:
        return None
    found = [coded for coded in kinds[form](flat, sizes) if coded is not None]
    return min(found, key=lambda coded: coded.parts.total, default=None)


def _raw(flat: Array, sizes: Array) -> Iterator[Coded | None]:
    low, high = int(flat.min(initial=0)), int(flat.max(initial=0))
    bits = max(1, (high - low).bit_length())
    for gap_bits in range(1, min(_MOST_GAP_BITS, _MOST_WIDTH - bits) + 1):
        entries = relative(flat, sizes, gap_bits)
        yield Sparse(entries, sizes, gap_bits, bits, count_bytes(entries.segments), low)


def _shared(flat: Array, sizes: Array) -> Iterator[Coded | None]:
    for gap_bits in range(1, _MOST_GAP_BITS + 1):
        entries = relative(flat, sizes, gap_bits)
        book = codebook_of(entries.values)
        if gap_bits + book.bits <= _MOST_WIDTH and book.values.size <= _MOST_SHARED:
            counts = count_bytes(entries.segments)
            yield Sparse(entries, sizes, gap_bits, book.bits, counts, book=book)


def _huffman(flat: Array, sizes: Array) -> Iterator[Coded | None]:
    for gap_bits in range(1, _MOST_GAP_BITS + 1):
        entries = relative(flat, sizes, gap_bits)
        codes = code_of(entries.gaps), code_of(entries.values)
        yield HuffmanRows(entries, sizes, *codes, count_bytes(entries.segments))
