"""Constant tables: numbers as C text, and their exact size."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from bitwright.backends.c.storage import REAL_T, ctype_for, dtype_of
from bitwright.backends.names import Names
from bitwright.ir.graph import Array

_WIDTH = 96
_PLAIN = ("int8_t", "int16_t")  # whose literals are the numbers alone
_INT32_MIN, _INT64_MIN = -(1 << 31), -(1 << 63)


@dataclass(frozen=True, slots=True)
class Table:
    """One array of constants."""

    name: str
    ctype: str
    count: int
    note: str
    lines: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Bytes in flash."""
        return self.count * dtype_of(self.ctype).itemsize


@dataclass
class TableSet:
    """Collects the tables of a model under unique names."""

    names: Names
    prefix: str
    tables: list[Table] = field(default_factory=list)
    _constants: dict[str, Table] = field(default_factory=dict)
    _reals: dict[tuple[object, ...], Table] = field(default_factory=dict)

    def add(self, name: str, values: Array, note: str, ctype: str = "") -> Table:
        """Add a table of the narrowest type unless `ctype` is given; return it.

        Equal tables of reals, as an unrolled layer has for each step, are one table.
        """
        flat = np.asarray(values).reshape(-1)
        key = (note, flat.astype(np.float32).tobytes()) if ctype == REAL_T else ()
        if key in self._reals:
            return self._reals[key]
        if not ctype:
            ctype = ctype_for(int(flat.min()), int(flat.max()))
        full = self.names.fresh(f"{self.prefix}_{name}")
        table = Table(full, ctype, flat.size, note, literal_lines(flat, ctype))
        self.tables.append(table)
        if key:
            self._reals[key] = table
        return table

    def constant(self, name: str, values: Array, ctype: str) -> Table:
        """Return the table of a constant of the graph, the same at every call."""
        if name not in self._constants:
            self._constants[name] = self.add(name, values, "constant", ctype)
        return self._constants[name]


def literal(value: float, ctype: str) -> str:
    """Return the C literal of a number."""
    if ctype == REAL_T:
        return real_literal(float(value))
    number = int(value)
    if ctype.startswith("uint"):
        digits = {"uint32_t": 8, "uint64_t": 16}.get(ctype)
        suffix = "ULL" if ctype == "uint64_t" else "u"
        return f"0x{number:0{digits}x}{suffix}" if digits else f"{number}u"
    if ctype == "int64_t":
        return "(-9223372036854775807LL - 1)" if number == _INT64_MIN else f"{number}LL"
    if ctype == "int32_t" and number == _INT32_MIN:
        return "(-2147483647 - 1)"
    return str(number)


def real_literal(value: float) -> str:
    """Return a float32 literal that reads back to the same bits."""
    single = float(np.float32(value))
    if math.isnan(single):
        return "(float)NAN"
    if math.isinf(single):
        return "(float)INFINITY" if single > 0 else "-(float)INFINITY"
    text = f"{single:.9g}"
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"


def literal_lines(flat: Array, ctype: str) -> tuple[str, ...]:
    """Return the literals of `flat`, some on each line."""
    return tuple(_wrapped(_literals(flat, ctype)))


def _literals(flat: Array, ctype: str) -> list[str]:
    """Return the literals of many numbers; the usual ones by one format of all."""
    values = flat.tolist()
    if ctype == REAL_T and bool(np.isfinite(flat).all()):
        singles = np.asarray(flat, np.float32).tolist()
        texts = ("%.9g " * len(singles) % tuple(singles)).split()
        return [
            f"{t}f" if "." in t else real_literal(v) for t, v in zip(texts, singles, strict=True)
        ]
    if ctype in _PLAIN:
        return list(map(str, values))
    return [literal(v, ctype) for v in values]


def _wrapped(items: list[str]) -> Iterator[str]:
    """Yield lines of at most _WIDTH characters, a comma after each item."""
    ends = np.cumsum(np.fromiter(map(len, items), np.int64, len(items)) + 2)
    begin, done = 0, 0
    while begin < len(items):
        end = max(int(np.searchsorted(ends, done + _WIDTH + 1, "right")), begin + 1)
        yield ", ".join(items[begin:end]) + ","
        begin, done = end, int(ends[end - 1])
