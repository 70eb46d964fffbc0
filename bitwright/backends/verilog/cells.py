"""Library cells with their parameters and memories: what one op becomes for one folding."""

from dataclasses import dataclass
from functools import singledispatch
from math import lcm

import numpy as np

from bitwright.backends.verilog import cell_timing as timing
from bitwright.backends.verilog.formats import (
    Format,
    accumulator_of,
    bits_of,
    format_of,
    from_raw,
    hex_words,
    signed_bits,
    to_raw,
)
from bitwright.backends.verilog.requantize_form import factors_of, simplest_form
from bitwright.backends.verilog.weights import WeightCode, weight_code
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import AddInt, ArgMax, IntLinear, Lookup, Op, Requantize, Round, Steps

MAX_STEPS = 1023
_WORD = (-(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True, slots=True)
class Lanes:
    """How an op is folded: SIMD elements enter and PE leave per beat."""

    pe: int
    simd: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a cell moves: `gather` beats make a vector, read in `passes`, out `delay` later.

    `delay` counts the registers before the output slice. A join takes a beat of each of its two
    operands, through a slice each.
    """

    gather: int
    passes: int
    delay: int
    join: bool = False


@dataclass(frozen=True, slots=True)
class Rom:
    """A $readmemh file: its role in the file's name, the parameter that names it, its words."""

    role: str
    parameter: str
    words: int
    bits: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Cell:
    """One instance: parameters as Verilog text, the formats it takes and gives."""

    module: str
    parameters: tuple[tuple[str, str], ...]
    takes: tuple[Format, ...]
    gives: Format
    lanes: Lanes
    schedule: Schedule
    roms: tuple[Rom, ...] = ()
    code: WeightCode | None = None


@singledispatch
def cell_of(op: Op, graph: Graph, formats: tuple[Format, ...], lanes: Lanes) -> Cell:
    """Return the cell that computes `op` on operands in `formats`."""
    del graph, formats, lanes
    raise UnsupportedError(f"{op.loc}: the Verilog backend has no unit for {type(op).__name__}")


@cell_of.register
def _(op: IntLinear, graph: Graph, formats: tuple[Format, ...], lanes: Lanes) -> Cell:
    x, pe, simd = formats[0], lanes.pe, lanes.simd
    w = graph.constant(op.inputs[1])
    code = weight_code(op, w, x)
    acc = accumulator_of(op.elem)
    nf, sf = w.shape[0] // pe, w.shape[1] // simd
    by_row = bits_of(code.raw, code.bits).reshape(nf, pe, sf, simd * code.bits)
    words = by_row.transpose(0, 2, 1, 3).reshape(nf * sf, -1)
    roms = [_rom("weight", "WEIGHT_FILE", words)]
    for v in op.inputs[2:]:
        bias = bits_of(to_raw(acc, graph.constant(v)), acc.bits).reshape(nf, -1)
        roms.append(_rom("bias", "BIAS_FILE", bias))
    parameters = _text(
        KIND=code.kind,
        PE=pe,
        SIMD=simd,
        SF=sf,
        NF=nf,
        X_W=x.bits,
        X_SIGNED=int(x.signed),
        X_BIPOLAR=int(x.bipolar),
        W_W=code.bits,
        ACC_W=acc.bits,
        USE_BIAS=len(roms) - 1,
    )
    schedule = Schedule(sf, nf, timing.mvu_latency(code.kind, simd, sf) - sf)
    return Cell("bw_mvu", parameters, (x,), acc, lanes, schedule, tuple(roms), code)


@cell_of.register
def _(op: Steps, graph: Graph, formats: tuple[Format, ...], lanes: Lanes) -> Cell:
    x, y, pe = formats[0].as_signed, format_of(op.elem), lanes.pe
    thresholds, codes = (graph.constant(v) for v in op.inputs[1:])
    thresholds, codes = _at_least_one_step(op, thresholds, codes)
    raw = to_raw(y, codes)
    base = _shared_base(raw, y)
    channels = max(thresholds.shape[0], 1 if base is not None else codes.shape[0])
    t = Format(x.bits + 1, signed=True)
    rows, nf = _by_lane(to_raw(t, thresholds), channels, pe)
    roms = [_rom("threshold", "THRESH_FILE", bits_of(rows, t.bits).reshape(nf, -1))]
    if base is None:
        table, nf = _by_lane(raw, channels, pe)
        roms.append(_rom("code", "TABLE_FILE", bits_of(table, y.bits).reshape(nf, -1)))
    count = thresholds.shape[1]
    parameters = _text(
        PE=pe,
        NF=nf,
        T=count,
        ACC_W=x.bits,
        OUT_W=y.bits,
        OUT_BASE=base or 0,
        TABLE=int(base is None),
    )
    delay = timing.steps_latency(count, base is None) - 1
    return Cell("bw_steps", parameters, (x,), y, lanes, Schedule(1, 1, delay), tuple(roms))


def _at_least_one_step(op: Steps, thresholds: Array, codes: Array) -> tuple[Array, Array]:
    """Return thresholds within [lo, hi + 1], at least one a channel, or UnsupportedError."""
    x = op.inputs[0].type.integer
    if thresholds.shape[1] > MAX_STEPS:
        raise UnsupportedError(
            f"{op.loc}: {thresholds.shape[1]} steps a channel, the hardware has at most {MAX_STEPS}"
        )
    if thresholds.shape[1] == 0:  # a constant
        return np.full((1, 1), x.hi + 1), np.repeat(codes, 2, axis=1)
    return np.clip(thresholds, x.lo, x.hi + 1), codes


def _shared_base(raw: Array, y: Format) -> int | None:
    """Return the code below all thresholds when each threshold adds one to it in every channel."""
    first = int(from_raw(Format(y.bits, y.signed), raw[:1, 0])[0])
    counted = first + np.arange(raw.shape[1])
    mask = (1 << y.bits) - 1
    return first if np.array_equal(raw, np.broadcast_to(counted & mask, raw.shape)) else None


def _by_lane(rows: Array, channels: int, pe: int) -> tuple[Array, int]:
    """Return parameters (NF, PE, n) for lane p of beat b of a stream, and NF."""
    nf = lcm(channels, pe) // pe if channels > 1 else 1
    index = np.arange(nf * pe) % rows.shape[0]
    return rows[index].reshape(nf, pe, -1), nf


@cell_of.register
def _(op: Requantize, graph: Graph, formats: tuple[Format, ...], lanes: Lanes) -> Cell:
    x, y, pe = formats[0].as_signed, format_of(op.elem), lanes.pe
    _check_word(op, op.zero, op.elem.lo, op.elem.hi)
    form = simplest_form(op, *(graph.constant(v) for v in op.inputs[1:]))
    channels = max(form.mul.shape[0], form.add.shape[0])
    factors = factors_of(form.mul)
    add_w = max(signed_bits(int(form.add.min()), int(form.add.max())), 2)
    pairs = [
        bits_of(to_raw(Format(bits, signed=True), np.resize(a, channels)), bits)
        for a, bits in ((factors.words, factors.bits), (form.add, add_w))
    ]
    rows, nf = _by_lane(np.concatenate(pairs, axis=1), channels, pe)
    parameters = _text(
        PE=pe,
        NF=nf,
        ACC_W=x.bits,
        MUL_W=factors.bits,
        ADD_W=add_w,
        SHIFT=form.shift,
        ROUND=int(form.rounding is Round.HALF_EVEN),
        ZERO=op.zero,
        LO=op.elem.lo,
        HI=op.elem.hi,
        OUT_W=y.bits,
        USE_MUL=factors.use_mul,
    )
    delay = timing.requantize_latency(factors.use_mul > 0) - 1
    roms = (_rom("scale", "PARAM_FILE", rows.reshape(nf, -1)),)
    return Cell("bw_requantize", parameters, (x,), y, lanes, Schedule(1, 1, delay), roms)


@cell_of.register
def _(op: Lookup, graph: Graph, formats: tuple[Format, ...], lanes: Lanes) -> Cell:
    x, y = formats[0], format_of(op.elem)
    elem = op.inputs[0].type.integer
    value = from_raw(x, np.arange(1 << x.bits, dtype=np.uint64))
    table = graph.constant(op.inputs[1])
    known = (value >= elem.lo) & (value <= elem.hi)
    codes = np.where(known, table[np.clip(value - elem.lo, 0, table.size - 1)], table[0])
    parameters = _text(PE=lanes.pe, IN_W=x.bits, OUT_W=y.bits)
    roms = (_rom("table", "TABLE_FILE", bits_of(to_raw(y, codes), y.bits)),)
    schedule = Schedule(1, 1, timing.LOOKUP - 1)
    return Cell("bw_lookup", parameters, (x,), y, lanes, schedule, roms)


@cell_of.register
def _(op: AddInt, graph: Graph, formats: tuple[Format, ...], lanes: Lanes) -> Cell:
    del graph
    a, b = (f.as_signed if f.bipolar else f for f in formats)
    y = format_of(op.elem)
    _check_word(op, op.zero, op.elem.lo, op.elem.hi)
    parameters = _text(
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
    schedule = Schedule(1, 1, timing.ADD - 2, join=True)
    return Cell("bw_add", parameters, (a, b), y, lanes, schedule)


def sum_bits(op: AddInt) -> int:
    """Return the bits of two's complement that hold every sum and product of an AddInt."""
    ends = [
        [v.type.integer.lo * mul, v.type.integer.hi * mul]
        for v, mul in zip(op.inputs, (op.mul_a, op.mul_b), strict=True)
    ]
    partial = [min(map(min, ends)), max(map(max, ends))]
    total = [sum(map(min, ends)) + op.add, sum(map(max, ends)) + op.add]
    return signed_bits(min(*partial, *total, op.add), max(*partial, *total, op.add))


@cell_of.register
def _(op: ArgMax, graph: Graph, formats: tuple[Format, ...], lanes: Lanes) -> Cell:
    del graph
    x, y = formats[0], format_of(op.output.type.integer)
    beats = op.inputs[0].shape[op.axis] // lanes.simd
    parameters = _text(PE=lanes.simd, BEATS=beats, W=x.bits, X_SIGNED=int(x.signed), IDX_W=y.bits)
    schedule = Schedule(beats, 1, timing.argmax_latency(lanes.simd, beats) - beats)
    return Cell("bw_argmax", parameters, (x,), y, lanes, schedule)


def _rom(role: str, parameter: str, bits: Array) -> Rom:
    return Rom(role, parameter, bits.shape[0], bits.shape[1], hex_words(bits))


def _text(**parameters: int | str) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in parameters.items())


def _sized(value: int) -> str:
    """Return a 64-bit Verilog literal."""
    return f"{'-' if value < 0 else ''}64'sd{abs(value)}"


def _check_word(op: Op, *values: int) -> None:
    for value in values:
        if not _WORD[0] <= value <= _WORD[1]:
            raise UnsupportedError(f"{op.loc}: {value} needs more than the 32 bits of the hardware")
