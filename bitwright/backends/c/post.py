"""What follows an accumulator inside a kernel: keep it, compare, count steps, requantize, look up.

A Post is what the template needs; its tables come beside it, one for each parameter.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from bitwright.backends.c.storage import ctype_for
from bitwright.backends.c.tables import literal
from bitwright.errors import CompileError
from bitwright.ir.graph import Array
from bitwright.ir.ops import AddInt, Requantize, Round
from bitwright.ir.types import Integral

SEARCH_FROM = 8  # thresholds from which a binary search beats counting
_INT32_MAX, _INT64_MAX = (1 << 31) - 1, (1 << 63) - 1
_INT32_BITS = 32


@dataclass(frozen=True, slots=True)
class Param:
    """A table that a kernel reads: its name there and its element type."""

    name: str
    ctype: str


@dataclass(frozen=True, slots=True)
class Scalar:
    """A parameter per channel: a literal when all channels agree, else a table."""

    name: str
    literal: str

    def at(self, c: str) -> str:
        """Return the C text for channel `c`."""
        return self.literal or f"{self.name}[{c}]"


@dataclass(frozen=True, slots=True)
class Post:
    """What post.h.j2 shows."""

    kind: str
    value_t: str
    params: tuple[Param, ...] = ()
    steps: int = 0
    search: bool = False
    shared_limits: bool = False
    one_limit: str = ""
    table: bool = False
    shared_codes: bool = False
    op: str = ""
    low: str = ""
    high: str = ""
    wide_t: str = ""
    quotient_t: str = ""
    mul: Scalar = Scalar("mul", "")
    add: Scalar = Scalar("add", "")
    shift: int = 0
    half_even: bool = False
    half: str = ""
    least: str = ""
    most: str = ""
    zero: str = ""
    clamp: str = ""
    expression: str = ""

    def limit(self, c: str, step: str = "") -> str:
        """Return the C text of threshold `step` of channel `c`."""
        if self.one_limit:
            return self.one_limit
        if self.shared_limits:
            return f"limit[{step}]"
        return f"limit[{c} * {self.steps}u + {step}]" if step else f"limit[{c}]"

    def code_index(self, c: str, count: str) -> str:
        """Return the C text of the index of the code after `count` steps in channel `c`."""
        return count if self.shared_codes else f"{c} * {self.steps + 1}u + {count}"

    def in_channel(self, text: str, c: str) -> str:
        """Return an expression with its parameters taken from channel `c`."""
        return text.replace("{c}", c)

    @property
    def per_channel(self) -> bool:
        """Whether the text mentions the channel."""
        if self.kind == "compare":
            return self.table or not self.one_limit
        if self.kind == "steps":
            return not self.shared_limits or (self.table and not self.shared_codes)
        return self.kind == "requantize" and bool(self.params)

    def mul_at(self, c: str) -> str:
        """Return the C text of the multiplier of channel `c`."""
        return self.mul.at(c)

    def add_at(self, c: str) -> str:
        """Return the C text of the addend of channel `c`."""
        return self.add.at(c)


@dataclass(frozen=True, slots=True)
class Built:
    """A Post and, in the order of its parameters, the tables that it reads."""

    post: Post
    tables: tuple[Array, ...] = field(default_factory=tuple)


def value_type(elem: Integral) -> str:
    """Return the C type in which a result of `elem` is computed."""
    return "int64_t" if ctype_for(elem.lo, elem.hi) == "int64_t" else "int32_t"


def signed_literal(value: int) -> str:
    """Return a literal whose type is signed, in parentheses when negative."""
    small = -_INT32_MAX <= value <= _INT32_MAX
    text = literal(value, "int32_t" if small else "int64_t")
    return f"({text})" if value < 0 and not text.startswith("(") else text


def keep(elem: Integral) -> Built:
    """Return the post that leaves the accumulator as it is."""
    return Built(Post("keep", value_type(elem)))


def lookup(table: Array, lo: int, elem: Integral) -> Built:
    """Return the post of a Lookup over codes from `lo` up."""
    param = Param("code", _ctype(table))
    return Built(Post("lookup", value_type(elem), (param,), low=signed_literal(lo)), (table,))


def steps(limits: Array, codes: Array, elem: Integral, op: str = ">=") -> Built:
    """Return the post of Steps; with one threshold `op` may also be `<`."""
    codes, limits = _shrink(codes), _shrink(limits)
    if limits.shape[1] == 1:
        return _compare(limits, codes, elem, op)
    params, tables = [Param("limit", _ctype(limits))], [limits]
    shared = limits.shape[0] == 1
    count = limits.shape[1]
    line = _as_line(codes)
    if line is None:
        params.append(Param("code", _ctype(codes)))
        tables.append(codes)
    post = Post(
        "steps", value_type(elem), tuple(params), count, count >= SEARCH_FROM, shared,
        table=line is None, shared_codes=codes.shape[0] == 1,
        low=signed_literal(line[0]) if line else "", op=line[1] if line else "",
    )  # fmt: skip
    return Built(post, tuple(tables))


def _compare(limits: Array, codes: Array, elem: Integral, op: str) -> Built:
    params: list[Param] = []
    tables: list[Array] = []
    one = signed_literal(int(limits[0, 0])) if limits.size == 1 else ""
    if not one:
        params.append(Param("limit", _ctype(limits)))
        tables.append(limits)
    table = codes.shape[0] > 1
    if table:
        params.append(Param("code", _ctype(codes)))
        tables.append(codes)
    low, high = (signed_literal(int(v)) for v in codes[0])
    post = Post(
        "compare", value_type(elem), tuple(params), 1, one_limit=one, table=table,
        op=op, low=low, high=high,
    )  # fmt: skip
    return Built(post, tuple(tables))


def absorb_constants(limits: Array, codes: Array, lo: Array, hi: Array) -> tuple[Array, Array]:
    """Turn channels whose two codes are equal into a threshold that always or never holds.

    Only where the other channels share one pair of codes, which then serves for all. `lo` and
    `hi` bound the accumulator by channel; limits are (channels, 1).
    """
    flat = codes[:, 0] == codes[:, 1]
    moving = np.unique(codes[~flat], axis=0)
    if codes.shape[0] == 1 or len(moving) != 1:
        return limits, codes
    low, high = moving[0]
    if not np.isin(codes[flat, 0], (low, high)).all():
        return limits, codes
    never, always = flat & (codes[:, 0] == low), flat & (codes[:, 0] == high)
    limits = np.where(never[:, None], hi[:, None] + 1, limits)
    return np.where(always[:, None], lo[:, None], limits), moving


def _shrink(a: Array) -> Array:
    """Keep one row where all rows are equal."""
    return a[:1] if a.shape[0] > 1 and bool((a == a[:1]).all()) else a


def _ctype(a: Array) -> str:
    return ctype_for(int(a.min()), int(a.max()))


def _as_line(codes: Array) -> tuple[int, str] | None:
    """Return base and sign when every code is base plus or minus the number of steps."""
    if codes.shape[0] != 1:
        return None
    base, count = int(codes[0, 0]), np.arange(codes.shape[1])
    for sign, op in ((1, "+"), (-1, "-")):
        if bool((codes[0] == base + sign * count).all()):
            return base, op
    return None


def requantize(op: Requantize, mul: Array, add: Array, spans: tuple[Array, Array]) -> Built:
    """Return the post of a Requantize whose accumulator lies in [spans[0], spans[1]] by channel."""
    mul, add = _shrink(mul.reshape(-1, 1)), _shrink(add.reshape(-1, 1))
    wide = widths([(mul[:, 0], *spans)], add[:, 0], op)
    params, tables, scalars = [], [], []
    for name, a in (("mul", mul), ("add", add)):
        if a.size == 1:
            scalars.append(Scalar(name, signed_literal(int(a[0, 0]))))
        else:
            params.append(Param(name, _ctype(a)))
            tables.append(a)
            scalars.append(Scalar(name, ""))
    post = scaled("requantize", op, wide)
    post = replace(post, params=tuple(params), mul=scalars[0], add=scalars[1])
    return Built(post, tuple(tables))


def scaled(kind: str, op: Requantize | AddInt, wide: "Widths") -> Post:
    """Return the post of an op that shifts, adds its zero and clamps."""
    return Post(
        kind, value_type(op.elem), wide_t=wide.product,
        quotient_t=wide.quotient, shift=op.shift,
        half_even=op.rounding is Round.HALF_EVEN,
        half=signed_literal((1 << op.shift >> 1) - 1),
        least=signed_literal(op.elem.lo), most=signed_literal(op.elem.hi),
        zero=_added(op.zero),
        clamp=_CLAMPS.get((op.elem.lo, op.elem.hi), "") if wide.quotient == "int32_t" else "",
    )  # fmt: skip


_CLAMPS = {(-128, 127): "clamp_int8", (0, 255): "clamp_uint8"}


def _added(value: int) -> str:
    """Return the C text that adds a number, nothing for 0."""
    return f" {'-' if value < 0 else '+'} {signed_literal(abs(value))}" if value else ""


Factor = tuple[Array, Array, Array]  # multipliers, and the interval of what they multiply


@dataclass(frozen=True, slots=True)
class Widths:
    """C types for a product with its addend, and for what is left after the shift."""

    product: str
    quotient: str


def widths(factors: list[Factor], add: Array, op: Requantize | AddInt) -> Widths:
    """Return the types that hold every step of `sum(x * mul) + add`, its rounding and shift."""
    most = int(np.abs(add.astype(object)).max())
    for mul, lo, hi in factors:
        a, b = (np.abs(mul.astype(object) * end.astype(object)).max() for end in (lo, hi))
        most += max(int(a), int(b), int(np.abs(mul.astype(object)).max()))
    most += (1 << op.shift >> 1) if op.rounding is Round.HALF_EVEN else 0
    if most > _INT64_MAX:
        raise CompileError(f"{op.loc}: the product reaches {most}, more than 63 bits")
    product = "int32_t" if most <= _INT32_MAX and op.shift < _INT32_BITS - 1 else "int64_t"
    ends = (most >> op.shift) + 1 + abs(op.zero), abs(op.elem.lo), abs(op.elem.hi)
    return Widths(product, "int32_t" if max(ends) <= _INT32_MAX else "int64_t")
