"""Comparisons, selections, integer arithmetic and products of computed tensors in numpy."""

from collections.abc import Callable

import numpy as np

from bitwright.ir.evaluate.real import real
from bitwright.ir.graph import Array
from bitwright.ir.ops import Compare, IntArithmetic, MatMul, Order, Select, ToInt, TopK, Whole
from bitwright.ir.types import Int

_ALL = 1 << 64
_ORDER: dict[Order, Callable[[Array, Array], Array]] = {
    Order.EQUAL: np.equal,
    Order.LESS: np.less,
    Order.LESS_EQUAL: np.less_equal,
}


def _quotient(a: Array, b: Array) -> Array:
    divisor = np.where(b == 0, 1, b)
    floor = a // divisor
    cut = floor + ((floor * divisor != a) & ((a < 0) != (divisor < 0)))
    return np.where(b == 0, 0, cut)


_WHOLE: dict[Whole, Callable[[Array, Array], Array]] = {
    Whole.ADD: np.add,
    Whole.SUB: np.subtract,
    Whole.MUL: np.multiply,
    Whole.DIV: _quotient,
    Whole.MIN: np.minimum,
    Whole.MAX: np.maximum,
    Whole.AND: np.bitwise_and,
    Whole.OR: np.bitwise_or,
    Whole.XOR: np.bitwise_xor,
}


def _shifted(kind: Whole, a: Array, by: Array, width: int) -> Array:
    inside = (by >= 0) & (by < width)
    amount = np.where(inside, by, 0)
    y = a << amount if kind is Whole.LEFT else a >> amount
    return np.where(inside, y, 0)


def wrapped(y: Array, elem: Int) -> Array:
    """Return int64 numbers modulo the width of `elem`; int64 itself has wrapped around already."""
    count = elem.hi - elem.lo + 1
    return y if count == _ALL else (y - elem.lo) % count + elem.lo


@real.register
def _(op: IntArithmetic, a: Array, b: Array) -> Array:
    with np.errstate(all="ignore"):
        if op.kind in {Whole.LEFT, Whole.RIGHT}:
            y = _shifted(op.kind, a, b, op.elem.bits)
        else:
            y = _WHOLE[op.kind](a, b)
        return np.asarray(wrapped(y, op.elem))


@real.register
def _(op: Compare, a: Array, b: Array) -> Array:
    return _ORDER[op.kind](a, b).astype(np.int64)


@real.register
def _(_op: Select, c: Array, a: Array, b: Array) -> Array:
    return np.where(c != 0, a, b)


@real.register
def _(op: ToInt, x: Array) -> Array:
    lo, hi = op.reach.lo, op.reach.hi
    inside = (x > lo) & (x < hi)
    cut = np.trunc(np.where(inside, x, 0)).astype(np.int64)
    return wrapped(np.where(inside, cut, np.where(x >= hi, hi, lo)), op.elem)


@real.register
def _(_op: MatMul, a: Array, b: Array) -> Array:
    return np.asarray(np.matmul(a, b))


@real.register
def _(op: TopK, x: Array) -> Array:
    axis = op.axis + 1
    falling = -x if x.dtype.kind == "f" else ~x
    key = falling if op.largest else x
    order = np.argsort(key, axis=axis, kind="stable")
    places = np.take(order, np.arange(op.k), axis=axis)
    return places if op.places else np.take_along_axis(x, places, axis=axis)
