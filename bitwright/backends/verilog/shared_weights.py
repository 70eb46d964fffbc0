"""Integer weights in ROM as indices into a table of their distinct values, where the options ask.

Each lane of a unit has the table in logic of its own, so that it counts once for every lane.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bitwright.backends.coding.codebook import Codebook, codebook_of
from bitwright.backends.coding.forms import Form
from bitwright.backends.verilog.cell import Cell, Rom, rom, text
from bitwright.backends.verilog.formats import Format, bits_of, from_bits, from_raw, to_raw
from bitwright.backends.verilog.network import Network, Unit
from bitwright.backends.verilog.options import SMALL
from bitwright.backends.verilog.weights import INTEGER
from bitwright.ir.graph import Array

MOST = 256  # values of a table that is looked up within a cycle
_WEIGHT = "weight"


@dataclass(frozen=True, slots=True)
class StoredBits:
    """Bits of a layer's weights in ROM, plain and as they are stored, with the tables of all lanes.

    `values` are those of a table, 0 where there is none; `tables` lanes have one.
    """

    form: str
    plain_bits: int
    rom_bits: int
    values: int = 0
    tables: int = 0
    table_bits: int = 0  # of all tables


def share_weights(network: Network, store: str | Mapping[str, str]) -> Network:
    """Return the network with weights stored as `store` asks, for all layers or by layer.

    Forms that are for flash alone mean plain.
    """
    units = (
        _unit(u, store if isinstance(store, str) else store.get(u.name, "")) for u in network.units
    )
    return Network(tuple(units))


def stored_bits(cell: Cell) -> StoredBits | None:
    """Return the bits of a cell's weights; None of a cell without weights."""
    memories = {r.role: r for r in cell.roms}
    if cell.code is None:
        return None
    weights, values = memories[_WEIGHT], memories.get(Form.CODEBOOK.value)
    plain = cell.code.raw.size * cell.code.bits
    if values is None:
        return StoredBits(Form.PLAIN.value, plain, weights.words * weights.bits)
    lanes = plain // (cell.code.bits * weights.words)
    return StoredBits(
        Form.CODEBOOK.value,
        plain,
        weights.words * weights.bits,
        values.words,
        lanes,
        lanes * values.words * values.bits,
    )


def is_shared(cell: Cell) -> bool:
    """Tell whether the weights of a cell are indices into a table."""
    return any(r.role == Form.CODEBOOK.value for r in cell.roms)


def _unit(unit: Unit, form: str) -> Unit:
    if form not in {Form.CODEBOOK.value, SMALL}:
        return unit
    return replace(unit, cells=tuple(_cell(cell, small=form == SMALL) for cell in unit.cells))


def _cell(cell: Cell, *, small: bool) -> Cell:
    """Return the cell with a table, if its indices are shorter than weights.

    With `small`, where it takes fewer bits too, the tables of all lanes counted.
    """
    if cell.code is None or cell.code.kind != INTEGER:
        return cell
    weights = next(r for r in cell.roms if r.role == _WEIGHT)
    fmt = Format(cell.code.bits, signed=True)
    lanes = from_raw(fmt, from_bits(weights.array.reshape(weights.words, -1, fmt.bits)))
    book = codebook_of(lanes)
    if book.bits >= fmt.bits or book.values.size > MOST:
        return cell
    coded = replace(
        cell,
        parameters=cell.parameters + text(VALUES=book.values.size),
        roms=(*_memories(book, fmt, lanes), *(r for r in cell.roms if r is not weights)),
    )
    bits = stored_bits(coded)
    if small and bits and bits.rom_bits + bits.table_bits >= bits.plain_bits:
        return cell
    return coded


def _memories(book: Codebook, fmt: Format, lanes: Array) -> tuple[Rom, Rom]:
    """Return the memory of indices for weights (words, lanes), and that of the values."""
    index = bits_of(book.index(lanes).astype(np.uint64), book.bits)
    return (
        rom(_WEIGHT, "WEIGHT_FILE", index.reshape(lanes.shape[0], -1)),
        rom(Form.CODEBOOK.value, "TABLE_FILE", bits_of(to_raw(fmt, book.values), fmt.bits)),
    )
