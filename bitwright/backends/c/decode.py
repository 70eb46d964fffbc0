"""Functions that decode a row of weights, and multiply or store them: a template for each form."""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.c.context import Context
from bitwright.backends.c.dots import Dot, Source, Weights, reach, spread, sum_type
from bitwright.backends.c.post import signed_literal
from bitwright.backends.c.stored import Stored
from bitwright.backends.c.tables import Table
from bitwright.backends.coding.huffman import Code
from bitwright.backends.coding.rows import HuffmanRows, Indexed, Sparse

_BYTE = 8


@dataclass(frozen=True, slots=True)
class Act:
    """What is done with each weight: it multiplies an input, or without `x_t` goes to a buffer."""

    x_t: str
    sum_t: str
    w_t: str
    size: int  # weights of a row; 0 where entries tell it
    packed: bool = False
    shift: int = 0
    last: str = ""


@dataclass(frozen=True, slots=True)
class IndexView:
    """What codebook.h.j2 shows: the C text of each index of a group that fills whole bytes."""

    name: str
    act: Act
    values_t: str
    indexes: tuple[str, ...]
    step: int  # bytes of a group
    tail: int  # bytes of what is left behind whole groups


@dataclass(frozen=True, slots=True)
class SparseView:
    """What sparse.h.j2 shows: entries of `width` bits, `value` C text of that of a `field`."""

    name: str
    act: Act
    values_t: str
    count: str  # C text that reads the number of entries
    count_bytes: int
    load: str  # C text of the word at `from`, in which an entry begins in the first byte
    width: int
    value_bits: int
    value: str


@dataclass(frozen=True, slots=True)
class CodeView:
    """A canonical code as the decoder sees it; `at` is where its lengths begin in `lengths`."""

    symbols: str
    shortest: int
    longest: int
    at: int

    @property
    def span(self) -> int:
        """Lengths beyond the shortest."""
        return self.longest - self.shortest


@dataclass(frozen=True, slots=True)
class HuffmanView:
    """What huffman.h.j2 shows."""

    name: str
    act: Act
    parameters: str
    count: str
    count_bytes: int
    load: str
    gaps: CodeView
    values: CodeView


@dataclass(frozen=True, slots=True)
class Decoder:
    """The tables of coded weights, and how to get the functions that read them."""

    table: Table
    extra: tuple[tuple[str, Table], ...]


def stream_dot(ctx: Context, x: Source, w: Weights, stored: Stored) -> Dot:
    """Return the kernel that multiplies while it decodes."""
    values = spread(x.bits, w.values)
    packed = x.bits is not None
    most = reach(values, 1 if packed else x.largest)
    decoder = add_tables(ctx, w, stored)
    act = Act(
        x.ctype,
        sum_type(most),
        "",
        values.shape[1] if isinstance(stored.coded, Indexed) else 0,
        packed,
        x.bits.row.shift if x.bits else 0,
        x.bits.row.last if x.bits else "",
    )
    source = "bipolar" if packed else x.ctype
    return Dot(
        kind=f"{source} activations by weights decoded on the way, {stored.form.value}",
        hint=f"{source}_{stored.form.value.replace('-', '_')}",
        function=decoder_function(ctx, stored, decoder, act),
        dot_t=sum_type(most),
        weights=decoder.table,
        step=0,
        k=-values.sum(axis=1) if packed else np.zeros(values.shape[0], np.int64),
        most=most,
        factor=2 if packed else 1,
        stream=True,
        extra=decoder.extra,
    )


def add_tables(ctx: Context, w: Weights, stored: Stored) -> Decoder:
    """Add the bytes of coded weights and the tables that decode them."""
    coded, layer = stored.coded, w.name.removesuffix("_weights")
    note = f"weights, {stored.form.value}: {_note(stored)}"
    stream = coded.stream if coded.stream.size else np.zeros(1, np.uint8)
    table = ctx.tables.add(w.name, stream, note, "uint8_t")
    extra = []
    if isinstance(coded, Indexed | Sparse) and coded.book and coded.book.values.size:
        book = ctx.tables.add(f"{layer}_values", coded.book.values, "shared weights")
        extra.append(("values", book))
    if isinstance(coded, HuffmanRows):
        codes = (coded.gaps, coded.codes)
        lengths = np.concatenate([part for c in codes if _span(c) for part in (c.limits, c.leads)]
                                 or [np.zeros(0, np.int64)])  # fmt: skip
        if lengths.size:
            text = "by length of code: the first code behind, the code less its symbol's place"
            extra.append(("lengths", ctx.tables.add(f"{layer}_lengths", lengths, text, "uint16_t")))
        for name, what, code in zip(("gaps", "values"), ("gaps", "weights"), codes, strict=True):
            if code.longest:
                symbols = ctx.tables.add(f"{layer}_{name}", code.symbols, f"{what} by code")
                extra.append((name, symbols))
    return Decoder(table, tuple(extra))


def _note(stored: Stored) -> str:
    coded = stored.coded
    if isinstance(coded, Indexed):
        return f"indexes of {coded.book.bits} bits"
    if isinstance(coded, Sparse):
        return f"gaps of {coded.gap_bits} bits above values of {coded.value_bits}"
    return "codes of gaps and values"


def _span(code: Code) -> int:
    return code.longest - code.shortest


def decoder_function(ctx: Context, stored: Stored, decoder: Decoder, act: Act) -> str:
    """Return the function that does `act` with a row of coded weights."""
    coded, form = stored.coded, stored.form.value.replace("-", "_")
    name = f"{'dot' if act.x_t else 'decode'}_{form}"
    types = {name: table.ctype for name, table in decoder.extra}
    if isinstance(coded, Indexed):
        view = _index_view(name, act, coded, types["values"])
        return ctx.kernels.add("c/codebook.h.j2", view)
    if isinstance(coded, Sparse):
        return ctx.kernels.add("c/sparse.h.j2", _sparse_view(name, act, coded, types))
    assert isinstance(coded, HuffmanRows)
    return ctx.kernels.add("c/huffman.h.j2", _huffman_view(name, act, coded, types))


def _index_view(name: str, act: Act, coded: Indexed, values_t: str) -> IndexView:
    bits = coded.book.bits
    group = _BYTE // int(np.gcd(_BYTE, bits))
    texts = tuple(_index_text(k * bits, bits) for k in range(group))
    return IndexView(
        name, act, values_t, texts, group * bits // _BYTE, -(-(act.size % group) * bits // _BYTE)
    )


def _index_text(begin: int, bits: int) -> str:
    """Return the C text of the field of `bits` from bit `begin` of the bytes at `next` on."""
    first, last = begin // _BYTE, (begin + bits - 1) // _BYTE
    parts = []
    for k in range(first, last + 1):
        shift = k * _BYTE - begin
        byte = f"(uint32_t)next[{k}]"
        parts.append(f"({byte} << {shift})" if shift > 0 else f"({byte} >> {-shift})")
    text = " | ".join(parts).replace(" >> 0)", ")")
    whole = (begin + bits) % _BYTE == 0
    return text if whole else f"({text}) & {(1 << bits) - 1}u"


def _sparse_view(name: str, act: Act, coded: Sparse, types: dict[str, str]) -> SparseView:
    bits = coded.value_bits
    low = f"(field & {(1 << bits) - 1}u)"
    number = f"(int32_t){low}"
    if coded.low:
        number = f"({number} - {signed_literal(-coded.low)})"
    return SparseView(
        name, act, types.get("values", ""), _count_text(coded.count_bytes), coded.count_bytes,
        _load(coded.ahead + 1), coded.width, bits, f"values[{low}]" if "values" in types else number,
    )  # fmt: skip


def _count_text(count_bytes: int) -> str:
    parts = [f"(uint32_t)next[{k}] << {_BYTE * k}" if k else "next[0]" for k in range(count_bytes)]
    return " | ".join(parts)


def _huffman_view(name: str, act: Act, coded: HuffmanRows, types: dict[str, str]) -> HuffmanView:
    codes, at = [], 0
    for table, code in (("gaps", coded.gaps), ("values", coded.codes)):
        only = signed_literal(int(code.symbols[0])) if code.symbols.size else "0"
        codes.append(CodeView(table if code.longest else only, code.shortest, code.longest, at))
        at += 2 * (_span(code) + 1) if _span(code) else 0
    parameters = "".join(f", const {ctype} *{table}" for table, ctype in types.items())
    load = _load(coded.ahead + 1, high_first=True)
    return HuffmanView(
        name, act, parameters, _count_text(coded.count_bytes), coded.count_bytes, load, *codes
    )


def _load(size: int, *, high_first: bool = False) -> str:
    """Return the C text of a word from bytes; compilers make one load of it where cores can."""
    shifts = [(24 - _BYTE * k) if high_first else _BYTE * k for k in range(size)]
    parts = [f"((uint32_t)from[{k}] << {s})" if s else f"from[{k}]" for k, s in enumerate(shifts)]
    return " | ".join(parts)
