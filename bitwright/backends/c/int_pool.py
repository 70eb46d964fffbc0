"""Windows channel by channel: pools of integers, and depthwise convolutions."""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.c.classes import Places
from bitwright.backends.c.context import Call, Context, Flash
from bitwright.backends.c.linear import bias_of, constant_weights, tables_of
from bitwright.backends.c.patch import Geometry, element_patch, geometry, objects_of_pixel
from bitwright.backends.c.post import Built, Post, keep, signed_literal
from bitwright.backends.c.row import Signature, by_row, plain_sum
from bitwright.backends.c.storage import Planes, Storage, ctype_for
from bitwright.backends.c.sums import INT32_MAX, Sum, fold, following, spread_sum
from bitwright.backends.c.tables import literal
from bitwright.backends.c.window_kernel import (
    Positions,
    place_text,
    places_of,
    positions,
    written_step,
)
from bitwright.backends.layers import Layer
from bitwright.ir.graph import Array
from bitwright.ir.ops import IntConv, MaxPool, MinPool, SumPool
from bitwright.ir.types import Integral

_UNROLL = 16  # taps that are written out
Windowed = IntConv | SumPool | MaxPool | MinPool


@dataclass(frozen=True, slots=True)
class ChannelsView:
    """What channels.h.j2 shows: for each channel, the taps of a window joined by `kind`."""

    name: str
    note: str
    parameters: str
    where: Positions
    kind: str  # sum, product, max, min, or, and
    outputs: int
    source: str  # C text of the channel that output `o` reads
    runs: int
    taps_of_run: int
    unrolled: bool
    pixel: int
    start: str
    sum_t: str
    acc_t: str
    accumulator: str
    channel: str
    post: Post
    y: Storage
    y_step: int


@dataclass(frozen=True, slots=True)
class Join:
    """How the taps of a channel are joined by `op`."""

    op: Windowed
    kind: str
    x_t: str
    sum_t: str
    start: str
    outside: int  # what a tap outside reads
    pixel: int  # objects of a pixel
    outputs: int
    source: str = "o"
    note: str = ""
    weights: Array | None = None


@dataclass(frozen=True, slots=True)
class After:
    """What follows the join: the sum, its post, the classes of positions."""

    s: Sum
    built: Built
    found: Places | None = None


def pool_layer(ctx: Context, layer: Layer, op: SumPool | MaxPool | MinPool) -> Call:
    """Return the call that computes a pool of integers and what is fused with it."""
    x = ctx.storage(op.inputs[0])
    elem, channels = op.inputs[0].type.integer, op.output.shape[-1]
    if isinstance(op, SumPool):
        join = Join(op, "sum", x.ctype, _wide(op.elem), "0", 0, channels, channels)
        ends = np.full(channels, op.elem.lo), np.full(channels, op.elem.hi)
        s = Sum(np.zeros(channels, np.int64), 1, 0, *ends)
        return _with_following(ctx, layer, join, s)
    greatest = isinstance(op, MaxPool)
    none = Sum(np.zeros(1, np.int64), 1, 0, np.array([elem.lo]), np.array([elem.hi]))
    after = After(none, keep(elem))
    if isinstance(x, Planes):  # bits: the greatest of -1 and +1 is their OR
        words = objects_of_pixel(x, channels)
        fill = 0 if greatest else (1 << x.word) - 1
        kind = "or" if greatest else "and"
        join = Join(op, kind, x.ctype, x.ctype, literal(fill, x.ctype), fill, words, words)
        return _emit(ctx, layer, join, after)
    end = elem.lo if greatest else elem.hi
    kind, wide = "max" if greatest else "min", _wide(elem)
    join = Join(op, kind, x.ctype, wide, signed_literal(end), end, channels, channels)
    return _emit(ctx, layer, join, after)


def depthwise_layer(ctx: Context, layer: Layer, op: IntConv) -> Call:
    """Return the call that computes a depthwise convolution and what is fused with it."""
    x, channels = ctx.storage(op.inputs[0]), op.inputs[0].shape[-1]
    weights = constant_weights(ctx, op)
    filters = weights.shape[0]
    flat = weights.reshape(filters, -1)
    elem = op.inputs[0].type.integer
    ends = flat * min(elem.lo, op.pad), flat * max(elem.hi, op.pad)
    bias = bias_of(ctx, op, filters)
    lo, hi = np.minimum(*ends).sum(axis=1) + bias, np.maximum(*ends).sum(axis=1) + bias
    largest = max(abs(elem.lo), abs(elem.hi), abs(op.pad))
    most = int(np.maximum(np.abs(flat), 1).sum(axis=1).max()) * largest
    wide = "int32_t" if most <= INT32_MAX else "int64_t"
    times = filters // channels
    source = f"o / {times}u" if times > 1 else "o"
    join = Join(
        op, "product", x.ctype, wide, "0", op.pad, channels, filters, source, weights=flat.T
    )
    return _with_following(ctx, layer, join, Sum(bias, 1, 0, lo, hi))


def _wide(elem: Integral) -> str:
    return "int64_t" if ctype_for(elem.lo, elem.hi) == "int64_t" else "int32_t"


def _with_following(ctx: Context, layer: Layer, join: Join, s: Sum) -> Call:
    behind = layer.ops[1] if len(layer.ops) > 1 else None
    g = _geometry(join)
    found = places_of(behind, g, join.outputs, borders=False)
    tables = tuple(map(found.spread, tables_of(ctx, behind)))
    elem = join.op.output.type.integer
    s, built = fold(following(behind, tables), spread_sum(s, found), elem)
    return _emit(ctx, layer, join, After(s, built, found))


def _geometry(join: Join) -> Geometry:
    op = join.op
    return geometry(op.inputs[0].shape, op.output.shape, op.window, join.pixel)


def _emit(ctx: Context, layer: Layer, join: Join, after: After) -> Call:
    op, y, g = join.op, ctx.storage(layer.output), _geometry(join)
    patch = element_patch(g, join.x_t, join.pixel, join.outside, in_place=True)
    signature = Signature()
    signature.add(join.x_t, "x", ctx.read(op.inputs[0]))
    flash = None
    if join.weights is not None:
        table = ctx.tables.add(f"{layer.name}_weights", join.weights, "weights, by tap")
        signature.add(table.ctype, "w", table.name)
        flash = Flash("plain", join.weights.size, table.bytes)
    found = after.found if after.found and by_row(after.s, after.built) else None
    many = found is not None and found.count > 1
    channel = "(place + o)" if many else "o"
    accumulator = plain_sum(ctx, signature, layer.name, after.s, channel)
    signature.add_post(ctx, layer.name, after.built)
    place = place_text(ctx, signature, layer.name, found) if many and found else ""
    kernel, verb = "x".join(str(a.kernel) for a in g.axes), _VERBS[join.kind]
    view = ChannelsView(
        name=f"{verb}_{kernel}x{join.outputs}",
        note=f"{kernel} {_NOTES[join.kind]}, {op.output.shape[-1]} channels.",
        parameters=signature.text(y.ctype),
        where=positions(ctx, g, patch, place),
        kind=join.kind,
        outputs=join.outputs,
        source=join.source,
        runs=g.runs if g.rows else 1,
        taps_of_run=g.taps // g.runs if g.rows else g.taps,
        unrolled=g.taps <= _UNROLL,
        pixel=join.pixel,
        start=join.start,
        sum_t=join.sum_t,
        acc_t=join.sum_t,
        accumulator=accumulator,
        channel=channel,
        post=after.built.post,
        y=y,
        y_step=written_step(ctx, layer.output),
    )
    function = ctx.kernels.add("c/channels.h.j2", view)
    arguments = (*signature.arguments, ctx.write(layer.output))
    return Call(layer, function, arguments, _NOTES[join.kind], flash)


_VERBS = {
    "sum": "sum_pool", "product": "depthwise", "max": "max_pool", "min": "min_pool",
    "or": "max_pool", "and": "min_pool",
}  # fmt: skip
_NOTES = {
    "sum": "sum pool", "product": "depthwise convolution", "max": "max pool", "min": "min pool",
    "or": "max pool of bits", "and": "min pool of bits",
}  # fmt: skip
