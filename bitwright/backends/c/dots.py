"""The dot product of one row of weights: a kernel for each pair of storage and encoding."""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.c.context import Context
from bitwright.backends.c.popcount import Term, count_view, dot_planes
from bitwright.backends.c.pot import choose_powers
from bitwright.backends.c.storage import Elements, Planes, pack_bits
from bitwright.backends.c.tables import Table
from bitwright.ir.graph import Array
from bitwright.ir.ops import Encoding, IntLinear

_INT32_MAX = (1 << 31) - 1
_BLOCK = 4
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


@dataclass(frozen=True, slots=True)
class RowsView:
    """What rows.h.j2 shows: sums over one or four rows of integer weights, or of elements."""

    name: str
    x_t: str
    w_t: str
    sum_t: str
    inputs: int
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


def choose_dot(ctx: Context, op: IntLinear, w: Array, name: str) -> Dot:
    """Return the kernel for the storage of the input and the encoding of the weights."""
    x = ctx.storage(op.inputs[0])
    table = f"{name}_weights"
    if isinstance(x, Planes):
        if op.encoding in _BITWISE:
            return _count(ctx, op, x, w, table)
        return _rows(ctx, table, x, w, 1)
    largest = max(abs(op.inputs[0].type.integer.lo), abs(op.inputs[0].type.integer.hi))
    if op.encoding in _BITWISE:
        return _select(ctx, op, w, largest, table)
    if op.encoding is Encoding.POWER_OF_TWO:
        return _powers(ctx, table, x, w, largest)
    return _rows(ctx, table, x, w, largest)


def sum_type(most: int) -> str:
    """Return the C type for sums of at most `most` in magnitude."""
    return "int32_t" if most <= _INT32_MAX else "int64_t"


def _reach(w: Array, largest: int) -> int:
    """Return a bound of every partial sum of a row, terms of weight 0 counted as 1."""
    return int(np.maximum(np.abs(w), 1).sum(axis=1).max()) * largest


def _count(ctx: Context, op: IntLinear, x: Planes, w: Array, label: str) -> Dot:
    words = -(-w.shape[1] // x.word)
    form = dot_planes(x, words, w, op.encoding)
    name = f"count_{x.role.value}{x.planes}_{op.encoding.value}_{words}"
    function = ctx.kernels.add("c/popcount.h.j2", count_view(name, form.terms, words, ctx.cpu))
    total = ""
    if form.counts_x:
        nonzero = count_view(f"count_nonzero_{words}", (Term("x[{i}]"),), words, ctx.cpu)
        total = ctx.kernels.add("c/popcount.h.j2", nonzero)
    table = ctx.tables.add(label, form.weights, f"{op.encoding.value} weights", x.ctype)
    return Dot(
        kind=f"{x.role.value} activations by {op.encoding.value} weights, counting ones",
        hint=f"{x.role.value}{x.planes}_{op.encoding.value}",
        function=function,
        dot_t="uint32_t",
        weights=table,
        step=form.step,
        k=form.k,
        most=words * x.word * sum(1 << t.level for t in form.terms),
        factor=form.factor,
        total=total,
        total_factor=int(form.counts_x),
    )


def _select(ctx: Context, op: IntLinear, w: Array, largest: int, label: str) -> Dot:
    x, word, inputs = ctx.storage(op.inputs[0]), ctx.cpu.word, w.shape[1]
    ternary = op.encoding is Encoding.TERNARY
    packed = pack_bits(w > 0, word)
    if ternary:
        packed = np.stack([packed, pack_bits(w < 0, word)], axis=-1).reshape(w.shape[0], -1)
    most = inputs * largest
    sum_t = sum_type(most)
    table = ctx.tables.add(label, packed, f"{op.encoding.value} weights", f"uint{word}_t")
    name = f"sum_{op.encoding.value}_{inputs}"
    view = SelectView(name, x.ctype, table.ctype, word, sum_t, inputs, ternary)
    total = ctx.kernels.add("c/total.h.j2", TotalView(f"total_{inputs}", x.ctype, sum_t, inputs))
    return Dot(
        kind=f"{x.ctype} activations by {op.encoding.value} weights, adding",
        hint=f"{x.ctype}_{op.encoding.value}",
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


def _rows(ctx: Context, name: str, x: Elements | Planes, w: Array, largest: int) -> Dot:
    outputs, inputs = w.shape
    packed = isinstance(x, Planes)
    whole = outputs - outputs % _BLOCK
    blocked = w[:whole].reshape(-1, _BLOCK, inputs).transpose(0, 2, 1).reshape(-1)
    order = np.concatenate([blocked, w[whole:].reshape(-1)])
    table = ctx.tables.add(name, order, "integer weights, four rows interleaved")
    most = _reach(w, largest)
    functions = {}
    for block in (_BLOCK, 1):
        view = RowsView(
            name=f"rows{block}_{inputs}",
            x_t=x.ctype,
            w_t=table.ctype,
            sum_t=sum_type(most),
            inputs=inputs,
            block=block,
            packed=packed,
            shift=x.shift if isinstance(x, Planes) else 0,
            last=x.last if isinstance(x, Planes) else "",
        )
        needed = outputs >= _BLOCK if block > 1 else outputs % _BLOCK
        functions[block] = ctx.kernels.add("c/rows.h.j2", view) if needed else ""
    return Dot(
        kind=f"{'bipolar' if packed else x.ctype} activations by {table.ctype} weights",
        hint=f"{'bipolar' if packed else x.ctype}_{table.ctype}",
        function=functions[_BLOCK],
        single=functions[1],
        block=_BLOCK,
        dot_t=sum_type(most),
        weights=table,
        step=inputs,
        k=-w.sum(axis=1) if packed else np.zeros(outputs, np.int64),
        most=most,
        factor=2 if packed else 1,
    )


def _powers(ctx: Context, name: str, x: Elements, w: Array, largest: int) -> Dot:
    most = _reach(w, largest)
    powers = choose_powers(w, x.ctype, sum_type(most))
    table = ctx.tables.add(name, powers.table, powers.note, powers.ctype)
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
