"""Which library cells an op becomes for one folding."""

import numpy as np

from bitwright.backends.verilog import cell_timing as timing
from bitwright.backends.verilog.cell import (
    Cell,
    Join,
    Lanes,
    Pipeline,
    Turns,
    check_word,
    rom,
    text,
)
from bitwright.backends.verilog.formats import (
    Format,
    bits_of,
    format_of,
    from_raw,
    signed_bits,
    to_raw,
)
from bitwright.backends.verilog.function_cells import requantize_cell, steps_cell
from bitwright.backends.verilog.moves import move_cells
from bitwright.backends.verilog.product_cells import product_cell
from bitwright.backends.verilog.sum_cells import conv_cells, linear_cells, pool_cells
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import (
    AddInt,
    ArgMax,
    Concat,
    IntConv,
    IntLinear,
    Lookup,
    MaxPool,
    MinPool,
    MulInt,
    Op,
    Permute,
    Requantize,
    Round,
    Steps,
    SumPool,
    Take,
)


def cells_of(op: Op, graph: Graph, formats: tuple[Format, ...], lanes: Lanes) -> tuple[Cell, ...]:
    """Return the cells that compute `op` on operands in `formats`, in a row.

    The first operand of each but the first is the result of the one before; other operands are
    streams of their own.
    """
    if isinstance(op, IntLinear):
        return linear_cells(op, graph, formats[0], lanes)
    if isinstance(op, IntConv):
        return conv_cells(op, graph, formats[0], lanes)
    if isinstance(op, MaxPool | MinPool | SumPool):
        return pool_cells(op, formats[0], lanes)
    if isinstance(op, Take | Permute):
        return move_cells(op, graph, formats[0], lanes)
    if isinstance(op, Concat):
        return _concat(op, lanes)
    return (_single(op, graph, formats, lanes),)


def _single(op: Op, graph: Graph, formats: tuple[Format, ...], lanes: Lanes) -> Cell:
    if isinstance(op, Steps):
        return steps_cell(op, graph, formats[0], lanes)
    if isinstance(op, Requantize):
        return requantize_cell(op, graph, formats[0], lanes)
    if isinstance(op, Lookup):
        return _lookup(op, graph, formats[0], lanes)
    if isinstance(op, AddInt):
        return _add(op, formats, lanes)
    if isinstance(op, MulInt):
        return product_cell(op, formats, lanes)
    if isinstance(op, ArgMax):
        return _argmax(op, formats[0], lanes)
    raise UnsupportedError(f"{op.loc}: the Verilog backend has no unit for {type(op).__name__}")


def _lookup(op: Lookup, graph: Graph, x: Format, lanes: Lanes) -> Cell:
    y, pe = format_of(op.elem), lanes.pe
    elem = op.inputs[0].type.integer
    value = from_raw(x, np.arange(1 << x.bits, dtype=np.uint64))
    table = graph.constant(op.inputs[1])
    known = (value >= elem.lo) & (value <= elem.hi)
    codes = np.where(known, table[np.clip(value - elem.lo, 0, table.size - 1)], table[0])
    parameters = text(PE=pe, IN_W=x.bits, OUT_W=y.bits)
    roms = (rom("table", "TABLE_FILE", bits_of(to_raw(y, codes), y.bits)),)
    schedule = Pipeline(1, 1, timing.LOOKUP - 1)
    return Cell("bw_lookup", parameters, (x,), y, pe, pe, schedule, roms)


def _add(op: AddInt, formats: tuple[Format, ...], lanes: Lanes) -> Cell:
    a, b = (f.as_signed if f.bipolar else f for f in formats)
    y = format_of(op.elem)
    check_word(op, op.zero, op.elem.lo, op.elem.hi)
    parameters = text(
        N=lanes.pe,
        A_W=a.bits,
        A_SIGNED=int(a.signed),
        B_W=b.bits,
        B_SIGNED=int(b.signed),
        MUL_A=_sized(op.mul_a),
        MUL_B=_sized(op.mul_b),
        ADD=_sized(op.add),
        T_W=sum_bits(op),
        SHIFT=op.shift,
        ROUND=int(op.rounding is Round.HALF_EVEN),
        ZERO=op.zero,
        LO=op.elem.lo,
        HI=op.elem.hi,
        OUT_W=y.bits,
    )
    return Cell("bw_add", parameters, (a, b), y, lanes.pe, lanes.pe, Join(timing.ADD - 2))


def sum_bits(op: AddInt) -> int:
    """Return the bits of two's complement that hold every sum and product of an AddInt."""
    ends = [
        [v.type.integer.lo * mul, v.type.integer.hi * mul]
        for v, mul in zip(op.inputs, (op.mul_a, op.mul_b), strict=True)
    ]
    partial = [min(map(min, ends)), max(map(max, ends))]
    total = [sum(map(min, ends)) + op.add, sum(map(max, ends)) + op.add]
    return signed_bits(min(*partial, *total, op.add), max(*partial, *total, op.add))


def _argmax(op: ArgMax, x: Format, lanes: Lanes) -> Cell:
    y = format_of(op.output.type.integer)
    beats = op.inputs[0].shape[op.axis] // lanes.simd
    parameters = text(PE=lanes.simd, BEATS=beats, W=x.bits, X_SIGNED=int(x.signed), IDX_W=y.bits)
    schedule = Pipeline(beats, 1, timing.argmax_latency(lanes.simd, beats) - beats)
    return Cell("bw_argmax", parameters, (x,), y, lanes.simd, 1, schedule)


def _concat(op: Concat, lanes: Lanes) -> tuple[Cell, ...]:
    """Return a cell for each operand but the first: what it has so far, then the operand."""
    y, pe = format_of(op.output.type.integer), lanes.pe
    sizes = [run_of(v.shape, op.axis) // pe for v in op.inputs]
    cells = []
    for i, beats in enumerate(sizes[1:], 1):
        before = sum(sizes[:i])
        parameters = text(W=pe * y.bits, B0=before, B1=beats)
        schedule = Turns((before, beats))
        cells.append(Cell("bw_concat", parameters, (y, y), y, pe, pe, schedule))
    return tuple(cells)


def run_of(shape: tuple[int, ...], axis: int) -> int:
    """Return the elements that follow one another along `axis` and the axes after it."""
    return int(np.prod(shape[axis:], dtype=np.int64))


def _sized(value: int) -> str:
    """Return a 64-bit Verilog literal."""
    return f"{'-' if value < 0 else ''}64'sd{abs(value)}"
