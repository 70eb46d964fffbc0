"""Pools over a window in float32: the taps that lie inside, channel by channel."""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.real_post import Finish, finish_of
from bitwright.backends.c.windows import (
    AxisText,
    Loop,
    axes_of,
    axis_text,
    loops_of,
    parts_from,
    place,
)
from bitwright.backends.layers import Layer
from bitwright.ir.ops import AveragePool, MaxPool, MinPool

Pool = MaxPool | MinPool | AveragePool


@dataclass(frozen=True, slots=True)
class PoolView:
    """What pool.h.j2 shows."""

    name: str
    note: str
    parameters: str
    axes: tuple[AxisText, ...]
    place: str
    loops: tuple[Loop, ...]
    parts: int  # outer loops, each round of which gives a part of the sum
    channels: int
    start: str
    step: str
    divisor: str
    finish: Finish
    pitch: int


@dataclass(frozen=True, slots=True)
class Divisors:
    """The C text of what a sum is divided by, and the tables that it reads."""

    text: str
    names: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


def pool_layer(ctx: Context, layer: Layer, op: Pool) -> Call:
    """Return the call of a pool and of the activations fused with it."""
    x, y = op.inputs[0], layer.output
    axes = axes_of(x.shape[:-1], op.output.shape[:-1], op.window, x.shape[-1], 0)
    texts = tuple(axis_text(a, n) for n, a in enumerate(axes))
    kind = type(op).__name__
    start, step = _FOLD[kind]
    finish = finish_of(layer.ops[1:], ctx)
    divisors = _divisors(ctx, layer, op, texts) if isinstance(op, AveragePool) else Divisors("")
    tables = "".join(f", const uint16_t *{n}" for n in divisors.names)
    loops = loops_of(texts, 1)
    view = PoolView(
        name=f"{kind.lower()}_{'x'.join(map(str, op.window.kernel))}_{x.shape[-1]}",
        note=f"{kind} over {'x'.join(map(str, op.window.kernel))}: {x.type} to {op.output.type}.",
        parameters=f"const float *x{tables}, float *y", axes=texts, place=place(texts),
        loops=loops, parts=parts_from(loops) if kind == "AveragePool" else 0, channels=x.shape[-1],
        start=start, step=step, divisor=divisors.text, finish=finish,
        pitch=ctx.pitch(y),
    )  # fmt: skip
    function = ctx.kernels.add("c/real_pool.h.j2", view)
    arguments = (ctx.read(x), *divisors.tables, ctx.write(y))
    return Call(layer, function, arguments, "float32")


_FOLD = {
    "MaxPool": ("-(float)INFINITY", "value > acc ? value : acc"),
    "MinPool": ("(float)INFINITY", "value < acc ? value : acc"),
    "AveragePool": ("0.0f", "acc + value"),
}


def _divisors(ctx: Context, layer: Layer, op: AveragePool, texts: tuple[AxisText, ...]) -> Divisors:
    """Return the divisor: what is the same everywhere, then a factor per axis where it varies."""
    by_source = {t.axis.source: t for t in texts}
    whole = 1
    factors, names, tables = [], [], []
    for source, counts in enumerate(op.divisors(), 1):
        if len(set(counts)) == 1:
            whole *= counts[0]
            continue
        here = by_source[source]
        if counts == tuple(len(here.axis.taps(p)) for p in range(here.axis.out)):
            factors.append(f"(float){here.count}")
            continue
        name = f"taps{source}"
        table = ctx.tables.add(f"{layer.name}_{name}", np.array(counts), "taps counted", "uint16_t")
        factors.append(f"(float){name}[{here.p}]")
        names.append(name)
        tables.append(table.name)
    constant = [f"{float(whole)}f"] if whole > 1 else []
    text = " * ".join([*constant, *factors])
    return Divisors(f"({text})" if " " in text else text, tuple(names), tuple(tables))
