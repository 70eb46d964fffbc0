"""Random networks: the function stays when the channels that go are silent."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Arith, Arithmetic, Op, Value
from bitwright.ir.types import Real
from bitwright.passes import SIMPLIFY, run
from bitwright.passes.compress.fixed_channels import FixedChannels
from bitwright.passes.compress.prune_channels import choose_channels
from bitwright.passes.compress.remove_channels import remove_channels
from tests.passes.compress.channel_nets import ChannelNet, outputs, silenced, widths


def half(net: ChannelNet, x: Value) -> Value:
    return net.take(x, list(range(0, x.shape[-1], 2)))


def shuffle(net: ChannelNet, x: Value) -> Value:
    return net.take(x, np.arange(x.shape[-1]).reshape(2, -1).T.reshape(-1).tolist())


def residual(net: ChannelNet, x: Value) -> Value:
    return net.sum(x, net.around(net.relu(net.around(x, 4)), x.shape[-1]))


def fire(net: ChannelNet, x: Value) -> Value:
    return net.join(net.around(x, 4, 1), x, net.relu(net.around(x, 4)))


def squeeze(net: ChannelNet, x: Value) -> Value:
    pooled = net.average_pool(x, x.shape[1:3])
    return net.product(x, net.around(pooled, x.shape[-1], 1))


def scale(net: ChannelNet, x: Value) -> Value:
    factors = net.b.constant("f", net.rng.normal(size=x.shape[-1]))
    return net.op(Arithmetic, x, factors, kind=Arith.MUL)


BLOCKS: dict[str, Callable[[ChannelNet, Value], Value]] = {
    "conv": lambda net, x: net.around(x, int(net.rng.integers(2, 7)) * 2),
    "point": lambda net, x: net.around(x, int(net.rng.integers(2, 7)) * 2, 1),
    "depthwise": lambda net, x: net.around(x, x.shape[-1], groups=x.shape[-1]),
    "grouped": lambda net, x: net.around(x, x.shape[-1], groups=2),
    "norm": lambda net, x: net.norm(x, net.rng.normal(size=3).tolist()),
    "relu": lambda net, x: net.relu(x),
    "pool": lambda net, x: net.max_pool(x) if x.shape[1] > 1 else x,
    "half": half,
    "shuffle": shuffle,
    "residual": residual,
    "fire": fire,
    "squeeze": squeeze,
    "scale": scale,
}


def network(blocks: list[str], seed: int) -> Graph:
    net = ChannelNet(seed)
    x = net.around(net.entry(Real(), 1, 4, 4, 2), 8)
    for block in blocks:
        if x.shape[-1] % 2:
            x = net.around(x, x.shape[-1] + 1, 1)
        x = BLOCKS[block](net, x)
    return net.graph(net.full(net.flat(net.relu(x)), 3))


@given(
    st.lists(st.sampled_from(sorted(BLOCKS)), max_size=5),
    st.integers(0, 1000),
    st.sampled_from([0.0, 1.5, -1.5]),
    st.booleans(),
)
@settings(max_examples=120)
def test_silent_channels_go_and_the_function_stays(
    blocks: list[str], seed: int, bias: float, simplify: bool
) -> None:
    graph = network(blocks, seed)
    if simplify:
        graph = run(graph, SIMPLIFY)
    dead = choose_channels(graph, 0.5)
    graph = silenced(graph, dead, bias)
    found = remove_channels(graph, dead)
    found.verify()
    want = outputs(graph)
    np.testing.assert_allclose(outputs(found), want, rtol=1e-12, atol=1e-12 * np.abs(want).max())


@given(st.lists(st.sampled_from(sorted(BLOCKS)), max_size=5), st.integers(0, 1000))
def test_half_of_the_channels_go(blocks: list[str], seed: int) -> None:
    """Whatever the choice does not take away, no other layer was in need of it."""
    graph = network(blocks, seed)
    dead = choose_channels(graph, 0.5)
    found = remove_channels(graph, dead)
    found.verify()
    gone = {n: len(which) for n, which in dead.items()}
    assert widths(found) == {n: w - gone.get(n, 0) for n, w in widths(graph).items()}
    if not set(blocks) & {"grouped", "residual", "fire", "squeeze", "half"}:
        assert widths(found)["conv0"] == 4


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_fixed_numbers_are_what_the_network_computes(bias: float) -> None:
    graph = network(["conv", "relu", "norm", "depthwise", "relu", "residual"], 3)
    graph = silenced(graph, {"conv0": np.arange(8), "conv1": np.array([0, 2])}, bias)
    fixed = FixedChannels(graph)
    known = 0
    seen: dict[str, Array] = {}
    x = {v.name: np.random.default_rng(0).normal(size=(3, *v.shape)) for v in graph.inputs}

    def tap(op: Op, y: Array) -> None:
        seen[op.name] = y

    evaluate(graph, x, tap=tap)
    for name, numbers in fixed.numbers.items():
        want = np.broadcast_to(numbers, seen[name].shape[1:])
        finite = np.isfinite(want)
        known += int(finite.sum())
        for y in seen[name]:
            np.testing.assert_allclose(y[finite], want[finite], rtol=1e-12, atol=1e-12)
    assert known > 100
