"""Which way an op goes: compared with what it computes on rising numbers."""

from collections.abc import Callable

import numpy as np
import pytest

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    BatchNorm,
    Clip,
    CountThresholds,
    Dequantize,
    Function,
    PRelu,
    Sign,
    Softmax,
    Value,
)
from bitwright.ir.types import Int, Real, TensorType
from bitwright.passes.direction import direction, rises

X = Value("x", TensorType(Real(), (1, 2)))
CODES = Value("x", TensorType(Int(-8, 7), (1, 2)))
Body = Callable[[Builder], Value]


def function(kind: Function, alpha: float = 0.0) -> Body:
    return lambda b: b.op(Activation, (X,), "y", "y", kind=kind, alpha=alpha)


def arithmetic(kind: Arith, *numbers: float, first: bool = False) -> Body:
    def body(b: Builder) -> Value:
        c = b.constant("c", np.array(numbers))
        return b.op(Arithmetic, (c, X) if first else (X, c), "y", "y", kind=kind)

    return body


def prelu(*slopes: float) -> Body:
    return lambda b: b.op(PRelu, (X, b.constant("c", np.array(slopes))), "y", "y")


def dequantize(*scales: float) -> Body:
    return lambda b: b.op(
        Dequantize, (CODES, *(b.constant("p", np.array(p)) for p in (scales, [2.0]))), "y", "y"
    )


def norm(*gamma: float) -> Body:
    rows = (gamma, (1.0, -1.0), (0.5, 2.0), (1.0, 0.5))
    return lambda b: b.op(
        BatchNorm, (X, *(b.constant("p", np.array(p)) for p in rows)), "y", "y", epsilon=1e-5
    )


def graph_of(body: Body, x: Value) -> Graph:
    b = Builder(["x"])
    return b.graph("op", [x], [body(b)])


DIRECTIONS: dict[str, tuple[Body, tuple[int, ...]]] = {
    "tanh": (function(Function.TANH), (1, 1)),
    "negated": (function(Function.NEG), (-1, -1)),
    "leaky": (function(Function.LEAKY_RELU, 0.1), (1, 1)),
    "thresholded": (function(Function.THRESHOLDED_RELU, 1.0), (1, 1)),
    "slopes": (prelu(0.0, 0.5), (1, 1)),
    "scales": (dequantize(0.5, -0.5), (1, -1)),
    "norm": (norm(-2.0, 0.0), (-1, 1)),
    "clip": (lambda b: b.op(Clip, (X,), "y", "y", lo=-1.0, hi=2.0), (1, 1)),
    "sign": (lambda b: b.op(Sign, (X,), "y", "y"), (1, 1)),
    "count": (lambda b: b.op(CountThresholds, (X, b.constant("t", np.array([[-1.0, 1.5]]))), "y", "y",
                             axis=1), (1, 1)),
    "x - c": (arithmetic(Arith.SUB, 1.0), (1, 1)),
    "c - x": (arithmetic(Arith.SUB, 1.0, first=True), (-1, -1)),
    "max": (arithmetic(Arith.MAX, 1.0, first=True), (1, 1)),
    "x * c": (arithmetic(Arith.MUL, 2.0, -2.0), (1, -1)),
    "c * x": (arithmetic(Arith.MUL, -3.0, first=True), (-1, -1)),
    "x / c": (arithmetic(Arith.DIV, -4.0, 4.0), (-1, 1)),
    "x ^ 3": (arithmetic(Arith.POW, 3.0), (1, 1)),
}  # fmt: skip
NEITHER: dict[str, Body] = {
    "swish": function(Function.HARD_SWISH),
    "absolute": function(Function.ABS),
    "leaky upside down": function(Function.LEAKY_RELU, -0.1),
    "thresholded below zero": function(Function.THRESHOLDED_RELU, -1.0),
    "slopes": prelu(-0.5, 0.5),
    "c / x": arithmetic(Arith.DIV, 1.0, first=True),
    "x ^ 2": arithmetic(Arith.POW, 2.0),
    "2 ^ x": arithmetic(Arith.POW, 2.0, first=True),
    "x * x": lambda b: b.op(Arithmetic, (X, X), "y", "y", kind=Arith.MUL),
    "logarithm": function(Function.LOG),
    "softmax": lambda b: b.op(Softmax, (X,), "y", "y", axis=1, end=2),
}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_an_op_goes_where_it_says(name: str) -> None:
    body, want = DIRECTIONS[name]
    graph = graph_of(body, CODES if name == "scales" else X)
    op = graph.ops[-1]
    operand = [v.name for v in op.inputs].index("x")
    found = direction(op, graph.constants, operand)
    assert found is not None
    assert np.broadcast_to(found, 2).tolist() == list(want)
    assert rises(op, graph.constants, operand) == (set(want) == {1})
    x = np.repeat(np.arange(-8, 8)[:, None], 2, axis=1).reshape(-1, 1, 2)
    y = evaluate(graph, {"x": x if name == "scales" else x / 2})[op.name]
    assert (np.diff(y.astype(np.float64), axis=0) * want >= 0).all()


@pytest.mark.parametrize("name", NEITHER)
def test_an_op_without_a_direction(name: str) -> None:
    graph = graph_of(NEITHER[name], X)
    op = graph.ops[-1]
    operand = [v.name for v in op.inputs].index("x")
    assert direction(op, graph.constants, operand) is None
    assert not rises(op, graph.constants, operand)
