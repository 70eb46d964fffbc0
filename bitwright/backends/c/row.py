"""The outputs of one row of inputs, as every kernel of dot products writes them."""

from dataclasses import dataclass, field

import numpy as np

from bitwright.backends.c.context import Context
from bitwright.backends.c.dots import Dot
from bitwright.backends.c.post import Built, Post, signed_literal
from bitwright.backends.c.storage import Elements, Storage
from bitwright.backends.c.sums import Sum, acc_type
from bitwright.ir.graph import Array

_NOTES = {
    "limit": "thresholds",
    "code": "codes",
    "mul": "multipliers",
    "add": "added before the shift",
}


@dataclass(frozen=True, slots=True)
class RowBody:
    """What row.h.j2 shows: the dot products of one row and what is made of them."""

    outputs: int  # of one group
    w_t: str
    step: int  # of one row of weights
    dot: str
    single: str
    dot_t: str
    block: int
    stream: bool
    extra: str  # C text of further arguments of `dot`
    total: str
    acc_t: str
    accumulator: str
    uses_o: bool
    channel: str
    post: Post
    y: Storage


@dataclass
class Signature:
    """Collects the parameters of a kernel and the arguments of its call."""

    parameters: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)

    def add(self, ctype: str, name: str, argument: str) -> None:
        """Add a pointer to constants."""
        self.parameters.append(f"const {ctype} *{name}")
        self.arguments.append(argument)

    def add_table(self, ctx: Context, layer: str, name: str, values: Array, ctype: str) -> None:
        """Add a table of numbers under the name of the layer."""
        note = _NOTES.get(name, "added to each output")
        table = ctx.tables.add(f"{layer}_{name}", values, note, ctype)
        self.add(table.ctype, name, table.name)

    def add_post(self, ctx: Context, layer: str, built: Built) -> None:
        """Add the tables of what follows the sum."""
        for param, values in zip(built.post.params, built.tables, strict=True):
            self.add_table(ctx, layer, param.name, values, param.ctype)

    def text(self, y_t: str) -> str:
        """Return the parameters, the result behind them."""
        return ", ".join([*self.parameters, f"{y_t} *y"])


def offset_text(ctx: Context, signature: Signature, layer: str, s: Sum, channel: str) -> list[str]:
    """Return the C text of the offset of a sum: nothing, a literal, or an element of a table."""
    if bool((s.offset == s.offset[0]).all()):
        return [signed_literal(int(s.offset[0]))] if s.offset[0] else []
    signature.add_table(ctx, layer, "offset", s.offset, "")
    return [f"offset[{channel}]"]


def plain_sum(ctx: Context, signature: Signature, layer: str, s: Sum, channel: str) -> str:
    """Return the C text of the accumulator from `dot` alone."""
    return " + ".join([*offset_text(ctx, signature, layer, s, channel), "dot"])


def row_body(
    ctx: Context, signature: Signature, layer: str, dot: Dot, folded: tuple[Sum, Built], y: "Target"
) -> RowBody:
    """Return the body of a kernel and add its tables to `signature`."""
    s, built = folded
    acc_t = acc_type(s, dot.most)
    for name, table in dot.extra:
        signature.add(table.ctype, name, table.name)
    pieces = offset_text(ctx, signature, layer, s, y.channel)
    indexed = bool(pieces) and pieces[0].startswith("offset[")
    pieces += _products(s, acc_t)
    signature.add_post(ctx, layer, built)
    return RowBody(
        outputs=y.outputs,
        w_t=dot.weights.ctype,
        step=dot.step,
        dot=dot.function,
        single=dot.single,
        dot_t=dot.dot_t,
        block=dot.block,
        stream=dot.stream,
        extra="".join(f", {name}" for name, _ in dot.extra),
        total=dot.total if s.total_factor else "",
        acc_t=acc_t,
        accumulator=" + ".join(pieces).replace("+ -", "- "),
        uses_o=isinstance(y.storage, Elements) or indexed or built.post.per_channel,
        channel=y.channel,
        post=built.post,
        y=y.storage,
    )


@dataclass(frozen=True, slots=True)
class Target:
    """Where results go: their storage, how many of one group, the C text of a parameter's row."""

    storage: Storage
    outputs: int
    channel: str = "o"


def by_row(s: Sum, built: Built) -> bool:
    """Tell whether the C reads a parameter of a channel."""
    return built.post.per_channel or not bool(np.all(s.offset == s.offset[0]))


def _products(s: Sum, acc_t: str) -> list[str]:
    out = []
    if s.total_factor:
        out.append("-total" if s.total_factor < 0 else "total")
    times = {1: "", -1: "-"}.get(s.factor, f"{s.factor} * ")
    return [*out, f"{times}({acc_t})dot"]
