"""Transposes are pushed down until they cancel, and every value stays what it was."""

from collections.abc import Callable

import numpy as np
import pytest

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import (
    Activation,
    ArgMax,
    Arith,
    Arithmetic,
    BatchNorm,
    Binarize,
    Concat,
    Conv,
    Function,
    Linear,
    Normalize,
    Pad,
    Permute,
    PRelu,
    Reduce,
    Reduction,
    Reshape,
    Softmax,
    Take,
    Transpose,
    Value,
    plain_window,
)
from bitwright.ir.types import Real
from bitwright.passes.sink_maps import sink_maps
from tests.ir.samples import value

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
Body = Callable[[Builder, Value, Value], Value]


def constant(b: Builder, *shape: int) -> Value:
    rng = np.random.default_rng(len(b.constants))
    return b.constant(f"c{len(b.constants)}", rng.normal(size=shape))


def conv(b: Builder, x: Value, name: str) -> Value:
    """A convolution of channels-first data, as an importer writes it."""
    moved = b.op(Transpose, (x,), f"{name}:in", name, perm=TO_LAST)
    w = constant(b, 4, 1, 1, x.shape[1])
    y = b.op(Conv, (moved, w), f"{name}:conv", name, window=plain_window((1, 1)))
    return b.op(Transpose, (y,), name, name, perm=TO_FIRST)


def between(body: Body) -> Graph:
    """Two convolutions with `body` between them, which reads the first's result and the input."""
    b = Builder(["x"])
    x = value("x", Real(), 1, 3, 2, 5)
    y = conv(b, x, "first")
    z = body(b, y, x)
    last = (
        conv(b, z, "last")
        if len(z.shape) == 4
        else b.op(Reshape, (z,), "last", "n", shape=(z.type.size,))
    )
    return b.graph("g", [x], [last])


def relu(b: Builder, y: Value) -> Value:
    return b.op(Activation, (y,), "relu", "relu", kind=Function.RELU)


def shuffle(b: Builder, y: Value) -> Value:
    split = b.op(Reshape, (y,), "s0", "s", shape=(1, 2, 2, 2, 5))
    swapped = b.op(Transpose, (split,), "s1", "s", perm=(0, 2, 1, 3, 4))
    return b.op(Reshape, (swapped,), "s2", "s", shape=(1, 4, 2, 5))


def unary(op: type, *shape: int, **attrs: object) -> Body:
    def body(b: Builder, y: Value, _x: Value) -> Value:
        more = (constant(b, *shape),) if shape else ()
        return b.op(op, (y, *more), "mid", "mid", **attrs)

    return body


def take(b: Builder, y: Value, _x: Value) -> Value:
    return b.op(Take, (y, b.constant("i", np.array([2, 0, 0]))), "mid", "mid", axis=1)


def norm(b: Builder, y: Value, _x: Value) -> Value:
    parameters = [b.constant(f"p{i}", np.linspace(0.5, 2, 4)) for i in range(4)]
    return b.op(BatchNorm, (y, *parameters), "mid", "mid", epsilon=1e-5, axis=1)


# name, body, index maps that are left besides those at the graph's two ends
BODIES: list[tuple[str, Body, int]] = [
    ("relu", lambda b, y, _x: relu(b, y), 0),
    ("bias", unary(Arithmetic, 4, 1, 1, kind=Arith.ADD), 0),
    ("prelu", unary(PRelu, 4, 1, 1), 0),
    ("norm", norm, 0),
    ("twice", lambda b, y, _x: b.op(Arithmetic, (y, relu(b, y)), "mid", "mid", kind=Arith.SUB), 0),
    ("input", lambda b, y, x: b.op(Concat, (y, x), "mid", "mid", axis=1), 0),
    ("take", take, 0),
    ("pad", unary(Pad, before=(0, 0, 1, 0), after=(0, 1, 0, 2), value=3.0), 0),
    ("softmax", unary(Softmax, axis=1, end=2), 0),
    ("mean", unary(Reduce, kind=Reduction.MEAN, axes=(2, 3)), -1),
    ("dropped", unary(Reduce, kind=Reduction.SUM, axes=(1, 3), keep=False), 0),
    ("instance", unary(Normalize, axes=(2, 3), epsilon=1e-3), 0),
    ("shuffle", lambda b, y, _x: shuffle(b, y), 1),
    ("binary", unary(Binarize), 0),
    ("columns", unary(Linear, 6, 5), 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "left"), BODIES, ids=[n for n, _, _ in BODIES])
def test_values_stay_and_transposes_cancel(name: str, body: Body, left: int) -> None:
    graph = between(body)
    sunk = sink_maps(graph)
    sunk.verify()
    x = {"x": np.random.default_rng(1).normal(size=(3, 1, 3, 2, 5))}
    want, got = evaluate(graph, x), evaluate(sunk, x)
    for key, a in want.items():
        np.testing.assert_allclose(got[key], a, rtol=1e-12)
    moving = [op for op in sunk.ops if isinstance(op, Transpose | Take | Permute)]
    moving = [op for op in moving if not (isinstance(op, Take) and name == "take")]
    ends = 2 if len(graph.outputs[0].shape) == 4 else 1
    assert len(moving) == ends + left, [str(op) for op in moving]


def test_a_shuffle_of_channels_becomes_one_take() -> None:
    sunk = sink_maps(between(lambda b, y, _x: shuffle(b, y)))
    (take_op,) = [op for op in sunk.ops if isinstance(op, Take)]
    assert take_op.axis == 3
    np.testing.assert_array_equal(sunk.constant(take_op.inputs[1]), [0, 2, 1, 3])


def test_depth_to_space_stays_three_cheap_maps() -> None:
    b = Builder(["x"])
    x = value("x", Real(), 1, 3, 2, 8)
    split = b.op(Reshape, (x,), "s", "s", shape=(1, 3, 2, 2, 2, 2))
    swapped = b.op(Transpose, (split,), "t", "t", perm=(0, 1, 3, 2, 4, 5))
    y = b.op(Reshape, (swapped,), "y", "y", shape=(1, 6, 4, 2))
    graph = b.graph("g", [x], [y])
    sunk = sink_maps(graph)
    sunk.verify()
    assert not any(isinstance(op, Permute) for op in sunk.ops)
    inputs = {"x": np.random.default_rng(1).normal(size=(2, 1, 3, 2, 8))}
    np.testing.assert_array_equal(evaluate(sunk, inputs)["y"], evaluate(graph, inputs)["y"])


def test_outputs_keep_their_names_order_and_type() -> None:
    b = Builder(["x"])
    x = value("x", Real(), 1, 3, 2, 5)
    y = relu(b, conv(b, x, "first"))
    best = b.op(ArgMax, (y,), "best", "best", axis=1)
    graph = b.graph("g", [x], [y, best])
    sunk = sink_maps(graph)
    sunk.verify()
    assert [v.name for v in sunk.outputs] == ["relu", "best"]
    inputs = {"x": np.random.default_rng(1).normal(size=(2, 1, 3, 2, 5))}
    want, got = evaluate(graph, inputs), evaluate(sunk, inputs)
    for key, a in want.items():
        np.testing.assert_allclose(got[key], a, rtol=1e-12)
