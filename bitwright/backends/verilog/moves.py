"""Cells that only move elements: wiring within a pixel, or a frame memory."""

from math import gcd

import numpy as np

from bitwright.backends.verilog.cell import Cell, Frames, Lanes, Slice, rom, text
from bitwright.backends.verilog.formats import Format, bits_of
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Permute, Take


def order_of(op: Take | Permute, graph: Graph) -> Array:
    """Return the element of the operand, flat, in each place of the result."""
    indices = graph.constant(op.inputs[1]).reshape(-1)
    if isinstance(op, Permute):
        return indices
    places = np.arange(op.inputs[0].type.size).reshape(op.inputs[0].shape)
    return np.take(places, indices, axis=op.axis).reshape(-1)


def pixel_order(op: Take | Permute, graph: Graph) -> tuple[int, ...] | None:
    """Return the channel in each place of a pixel when every pixel is rewired alike, else None."""
    before, after = op.inputs[0].shape, op.output.shape
    if not before or before[:-1] != after[:-1]:
        return None
    order = order_of(op, graph).reshape(-1, after[-1])
    if not order.size or order[0].max() >= before[-1]:
        return None
    pixels = np.arange(order.shape[0])[:, None] * before[-1]
    return tuple(order[0].tolist()) if np.array_equal(order, order[0] + pixels) else None


def run_length(order: Array, size: int) -> int:
    """Return the greatest number of elements that move together: `size` is of the operand."""
    breaks = np.flatnonzero(np.diff(order) != 1) + 1
    starts = np.concatenate([[0], breaks])
    return gcd(int(np.gcd.reduce(np.concatenate([starts, order[starts]]))), order.size, size)


def move_cells(op: Take | Permute, graph: Graph, x: Format, lanes: Lanes) -> tuple[Cell, ...]:
    """Return wiring and a slice, or a memory of two frames."""
    pixel = pixel_order(op, graph)
    if pixel is not None:
        parameters = text(W=lanes.pe * x.bits)
        cell = Cell("bw_skid", parameters, (x,), x, lanes.simd, lanes.pe, Slice(), order=pixel)
        return (cell,)
    order, width = order_of(op, graph), lanes.pe
    index = order.reshape(-1, width)[:, 0] // width
    entering, leaving = op.inputs[0].type.size // width, index.size
    bits = max((entering - 1).bit_length(), 1)
    parameters = text(W=width * x.bits, N_IN=entering, N_OUT=leaving)
    roms = (rom("index", "INDEX_FILE", bits_of(index.astype(np.uint64), bits)),)
    schedule = Frames(entering, leaving)
    return (Cell("bw_reorder", parameters, (x,), x, width, width, schedule, roms),)
