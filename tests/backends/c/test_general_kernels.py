"""Comparisons, selections, integer arithmetic, products and TopK: C against numpy."""

import numpy as np
import pytest

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Compare,
    IntArithmetic,
    MatMul,
    Order,
    Select,
    ToInt,
    TopK,
    Value,
    Whole,
)
from bitwright.ir.types import Element, Int, Real
from bitwright.sim.host_c import run_c
from tests.backends.c.conftest import Writer, differences
from tests.ir.samples import value

SAMPLES = 5


def signed(bits: int) -> Int:
    return Int(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


WIDTHS = [Int(0, 1), Int(0, 15), *(Int(0, (1 << b) - 1) for b in (8, 16, 32))]
WIDTHS += [signed(b) for b in (4, 8, 16, 32, 64)]


class Bench:
    """A graph that grows, and samples of its inputs, ends of the interval among them."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(8)
        self.builder = Builder()
        self.inputs: list[Value] = []
        self.data: dict[str, Array] = {}

    def codes(self, elem: Int, *shape: int, most: int | None = None) -> Value:
        size = (SAMPLES, *shape)
        hi = elem.hi if most is None else most
        a = self.rng.integers(elem.lo, hi, size=size, endpoint=True)
        ends = np.array([elem.lo, min(elem.hi, hi), 0, max(-1, elem.lo), min(1, hi)])
        return self._input(
            np.where(self.rng.random(size) < 0.5, self.rng.choice(ends, size), a), elem
        )

    def real(self, *shape: int) -> Value:
        a = self.rng.normal(size=(SAMPLES, *shape)).astype(np.float32)
        return self._input(np.round(a, 1), Real())

    def _input(self, a: Array, elem: Element) -> Value:
        v = value(f"in{len(self.inputs)}", elem, *a.shape[1:])
        self.inputs.append(v)
        self.data[v.name] = a
        return v

    def graph(self) -> Graph:
        return self.builder.graph("net", self.inputs, [op.output for op in self.builder.ops])


@pytest.mark.parametrize("elem", WIDTHS, ids=str)
def test_integer_arithmetic(elem: Int, tree: Writer) -> None:
    m = Bench()
    a, b, row = m.codes(elem, 2, 1, 40), m.codes(elem, 1, 3, 40), m.codes(elem, 40)
    shift = m.codes(Int(0, 70), 2, 1, 40, most=elem.bits + 1)
    for kind in Whole:
        second = shift if kind in {Whole.LEFT, Whole.RIGHT} else b
        m.builder.op(IntArithmetic, (a, second), kind.value, kind.value, kind=kind, elem=elem)
    m.builder.op(IntArithmetic, (a, row), "row", "row", kind=Whole.SUB, elem=elem)
    for order in Order:
        m.builder.op(Compare, (a, b), order.value, order.value, kind=order)
    m.builder.op(TopK, (a,), "top", "top", axis=2, k=7)
    m.builder.op(TopK, (a,), "low", "low", axis=2, k=7, largest=False, places=True)
    graph = m.graph()

    assert differences(tree(graph), graph, m.data) == []


def test_a_wide_operand_wraps_into_a_narrow_result(tree: Writer) -> None:
    m = Bench()
    wide, one = m.codes(signed(64), 30), m.builder.constant("one", np.array(1))
    for elem in WIDTHS:
        m.builder.op(IntArithmetic, (wide, one), str(elem), "add", kind=Whole.ADD, elem=elem)
    graph = m.graph()

    assert differences(tree(graph), graph, m.data) == []


def test_reals(tree: Writer) -> None:
    m = Bench()
    a, b, c = m.real(3, 1, 17), m.real(1, 2, 17), m.codes(signed(8), 3, 2, 1)
    m.data["in0"][0, 0, 0, :4] = [np.nan, np.inf, 3e9, -3e9]
    m.data["in1"][0, 0, 0, :2] = [np.nan, np.inf]
    for order in Order:
        m.builder.op(Compare, (a, b), order.value, order.value, kind=order)
    m.builder.op(Select, (c, a, b), "chosen", "select")
    m.builder.op(Select, (c, c, m.codes(signed(16), 1)), "codes", "select")
    for elem in (Int(0, 255), signed(8), signed(32), Int(0, (1 << 32) - 1), signed(4)):
        m.builder.op(ToInt, (a,), f"int{elem.bits}", "to int", elem=elem)
    for axis, k in ((0, 2), (2, 5)):
        for largest in (True, False):
            for places in (True, False):
                x = m.real(3, 1, 17)
                m.builder.op(
                    TopK, (x,), "top", "top", axis=axis, k=k, largest=largest, places=places
                )
    graph = m.graph()
    want = evaluate(graph, m.data, dtype=np.float32)
    folder = tree(graph)
    got = run_c(folder, m.data, work=folder / "work")

    for name, expected in want.items():
        np.testing.assert_array_equal(got[name], expected, err_msg=name)


def test_products_of_two_tensors(tree: Writer) -> None:
    m = Bench()
    fixed = m.builder.constant("w", m.rng.normal(size=(3, 300, 2)).astype(np.float32))
    for a, b in (((4, 5), (5, 3)), ((2, 1, 4, 5), (3, 5, 6)), ((2, 3, 1, 9), (2, 3, 9, 1))):
        m.builder.op(MatMul, (m.real(*a), m.real(*b)), "product", "product")
    m.builder.op(MatMul, (m.real(4, 300), fixed), "fixed", "fixed")
    graph = m.graph()
    want = evaluate(graph, m.data, dtype=np.float32)
    folder = tree(graph)
    got = run_c(folder, m.data, work=folder / "work")

    for name, expected in want.items():
        np.testing.assert_allclose(got[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)
