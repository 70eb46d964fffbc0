"""Index maps that must copy: runs of neighbours at once where there are any."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.elementwise import emit_elementwise
from bitwright.backends.c.nest import Strides, contiguous, index_text, merge, nest_of
from bitwright.backends.c.post import Built, Param, Post, keep
from bitwright.backends.c.storage import Elements, Storage
from bitwright.backends.c.tables import literal
from bitwright.backends.layers import Layer
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array
from bitwright.ir.ops import Concat, Op, Pad, Permute, Reshape, Take, Transpose, Value
from bitwright.ir.types import Real

MOVES = (Transpose, Permute, Reshape, Take, Pad, Concat)
_RUN = 4  # neighbours from which a memcpy is worth its call


@dataclass(frozen=True, slots=True)
class CopyView:
    """What copy.h.j2 shows: loops around runs of neighbours."""

    name: str
    note: str
    ctype: str
    dims: tuple[int, ...]
    index: str
    run: int


@dataclass(frozen=True, slots=True)
class PadView:
    """What pad.h.j2 shows: a fill, then rows of the operand at their places."""

    name: str
    note: str
    x: Storage
    y: Storage
    value: str
    dims: tuple[int, ...]
    source: str
    target: str
    run: int


@dataclass(frozen=True, slots=True)
class Part:
    """One operand of a Concat: how many elements of each row, and where they go."""

    pointer: str
    storage: Storage
    run: int
    begin: int


@dataclass(frozen=True, slots=True)
class ConcatView:
    """What concat.h.j2 shows."""

    name: str
    note: str
    parameters: str
    rows: int
    pitch: int
    parts: tuple[Part, ...]
    y: Storage


def move_layer(ctx: Context, layer: Layer) -> Call:
    """Return the call of an index map, real or integer."""
    op = layer.first
    if isinstance(op, Concat):
        return _concat(ctx, layer, op)
    if isinstance(op, Pad):
        return _pad(ctx, layer, op)
    if isinstance(op, Permute):
        order = ctx.graph.constant(op.inputs[1]).astype(np.int64).reshape(-1)
        return _gather(ctx, layer, order, (1, order.size, 1))
    if isinstance(op, Take):
        return _take(ctx, layer, op)
    strides = contiguous(op.inputs[0].shape)
    if isinstance(op, Transpose):
        strides = tuple(strides[p] for p in op.perm)
        return _copy(ctx, layer, strides, 0)
    return _copy(ctx, layer, contiguous(op.output.shape), 0)


def _moved(op: Op) -> Built:
    """Return the post of an op that only moves elements."""
    elem = op.output.elem
    if isinstance(elem, Real):
        return Built(Post("keep", "float"))
    return keep(elem)


def _copy(ctx: Context, layer: Layer, strides: Strides, begin: int) -> Call:
    """Return the call of a copy whose result reads x at `strides` from element `begin` on."""
    op = layer.first
    x, shape = op.inputs[0], op.output.shape
    dims, (walk,) = merge(shape, [strides])
    run = dims[-1] if dims and walk[-1] == 1 else 1
    same = ctx.storage(x) == replace(ctx.storage(op.output), size=x.type.size)
    if run < _RUN or not same or not isinstance(ctx.storage(x), Elements):
        nest = nest_of(shape, [(x, strides)], begin=begin)
        return emit_elementwise(ctx, layer, _moved(op), nest, "copy")
    view = CopyView(
        f"{type(op).__name__.lower()}_{prod(shape)}", f"{type(op).__name__}: {x.type} to {op.output.type}.",
        ctx.storage(x).ctype, dims[:-1], index_text(walk[:-1], begin), run,
    )  # fmt: skip
    function = ctx.kernels.add("c/copy.h.j2", view)
    return Call(layer, function, (ctx.read(x), ctx.write(op.output)), "copy")


def _take(ctx: Context, layer: Layer, op: Take) -> Call:
    """Return the call of a Take: a copy where the indices are a line, else through a table."""
    x = op.inputs[0]
    indices = ctx.graph.constant(op.inputs[1]).astype(np.int64)
    inner = prod(x.shape[op.axis + 1 :])
    steps = np.unique(np.diff(indices))
    if steps.size > 1:
        return _gather(ctx, layer, indices, (prod(x.shape[: op.axis]), x.shape[op.axis], inner))
    strides = list(contiguous(x.shape))
    strides[op.axis] *= int(steps[0]) if steps.size else 1
    return _copy(ctx, layer, tuple(strides), int(indices[0]) * inner)


def _gather(ctx: Context, layer: Layer, indices: Array, sizes: tuple[int, int, int]) -> Call:
    """Return the call of a copy of `x[:, indices]` for x of three axes."""
    op = layer.first
    x = op.inputs[0]
    outer, length, inner = sizes
    ctype = "uint16_t" if indices.max(initial=0) < 1 << 16 else "int32_t"
    post = replace(_moved(op).post, params=(Param("order", ctype),))
    shape = outer, indices.size, inner
    nest = nest_of(shape, [(x, (length * inner, 0, 1)), (x, (0, 1, 0))])
    rest, at = nest.operands[0].index, nest.operands[1].index
    place = f"(size_t)order[{at}]" + (f" * {inner}u" if inner > 1 else "")
    text = place if rest == "0u" else f"{rest} + {place}"
    nest = replace(nest, operands=(replace(nest.operands[0], index=text),))
    return emit_elementwise(ctx, layer, Built(post, (indices,)), nest, "gather")


def _elements(ctx: Context, op: Op, values: tuple[Value, ...]) -> None:
    for v in values:
        if not isinstance(ctx.storage(v), Elements):
            raise UnsupportedError(f"{op.loc}: no C kernel for {type(op).__name__} of packed bits")


def _pad(ctx: Context, layer: Layer, op: Pad) -> Call:
    x, y = op.inputs[0], op.output
    _elements(ctx, op, (x, y))
    own, wide = contiguous(x.shape), contiguous(y.shape)
    begin = sum(b * s for b, s in zip(op.before, wide, strict=True))
    dims, (source, target) = merge(x.shape, [own, wide])
    joined = bool(dims) and target[-1] == 1
    run = dims[-1] if joined else 1
    if joined:
        dims, source, target = dims[:-1], source[:-1], target[:-1]
    ctype = ctx.storage(y).ctype
    view = PadView(
        f"pad_{y.type.size}", f"Pad: {x.type} to {y.type}.", ctx.storage(x), ctx.storage(y),
        literal(op.value, ctype), dims, index_text(source), index_text(target, begin), run,
    )  # fmt: skip
    function = ctx.kernels.add("c/pad.h.j2", view)
    return Call(layer, function, (ctx.read(x), ctx.write(y)), "pad")


def _concat(ctx: Context, layer: Layer, op: Concat) -> Call:
    """Return the call of a Concat; operands that lie in its memory already are left out."""
    y = ctx.storage(op.output)
    _elements(ctx, op, (*op.inputs, op.output))
    parts: list[Part] = []
    parameters, arguments = [], []
    begin = 0
    for v in op.inputs:
        run = prod(v.shape[op.axis :])
        if run and v.name not in ctx.joined:
            s, pointer = ctx.storage(v), f"x{len(parts)}"
            parts.append(Part(pointer, s, run, begin))
            parameters.append(f"const {s.ctype} *{pointer}")
            arguments.append(ctx.read(v))
        begin += run
    if not parts:
        return Call(layer, "", (), "joined where its operands were written")
    shapes = ", ".join(str(v.type) for v in op.inputs)
    view = ConcatView(
        f"concat_{len(parts)}_{y.size}", f"Concat along axis {op.axis}: {shapes}.",
        ", ".join([*parameters, f"{y.ctype} *y"]), prod(op.output.shape[: op.axis]), begin,
        tuple(parts), y,
    )  # fmt: skip
    function = ctx.kernels.add("c/concat.h.j2", view)
    return Call(layer, function, (*arguments, ctx.write(op.output)), "concat")
