"""Steps and Requantize whose parameters depend on the position, where no kernel has fused them."""

from dataclasses import replace

import numpy as np

from bitwright.backends.c.classes import places
from bitwright.backends.c.context import Call, Context
from bitwright.backends.c.elementwise import emit_elementwise
from bitwright.backends.c.linear import tables_of
from bitwright.backends.c.nest import Nest, Walk, contiguous, index_text
from bitwright.backends.c.post import Built, Param
from bitwright.backends.c.storage import ctype_for
from bitwright.backends.c.sums import Sum, fold, following
from bitwright.backends.layers import Layer
from bitwright.ir.graph import Array
from bitwright.ir.ops import Requantize, Steps


def bordered_layer(ctx: Context, layer: Layer, op: Steps | Requantize) -> Call:
    """Return the call of a loop over all elements that looks up the class of each position."""
    x, shape = op.inputs[0], op.inputs[0].shape
    found = places(op.classes, (), shape[1:-1], shape[-1])
    ends = (np.full(found.rows, end, np.int64) for end in (x.type.integer.lo, x.type.integer.hi))
    s = Sum(np.zeros(found.rows, np.int64), 1, 0, *ends)
    tables = tuple(map(found.spread, tables_of(ctx, op)))
    _, built = fold(following(op, tables), s, op.elem)
    terms, factor = [], found.rows
    for k, axis in enumerate(found.axes):
        factor //= axis.count
        if axis.count > 1:
            built = _with_table(built, f"class{k}", np.array(axis.of_position))
            terms.append(f"(size_t)class{k}[i{k + 1}] * {factor}u")
    channel = f"({' + '.join([*terms, f'i{len(shape) - 1}'])})"
    walk = Walk(x, "acc", "x", index_text(contiguous(shape)))
    return emit_elementwise(ctx, layer, built, Nest(shape, (walk,), channel), "element by element")


def _with_table(built: Built, name: str, table: Array) -> Built:
    param = Param(name, ctype_for(int(table.min()), int(table.max())))
    post = replace(built.post, params=(*built.post.params, param))
    return Built(post, (*built.tables, table))
