from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Encoding, IntLinear, Steps, Value
from bitwright.ir.types import Bipolar, Int, Integral, TensorType
from bitwright.passes import INTEGER, run
from bitwright.passes.lower_linear import reachable
from bitwright.passes.orient import orient_channels


def layer(
    w: Array, bias: Array, thresholds: Array, codes: Array, x: Integral, **extra: Any
) -> Graph:
    """Return an IntLinear followed by Steps; `extra` may keep the accumulator as an output."""
    b = Builder(["x"])
    entry = Value("x", TensorType(x, (1, w.shape[1])))
    lattice = reachable(w, bias, x)
    acc = b.op(
        IntLinear, (entry, b.constant("w", w), b.constant("b", bias)), "acc", "fc",
        encoding=Encoding.INTEGER, elem=Int(int(lattice.lo.min()), int(lattice.hi.max())),
    )  # fmt: skip
    y = b.op(
        Steps, (acc, b.constant("t", thresholds), b.constant("c", codes)), "y", "fc",
        elem=Int(int(codes.min()), int(codes.max())),
    )  # fmt: skip
    return b.graph("layer", [entry], [y, acc] if extra.get("keep") else [y])


ENTRIES: st.SearchStrategy[Integral] = st.sampled_from([Bipolar(), Int(0, 3), Int(-4, 3)])


@st.composite
def layers(draw: st.DrawFn) -> Graph:
    """Channels that rise or fall through up to 4 thresholds, some of them always or never met."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    channels, n, t = (int(rng.integers(1, 5)) for _ in range(3))
    x = draw(ENTRIES)
    w, bias = rng.integers(-2, 3, (channels, n)), rng.integers(-3, 4, channels)
    lattice = reachable(w, bias, x)
    lo, hi = int(lattice.lo.min()), int(lattice.hi.max())
    thresholds = np.sort(rng.integers(lo, hi + 2, (channels, t)), axis=1)
    codes = np.sort(rng.integers(-3, 4, (channels, t + 1)), axis=1)
    falling = rng.random(channels) < 0.6
    codes = np.where(falling[:, None], codes[:, ::-1], codes)
    if draw(st.booleans()):
        codes = np.where(codes > 0, 1, -1)
    return layer(w, bias, thresholds, codes, x)


def every_input(graph: Graph, count: int = 300) -> dict[str, Array]:
    (v,) = graph.inputs
    elem = v.type.integer
    digits = [-1, 1] if isinstance(elem, Bipolar) else list(range(elem.lo, elem.hi + 1))
    axes = np.meshgrid(*[digits] * v.shape[-1], indexing="ij")
    x = np.stack([a.reshape(-1) for a in axes], axis=1)
    return {v.name: x[:: max(x.shape[0] // count, 1)][:, None, :]}


@given(layers())
def test_turning_channels_changes_no_code(graph: Graph) -> None:
    graph.verify()
    turned = run(graph, INTEGER)
    x = every_input(graph)
    np.testing.assert_array_equal(evaluate(turned, x)["y"], evaluate(graph, x)["y"])
    (steps,) = (op for op in turned.ops if isinstance(op, Steps))
    thresholds, codes = (turned.constant(v) for v in steps.inputs[1:])
    assert (np.diff(codes, axis=1) >= 0).all(), "every channel rises"
    assert (np.diff(thresholds, axis=1) >= 0).all(), "thresholds ascend"
    acc = steps.inputs[0].type.integer
    assert thresholds.min(initial=acc.lo) >= acc.lo
    assert thresholds.max(initial=acc.hi) <= acc.hi + 1


def falling_sign() -> tuple[Array, Array, Array, Array]:
    w = np.array([[1, 1, -1], [1, -1, 1]])
    return w, np.array([0, 1]), np.array([[1], [0]]), np.array([[1, -1], [-1, 1]])


def test_signs_share_one_row_of_codes() -> None:
    graph = layer(*falling_sign(), Bipolar())
    turned = orient_channels(graph)
    linear, steps = turned.ops
    assert turned.constant(steps.inputs[2]).tolist() == [[-1, 1]]
    assert turned.constant(linear.inputs[1]).tolist() == [[-1, -1, 1], [1, -1, 1]]
    assert turned.constant(linear.inputs[2]).tolist() == [0, 1]
    assert turned.constant(steps.inputs[1]).tolist() == [[0], [0]]


def test_an_accumulator_that_others_read_keeps_its_sign() -> None:
    graph = layer(*falling_sign(), Bipolar(), keep=True)
    assert orient_channels(graph) == graph


@pytest.mark.parametrize("codes", [[[0, 2, 0], [0, 1, 2]], [[0, 1, 2], [0, 1, 2]]])
def test_turning_needs_a_falling_channel_and_no_other_shape(codes: list[list[int]]) -> None:
    w, bias = np.array([[1, 1], [1, -1]]), np.zeros(2, np.int64)
    graph = layer(w, bias, np.array([[-1, 1], [0, 2]]), np.array(codes), Int(-2, 2))
    assert orient_channels(graph) == graph


def test_codes_far_apart_are_not_spread_over_thresholds() -> None:
    """One step from 60000 to 0 stays one threshold."""
    w, bias = np.array([[1, 2], [1, -1]]), np.zeros(2, np.int64)
    codes = np.array([[60000, 0], [0, 60000]])
    graph = layer(w, bias, np.array([[1], [0]]), codes, Int(-2, 2))
    turned = run(graph, INTEGER)
    steps = turned.ops[-1]
    assert turned.constant(steps.inputs[1]).shape == (2, 1)
    x = every_input(graph)
    np.testing.assert_array_equal(evaluate(turned, x)["y"], evaluate(graph, x)["y"])
