from collections.abc import Callable

import numpy as np
import pytest

from bitwright.errors import UnsupportedError
from bitwright.ir.evaluate import evaluate, evaluate_op
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Function,
    Linear,
    MaxPool,
    Op,
    Pad,
    Reshape,
    Softmax,
    Take,
    Transpose,
    Value,
    Window,
)
from bitwright.ir.types import Real, TensorType
from bitwright.passes.compress.prune import obd
from bitwright.passes.compress.second_derivative import backward, obd_diagonal

RNG = np.random.default_rng(4)
X = Value("x", TensorType(Real(), (1, 5, 6, 4)))
WINDOW = Window((3, 2), (2, 1), (1, 0), (1, 1), (1, 2))


def linear(b: Builder, x: Value, outputs: int, name: str) -> Value:
    w = b.constant(f"{name}.w", RNG.normal(0, 1, (outputs, x.shape[-1])))
    return b.op(Linear, (x, w), name, name)


def conv(b: Builder, x: Value, filters: int, window: Window, groups: int = 1) -> Value:
    shape = (filters, *window.kernel, x.shape[-1] // groups)
    w = b.constant("conv.w", RNG.normal(0, 1, shape))
    return b.op(Conv, (x, w), "conv", "conv", window=window, groups=groups)


CASES: dict[str, Callable[[Builder], Value]] = {
    "linear": lambda b: linear(b, X, 3, "fc"),
    "conv": lambda b: conv(b, X, 6, WINDOW),
    "grouped": lambda b: conv(b, X, 6, WINDOW, 2),
    "depthwise": lambda b: conv(b, X, 4, WINDOW, 4),
    "max": lambda b: b.op(MaxPool, (X,), "y", "y", window=WINDOW),
    "average": lambda b: b.op(
        AveragePool, (X,), "y", "y", window=WINDOW, counted_before=(1, 0), counted_after=(0, 0)
    ),
    "tanh": lambda b: b.op(Activation, (X,), "y", "y", kind=Function.TANH),
    "relu": lambda b: b.op(Activation, (X,), "y", "y", kind=Function.RELU),
    "clip": lambda b: b.op(Clip, (X,), "y", "y", lo=-0.5, hi=1.0),
    "batch norm": lambda b: b.op(
        BatchNorm,
        (X, *(b.constant(n, RNG.uniform(0.5, 2, 4)) for n in ("g", "b", "m", "v"))),
        "y", "y", epsilon=1e-3, axis=3,
    ),
    "reshape": lambda b: b.op(Reshape, (X,), "y", "y", shape=(1, 120)),
    "transpose": lambda b: b.op(Transpose, (X,), "y", "y", perm=(0, 3, 1, 2)),
    "take": lambda b: b.op(
        Take, (X, b.constant("i", np.array([3, 0, 0]))), "y", "y", axis=3
    ),
    "pad": lambda b: b.op(
        Pad, (X,), "y", "y", before=(0, 1, 0, 0), after=(0, 0, 2, 0), value=7.0
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_goes_back_is_the_square_of_the_jacobian(case: str) -> None:
    b = Builder(["x"])
    b.constants = {}
    CASES[case](b)
    (op,) = b.ops
    constants = [b.constants[v.name] for v in op.inputs[1:]]
    x = RNG.normal(0, 1, (2, *X.shape))
    y = _run(op, x, constants)
    h = RNG.uniform(0.1, 1, y.shape)
    (got,) = backward(op, h, x, *constants)[:1]
    want = np.zeros((2, x[0].size))
    for j in range(x[0].size):
        step = np.zeros(x[0].size)
        step[j] = 1e-6
        up, down = (_run(op, x + s * step.reshape(X.shape), constants) for s in (1, -1))
        slope = (up - down) / 2e-6
        want[:, j] = (slope**2 * h).reshape(2, -1).sum(axis=1)
    assert got.reshape(2, -1) == pytest.approx(want, rel=1e-4, abs=1e-6)


def _run(op: Op, x: Array, constants: list[Array]) -> Array:
    return evaluate_op(op, [x, *constants], {"x": x})


def graph_of(build: Callable[[Builder, Value], Value], shape: tuple[int, ...]) -> Graph:
    x = Value("x", TensorType(Real(), shape))
    b = Builder(["x"])
    y = build(b, x)
    return b.graph("g", [x], [y])


def half_squares(graph: Graph, weights: Array, x: Array, target: Array) -> float:
    changed = Graph(
        graph.name, graph.inputs, graph.outputs, graph.ops, {**graph.constants, "fc.w": weights}
    )
    (y,) = evaluate(changed, {"x": x}).values()
    return float(((y - target) ** 2).sum() / 2 / x.shape[0])


def test_deleting_weights_costs_what_obd_says_where_the_hessian_is_diagonal() -> None:
    graph = graph_of(lambda b, x: linear(b, x, 3, "fc"), (1, 6))
    x = (np.diag(RNG.uniform(0.5, 3, 6)))[:, None, :]  # E[x x^T] is diagonal
    h = obd_diagonal(graph, {"x": x}, squares=True)["fc"]
    w = graph.constants["fc.w"]
    (target,) = evaluate(graph, {"x": x}).values()
    saliency = obd(w, h)
    for mask in (RNG.random(w.shape) < 0.5 for _ in range(5)):
        found = half_squares(graph, w * mask, x, target)
        assert found == pytest.approx(saliency[~mask].sum(), rel=1e-12)


@pytest.mark.parametrize("softmax", [False, True])
def test_softmax_of_a_linear_layer_has_the_known_fisher_information(softmax: bool) -> None:
    def build(b: Builder, x: Value) -> Value:
        y = linear(b, x, 4, "fc")
        return b.op(Softmax, (y,), "p", "p", axis=1, end=2) if softmax else y

    graph = graph_of(build, (1, 5))
    x = RNG.normal(0, 1, (70, 1, 5))  # more than one batch
    z = x[:, 0] @ graph.constants["fc.w"].T
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    want = np.einsum("so,si->oi", p * (1 - p), x[:, 0] ** 2) / 70
    fisher = np.zeros_like(want)
    for label in range(4):  # E over labels drawn from the model of the squared gradient
        g = (p - np.eye(4)[label])[:, :, None] * x
        fisher += (p[:, label, None, None] * g**2).mean(axis=0)
    assert fisher == pytest.approx(want)
    assert obd_diagonal(graph, {"x": x})["fc"] == pytest.approx(want, rel=1e-9)


def test_a_chain_without_side_paths_is_exact() -> None:
    def build(b: Builder, x: Value) -> Value:
        hidden = b.op(Activation, (linear(b, x, 1, "fc"),), "r", "r", kind=Function.RELU)
        return linear(b, hidden, 3, "last")

    graph = graph_of(build, (1, 4))
    x = RNG.normal(0, 1, (20, 1, 4))
    (target,) = evaluate(graph, {"x": x}).values()
    h = obd_diagonal(graph, {"x": x}, squares=True)["fc"]
    w = graph.constants["fc.w"]
    step = 1e-4
    for j in range(4):
        moved = [w + s * step * np.eye(4)[j] for s in (-1, 0, 1)]
        e = [half_squares(graph, m, x, target) for m in moved]
        assert h[0, j] == pytest.approx((e[0] - 2 * e[1] + e[2]) / step**2, rel=1e-3)


def test_shared_weights_of_a_convolution_sum_over_positions() -> None:
    window = Window((3,), (1,), (1,), (1,), (1,))
    graph = graph_of(lambda b, x: conv(b, x, 2, window), (1, 7, 3))
    x = RNG.normal(0, 1, (4, 1, 7, 3))
    h = obd_diagonal(graph, {"x": x}, squares=True)["conv"]
    wide = np.pad(x[:, 0], [(0, 0), (1, 1), (0, 0)])
    for k in range(3):
        want = (wide[:, k : k + 7] ** 2).sum(axis=(0, 1)) / 4
        assert h[:, k] == pytest.approx(np.stack([want, want]))


def test_joins_and_forks_add_up() -> None:
    def build(b: Builder, x: Value) -> Value:
        y = linear(b, x, 3, "fc")
        both = b.op(Arithmetic, (y, linear(b, y, 3, "side")), "sum", "sum", kind=Arith.ADD)
        return b.op(Concat, (both, y), "all", "all", axis=1)

    graph = graph_of(build, (1, 2))
    x = RNG.normal(0, 1, (9, 1, 2))
    h = obd_diagonal(graph, {"x": x}, squares=True)["fc"]
    at_y = 1 + 1 + (graph.constants["side.w"] ** 2).sum(axis=0)
    assert h == pytest.approx(at_y[:, None] * (x[:, 0] ** 2).mean(axis=0))


def test_an_op_that_stops_it_is_named() -> None:
    def build(b: Builder, x: Value) -> Value:
        y = linear(b, x, 3, "fc")
        return b.op(Arithmetic, (y, y), "square", "node 7", kind=Arith.MUL)

    graph = graph_of(build, (1, 2))
    with pytest.raises(UnsupportedError, match=r"node 7: .* do not pass Arithmetic; prune by"):
        obd_diagonal(graph, {"x": np.ones((1, 1, 2))})
