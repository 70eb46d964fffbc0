"""Integer arithmetic and casts against Python's own integers; large windows of LRN."""

import math
import operator
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.errors import VerifyError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder
from bitwright.ir.ops import IntArithmetic, LocalResponseNorm, MatMul, Op, ToInt, TopK, Whole, build
from bitwright.ir.types import Int, Real
from tests.ir.samples import value

EIGHT, BYTE, WORD = Int(-128, 127), Int(0, 255), Int(-(1 << 63), (1 << 63) - 1)


def quotient(a: int, b: int) -> int:
    return 0 if b == 0 else int(math.copysign(1, a) * math.copysign(1, b)) * (abs(a) // abs(b))


ORACLES: dict[Whole, Callable[[int, int], int]] = {
    Whole.ADD: operator.add,
    Whole.SUB: operator.sub,
    Whole.MUL: operator.mul,
    Whole.DIV: quotient,
    Whole.MIN: min,
    Whole.MAX: max,
    Whole.AND: operator.and_,
    Whole.OR: operator.or_,
    Whole.XOR: operator.xor,
}


def wrap(v: int, elem: Int) -> int:
    return (v - elem.lo) % (elem.hi - elem.lo + 1) + elem.lo


def run(op: type[Op], data: dict[str, Array], elem: Int | Real, /, **more: object) -> Array:
    b = Builder()
    inputs = [value(n, elem, *a.shape[1:]) for n, a in data.items()]
    y = b.op(op, tuple(inputs), "y", "here", **more)
    return evaluate(b.graph("net", inputs, [y]), data)["y"]


@pytest.mark.parametrize("elem", [EIGHT, BYTE, WORD], ids=str)
@pytest.mark.parametrize("kind", ORACLES)
@given(st.data())
def test_integer_arithmetic(elem: Int, kind: Whole, data: st.DataObject) -> None:
    numbers = st.integers(elem.lo, elem.hi) | st.sampled_from([elem.lo, elem.hi, 0, 1])
    a, b = data.draw(numbers), data.draw(numbers)
    y = run(IntArithmetic, {"a": np.array([[a]]), "b": np.array([[b]])}, elem, kind=kind, elem=elem)
    assert int(y[0, 0]) == wrap(ORACLES[kind](a, b), elem)


@given(st.floats(width=32), st.sampled_from([EIGHT, BYTE, Int(-(1 << 31), (1 << 31) - 1), WORD]))
def test_casts(x: float, elem: Int) -> None:
    y = int(run(ToInt, {"x": np.array([[x]])}, Real(), elem=elem)[0, 0])
    reach = WORD if elem == WORD else Int(-(1 << 31), (1 << 31) - 1)
    cut = reach.lo if math.isnan(x) else math.trunc(max(min(x, 1e30), -1e30))
    assert y == wrap(min(max(cut, reach.lo), reach.hi), elem)


def test_the_least_integer_comes_last_of_the_greatest() -> None:
    x = np.array([[0, WORD.lo, 5, WORD.hi]])
    y = run(TopK, {"x": x}, WORD, axis=0, k=4, places=True)
    assert y.tolist() == [[3, 2, 0, 1]]


def test_a_window_wider_than_the_channels_sees_all_of_them() -> None:
    x = np.arange(6.0).reshape(2, 1, 1, 3)
    how = {"alpha": 0.5, "beta": 0.75, "bias": 1.0}
    wide = run(LocalResponseNorm, {"x": x}, Real(), size=1 << 40, **how)
    total = (x * x).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(wide, x / (1 + 0.5 / (1 << 40) * total) ** 0.75)


def test_an_interval_without_a_width_is_refused() -> None:
    a = value("a", EIGHT, 3)
    with pytest.raises(VerifyError, match="all integers of a width"):
        build(IntArithmetic, (a, a), "y", "here", kind=Whole.ADD, elem=Int(0, 9))


def test_matrices_that_do_not_fit_are_refused() -> None:
    with pytest.raises(VerifyError, match="does not fit"):
        build(MatMul, (value("a", Real(), 2, 3), value("b", Real(), 2, 3)), "y", "here")
