from collections.abc import Callable

import numpy as np
import pytest

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    Clip,
    Concat,
    Conv,
    Function,
    Linear,
    Pad,
    PRelu,
    Reduce,
    Reduction,
    Reshape,
    Transpose,
    Value,
)
from bitwright.ir.types import Real
from bitwright.passes.compress.equalize import equalize, find_pairs
from bitwright.passes.compress.fold_batch_norm import fold_batch_norm
from bitwright.passes.compress.plan import float_bias, float_weights, layers_of
from tests.graphs import samples
from tests.passes.conv_nets import ConvNet, window


class Uneven(ConvNet):
    """A float model whose filters differ in size by a factor of up to a thousand."""

    def start(self, *shape: int) -> Value:
        return self.entry(Real(), 1, *shape)

    def filters(
        self, x: Value, n: int, kernel: int = 3, *, groups: int = 1, bias: bool = True
    ) -> Value:
        size = 10.0 ** self.rng.uniform(-2, 1, n)
        w = self.rng.normal(size=(n, kernel, kernel, x.shape[-1] // groups))
        rest = (self.b.constant("b", self.rng.normal(size=n) * size),) if bias else ()
        weight = self.b.constant("w", w * size[:, None, None, None])
        around = window((kernel, kernel), strides=(1, 1), pad=kernel // 2)
        return self.op(Conv, x, weight, *rest, window=around, groups=groups)

    def dense(self, x: Value, n: int) -> Value:
        flat = self.op(Reshape, x, shape=(1, x.type.size))
        size = 10.0 ** self.rng.uniform(-2, 1, (n, 1))
        w = self.b.constant("w", self.rng.normal(size=(n, x.type.size)) * size)
        return self.op(Linear, flat, w, self.b.constant("b", self.rng.normal(size=n)))

    def act(self, x: Value, kind: Function = Function.RELU) -> Value:
        return self.op(Activation, x, kind=kind, alpha=0.1)


def pad(net: Uneven, x: Value) -> Value:
    return net.op(Pad, x, before=(0, 1, 0, 0), after=(0, 0, 2, 0))


def slopes(net: Uneven, x: Value) -> Value:
    return net.op(PRelu, x, net.b.constant("slope", net.rng.uniform(size=x.shape[-1])))


CROSSED: dict[str, Callable[[Uneven, Value], Value]] = {
    "nothing": lambda _, x: x,
    "relu": lambda net, x: net.act(x),
    "leaky relu": lambda net, x: net.act(x, Function.LEAKY_RELU),
    "prelu": slopes,
    "clip at zero": lambda net, x: net.op(Clip, x, lo=0.0),
    "max pool": lambda net, x: net.max_pool(net.act(x)),
    "average pool": lambda net, x: net.act(net.average_pool(x, counted=True, pad=1)),
    "pad": lambda net, x: net.act(pad(net, x)),
    "shuffle": lambda net, x: net.take(net.act(x), [3, 0, 2, 1]),
    "some twice": lambda net, x: net.take(x, [0, 1, 1, 3]),
    "rows": lambda net, x: net.take(x, [3, 1], axis=1),
    "mean": lambda net, x: net.op(Reduce, x, kind=Reduction.MEAN, axes=(1, 2)),
}
BLOCKED: dict[str, Callable[[Uneven, Value], Value]] = {
    "clip": lambda net, x: net.op(Clip, x, lo=0.0, hi=6.0),
    "sigmoid": lambda net, x: net.act(x, Function.SIGMOID),
    "norm": lambda net, x: net.norm(x, (1.0, 2.0)),
    "sum": lambda net, x: net.op(Arithmetic, x, net.b.constant("c", np.ones(4)), kind=Arith.ADD),
    "padded by one": lambda net, x: net.op(
        Pad, x, before=(0, 1, 1, 0), after=(0,) * 4, value=1.0
    ),
    "channels": lambda net, x: net.op(Pad, x, before=(0, 0, 0, 1), after=(0,) * 4),
    "over channels": lambda net, x: net.op(Reduce, x, kind=Reduction.MAX, axes=(3,)),
    "axes": lambda net, x: net.op(Transpose, x, perm=(0, 3, 2, 1)),
    "itself": lambda net, x: net.op(Concat, x, x, axis=3),
    "own sum": lambda net, x: net.op(Arithmetic, x, x, kind=Arith.ADD),
    "read twice": lambda net, x: net.op(Concat, net.act(x), net.max_pool(x, (1, 1)), axis=3),
}  # fmt: skip


def pair(between: Callable[[Uneven, Value], Value]) -> Graph:
    net = Uneven(3)
    x = between(net, net.filters(net.start(4, 4, 3), 4))
    last = net.filters(x, 5) if len(x.shape) == 4 else net.dense(x, 5)
    return net.graph(last)


def check(graph: Graph) -> Graph:
    """Equalize, and compare what is computed; return the new graph."""
    found = equalize(graph)
    found.verify()
    x = samples(graph, 20)
    want, got = evaluate(graph, x), evaluate(found, x)
    for name, w in want.items():
        assert np.abs(got[name] - w).max() <= 1e-9 * np.abs(w).max()
    return found


def ranges(graph: Graph, which: int = 0) -> tuple[Array, Array]:
    """Return the greatest weight that makes each channel of a pair, and that reads it."""
    found = find_pairs(graph)[which]
    before = np.abs(float_weights(graph, found.before))
    w = np.abs(float_weights(graph, found.after))
    groups = found.after.groups if isinstance(found.after, Conv) else 1
    columns = w.reshape(groups, -1, w.shape[-1]).max(axis=1).reshape(-1)
    channels = range(before.shape[0])
    reads = [columns[found.owner == i].max(initial=0) for i in channels]
    return before.reshape(before.shape[0], -1).max(axis=1), np.array(reads)


@pytest.mark.parametrize("name", CROSSED)
def test_ranges_are_equal_after_and_were_not_before(name: str) -> None:
    graph = pair(CROSSED[name])
    assert len(find_pairs(graph)) == 1
    r1, r2 = ranges(graph)
    s1, s2 = ranges(check(graph))
    used = r2 > 0
    np.testing.assert_allclose(s1[used], s2[used], rtol=1e-9)
    np.testing.assert_allclose(s1[used], np.sqrt(r1 * r2)[used], rtol=1e-9)
    np.testing.assert_allclose(s1[~used], r1[~used])
    assert np.abs(np.log(r1 / s1)).max() > 0.5


@pytest.mark.parametrize("name", BLOCKED)
def test_what_does_not_scale_is_not_crossed(name: str) -> None:
    graph = pair(BLOCKED[name])
    assert find_pairs(graph) == ()
    assert equalize(graph).ops == graph.ops


def test_a_result_of_the_model_is_not_scaled() -> None:
    net = Uneven()
    x = net.filters(net.start(4, 4, 3), 4)
    graph = net.graph(x, net.filters(net.act(x), 2))
    assert find_pairs(graph) == ()


def test_a_flattened_channel_owns_several_columns() -> None:
    net = Uneven(5)
    x = net.max_pool(net.act(net.filters(net.start(4, 4, 3), 4)))
    graph = net.graph(net.dense(x, 6))
    (found,) = find_pairs(graph)
    assert found.owner.tolist() == [0, 1, 2, 3] * 4
    np.testing.assert_allclose(*ranges(check(graph)), rtol=1e-9)


def test_channels_may_come_first_when_they_are_flattened() -> None:
    net = Uneven(5)
    x = net.filters(net.start(4, 4, 3), 4)
    graph = net.graph(net.dense(net.op(Transpose, x, perm=(0, 3, 1, 2)), 6))
    (found,) = find_pairs(graph)
    assert found.owner.tolist() == np.repeat(np.arange(4), 16).tolist()
    np.testing.assert_allclose(*ranges(check(graph)), rtol=1e-9)


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_read_their_own_channels(groups: int) -> None:
    net = Uneven(8)
    x = net.act(net.filters(net.start(4, 4, 3), 4))
    graph = net.graph(net.filters(x, 8, groups=groups))
    np.testing.assert_allclose(*ranges(check(graph)), rtol=1e-9)


def test_a_depthwise_convolution_joins_three_ranges() -> None:
    net = Uneven(1)
    x = net.act(net.filters(net.start(5, 5, 3), 4))
    x = net.act(net.filters(x, 4, groups=4))
    graph = net.graph(net.filters(x, 3, 1, bias=False))
    assert len(find_pairs(graph)) == 2
    (r1, r2), (_, r3) = ranges(graph, 0), ranges(graph, 1)
    found = check(graph)
    (s1, s2), (_, s3) = ranges(found, 0), ranges(found, 1)
    for s in (s1, s2, s3):
        np.testing.assert_allclose(s, np.cbrt(r1 * r2 * r3), rtol=1e-9)


def test_a_chain_settles() -> None:
    net = Uneven(2)
    x = net.start(5, 5, 3)
    for width in (4, 6, 5):
        x = net.act(net.filters(x, width))
    graph = net.graph(net.dense(x, 3))
    assert len(find_pairs(graph)) == 3
    found = check(graph)
    for i in range(3):
        np.testing.assert_allclose(*ranges(found, i), rtol=1e-3)
    again = equalize(found, sweeps=1)
    assert len(find_pairs(again)) == 3


def test_dead_channels_keep_their_scale() -> None:
    net = Uneven(6)
    x = net.act(net.filters(net.start(4, 4, 3), 4))
    graph = net.graph(net.filters(x, 3))
    first, last = (op.inputs[1].name for op in layers_of(graph))
    for name, part in ((first, 1), (last, (..., 2))):
        w = np.array(graph.constants[name])
        w[part] *= 0 if name == first else 1e-12
        graph = Graph(
            graph.name, graph.inputs, graph.outputs, graph.ops, {**graph.constants, name: w}
        )
    found = check(graph)
    before, after = (float_bias(g, layers_of(g)[0]) for g in (graph, found))
    assert (before == after).tolist() == [False, True, True, False]


def test_folded_norms_are_followed() -> None:
    net = Uneven(7)
    x = net.act(net.norm(net.filters(net.start(4, 4, 3), 4, bias=False), (1.0, -3.0, 0.01, 20.0)))
    graph = net.graph(net.filters(x, 3))
    assert find_pairs(graph) == ()
    folded = fold_batch_norm(graph)
    np.testing.assert_allclose(*ranges(check(folded)), rtol=1e-9)


def test_a_weight_that_two_layers_share_becomes_two() -> None:
    net = Uneven(9)
    w = net.b.constant("w", np.random.default_rng(0).normal(size=(3, 3)) * [[1], [10], [0.1]])
    x = net.start(3)
    for _ in range(3):
        x = net.act(net.op(Linear, x, w))
    graph = net.graph(x)
    found = check(graph)
    assert len({op.inputs[1].name for op in layers_of(found)}) == 3
    assert found.constants.keys().isdisjoint(graph.constants)


def test_nothing_to_equalize_is_no_error() -> None:
    net = Uneven()
    graph = net.graph(net.act(net.start(3)))
    assert equalize(graph).ops == graph.ops
