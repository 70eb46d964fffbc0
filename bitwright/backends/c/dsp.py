"""Sums of products of bytes on Arm cores with DSP instructions: two products at a time (SMLAD).

Four inputs and four weights are read as words and extended to pairs of 16 bits in the same way, so that
their order does not matter. The portable form beside it reads the same tables.
"""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.c.context import Context
from bitwright.ir.graph import Array

_EXTEND = {"int8_t": "sxtb16", "uint8_t": "uxtb16"}


@dataclass(frozen=True, slots=True)
class FourBytesView:
    """What four_bytes.h.j2 shows."""

    name: str


@dataclass(frozen=True, slots=True)
class BytePairsView:
    """What byte_pairs.h.j2 shows: two of four bytes, extended by an instruction."""

    name: str
    instruction: str
    odd: bool


@dataclass(frozen=True, slots=True)
class DspRowsView:
    """What rows_dsp.h.j2 shows: sums over one or four rows of byte weights."""

    name: str
    x_t: str
    w_t: str
    inputs: int  # of one run
    runs: int
    block: int
    load: str
    x_even: str
    x_odd: str
    w_even: str
    w_odd: str


def takes_bytes(ctx: Context, ctypes: tuple[str, str], sum_t: str, run: int) -> bool:
    """Tell whether the core multiplies pairs and inputs, weights and sums fit."""
    return ctx.cpu.has_dsp and set(ctypes) <= set(_EXTEND) and sum_t == "int32_t" and run >= 4  # noqa: PLR2004


def dsp_rows(ctx: Context, ctypes: tuple[str, str], sizes: tuple[int, int], block: int) -> str:
    """Return the function that sums `block` rows of (runs, inputs of a run) products."""
    load = ctx.kernels.add("c/four_bytes.h.j2", FourBytesView("four_bytes"))
    pairs = []
    for ctype in ctypes:
        for odd in (False, True):
            sign = "signed" if ctype == "int8_t" else "unsigned"
            name = f"{'odd' if odd else 'even'}_{sign}"
            pair = BytePairsView(name, _EXTEND[ctype], odd)
            pairs.append(ctx.kernels.add("c/byte_pairs.h.j2", pair))
    runs, inputs = sizes
    view = DspRowsView(f"rows{block}_{runs * inputs}", *ctypes, inputs, runs, block, load, *pairs)
    return ctx.kernels.add("c/rows_dsp.h.j2", view)


def by_fours(w: Array, run: int, group: int, block: int) -> Array:
    """Return w (outputs, inputs) by blocks of rows of a group; in each run by four inputs.

    Of four inputs come those of the first row, then those of the next; of what is left of a run one
    input after another, each with all rows.
    """
    whole = group - group % block
    parts = []
    for rows in w.reshape(-1, group, w.shape[1]):
        parts += [_block(rows[i : i + block], run) for i in range(0, whole, block)]
        parts += [_block(rows[i : i + 1], run) for i in range(whole, group)]
    return np.concatenate(parts)


def _block(rows: Array, run: int) -> Array:
    fours = run - run % 4
    parts = []
    for start in range(0, rows.shape[1], run):
        piece = rows[:, start : start + run]
        words = piece[:, :fours].reshape(rows.shape[0], -1, 4).transpose(1, 0, 2)
        parts += [words.reshape(-1), piece[:, fours:].T.reshape(-1)]
    return np.concatenate(parts)
