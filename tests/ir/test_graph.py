from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bitwright.errors import VerifyError
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import Arith, Arithmetic, Binarize, Clip, Op, Value
from bitwright.ir.types import Int, Real, Ternary
from tests.ir.samples import value


def small() -> Graph:
    b = Builder(["x"])
    x = value("x", Real(), 1, 3)
    y = b.op(Arithmetic, (x, b.constant("c", np.ones(3))), "y", "node y", kind=Arith.ADD)
    return b.graph("g", [x], [b.op(Binarize, (y,), "q", "node q")])


def with_op(graph: Graph, index: int, **changes: Any) -> Graph:
    ops: list[Op] = list(graph.ops)
    ops[index] = replace(ops[index], **changes)
    return replace(graph, ops=tuple(ops))


BREAK: dict[str, Callable[[Graph], Graph]] = {
    "two inputs have one name": lambda g: replace(g, inputs=g.inputs * 2),
    "'x' is an input and a constant": lambda g: replace(
        g, constants={**g.constants, "x": np.zeros((1, 3))}
    ),
    r"node y: 'x' is read as real\(1,3\), set as int\[0,1\]\(1,3\)": lambda g: replace(
        g, inputs=(value("x", Int(0, 1), 1, 3),)
    ),
    "node q: 'y' is read before it is set": lambda g: replace(g, ops=g.ops[::-1]),
    r"node y: constant 'c' is not of shape \(3,\)": lambda g: replace(
        g, constants={"c": np.ones(2)}
    ),
    "node y: 'c' is read before it is set": lambda g: replace(g, constants={}),
    "node q: 'y' is set twice": lambda g: with_op(g, 1, output=Value("y", g.ops[1].output.type)),
    "node q: 'c' is set twice": lambda g: with_op(g, 1, output=Value("c", g.ops[1].output.type)),
    "node q: 'x' is set twice": lambda g: with_op(g, 1, output=Value("x", g.ops[1].output.type)),
    r"node q: result is real\(1,3\), expected bipolar\(1,3\)": lambda g: with_op(
        g, 1, output=Value("q", g.ops[0].output.type)
    ),
    "output 'z' is never set": lambda g: replace(g, outputs=(value("z", Real(), 1),)),
    r"output 'q' is ternary\(1,3\), set as bipolar\(1,3\)": lambda g: replace(
        g, outputs=(value("q", Ternary(), 1, 3),)
    ),
}


@pytest.mark.parametrize("message", BREAK)
def test_every_rule_of_a_graph(message: str) -> None:
    graph = small()
    graph.verify()
    with pytest.raises(VerifyError, match=message):
        BREAK[message](graph).verify()


def test_readers_and_producers() -> None:
    b = Builder(["x"])
    x = value("x", Real(), 2)
    y = b.op(Arithmetic, (x, x), "y", "n", kind=Arith.MUL)
    z = b.op(Clip, (y,), "z", "n")
    g = b.graph("g", [x], [y, z])
    assert [op.name for op in g.readers()["x"]] == ["y"]
    assert list(g.producers()) == ["y", "z"]
    assert list(g.values()) == ["x", "y", "z"]
    assert list(g.to_networkx().edges) == [("x", "y"), ("y", "z")]


def test_names_are_given_once() -> None:
    b = Builder(["a", "a.1"])
    assert [b.unique("a"), b.unique("a"), b.unique("b")] == ["a.2", "a.3", "b"]


def test_constants_know_their_interval() -> None:
    b = Builder()
    assert b.constant("a", np.array([3, -2], np.int8)).elem == Int(-2, 3)
    assert b.constant("b", [True, False]).elem == Int(0, 1)
    assert b.constant("c", np.array([3.0])).elem == Real()
    assert b.constant("d", np.array([3]), Int(0, 7)).elem == Int(0, 7)
    assert b.constants["a"].dtype == np.int64
