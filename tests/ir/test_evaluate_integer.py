from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.errors import VerifyError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.evaluate.integer import integer, matmul, shift_round
from bitwright.ir.graph import Array, Builder
from bitwright.ir.ops import (
    AddInt,
    Encoding,
    IntLinear,
    Lookup,
    Op,
    Requantize,
    Reshape,
    Round,
    Steps,
    build,
)
from bitwright.ir.types import Bipolar, Element, Int, Integral
from tests.ir.samples import value


def one(kind: type[Op], x: Array, entry: Element, *constants: Array, **attrs: Any) -> Array:
    """Evaluate one op over codes `x` of shape (n, *shape)."""
    b = Builder(["x"])
    v = value("x", entry, *x.shape[1:])
    names = [b.constant(f"c{i}", c) for i, c in enumerate(constants)]
    y = b.op(kind, (v, *names), "y", "node", **attrs)
    graph = b.graph("g", [v], [y])
    graph.verify()
    return evaluate(graph, {"x": x})["y"]


def rounded(t: int, shift: int, rounding: Round) -> int:
    exact = Fraction(t, 1 << shift)
    return floor(exact) if rounding is Round.FLOOR else round(exact)


@pytest.mark.parametrize(
    ("rounding", "shift"),
    [(Round.FLOOR, 0), *((r, s) for r in Round for s in (1, 2, 5, 62))],
)
def test_shifts_against_fractions(rounding: Round, shift: int) -> None:
    half = 1 << max(shift - 1, 0)
    small = np.arange(-70, 71)
    near = [k * half + d for k in range(-1, 2) for d in (-1, 0, 1)]
    t = np.concatenate([small, np.array(near)])
    got = shift_round(t, shift, rounding)
    assert got.tolist() == [rounded(v, shift, rounding) for v in t.tolist()]


@given(
    x=st.lists(st.integers(-1000, 1000), min_size=3, max_size=3),
    mul=st.lists(st.integers(-5000, 5000), min_size=3, max_size=3),
    add=st.integers(-(10**6), 10**6),
    shift=st.integers(1, 12),
    zero=st.sampled_from([-3, 0, 1, 5]),
    rounding=st.sampled_from(Round),
)
def test_requantize_against_fractions(
    x: list[int], mul: list[int], add: int, shift: int, zero: int, rounding: Round
) -> None:
    got = one(
        Requantize, np.array([[x]]), Int(-1000, 1000), np.array(mul), np.array([add]),
        elem=Int(-100, 27), shift=shift, zero=zero, rounding=rounding,
    )  # fmt: skip
    want = [
        min(max(rounded(a * m + add, shift, rounding) + zero, -100), 27)
        for a, m in zip(x, mul, strict=True)
    ]
    assert got.reshape(-1).tolist() == want


@pytest.mark.parametrize("rounding", Round)
def test_one_rounding_for_both_summands(rounding: Round) -> None:
    rng = np.random.default_rng(0)
    a, c = rng.integers(-128, 128, (2, 50, 4))
    va, vc = value("a", Int(-128, 127), 4), value("c", Int(-128, 127), 4)
    op = build(
        AddInt, (va, vc), "y", "n", elem=Int(-60, 61), mul_a=5, mul_b=-3, add=7, shift=3, zero=-1,
        rounding=rounding,
    )  # fmt: skip
    want = [
        min(max(rounded(5 * p - 3 * q + 7, 3, rounding) - 1, -60), 61)
        for p, q in zip(a.reshape(-1).tolist(), c.reshape(-1).tolist(), strict=True)
    ]
    assert integer(op, a, c).reshape(-1).tolist() == want


def test_steps_with_padding_and_shared_codes() -> None:
    x = np.array([[[-5, 0, 5]], [[4, 1, -5]]])
    thresholds = np.array([[-5, 6, 6], [0, 1, 2], [6, 6, 6]])  # 6 is "never"
    own = np.array([[9, 1, 7, 7], [0, 1, 2, 3], [4, 9, 9, 9]])
    assert one(Steps, x, Int(-5, 5), thresholds, own, elem=Int(0, 9)).tolist() == [
        [[1, 1, 4]],
        [[1, 2, 4]],
    ]
    shared = np.array([[-1, 0, 1, 2]])
    got = one(Steps, x, Int(-5, 5), thresholds, shared, elem=Int(-1, 2))
    assert got.tolist() == [[[0, 0, -1]], [[0, 1, -1]]]
    got = one(Steps, x, Int(-5, 5), thresholds[1:2], shared, elem=Int(-1, 2))
    assert got.tolist() == [[[-1, 0, 2]], [[2, 1, -1]]]


def test_steps_of_one_channel_and_of_no_axis() -> None:
    t, codes = np.array([[0]]), np.array([[-1, 1]])
    assert one(Steps, np.array([[3], [-3]]), Int(-3, 3), t, codes, elem=Bipolar()).tolist() == [
        [1],
        [-1],
    ]
    assert one(Steps, np.array([3, -3]), Int(-3, 3), t, codes, elem=Bipolar()).tolist() == [1, -1]


@pytest.mark.parametrize("elem", [Int(-3, 2), Int(5, 9), Bipolar()], ids=str)
def test_lookup_starts_at_the_least_code(elem: Integral) -> None:
    table = np.arange(elem.hi - elem.lo + 1) ** 2
    x = np.array([[elem.lo, elem.hi]])
    got = one(Lookup, x, elem, table, elem=Int(0, int(table.max())))
    assert got.tolist() == [[0, int(table[-1])]]


def test_products_beyond_float64_stay_exact() -> None:
    x = np.array([[(1 << 30) - 1, (1 << 30) - 3]])
    w = np.array([[(1 << 30) - 5, 1 << 30], [1, -1]])
    want = [[sum(int(a) * int(b) for a, b in zip(x[0], row, strict=True)) for row in w]]
    assert want[0][0] > 1 << 53
    assert matmul(x, w).tolist() == want
    assert float(want[0][0]) != want[0][0]


def test_small_products_go_through_floats_exactly() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(-128, 128, (50, 64)), rng.integers(-128, 128, (9, 64))
    np.testing.assert_array_equal(matmul(x, w), x @ w.T)
    assert matmul(np.zeros((0, 3), np.int64), np.zeros((2, 3), np.int64)).shape == (0, 2)


def test_leaving_the_proved_interval_fires() -> None:
    w = np.array([[1, 1]])
    attrs: dict[str, Any] = {"encoding": Encoding.INTEGER, "elem": Int(-4, 6)}
    x = np.array([[[3, 3]]])
    assert one(IntLinear, x, Int(-8, 7), w, **attrs).tolist() == [[[6]]]
    with pytest.raises(VerifyError, match=r"node: result \[7, 7\] leaves int\[-4,6\]"):
        one(IntLinear, x, Int(-8, 7), w, np.array([1]), **attrs)
    with pytest.raises(VerifyError, match=r"leaves bipolar"):
        one(Steps, x, Int(-8, 7), np.array([[0]]), np.array([[0, 2]]), elem=Bipolar())
    with pytest.raises(VerifyError, match=r"leaves int\[0,1\]"):
        one(Lookup, x, Int(-8, 7), np.full(16, 2), elem=Int(0, 1))


def test_float_codes_are_taken_as_integers() -> None:
    got = one(Reshape, np.array([[1.0, 2.0]]), Int(0, 3), shape=(2, 1))
    assert got.dtype == np.int64
    assert got.tolist() == [[[1], [2]]]
