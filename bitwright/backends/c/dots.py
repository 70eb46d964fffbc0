"""The dot product of one row of weights: a kernel for each pair of storage and encoding."""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.c.context import Context
from bitwright.backends.c.dsp import by_fours, dsp_rows, takes_bytes
from bitwright.backends.c.popcount import Bits, Term, count_view, dot_planes
from bitwright.backends.c.pot import choose_powers
from bitwright.backends.c.storage import ctype_for, pack_bits
from bitwright.backends.c.tables import Table
from bitwright.ir.graph import Array
from bitwright.ir.ops import Encoding
from bitwright.ir.types import Integral

_INT32_MAX = (1 << 31) - 1
BLOCK = 4
_BITWISE = (Encoding.BIPOLAR, Encoding.TERNARY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A function for one row, and `sum w x = k[o] + factor * dot + total_factor * total`."""

    kind: str
    hint: str
    function: str
    dot_t: str
    weights: Table
    step: int
    k: Array
    most: int
    factor: int = 1
    single: str = ""
    block: int = 1
    stream: bool = False
    total: str = ""
    total_factor: int = 0
    extra: tuple[tuple[str, Table], ...] = ()  # tables that a decoder of weights reads


@dataclass(frozen=True, slots=True)
class RowsView:
    """What rows.h.j2 shows: sums over one or four rows of integer weights, or of elements."""

    name: str
    x_t: str
    w_t: str
    sum_t: str
    inputs: int  # of one run
    runs: int
    block: int
    packed: bool  # x is a bit plane that selects weights
    shift: int
    last: str


@dataclass(frozen=True, slots=True)
class SelectView:
    """What select.h.j2 shows: the sum of the elements that bits of the weights select."""

    name: str
    x_t: str
    w_t: str
    word: int
    sum_t: str
    inputs: int
    ternary: bool


@dataclass(frozen=True, slots=True)
class TotalView:
    """What total.h.j2 shows: the sum of all inputs."""

    name: str
    x_t: str
    sum_t: str
    inputs: int


@dataclass(frozen=True, slots=True)
class Source:
    """One row of inputs as the kernel finds it: element type, and planes or the C type.

    `largest` bounds the magnitude of an input, that of a padded tap included.
    """

    ctype: str
    largest: int
    bits: Bits | None = None
    runs: int = 1  # rows of neighbours, `step` objects apart


def source_of(elem: Integral, ctype: str, bits: Bits | None = None, pad: int = 0) -> Source:
    """Return the source of inputs of type `elem`, or of the code `pad` where a tap is outside."""
    return Source(ctype, max(abs(elem.lo), abs(elem.hi), abs(pad)), bits)


@dataclass(frozen=True, slots=True)
class Weights:
    """Rows of weights (outputs, inputs), how they are stored, and how many share one input."""

    values: Array
    encoding: Encoding
    group: int
    name: str


def choose_dot(ctx: Context, x: Source, w: Weights) -> Dot:
    """Return the kernel for the form of the input and the encoding of the weights."""
    if x.bits is not None:
        return _count(ctx, x.bits, w) if w.encoding in _BITWISE else dense_dot(ctx, x, w)
    if w.encoding in _BITWISE:
        return _select(ctx, x, w)
    if w.encoding is Encoding.POWER_OF_TWO:
        return _powers(ctx, x, w)
    return dense_dot(ctx, x, w)


def sum_type(most: int) -> str:
    """Return the C type for sums of at most `most` in magnitude."""
    return "int32_t" if most <= _INT32_MAX else "int64_t"


def reach(w: Array, largest: int) -> int:
    """Return a bound of every partial sum of a row, terms of weight 0 counted as 1."""
    return int(np.maximum(np.abs(w), 1).sum(axis=1).max()) * largest


def _count(ctx: Context, x: Bits, w: Weights) -> Dot:
    words, row, encoding = x.words, x.row, w.encoding.value
    form = dot_planes(x, w.values, w.encoding)
    name = f"count_{row.role.value}{row.planes}_{encoding}_{words}"
    function = ctx.kernels.add("c/popcount.h.j2", count_view(name, form.terms, words, ctx.cpu))
    total = ""
    if form.counts_x:
        nonzero = count_view(f"count_nonzero_{words}", (Term("x[{i}]"),), words, ctx.cpu)
        total = ctx.kernels.add("c/popcount.h.j2", nonzero)
    table = ctx.tables.add(w.name, form.weights, f"{encoding} weights", row.ctype)
    return Dot(
        kind=f"{row.role.value} activations by {encoding} weights, counting ones",
        hint=f"{row.role.value}{row.planes}_{encoding}",
        function=function,
        dot_t="uint32_t",
        weights=table,
        step=form.step,
        k=form.k,
        most=words * row.word * sum(1 << t.level for t in form.terms),
        factor=form.factor,
        total=total,
        total_factor=int(form.counts_x),
    )


def _select(ctx: Context, x: Source, weights: Weights) -> Dot:
    w, word = weights.values, ctx.cpu.word
    inputs = w.shape[1]
    ternary = weights.encoding is Encoding.TERNARY
    packed = pack_bits(w > 0, word)
    if ternary:
        packed = np.stack([packed, pack_bits(w < 0, word)], axis=-1).reshape(w.shape[0], -1)
    most = inputs * x.largest
    sum_t = sum_type(most)
    encoding = weights.encoding.value
    table = ctx.tables.add(weights.name, packed, f"{encoding} weights", f"uint{word}_t")
    name = f"sum_{encoding}_{inputs}"
    view = SelectView(name, x.ctype, table.ctype, word, sum_t, inputs, ternary)
    total = ctx.kernels.add("c/total.h.j2", TotalView(f"total_{inputs}", x.ctype, sum_t, inputs))
    return Dot(
        kind=f"{x.ctype} activations by {encoding} weights, adding",
        hint=f"{x.ctype}_{encoding}",
        function=ctx.kernels.add("c/select.h.j2", view),
        dot_t=sum_t,
        weights=table,
        step=packed.shape[1],
        k=np.zeros(w.shape[0], np.int64),
        most=most,
        factor=1 if ternary else 2,
        total="" if ternary else total,
        total_factor=0 if ternary else -1,
    )


def dense_dot(ctx: Context, x: Source, weights: Weights, table: Table | None = None) -> Dot:
    """Return the kernel that multiplies with every weight; `table` holds them, if already added."""
    packed = x.bits is not None
    w = spread(x.bits, weights.values)
    outputs, inputs = w.shape
    most = reach(w, 1 if packed else x.largest)
    w_t = ctype_for(int(w.min()), int(w.max()))
    fast = _takes_bytes(ctx, x, w)
    table = table or _row_table(ctx, x, weights)
    functions = {}
    for block in (BLOCK, 1):
        needed = weights.group >= BLOCK if block > 1 else weights.group % BLOCK
        if needed and fast:
            sizes = x.runs, inputs // x.runs
            functions[block] = dsp_rows(ctx, (x.ctype, w_t), sizes, block)
        elif needed:
            view = _rows_view(x, w_t, sum_type(most), inputs, block)
            functions[block] = ctx.kernels.add("c/rows.h.j2", view)
    return Dot(
        kind=f"{'bipolar' if packed else x.ctype} activations by {w_t} weights",
        hint=f"{'bipolar' if packed else x.ctype}_{w_t}",
        function=functions.get(BLOCK, ""),
        single=functions.get(1, ""),
        block=BLOCK,
        dot_t=sum_type(most),
        weights=table,
        step=inputs,
        k=-w.sum(axis=1) if packed else np.zeros(outputs, np.int64),
        most=most,
        factor=2 if packed else 1,
    )


def _takes_bytes(ctx: Context, x: Source, w: Array) -> bool:
    """Tell whether the core multiplies the pairs of bytes of rows `w` (outputs, inputs)."""
    ctypes = x.ctype, ctype_for(int(w.min()), int(w.max()))
    sum_t = sum_type(reach(w, x.largest))
    return x.bits is None and takes_bytes(ctx, ctypes, sum_t, w.shape[1] // x.runs)


def dense_order(ctx: Context, x: Source, weights: Weights) -> Array:
    """Return all weights in the order in which the kernel of `dense_dot` reads them."""
    w = spread(x.bits, weights.values)
    if _takes_bytes(ctx, x, w):
        return by_fours(w, w.shape[1] // x.runs, weights.group, BLOCK)
    return interleaved(w, weights.group)


def _row_table(ctx: Context, x: Source, weights: Weights) -> Table:
    fast = _takes_bytes(ctx, x, spread(x.bits, weights.values))
    order = "four rows by four inputs" if fast else "four rows interleaved"
    return ctx.tables.add(weights.name, dense_order(ctx, x, weights), f"integer weights, {order}")


def _rows_view(x: Source, w_t: str, sum_t: str, inputs: int, block: int) -> RowsView:
    return RowsView(
        name=f"rows{block}_{inputs}",
        x_t=x.ctype,
        w_t=w_t,
        sum_t=sum_t,
        inputs=inputs // x.runs,
        runs=x.runs,
        block=block,
        packed=x.bits is not None,
        shift=x.bits.row.shift if x.bits else 0,
        last=x.bits.row.last if x.bits else "",
    )


def interleaved(w: Array, group: int, block: int = BLOCK) -> Array:
    """Return w (outputs, inputs) with `block` rows of each group of rows interleaved by input."""
    whole = group - group % block
    parts = []
    for rows in w.reshape(-1, group, w.shape[1]):
        blocked = rows[:whole].reshape(-1, block, w.shape[1]).transpose(0, 2, 1)
        parts += [blocked.reshape(-1), rows[whole:].reshape(-1)]
    return np.concatenate(parts)


def spread(bits: Bits | None, w: Array) -> Array:
    """Return `w` with columns of zeros where the rows of packed activations end in unused bits."""
    if bits is None or not bits.row.columns:
        return w
    row = bits.row
    unused = row.row_words * row.word - row.row
    wide = np.pad(w.reshape(w.shape[0], row.rows, row.row), [(0, 0), (0, 0), (0, unused)])
    return np.asarray(wide.reshape(w.shape[0], -1)[:, : wide[0].size - unused])


def _powers(ctx: Context, x: Source, weights: Weights) -> Dot:
    w = weights.values
    most = reach(w, x.largest)
    powers = choose_powers(w, x.ctype, sum_type(most))
    table = ctx.tables.add(weights.name, powers.table, powers.note, powers.ctype)
    return Dot(
        kind=f"{x.ctype} activations by powers of two, shifted once per exponent",
        hint=f"{x.ctype}_power",
        function=ctx.kernels.add(powers.template, powers.view),
        dot_t=sum_type(most),
        weights=table,
        step=powers.step,
        k=np.zeros(w.shape[0], np.int64),
        most=most,
        factor=1 << powers.least,
        stream=powers.stream,
    )
