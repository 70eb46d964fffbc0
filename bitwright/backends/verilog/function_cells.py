"""Cells of the integer functions: thresholds and requantization, by channel and border class."""

from dataclasses import dataclass
from math import lcm, prod

import numpy as np

from bitwright.backends.verilog import cell_timing as timing
from bitwright.backends.verilog.cell import Cell, Lanes, Pipeline, Rom, check_word, rom, text
from bitwright.backends.verilog.formats import (
    Format,
    bits_of,
    format_of,
    from_raw,
    signed_bits,
    to_raw,
)
from bitwright.backends.verilog.requantize_form import factors_of, simplest_form
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Requantize, Round, Steps
from bitwright.ir.ops.integer import Classes, class_count

MAX_STEPS = 1023


@dataclass(frozen=True, slots=True)
class _Rows:
    """How parameters lie in memory: NF words for each class of pixels."""

    channels: int
    pe: int
    classes: Classes
    count: int  # of classes

    @property
    def nf(self) -> int:
        """Beats until the channels repeat."""
        return lcm(self.channels, self.pe) // self.pe if self.channels > 1 else 1

    def words(self, parameters: Array) -> Array:
        """Return parameters (1 or C or classes * C, n) as (classes * NF, PE, n)."""
        rows = parameters.shape[0]
        channel = np.arange(self.nf * self.pe) % self.channels
        index = np.arange(self.count)[:, None] * self.channels + channel
        if rows != self.channels * self.count:
            index = np.broadcast_to(channel % rows, index.shape)
        taken = np.take(parameters, index.reshape(-1), axis=0)
        return taken.reshape(self.count * self.nf, self.pe, -1)

    @property
    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Return the parameters that tell the cell of the classes."""
        if self.count == 1:
            return text(NF=self.nf)
        positions = prod(len(axis) for axis in self.classes)
        return text(NF=self.nf, CLASSES=self.count, POSITIONS=positions)

    @property
    def roms(self) -> tuple[Rom, ...]:
        """Return the memory of the class of each pixel, if there are several."""
        if self.count == 1:
            return ()
        place = np.zeros((1,) * len(self.classes), np.int64)
        for axis, of_axis in enumerate(self.classes):
            column = np.array(of_axis).reshape(-1, *(1,) * (len(self.classes) - axis - 1))
            place = place * (max(of_axis) + 1) + column
        bits = max((self.count - 1).bit_length(), 1)
        return (rom("class", "CLASS_FILE", bits_of(place.reshape(-1).astype(np.uint64), bits)),)


def _rows_of(op: Steps | Requantize, pe: int, *parameters: Array) -> _Rows:
    shape = op.inputs[0].shape
    size, count = shape[-1] if len(shape) > 1 else 1, class_count(op.classes)
    if count == 1:
        return _Rows(max(p.shape[0] for p in parameters), pe, (), 1)
    return _Rows(size, pe, op.classes, count)


def steps_cell(op: Steps, graph: Graph, x: Format, lanes: Lanes) -> Cell:
    """Return the cell that counts thresholds."""
    x, y, pe = x.as_signed, format_of(op.elem), lanes.pe
    thresholds, codes = (graph.constant(v) for v in op.inputs[1:])
    thresholds, codes = _at_least_one_step(op, thresholds, codes)
    raw = to_raw(y, codes)
    base = _shared_base(raw, y)
    rows = _rows_of(op, pe, thresholds, *([raw] if base is None else []))
    t = Format(x.bits + 1, signed=True)
    words = rows.words(to_raw(t, thresholds))
    roms = [rom("threshold", "THRESH_FILE", bits_of(words, t.bits).reshape(len(words), -1))]
    if base is None:
        table = rows.words(raw)
        roms.append(rom("code", "TABLE_FILE", bits_of(table, y.bits).reshape(len(words), -1)))
    count = thresholds.shape[1]
    parameters = text(
        PE=pe,
        T=count,
        ACC_W=x.bits,
        OUT_W=y.bits,
        OUT_BASE=base or 0,
        TABLE=int(base is None),
    )
    delay = timing.steps_latency(count, base is None, rows.count) - 1
    parameters = parameters[:1] + rows.parameters + parameters[1:]
    schedule = Pipeline(1, 1, delay)
    return Cell("bw_steps", parameters, (x,), y, pe, pe, schedule, (*roms, *rows.roms))


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


def requantize_cell(op: Requantize, graph: Graph, x: Format, lanes: Lanes) -> Cell:
    """Return the cell that scales, rounds and clamps."""
    x, y, pe = x.as_signed, format_of(op.elem), lanes.pe
    check_word(op, op.zero, op.elem.lo, op.elem.hi)
    form = simplest_form(op, *(graph.constant(v) for v in op.inputs[1:]))
    factors = factors_of(form.mul)
    add_w = max(signed_bits(int(form.add.min()), int(form.add.max())), 2)
    rows = _rows_of(op, pe, form.mul, form.add)
    pairs = [
        bits_of(rows.words(to_raw(Format(bits, signed=True), a.reshape(-1, 1)))[..., 0], bits)
        for a, bits in ((factors.words, factors.bits), (form.add, add_w))
    ]
    words = np.concatenate(pairs, axis=-1)
    parameters = text(
        PE=pe,
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
    parameters = parameters[:1] + rows.parameters + parameters[1:]
    delay = timing.requantize_latency(factors.use_mul > 0, rows.count) - 1
    roms = (rom("scale", "PARAM_FILE", words.reshape(len(words), -1)), *rows.roms)
    return Cell("bw_requantize", parameters, (x,), y, pe, pe, Pipeline(1, 1, delay), roms)
