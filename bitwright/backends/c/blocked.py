"""Layers whose weights are decoded into a buffer, a block of rows at a time, for all positions.

The outputs are the outer loop here: decoding is paid once a run, not once a position.
"""

from dataclasses import dataclass

from bitwright.backends.c.context import Call, Context, Flash
from bitwright.backends.c.decode import Act, Decoder, decoder_function
from bitwright.backends.c.dots import BLOCK, Dot
from bitwright.backends.c.post import Built
from bitwright.backends.c.row import RowBody, Signature, Target, row_body
from bitwright.backends.c.storage import Planes
from bitwright.backends.c.stored import Stored
from bitwright.backends.c.sums import Sum
from bitwright.backends.c.window_kernel import Positions
from bitwright.backends.coding.rows import Indexed
from bitwright.backends.layers import Layer


@dataclass(frozen=True, slots=True)
class BlockView:
    """What block.h.j2 shows: `rows` outputs at all positions."""

    name: str
    note: str
    parameters: str
    where: Positions
    inputs: str  # C text of the row of inputs
    rows: int
    y_step: int
    body: RowBody


@dataclass(frozen=True, slots=True)
class Part:
    """Blocks of `rows` outputs of a group, from `first` up to `last`."""

    rows: int
    first: int
    last: int
    decode: str
    size: str  # C text of the weights of a block, where the decoder asks for them
    compute: str


@dataclass(frozen=True, slots=True)
class BlockedView:
    """What blocked.h.j2 shows: a whole layer."""

    name: str
    note: str
    parameters: str
    groups: int
    group_step: int
    outputs: int  # of a group
    parts: tuple[Part, ...]
    extra: str  # C text of the tables of the decoder
    posts: str  # C text of the tables behind the sum
    word: int  # bits of a packed result's word, 0 for elements


@dataclass(frozen=True, slots=True)
class Blocked:
    """All that was chosen for a layer."""

    stored: Stored
    decoder: Decoder
    dot: Dot
    folded: tuple[Sum, Built]
    where: Positions
    target: Target
    groups: int
    group_step: int
    y_step: int
    posts: Signature  # with the tables of border classes, if any
    flash: Flash


def blocked_layer(ctx: Context, layer: Layer, b: Blocked, hint: str) -> Call:
    """Return the call that decodes and computes a layer block by block."""
    op, y = layer.first, b.target.storage
    body = row_body(ctx, b.posts, layer.name, b.dot, b.folded, b.target)
    names = [text.rpartition("*")[2] for text in b.posts.parameters]
    rows = ctx.scratch_for(layer.name, b.stored.buffer_t, b.stored.buffer)
    signature = Signature()
    signature.add(b.where.x_t, "x", ctx.read(op.inputs[0]))
    signature.add("uint8_t", "w", b.decoder.table.name)
    for name, table in b.decoder.extra:
        signature.add(table.ctype, name, table.name)
    signature.parameters += [*b.posts.parameters, f"{b.stored.buffer_t} *rows"]
    signature.arguments += [*b.posts.arguments, rows]
    kind = f"{b.dot.kind}, decoded in blocks, {b.stored.form.value}"
    note = f"{op.inputs[0].shape[-1]} to {op.output.shape[-1]} channels: {kind}."
    view = BlockedView(
        name=f"blocked_{hint}_{b.stored.form.value.replace('-', '_')}",
        note=note,
        parameters=signature.text(y.ctype),
        groups=b.groups,
        group_step=b.group_step,
        outputs=b.target.outputs,
        parts=_parts(ctx, b, body),
        extra="".join(f", {name}" for name, _ in b.decoder.extra),
        posts="".join(f", {name}" for name in names),
        word=y.word if isinstance(y, Planes) else 0,
    )
    function = ctx.kernels.add("c/blocked.h.j2", view)
    arguments = (*signature.arguments, ctx.write(layer.output))
    return Call(layer, function, arguments, kind, b.flash)


def _parts(ctx: Context, b: Blocked, body: RowBody) -> tuple[Part, ...]:
    outputs = b.target.outputs
    whole = outputs - outputs % BLOCK
    parts = []
    for rows, first, last in ((BLOCK, 0, whole), (1, whole, outputs)):
        if first == last:
            continue
        indexed = isinstance(b.stored.coded, Indexed)
        act = Act("", "", b.stored.buffer_t, rows * b.dot.step if indexed else 0)
        decode = decoder_function(ctx, b.stored, b.decoder, act)
        size = "" if indexed else f", {rows * b.dot.step}u"
        parameters = [
            f"const {b.where.x_t} *x",
            f"const {b.stored.buffer_t} *rows",
            *b.posts.parameters,
        ]
        parameters += ["size_t first"] + ["unsigned bit"] * (body.y.kind == "planes")
        view = BlockView(
            name=f"block{rows}_{b.dot.hint}_{b.dot.step}",
            note=b.dot.kind,
            parameters=", ".join([*parameters, f"{body.y.ctype} *y"]),
            where=b.where,
            inputs="at, row_step" if b.where.step else "at",
            rows=rows,
            y_step=b.y_step,
            body=body,
        )
        compute = ctx.kernels.add("c/block.h.j2", view)
        parts.append(Part(rows, first, last, decode, size, compute))
    return tuple(parts)
