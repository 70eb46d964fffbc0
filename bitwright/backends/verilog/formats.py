"""How elements become bits: in a stream's beats and in a memory's words."""

from dataclasses import dataclass
from math import prod

import numpy as np

from bitwright.ir.graph import Array
from bitwright.ir.types import Bipolar, Int, Integral, Ternary


@dataclass(frozen=True, slots=True)
class Format:
    """Bits of one element: two's complement, unsigned, or bipolar (1 = +1, 0 = -1)."""

    bits: int
    signed: bool
    bipolar: bool = False

    @property
    def text(self) -> str:
        """The name that reports give it."""
        if self.bipolar:
            return "bipolar"
        return f"{'signed' if self.signed else 'unsigned'} {self.bits}-bit"

    @property
    def as_signed(self) -> "Format":
        """The narrowest two's complement format that holds the same values."""
        if self.bipolar:
            return Format(2, signed=True)
        return self if self.signed else Format(self.bits + 1, signed=True)


def format_of(elem: Integral) -> Format:
    """Return the format in which a stream carries `elem`."""
    if isinstance(elem, Bipolar):
        return Format(1, signed=False, bipolar=True)
    if isinstance(elem, Ternary):
        return Format(2, signed=True)
    return Format(elem.bits, elem.signed)


def accumulator_of(elem: Int) -> Format:
    """Return the two's complement format of a matrix-vector unit's outputs."""
    return Format(max(signed_bits(elem.lo, elem.hi), 2), signed=True)


def signed_bits(lo: int, hi: int) -> int:
    """Return the bits of two's complement that hold lo and hi."""
    return max((-lo - 1 if lo < 0 else lo).bit_length(), hi.bit_length()) + 1


def to_raw(fmt: Format, values: Array) -> Array:
    """Return the bits of each element as an unsigned 64-bit integer."""
    if fmt.bipolar:
        return np.asarray(values > 0).astype(np.uint64)
    mask = np.uint64((1 << fmt.bits) - 1)
    return np.asarray(values, np.int64).view(np.uint64) & mask


def from_raw(fmt: Format, raw: Array) -> Array:
    """Return the integers that the low bits of `raw` (uint64) stand for, as int64."""
    if fmt.bipolar:
        return 2 * raw.astype(np.int64) - 1
    shift = np.uint64(64 - fmt.bits)
    moved = raw << shift
    if fmt.signed:
        return np.asarray(moved.view(np.int64) >> np.int64(64 - fmt.bits))
    return np.asarray(moved >> shift).astype(np.int64)


def bits_of(raw: Array, width: int) -> Array:
    """Return the low `width` bits of each element, lowest first, as (*shape, width) of 0 and 1."""
    data = np.ascontiguousarray(raw, "<u8")[..., None].view(np.uint8)
    return np.unpackbits(data, axis=-1, bitorder="little", count=width)


def from_bits(bits: Array) -> Array:
    """Return the unsigned 64-bit integers (*shape) whose low bits are (*shape, width) of 0 and 1."""
    padded = np.zeros((*bits.shape[:-1], 64), np.uint8)
    padded[..., : bits.shape[-1]] = bits
    return np.asarray(np.packbits(padded, axis=-1, bitorder="little").view("<u8")[..., 0])


def hex_words(bits: Array) -> bytes:
    """Return $readmemh text for (words, bits) of 0 and 1, lowest bit first: a word a line."""
    data = np.packbits(bits, axis=1, bitorder="little")[:, ::-1].tobytes().hex()
    digits, step = -(-bits.shape[1] // 4), 2 * -(-bits.shape[1] // 8)
    lines = [data[end - digits : end] for end in range(step, len(data) + 1, step)]
    return ("\n".join(lines) + "\n").encode()


def to_beats(fmt: Format, lanes: int, values: Array) -> Array:
    """Return the beats of (samples, *shape) as (beats, bytes) of uint8, lowest byte first."""
    flat = to_raw(fmt, values).reshape(-1, lanes)
    bits = bits_of(flat, fmt.bits).reshape(flat.shape[0], -1)
    return np.packbits(bits, axis=1, bitorder="little")


def from_beats(fmt: Format, lanes: int, beats: Array, shape: tuple[int, ...]) -> Array:
    """Return the int64 array (samples, *shape) that `beats`, as of to_beats, carry."""
    bits = np.unpackbits(beats, axis=1, bitorder="little", count=lanes * fmt.bits)
    raw = from_bits(bits.reshape(-1, lanes, fmt.bits))
    return from_raw(fmt, raw).reshape(-1, *shape) if prod(shape) else raw.reshape(-1, *shape)
