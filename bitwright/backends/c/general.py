"""Comparisons, selections, integer arithmetic, products of two tensors, and the k greatest."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.elementwise import emit_elementwise
from bitwright.backends.c.nest import broadcast_strides, index_text, merge, nest_of, part_of
from bitwright.backends.c.post import Built, Post, value_type
from bitwright.backends.c.storage import REAL_T, Storage
from bitwright.backends.c.tables import real_literal
from bitwright.backends.layers import Layer
from bitwright.ir.ops import (
    Compare,
    IntArithmetic,
    MatMul,
    Op,
    Order,
    Select,
    ToInt,
    TopK,
    Whole,
)
from bitwright.ir.types import Int, Real, is_integral

_ORDER = {
    Order.EQUAL: "acc >= other && acc <= other",  # not ==, which compilers warn of for floats
    Order.LESS: "acc < other",
    Order.LESS_EQUAL: "acc <= other",
}
_SYMBOLS = {
    Whole.ADD: "+",
    Whole.SUB: "-",
    Whole.MUL: "*",
    Whole.AND: "&",
    Whole.OR: "|",
    Whole.XOR: "^",
}
_WORD = 32


@dataclass(frozen=True, slots=True)
class MatMulView:
    """What matmul.h.j2 shows."""

    name: str
    note: str
    dims: tuple[int, ...]
    a_at: str
    b_at: str
    rows: int
    inner: int
    part: int  # products that are added up before they join the sum
    columns: int


@dataclass(frozen=True, slots=True)
class TopKView:
    """What top_k.h.j2 shows."""

    name: str
    note: str
    x: Storage
    y: Storage
    outer: int
    length: int
    inner: int
    k: int
    before: str  # the operator by which a better element compares with a worse one
    after: str
    places: bool


def general_layer(ctx: Context, layer: Layer) -> Call:
    """Return the call of one op of `GENERAL`."""
    op = layer.first
    return _LAYERS[type(op)](ctx, layer, op)


def _elementwise(ctx: Context, layer: Layer, op: Op) -> Call:
    elem = op.output.elem
    value_t = REAL_T if isinstance(elem, Real) else value_type(elem)
    built = Built(Post("expression", value_t, expression=_expression(op, value_t)))
    rank = len(op.output.shape)
    walks = [(v, broadcast_strides(v.shape, rank)) for v in op.inputs]
    return emit_elementwise(
        ctx, layer, built, nest_of(op.output.shape, walks), "element by element"
    )


def _expression(op: Op, value_t: str) -> str:
    if isinstance(op, Compare):
        return f"({_ORDER[op.kind]}) ? 1 : 0"
    if isinstance(op, Select):
        return f"acc != 0 ? ({value_t})other : ({value_t})third"
    if isinstance(op, ToInt):
        return _cut(op, value_t)
    assert isinstance(op, IntArithmetic)
    return _integer(op, value_t)


def _cut(op: ToInt, value_t: str) -> str:
    bits = op.reach.bits
    lo, hi = (real_literal(float(np.float32(end))) for end in (op.reach.lo, op.reach.hi))
    cut = f"(acc >= {hi} ? INT{bits}_MAX : (acc > {lo} ? (int{bits}_t)acc : INT{bits}_MIN))"
    return cut if op.elem == op.reach else _wrapped(f"(uint{bits}_t){cut}", op.elem, value_t, bits)


def _integer(op: IntArithmetic, value_t: str) -> str:
    """Return integer arithmetic as an expression: unsigned, where overflow has a meaning."""
    widest = max(op.elem.bits, *(v.type.integer.bits for v in op.inputs))
    bits = 64 if widest >= _WORD else _WORD
    u, s = f"uint{bits}_t", f"int{bits}_t"
    if op.kind in {Whole.MIN, Whole.MAX}:
        sign = "<" if op.kind is Whole.MIN else ">"
        y = f"(({s})acc {sign} ({s})other ? ({u})acc : ({u})other)"
    elif op.kind is Whole.DIV:  # -1 apart: the least integer has no positive counterpart
        y = f"(other == 0 ? 0u : other == -1 ? 0u - ({u})acc : ({u})(({s})acc / ({s})other))"
    elif op.kind in {Whole.LEFT, Whole.RIGHT}:
        sign = "<<" if op.kind is Whole.LEFT else ">>"
        first = f"({u})acc" if op.kind is Whole.LEFT else f"({s})acc"
        y = f"(other >= 0 && other < {op.elem.bits} ? ({u})({first} {sign} other) : 0u)"
    else:
        y = f"(({u})acc {_SYMBOLS[op.kind]} ({u})other)"
    return _wrapped(y, op.elem, value_t, bits)


def _wrapped(y: str, elem: Int, value_t: str, bits: int) -> str:
    """Return unsigned `y` modulo the width of `elem`, as one of its integers."""
    if elem.bits == bits:
        return f"({value_t}){y}"
    mask = f"UINT{bits}_C({hex((1 << elem.bits) - 1)})"
    if not elem.signed:
        return f"({value_t})({y} & {mask})"
    half = 1 << (elem.bits - 1)
    return f"({value_t})((int{bits}_t)(({y} + UINT{bits}_C({half})) & {mask}) - {half})"


def _matmul(ctx: Context, layer: Layer, op: MatMul) -> Call:
    a, b = op.inputs
    *batch, rows, columns = op.output.shape
    inner = a.shape[-1]
    sizes = rows * inner, inner * columns
    walks = [
        tuple(s * size for s in broadcast_strides(v.shape[:-2], len(batch)))
        for v, size in zip(op.inputs, sizes, strict=True)
    ]
    dims, (a_steps, b_steps) = merge(tuple(batch), walks)
    view = MatMulView(
        name=f"matmul_{rows}x{inner}x{columns}",
        note=f"{prod(batch)} products of {rows}x{inner} and {inner}x{columns} matrices.",
        dims=dims,
        a_at=index_text(a_steps),
        b_at=index_text(b_steps),
        rows=rows,
        inner=inner,
        part=part_of(inner),
        columns=columns,
    )
    function = ctx.kernels.add("c/matmul.h.j2", view)
    return Call(layer, function, (ctx.read(a), ctx.read(b), ctx.write(op.output)), "float32")


def _top_k(ctx: Context, layer: Layer, op: TopK) -> Call:
    x = op.inputs[0]
    what = "greatest" if op.largest else "least"
    view = TopKView(
        name=f"top_{op.k}_of_{x.shape[op.axis]}",
        note=f"{'Places of the' if op.places else 'The'} {op.k} {what} of {x.shape[op.axis]}.",
        x=ctx.storage(x),
        y=ctx.storage(op.output),
        outer=prod(x.shape[: op.axis]),
        length=x.shape[op.axis],
        inner=prod(x.shape[op.axis + 1 :]),
        k=op.k,
        before=">" if op.largest else "<",
        after="<" if op.largest else ">",
        places=op.places,
    )
    kind = "element by element" if is_integral(x.elem) else "float32"
    function = ctx.kernels.add("c/top_k.h.j2", view)
    return Call(layer, function, (ctx.read(x), ctx.write(op.output)), kind)


_LAYERS: dict[type[Op], Callable[..., Call]] = {
    **dict.fromkeys((Compare, Select, ToInt, IntArithmetic), _elementwise),
    MatMul: _matmul,
    TopK: _top_k,
}
GENERAL = tuple(_LAYERS)
