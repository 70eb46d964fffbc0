"""IntConv and the integer function fused with it: dot products over the taps of each window.

Each window becomes a row of inputs (patch.py), and each row is computed as that of a linear layer is.
A padded tap reads the code of the padding. Under bipolar planes, where 0 is no code, its bit reads as
-1, and the weights left out are added again by border class.
"""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from bitwright.backends.c.blocked import Blocked, blocked_layer
from bitwright.backends.c.classes import Places
from bitwright.backends.c.context import Call, Context, Flash
from bitwright.backends.c.decode import Decoder, add_tables, stream_dot
from bitwright.backends.c.dots import Dot, Source, Weights, choose_dot, dense_dot, source_of
from bitwright.backends.c.int_pool import depthwise_layer
from bitwright.backends.c.layout import by_channel
from bitwright.backends.c.linear import constant_weights, linear_layer, sum_of, tables_of
from bitwright.backends.c.patch import (
    Geometry,
    PatchView,
    element_patch,
    geometry,
    objects_of_pixel,
    plane_patch,
)
from bitwright.backends.c.popcount import Bits
from bitwright.backends.c.post import Built
from bitwright.backends.c.row import RowBody, Signature, Target, by_row, row_body
from bitwright.backends.c.storage import Planes, Role
from bitwright.backends.c.stored import (
    Sources,
    Stored,
    choose_stored,
    flash_of,
    may_be_coded,
)
from bitwright.backends.c.sums import Sum, fold, following, spread_sum
from bitwright.backends.c.window_kernel import (
    Positions,
    place_text,
    places_of,
    positions,
    written_step,
)
from bitwright.backends.layers import Layer
from bitwright.ir.graph import Array
from bitwright.ir.ops import Encoding, IntConv


@dataclass(frozen=True, slots=True)
class ConvView:
    """What int_conv.h.j2 shows."""

    name: str
    note: str
    parameters: str
    where: Positions
    groups: int
    group_step: int
    inputs: str  # C text of the row of inputs
    y_step: int
    body: RowBody


@dataclass(frozen=True, slots=True)
class Rows:
    """Windows as rows of inputs: where they come from, and how a kernel reads them."""

    geometry: Geometry
    patch: PatchView
    source: Source
    left_out: bool = False  # padded taps read as -1 and have to be left out again


@dataclass(frozen=True, slots=True)
class Kernel:
    """All that was chosen for a layer; a decoder where its weights are coded."""

    rows: Rows
    dot: Dot
    found: Places
    folded: tuple[Sum, Built]
    flash: Flash
    stored: Stored | None
    decoder: Decoder | None


def conv_layer(ctx: Context, layer: Layer, op: IntConv) -> Call:
    """Return the call that computes an IntConv and what is fused with it."""
    behind = layer.ops[1] if len(layer.ops) > 1 else None
    if by_channel(op):
        return depthwise_layer(ctx, layer, op)
    if _pointwise(op) and not getattr(behind, "classes", ()):
        return linear_layer(ctx, layer, op)
    weights = constant_weights(ctx, op)
    filters = weights.shape[0]
    flat = weights.reshape(filters, -1)
    w = Weights(flat, op.encoding, filters // op.groups, f"{layer.name}_weights")
    rows, stored = _choose(ctx, layer, op, w)
    decoder = add_tables(ctx, w, stored) if stored and stored.blocked else None
    if decoder:
        dot = dense_dot(ctx, rows.source, w, decoder.table)
    else:
        dot = stream_dot(ctx, rows.source, w, stored) if stored else choose_dot(ctx, rows.source, w)
    left_out = rows.source.bits is not None and rows.left_out
    found = places_of(behind, rows.geometry, filters, borders=left_out)
    s = spread_sum(sum_of(ctx, op, flat, dot, op.pad), found)
    if left_out:
        s = replace(s, offset=s.offset + _left_out(weights, found))
    folded = fold(following(behind, tuple(map(found.spread, tables_of(ctx, behind)))), s, op.elem)
    flash = flash_of(w, dot.weights, stored)
    kernel = Kernel(rows, dot, found, folded, flash, stored, decoder)
    return (_blocked if decoder else _call)(ctx, layer, op, kernel)


def _choose(ctx: Context, layer: Layer, op: IntConv, w: Weights) -> tuple[Rows, Stored | None]:
    """Return the windows as the kernel reads them, and how its weights are stored."""
    if may_be_coded(ctx.storage(op.inputs[0]), op.encoding):
        whole, gathered = _rows(ctx, op, in_place=True), _rows(ctx, op, in_place=False)
        sources = Sources(gathered.source, whole.source, prod(op.output.shape[:-1]))
        stored = choose_stored(ctx, layer.name, sources, w)
        if stored:
            return (whole if stored.blocked else gathered), stored
    return _rows(ctx, op, in_place=op.encoding is Encoding.INTEGER), None


def _pointwise(op: IntConv) -> bool:
    w = op.window
    return w.taps == 1 and not w.padded and set(w.strides) <= {1} and op.groups == 1


def _rows(ctx: Context, op: IntConv, *, in_place: bool) -> Rows:
    """Return the windows; a kernel that knows rows of neighbours takes elements `in_place`."""
    x, shape, elem = ctx.storage(op.inputs[0]), op.inputs[0].shape, op.inputs[0].type.integer
    pixel = objects_of_pixel(x, shape[-1])
    g = geometry(shape, op.output.shape, op.window, pixel)
    depth = shape[-1] // op.groups
    if isinstance(x, Planes):
        tap = Planes(x.role, x.planes, depth, x.word)
        row = Planes(x.role, x.planes, g.taps * depth, x.word, depth)
        source = source_of(elem, x.ctype, Bits(row, row.words), op.pad)
        left_out = x.role is Role.BIPOLAR and op.pad == 0 and g.padded
        return Rows(g, plane_patch(g, x, tap, op.pad), source, left_out)
    patch = element_patch(g, x.ctype, depth, op.pad, in_place=in_place or g.runs == 1)
    source = source_of(elem, x.ctype, None, op.pad)
    return Rows(g, patch, replace(source, runs=g.runs if patch.step else 1))


def _left_out(weights: Array, found: Places) -> Array:
    """Return, by row, the sum of the weights whose taps lie outside."""
    by_tap = weights.reshape(weights.shape[0], -1, weights.shape[-1]).sum(axis=2)
    return np.asarray((~found.inside()).astype(np.int64) @ by_tap.T).reshape(-1)


def _call(ctx: Context, layer: Layer, op: IntConv, k: Kernel) -> Call:
    y, outputs = ctx.storage(layer.output), op.output.shape[-1]
    signature = Signature()
    signature.add(k.rows.patch.x_t, "x", ctx.read(op.inputs[0]))
    signature.add(k.dot.weights.ctype, "w", k.dot.weights.name)
    many = k.found.count > 1 and by_row(*k.folded)
    target = Target(y, outputs // op.groups, "(place + o)" if many else "o")
    body = row_body(ctx, signature, layer.name, k.dot, k.folded, target)
    place = place_text(ctx, signature, layer.name, k.found) if many else ""
    kernel = "x".join(map(str, op.window.kernel))
    depth = op.inputs[0].shape[-1]
    view = ConvView(
        name=f"conv_{k.dot.hint}_{kernel}x{depth}x{outputs}",
        note=f"{kernel} convolution, {depth} to {outputs} channels: {k.dot.kind}.",
        parameters=signature.text(y.ctype),
        where=positions(ctx, k.rows.geometry, k.rows.patch, place),
        groups=op.groups,
        group_step=k.rows.patch.run,
        inputs="at, row_step" if k.rows.patch.step else "at",
        y_step=written_step(ctx, layer.output),
        body=body,
    )
    function = ctx.kernels.add("c/int_conv.h.j2", view)
    arguments = (*signature.arguments, ctx.write(layer.output))
    return Call(layer, function, arguments, k.dot.kind, k.flash)


def _blocked(ctx: Context, layer: Layer, op: IntConv, k: Kernel) -> Call:
    outputs = op.output.shape[-1]
    posts = Signature()
    many = k.found.count > 1 and by_row(*k.folded)
    place = place_text(ctx, posts, layer.name, k.found) if many else ""
    assert k.stored is not None
    assert k.decoder is not None
    b = Blocked(
        stored=k.stored,
        decoder=k.decoder,
        dot=k.dot,
        folded=k.folded,
        where=positions(ctx, k.rows.geometry, k.rows.patch, place),
        target=Target(
            ctx.storage(layer.output), outputs // op.groups, "(place + o)" if many else "o"
        ),
        groups=op.groups,
        group_step=k.rows.patch.run,
        y_step=written_step(ctx, layer.output),
        posts=posts,
        flash=k.flash,
    )
    kernel = "x".join(map(str, op.window.kernel))
    hint = f"{kernel}x{op.inputs[0].shape[-1]}x{outputs}"
    return blocked_layer(ctx, layer, b, f"{k.dot.hint}_{hint}")
