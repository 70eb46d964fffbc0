"""Convolutions in float32: blocks of filters at a few neighbouring pixels, without a padded copy."""

from dataclasses import dataclass
from math import prod

import numpy as np

from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.real_post import Finish, constants_of, finish_of
from bitwright.backends.c.storage import REAL_T
from bitwright.backends.c.windows import (
    Axis,
    AxisText,
    Loop,
    axes_of,
    axis_text,
    first_tap,
    joined,
    loops_of,
    parts_from,
    place,
)
from bitwright.backends.layers import Layer
from bitwright.ir.graph import Array
from bitwright.ir.ops import Conv, ConvTranspose

FILTERS = 4  # of a block; with four pixels the sums fill half of the registers of a Cortex-M4F
_PIXELS = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class DotsView:
    """What conv_dots.h.j2 shows."""

    name: str
    pixels: int
    filters: int
    depthwise: bool
    parameters: str
    loops: tuple[Loop, ...]
    parts: int  # outer loops, each round of which gives a part of the sums
    step: int


@dataclass(frozen=True, slots=True)
class Block:
    """Filters that are computed together: functions for several pixels and for one."""

    filters: int
    tile: str
    single: str


@dataclass(frozen=True, slots=True)
class ConvView:
    """What conv.h.j2 shows."""

    name: str
    note: str
    parameters: str
    axes: tuple[AxisText, ...]
    place: str
    tap: str
    counts: tuple[str, ...]
    pixels: int
    test: str  # whether all pixels are alike; empty where they always are
    groups: int
    group_step: int  # elements of x from group to group
    filters: int  # of one group
    filter_taps: int  # weights of one filter
    depthwise: bool
    whole: Block | None
    rest: Block | None
    bias: bool
    finish: Finish
    pitch: int


@dataclass(frozen=True, slots=True)
class TransposeView:
    """What conv_transpose.h.j2 shows."""

    name: str
    note: str
    parameters: str
    axes: tuple[Axis, ...]
    groups: int
    channels: int
    filters: int
    taps: int
    bias: bool
    finish: Finish
    pitch: int
    block: int
    places: str
    tap_text: str


def conv_layer(ctx: Context, layer: Layer, op: Conv) -> Call:
    """Return the call of a convolution and of the activations fused with it."""
    w, *bias = constants_of(op, ctx)
    x, y = op.inputs[0].shape, op.output.shape
    depthwise = op.groups == x[-1] == w.shape[0] > 1
    depth = w.shape[-1]
    axes = axes_of(x[:-1], y[:-1], op.window, x[-1], depth)
    texts = tuple(axis_text(a, n) for n, a in enumerate(axes))
    loops = loops_of(texts, depth)
    counts = tuple(t.count for t in texts if t.varies)
    tiled = next((a for a in reversed(axes) if a.out > 1), None)
    pixels = _pixels(tiled)
    groups = 1 if depthwise else op.groups
    filters = w.shape[0] // groups

    test = _alike(texts, pixels)
    takes = ", ".join(["const float *x", "const float *w", *(f"size_t {c}" for c in counts)])

    def block(n: int) -> Block | None:
        if n == 0:
            return None
        names = []
        for p in (pixels, 1) if test else (pixels,):
            step = tiled.stride * tiled.step if tiled and p > 1 else 0
            view = DotsView(
                f"conv_dots_{p}x{n}",
                p,
                n,
                depthwise,
                f"{takes}, float *sums",
                loops,
                parts_from(loops),
                step,
            )
            names.append(ctx.kernels.add("c/conv_dots.h.j2", view))
        return Block(n, names[0], names[-1])

    finish = finish_of(layer.ops[1:], ctx)
    parameters, arguments = operands(ctx, layer, interleaved(w, groups), (bias, finish))
    view = ConvView(
        name=_name("conv", op), note=_note(op, depthwise), parameters=parameters, axes=texts,
        place=place(texts), tap=first_tap(texts), counts=counts, pixels=pixels,
        test=test, groups=groups, group_step=depth,
        filters=filters, filter_taps=prod(w.shape[1:]), depthwise=depthwise,
        whole=block(FILTERS) if filters >= FILTERS else None, rest=block(filters % FILTERS),
        bias=bool(bias), finish=finish, pitch=ctx.pitch(layer.output),
    )  # fmt: skip
    return Call(layer, ctx.kernels.add("c/conv.h.j2", view), arguments, "float32")


def operands(
    ctx: Context, layer: Layer, weights: Array, others: tuple[list[Array], Finish]
) -> tuple[str, tuple[str, ...]]:
    """Return parameters and arguments of a layer: x, weights, bias, tables of the finish, y."""
    bias, finish = others
    x = layer.first.inputs[0]
    w = ctx.tables.add(f"{layer.name}_weights", weights, "weights in blocks of filters", REAL_T)
    parameters = [f"const {ctx.storage(x).ctype} *x", "const float *w"]
    arguments = [ctx.read(x), w.name]
    if bias:
        parameters.append("const float *bias")
        arguments.append(ctx.tables.add(f"{layer.name}_bias", bias[0], "bias", REAL_T).name)
    for param, values in zip(finish.params, finish.tables, strict=True):
        name = f"{layer.name}_{param.name}"
        parameters.append(f"const {param.ctype} *{param.name}")
        arguments.append(ctx.tables.add(name, values, param.name, param.ctype).name)
    return ", ".join([*parameters, "float *y"]), (*arguments, ctx.write(layer.output))


def interleaved(w: Array, groups: int, block: int = FILTERS) -> Array:
    """Return weights (O, *K, C) tap by tap for blocks of filters of each group, the rest last."""
    blocks = []
    for group in np.split(w.reshape(w.shape[0], -1), groups):
        whole = len(group) - len(group) % block
        if whole:
            blocks.append(group[:whole].reshape(-1, block, group.shape[1]).transpose(0, 2, 1))
        blocks.append(group[whole:].T)
    return np.concatenate([b.reshape(-1) for b in blocks])


def _pixels(axis: Axis | None) -> int:
    """Return how many pixels to compute together: what leaves the fewest loads."""
    if axis is None:
        return 1
    room = len(axis.inside)

    def cost(n: int) -> float:
        tiles = room // n if n > 1 else 0
        alone = axis.out - tiles * n
        return tiles * (2 * n + (n + FILTERS) / FILTERS) + alone * (2 + (1 + FILTERS) / FILTERS)

    return min(_PIXELS, key=cost)


def _alike(texts: tuple[AxisText, ...], pixels: int) -> str:
    """Return the test that the next `pixels` are there and have all their taps inside."""
    tiled = next((t for t in reversed(texts) if t.axis.out > 1), None)
    if tiled is None or pixels == 1:
        return ""
    inside, out = tiled.axis.inside, tiled.axis.out
    if inside == range(out) and out % pixels == 0:
        return ""
    begin = f"{tiled.p} >= {inside.start}u && " if inside.start else ""
    return f"{begin}{tiled.p} + {pixels}u <= {inside.stop}u"


def _name(word: str, op: Conv | ConvTranspose) -> str:
    kernel = "x".join(map(str, op.window.kernel))
    return f"{word}_{kernel}_{op.inputs[0].shape[-1]}_{op.output.shape[-1]}"


def _note(op: Conv, depthwise: bool) -> str:
    kernel = "x".join(map(str, op.window.kernel))
    spatial = ["x".join(map(str, v.shape[1:])) for v in (op.inputs[0], op.output)]
    kind = f"in {op.groups} groups" if op.groups > 1 else ""
    words = ["Depthwise" if depthwise else "", kernel, "convolution", "" if depthwise else kind]
    text = " ".join(w for w in words if w)
    return f"{text}: {spatial[0]} to {spatial[1]}."


def conv_transpose_layer(ctx: Context, layer: Layer, op: ConvTranspose) -> Call:
    """Return the call of a transposed convolution: each result gathers the taps that reach it."""
    w, *bias = constants_of(op, ctx)
    x, y = op.inputs[0].shape, op.output.shape
    filters = w.shape[0] // op.groups
    block = next(n for n in range(FILTERS, 0, -1) if filters % n == 0)
    finish = finish_of(layer.ops[1:], ctx)
    weights = interleaved(w, op.groups, block)
    parameters, arguments = operands(ctx, layer, weights, (bias, finish))
    axes = gathered(op, w.shape[-1])
    spatial = ["x".join(map(str, v[1:])) for v in (x, y)]
    view = TransposeView(
        name=_name("conv_transpose", op), note=f"Transposed convolution: {spatial[0]} to {spatial[1]}.",
        parameters=parameters, axes=axes, groups=op.groups, channels=w.shape[-1],
        filters=filters, taps=op.window.taps, bias=bool(bias), finish=finish,
        pitch=ctx.pitch(layer.output), block=block,
        places="".join(f" + at{n} / {a.stride}u * {a.step}u" for n, a in enumerate(axes[1:])),
        tap_text=joined((f"k{n}", a.unit) for n, a in enumerate(axes[1:])),
    )  # fmt: skip
    return Call(layer, ctx.kernels.add("c/conv_transpose.h.j2", view), arguments, "float32")


def gathered(op: ConvTranspose, unit: int) -> tuple[Axis, ...]:
    """Return batch and spatial axes, none merged; the last axis' taps lie `unit` weights apart."""
    win, x, y = op.window, op.inputs[0].shape, op.output.shape
    axes: list[Axis] = []
    step = x[-1]
    for i in reversed(range(win.rank)):
        size, out = x[i + 1], y[i + 1]
        numbers = win.kernel[i], win.strides[i], win.before[i], win.dilations[i]
        axes.insert(0, Axis(size, out, *numbers, step, unit, i + 1))
        step, unit = step * size, unit * win.kernel[i]
    return (Axis(x[0], y[0], 1, 1, 0, 1, step, 0, 0), *axes)
