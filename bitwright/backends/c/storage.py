"""How a tensor lies in memory: packed bit planes or an array of elements.

Elements lie in the flat row-major order of the tensor. Planes hold rows of columns, each row begun
at a new word: element i is bit c % word of word r * row_words + c / word of each plane, with r and c
the quotient and the rest of i / columns; plane p begins at word p * words. Other bits are 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from bitwright.errors import VerifyError
from bitwright.ir.graph import Array
from bitwright.ir.types import Bipolar, Element, Int, Real

MAX_PLANES = 4
REAL_T = "float"
_SIGNED = ((8, "int8_t"), (16, "int16_t"), (32, "int32_t"), (64, "int64_t"))
_UNSIGNED = ((8, "uint8_t"), (16, "uint16_t"))
_NUMPY = {
    "float": "<f4", "int8_t": "<i1", "uint8_t": "<u1", "int16_t": "<i2", "uint16_t": "<u2",
    "int32_t": "<i4", "uint32_t": "<u4", "int64_t": "<i8", "uint64_t": "<u8",
}  # fmt: skip


class Role(Enum):
    """What the planes of a packed tensor mean."""

    BIPOLAR = "bipolar"  # one plane, 1 is +1, 0 is -1
    TERNARY = "ternary"  # plane 0 nonzero, plane 1 negative
    UNSIGNED = "unsigned"  # plane b weighs 2^b
    SIGNED = "signed"  # two's complement: the top plane weighs -2^(planes - 1)


@dataclass(frozen=True, slots=True)
class Elements:
    """An array with one C object per element."""

    ctype: str
    size: int
    kind: str = "elements"

    @property
    def count(self) -> int:
        """C objects in the array."""
        return self.size

    @property
    def bytes(self) -> int:
        """Bytes of the array."""
        return self.size * dtype_of(self.ctype).itemsize

    @property
    def value_t(self) -> str:
        """The C type in which one element is computed with."""
        return self.ctype if self.ctype in {"int64_t", REAL_T} else "int32_t"

    def pack(self, values: Array) -> Array:
        """Return (samples, count) of the C type for (samples, size) of values."""
        return values.reshape(-1, self.size).astype(dtype_of(self.ctype))

    def unpack(self, stored: Array) -> Array:
        """Return (samples, size) of values; integers as int64."""
        return stored.astype(np.float32 if self.ctype == REAL_T else np.int64)

    def describe(self) -> dict[str, Any]:
        """Return the entry of report.json."""
        return {"kind": self.kind, "ctype": self.ctype, "size": self.size,
                "count": self.count, "bytes": self.bytes}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planes:
    """Bit planes of whole words; `columns` is how many elements a row has, 0 for one row.

    Rows that fill their words are the same as one row, and are always described as that.
    """

    role: Role
    planes: int
    size: int
    word: int
    columns: int = 0
    kind: str = "planes"

    def __post_init__(self) -> None:
        """Describe one layout in one way."""
        if self.columns and (self.columns % self.word == 0 or self.columns == self.size):
            object.__setattr__(self, "columns", 0)
        if self.columns and self.size % self.columns:
            raise VerifyError(f"{self.size} elements are no rows of {self.columns}")

    @property
    def row(self) -> int:
        """Elements of a row."""
        return self.columns or self.size

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.size // self.row

    @property
    def row_words(self) -> int:
        """Words of a row in one plane."""
        return -(-self.row // self.word)

    @property
    def ctype(self) -> str:
        """The C type of one word."""
        return f"uint{self.word}_t"

    @property
    def words(self) -> int:
        """Words of one plane."""
        return self.rows * self.row_words

    @property
    def count(self) -> int:
        """Words of all planes."""
        return self.words * self.planes

    @property
    def bytes(self) -> int:
        """Bytes of all planes."""
        return self.count * self.word // 8

    @property
    def value_t(self) -> str:
        """The C type in which one element is computed with."""
        return "int32_t"

    @property
    def shift(self) -> int:
        """log2 of the bits of a word."""
        return self.word.bit_length() - 1

    @property
    def last(self) -> str:
        """The C literal of the highest bit number of a word."""
        return f"{self.word - 1}u"

    def pack(self, values: Array) -> Array:
        """Return (samples, count) words for (samples, size) of values."""
        flat = values.reshape(-1, self.size).astype(np.int64)
        planes = [pack_rows(bits, self.row, self.word) for bits in self._bits(flat)]
        return np.concatenate(planes, axis=1)

    def _bits(self, flat: Array) -> list[Array]:
        if self.role is Role.BIPOLAR:
            return [flat > 0]
        if self.role is Role.TERNARY:
            return [flat != 0, flat < 0]
        return [(flat >> b & 1).astype(bool) for b in range(self.planes)]

    def unpack(self, stored: Array) -> Array:
        """Return (samples, size) of integers."""
        shape = (-1, self.planes, self.rows, self.row_words)
        words = np.ascontiguousarray(stored.reshape(shape))
        octets = words.astype(dtype_of(self.ctype)).view(np.uint8)
        bits = np.unpackbits(octets, axis=-1, bitorder="little")[..., : self.row].astype(np.int64)
        bits = bits.reshape(-1, self.planes, self.size)
        if self.role is Role.BIPOLAR:
            return bits[:, 0] * 2 - 1
        if self.role is Role.TERNARY:
            return bits[:, 0] - 2 * bits[:, 1]
        weights = 1 << np.arange(self.planes, dtype=np.int64)
        if self.role is Role.SIGNED:
            weights[-1] = -weights[-1]
        return np.asarray(np.einsum("npi,p->ni", bits, weights))

    def describe(self) -> dict[str, Any]:
        """Return the entry of report.json."""
        return {"kind": self.kind, "role": self.role.value, "planes": self.planes,
                "word": self.word, "columns": self.columns, "ctype": self.ctype, "size": self.size,
                "count": self.count, "bytes": self.bytes}  # fmt: skip


Storage = Elements | Planes


def storage_from(entry: Mapping[str, Any]) -> Storage:
    """Return the storage that an entry of report.json describes."""
    if entry["kind"] == "elements":
        return Elements(entry["ctype"], entry["size"])
    role = Role(entry["role"])
    return Planes(role, entry["planes"], entry["size"], entry["word"], entry["columns"])


def dtype_of(ctype: str) -> np.dtype[Any]:
    """Return numpy's little-endian dtype for a C type."""
    return np.dtype(_NUMPY[ctype])


def pack_bits(bits: Array, word: int) -> Array:
    """Pack the last axis of a boolean array into little-endian words, 0 after the end."""
    pad = -bits.shape[-1] % word
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, pad)])
    octets = np.ascontiguousarray(np.packbits(padded, axis=-1, bitorder="little"))
    return octets.view(dtype_of(f"uint{word}_t"))


def pack_rows(bits: Array, columns: int, word: int) -> Array:
    """Pack the last axis, rows of `columns` bits each begun at a new word."""
    rows = bits.reshape(*bits.shape[:-1], -1, columns)
    return pack_bits(rows, word).reshape(*bits.shape[:-1], -1)


def ctype_for(lo: int, hi: int) -> str:
    """Return the narrowest C type for [lo, hi] whose comparison with int32_t keeps the sign."""
    if lo >= 0:
        for width, name in _UNSIGNED:
            if hi < 1 << width:
                return name
    for width, name in _SIGNED:
        if -(1 << (width - 1)) <= lo and hi < 1 << (width - 1):
            return name
    raise VerifyError(f"[{lo}, {hi}] does not fit 64 bits")


def elements_for(elem: Element, size: int) -> Elements:
    """Return the array storage of a tensor of `elem`."""
    if isinstance(elem, Real):
        return Elements(REAL_T, size)
    return Elements(ctype_for(elem.lo, elem.hi), size)


def planes_for(elem: Element, size: int, word: int, columns: int = 0) -> Planes:
    """Return the packed storage of a tensor of `elem`; VerifyError when it is not narrow."""
    if isinstance(elem, Bipolar):
        return Planes(Role.BIPOLAR, 1, size, word, columns)
    if isinstance(elem, Int):
        role = Role.SIGNED if elem.signed else Role.UNSIGNED
        return Planes(role, elem.bits, size, word, columns)
    if isinstance(elem, Real):
        raise VerifyError("a real tensor is not stored in planes")
    return Planes(Role.TERNARY, 2, size, word, columns)
