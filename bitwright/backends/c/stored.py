"""In which form the weights of a layer lie in flash, and how its kernel comes by them.

With one position, or few nonzeros, a kernel multiplies while it decodes (stream). Otherwise blocks of
rows are decoded into a buffer in the arena, each used for all positions (blocked).
"""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.c.context import Context, Flash
from bitwright.backends.c.dots import BLOCK, Source, Weights, dense_order, spread
from bitwright.backends.c.options import SMALL
from bitwright.backends.c.pot import choose_powers
from bitwright.backends.c.storage import Planes, Role, Storage, ctype_for, dtype_of
from bitwright.backends.c.tables import Table
from bitwright.backends.coding import Form, encode
from bitwright.backends.coding.rows import Coded, Sparse
from bitwright.ir.graph import Array
from bitwright.ir.ops import Encoding

# Instructions for each entry, that decode it and multiply or store, and for each dense product:
# Cortex-M4, gcc -O3, measured by benchmarks/flash_codecs.py.
_DECODE = {
    Form.CODEBOOK: 6.2,
    Form.SPARSE: 14.5,
    Form.SPARSE_CODEBOOK: 15.5,
    Form.HUFFMAN: 48.0,
}
_PRODUCT, _PRODUCT_DSP = 3.1, 1.7
_CODE_BYTES = 200  # of a decoder, about: what coding a layer has to save


@dataclass(frozen=True, slots=True)
class Stored:
    """The weights of a layer, coded; `blocked` where they are decoded into a buffer."""

    form: Form
    coded: Coded
    blocked: bool
    buffer: int  # bytes
    buffer_t: str
    operations: float  # for each weight at each position, as on a Cortex-M4


@dataclass(frozen=True, slots=True)
class Sources:
    """The inputs of a layer as a decoder finds them, and as the kernel of dense rows does."""

    stream: Source
    dense: Source
    positions: int


def may_be_coded(x: Storage, encoding: Encoding) -> bool:
    """Tell whether there are kernels of coded weights for these inputs.

    Bits that are counted by whole words stay as they are.
    """
    if isinstance(x, Planes):
        return x.role is Role.BIPOLAR and encoding not in {Encoding.BIPOLAR, Encoding.TERNARY}
    return encoding is not Encoding.BIPOLAR


def choose_stored(ctx: Context, layer: str, sources: Sources, w: Weights) -> Stored | None:
    """Return how the options want the weights of `layer` stored; None for plain."""
    wanted = ctx.store_of(layer)
    if wanted == Form.PLAIN.value:
        return None
    if wanted != SMALL:
        return _stored(ctx, Form(wanted), sources, w)
    found = [_stored(ctx, form, sources, w) for form in Form if form is not Form.PLAIN]
    smallest = min((s for s in found if s), key=_bytes, default=None)
    if smallest is None or _bytes(smallest) + _CODE_BYTES >= plain_bytes(
        w, sources.stream, ctx.cpu.word
    ):
        return None
    return smallest


def flash_of(w: Weights, table: Table, stored: Stored | None) -> Flash:
    """Return what report.json says of the weights of a layer, `table` those that are not coded."""
    if stored is None:
        return Flash(Form.PLAIN.value, w.values.size, table.bytes)
    parts = stored.coded.parts
    return Flash(
        stored.form.value, w.values.size, parts.total, parts.tables, stored.buffer,
        round(stored.operations, 2),
    )  # fmt: skip


def _bytes(stored: Stored) -> int:
    return stored.coded.parts.total


def plain_bytes(w: Weights, x: Source, word: int) -> int:
    """Return the bytes of the tables that weights take without a code, bits in words of `word`."""
    values = w.values
    if w.encoding is Encoding.TERNARY and x.bits is None:
        return int(values.shape[0]) * -(-int(values.shape[1]) // word) * (word // 4)
    if w.encoding is Encoding.POWER_OF_TWO and x.bits is None:
        powers = choose_powers(values, x.ctype, "int32_t")
        return int(powers.table.size * dtype_of(powers.ctype).itemsize)
    return int(spread(x.bits, values).size) * _itemsize(values)


def _itemsize(w: Array) -> int:
    return dtype_of(_ctype(w)).itemsize


def _ctype(w: Array) -> str:
    return ctype_for(int(w.min()), int(w.max()))


def _stored(ctx: Context, form: Form, sources: Sources, w: Weights) -> Stored | None:
    rows = spread(sources.stream.bits, w.values)
    streamed = encode(rows.reshape(-1), np.full(rows.shape[0], rows.shape[1]), form)
    if streamed is None:
        return None
    entries = _entries(streamed, rows)
    product = _PRODUCT_DSP if ctx.cpu.has_dsp else _PRODUCT
    stream = _DECODE[form] * entries
    dense = product + (_DECODE[form] * entries + 1) / sources.positions
    walks = isinstance(streamed, Sparse)
    if sources.positions == 1 or (walks and stream <= dense):
        return Stored(form, streamed, False, 0, "", stream)
    order = dense_order(ctx, sources.dense, w)
    n = spread(sources.dense.bits, w.values).shape[1]
    coded = encode(order, block_sizes(w, n), form)
    if coded is None:
        return None
    buffer = min(BLOCK, w.group) * n * _itemsize(w.values)
    return Stored(form, coded, True, buffer, _ctype(w.values), dense)


def _entries(coded: Coded, rows: Array) -> float:
    """Return how many entries a decoder reads for each weight."""
    entries = getattr(coded, "entries", None)
    return 1.0 if entries is None else entries.gaps.size / rows.size


def block_sizes(w: Weights, n: int) -> Array:
    """Return the weights of each block of rows of `n`: four rows, and of the rest of a group one."""
    group = [BLOCK * n] * (w.group // BLOCK) + [n] * (w.group % BLOCK)
    return np.array(group * (w.values.shape[0] // w.group), np.int64)
