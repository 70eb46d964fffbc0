"""Channels go from every place that holds them, and what they added stays in the biases."""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Arith,
    Arithmetic,
    BatchNorm,
    Conv,
    Normalize,
    Pad,
    Permute,
    PRelu,
    Reduce,
    Reduction,
    Resample,
    Reshape,
    Softmax,
    Transpose,
    Value,
)
from bitwright.ir.types import Real
from bitwright.passes import SIMPLIFY, run
from bitwright.passes.compress.channel_classes import find_channels
from bitwright.passes.compress.remove_channels import remove_channels
from tests.passes.compress.channel_nets import (
    ChannelNet,
    layers,
    same_function,
    silenced,
    weights,
    widths,
    work,
)

Dead = dict[str, list[int]]
Body = Callable[[ChannelNet], Value]


def image(net: ChannelNet, channels: int = 3, size: int = 4) -> Value:
    return net.entry(Real(), 1, size, size, channels)


def chain(net: ChannelNet) -> Value:
    x = net.relu(net.around(image(net), 6))
    x = net.max_pool(net.relu(net.around(x, 5)))
    return net.around(x, 2)


def residual(net: ChannelNet) -> Value:
    x = net.relu(net.around(image(net), 6))
    y = net.around(net.relu(net.around(x, 4)), 6)
    return net.around(net.relu(net.sum(x, y)), 2)


def fire(net: ChannelNet) -> Value:
    x = net.relu(net.around(image(net), 4, 1))
    sides = [net.relu(net.around(x, 5, k)) for k in (1, 3)]
    return net.around(net.join(*sides), 2, 1)


def separable(net: ChannelNet) -> Value:
    x = net.relu(net.around(image(net), 6))
    x = net.relu(net.around(x, 12, groups=6))
    return net.around(net.average_pool(net.relu(net.around(x, 4, 1))), 2, 1)


def shuffled(net: ChannelNet) -> Value:
    """Two convolutions in 3 groups of 4 channels with a shuffle and a depthwise one between."""
    x = net.relu(net.around(image(net), 12, 1))
    x = net.relu(net.around(x, 12, 1, groups=3))
    x = net.take(x, np.arange(12).reshape(3, 4).T.reshape(-1).tolist())
    x = net.around(x, 12, groups=12)
    return net.around(net.relu(net.around(x, 12, 1, groups=3)), 2, 1)


def squeezed(net: ChannelNet) -> Value:
    """Squeeze and excitation."""
    x = net.relu(net.around(image(net), 6))
    mean = net.op(Reduce, x, kind=Reduction.MEAN, axes=(1, 2))
    scale = net.around(net.relu(net.around(mean, 3, 1)), 6, 1)
    return net.around(net.product(x, scale), 2)


def flattened(net: ChannelNet) -> Value:
    x = net.relu(net.around(image(net), 6))
    return net.full(net.relu(net.full(net.flat(x), 7)), 2)


def normed(net: ChannelNet) -> Value:
    x = net.relu(net.norm(net.around(image(net), 6, pad=0), (1.0, -2.0, 0.5)))
    slope = net.b.constant("slope", net.rng.uniform(size=(5,)))
    x = net.op(PRelu, net.norm(net.around(x, 5, pad=0, kernel=1), (0.7,)), slope)
    factor = net.b.constant("factor", net.rng.uniform(size=(5,)))
    return net.around(net.op(Arithmetic, x, factor, kind=Arith.MUL), 2, 1)


def u_net(net: ChannelNet) -> Value:
    x = net.relu(net.around(image(net), 4))
    y = net.relu(net.around(net.max_pool(x), 6))
    y = net.relu(net.upwards(y, 5))
    positions = net.b.constant("at", np.array([[0, 1], [1, 2], [2, 3]]))
    half = net.b.constant("half", np.full((3, 2), 0.5))
    joined = net.op(Resample, net.join(y, x), positions, half, axis=1)
    return net.around(joined, 2)


def widened(net: ChannelNet) -> Value:
    """A shortcut that is padded with zero channels."""
    x = net.relu(net.around(image(net), 4))
    ends = (0, 0, 0, 1), (0, 0, 0, 1)
    wide = net.op(Pad, x, before=ends[0], after=ends[1])
    return net.around(net.sum(wide, net.around(x, 6)), 2)


def moved(net: ChannelNet) -> Value:
    """Channels first, in any order, and back; padding beside the channels."""
    x = net.relu(net.around(image(net), 6))
    first = net.op(Transpose, x, perm=(0, 3, 1, 2))
    order = net.b.constant("order", np.arange(96).reshape(6, 16)[::-1].reshape(-1))
    first = net.op(Permute, first, order, shape=(1, 6, 16))
    first = net.op(Pad, first, before=(0, 0, 1), after=(0, 0, 1))
    return net.full(net.op(Transpose, first, perm=(0, 2, 1)), 2)


CASES: dict[str, tuple[Body, Dead, dict[str, int]]] = {
    "chain": (chain, {"conv0": [0, 4], "conv1": [1]}, {"conv0": 4, "conv1": 4, "conv2": 2}),
    "residual": (
        residual, {"conv0": [1, 5], "conv2": [1, 5], "conv1": [0]},
        {"conv0": 4, "conv1": 3, "conv2": 4, "conv3": 2},
    ),
    "fire": (
        fire, {"conv0": [3], "conv1": [0, 2], "conv2": [4]},
        {"conv0": 3, "conv1": 3, "conv2": 4, "conv3": 2},
    ),
    "separable": (
        separable, {"conv0": [0, 5], "conv1": [0, 1, 10, 11], "conv2": [2]},
        {"conv0": 4, "conv1": 8, "conv2": 3, "conv3": 2},
    ),
    "squeezed": (
        squeezed, {"conv0": [2, 3], "conv1": [0], "conv2": [2, 3]},
        {"conv0": 4, "conv1": 2, "conv2": 4, "conv3": 2},
    ),
    "flattened": (flattened, {"conv0": [0, 3], "fc1": [6]}, {"conv0": 4, "fc1": 6, "fc2": 2}),
    "normed": (normed, {"conv0": [0, 1, 5], "conv1": [2]}, {"conv0": 3, "conv1": 4, "conv2": 2}),
    "u-net": (
        u_net, {"conv0": [1], "conv1": [0, 2], "up2": [3, 4]},
        {"conv0": 3, "conv1": 4, "up2": 3, "conv3": 2},
    ),
    "widened": (
        widened, {"conv0": [0, 3], "conv1": [1, 4]}, {"conv0": 2, "conv1": 4, "conv2": 2},
    ),
    "moved": (moved, {"conv0": [0, 2]}, {"conv0": 4, "fc1": 2}),
}  # fmt: skip


def built(body: Body) -> Graph:
    net = ChannelNet(1)
    return net.graph(body(net))


def arrays(dead: Dead) -> dict[str, Array]:
    return {name: np.array(which) for name, which in dead.items()}


def removed(graph: Graph, dead: Dead) -> Graph:
    found = remove_channels(graph, arrays(dead))
    found.verify()
    return found


@pytest.mark.parametrize("case", CASES)
def test_silent_channels_go_and_the_function_stays(case: str) -> None:
    body, dead, expected = CASES[case]
    graph = silenced(built(body), arrays(dead))
    found = removed(graph, dead)
    assert widths(found) == expected
    same_function(graph, found)


@pytest.mark.parametrize("case", CASES)
def test_channels_that_speak_go_as_well(case: str) -> None:
    body, dead, expected = CASES[case]
    found = removed(built(body), dead)
    assert widths(found) == expected


@pytest.mark.parametrize("case", [c for c in CASES if c != "moved"])
def test_simplified_graphs_lose_the_same(case: str) -> None:
    body, dead, expected = CASES[case]
    graph = run(silenced(built(body), arrays(dead)), SIMPLIFY)
    found = removed(graph, dead)
    assert widths(found) == expected
    same_function(graph, found)


def test_work_and_weights_shrink_by_what_was_removed() -> None:
    body, dead, _ = CASES["chain"]
    found = removed(built(body), dead)
    assert weights(found) == 9 * (3 * 4 + 4 * 4 + 4 * 2)
    assert work(found) == 9 * (16 * 3 * 4 + 16 * 4 * 4 + 4 * 4 * 2)
    body, dead, _ = CASES["separable"]
    found = removed(built(body), dead)
    assert weights(found) == 9 * (3 * 4 + 8) + 8 * 3 + 3 * 2
    flat = removed(built(flattened), CASES["flattened"][1])
    assert layers(flat)["fc1"].inputs[1].shape == (6, 4 * 16)


def test_a_channel_of_a_sum_goes_only_from_all_its_layers() -> None:
    graph = built(residual)
    assert widths(removed(graph, {"conv0": [1]})) == widths(graph)
    assert widths(removed(graph, {"conv0": [1], "conv2": [2]})) == widths(graph)
    assert widths(removed(graph, {"conv0": [1], "conv2": [1, 2]}))["conv0"] == 5


def test_a_channel_of_two_parts_of_a_concat_goes_from_one() -> None:
    found = removed(built(fire), {"conv2": [0, 1, 2]})
    want = built(fire).constant(layers(built(fire))["conv3"].inputs[1])[..., [0, 1, 2, 3, 4, 8, 9]]
    np.testing.assert_array_equal(found.constant(layers(found)["conv3"].inputs[1]), want)


def test_shuffled_groups_lose_equally_many() -> None:
    """The classes are matchings: one channel of each group before and after the shuffle."""
    graph = built(shuffled)
    classes = find_channels(graph).along(graph.producers()["conv1"].output)
    assert sorted(np.unique(classes, return_counts=True)[1]) == [3, 3, 3, 3]
    for row in (*classes.reshape(3, 4), *classes.reshape(3, 4).T.reshape(3, 4)):
        assert len(set(row)) == 4
    block = np.flatnonzero(classes == classes[0]).tolist()
    place = np.argsort(np.arange(12).reshape(3, 4).T.reshape(-1))[block].tolist()
    dead = {"conv0": [0, 4, 8], "conv1": block, "conv2": place, "conv3": [1, 5, 9]}
    silent = silenced(graph, arrays(dead))
    found = removed(silent, dead)
    assert widths(found) == {"conv0": 9, "conv1": 9, "conv2": 9, "conv3": 9, "conv4": 2}
    assert [op.groups for op in found.ops if isinstance(op, Conv)] == [1, 3, 9, 3, 1]
    same_function(silent, found)
    assert widths(removed(graph, {"conv1": block[:2]})) == widths(graph)


def test_a_shuffle_by_reshapes_ties_whole_places() -> None:
    net = ChannelNet(2)
    x = net.relu(net.around(image(net), 8))
    x = net.op(Reshape, x, shape=(1, 4, 4, 2, 4))
    x = net.op(Transpose, x, perm=(0, 1, 2, 4, 3))
    graph = net.graph(net.around(net.op(Reshape, x, shape=(1, 4, 4, 8)), 2))
    dead = {"conv0": [1, 5, 2]}
    assert widths(removed(graph, dead))["conv0"] == 6
    silent = silenced(graph, arrays(dead))
    same_function(silent, removed(silent, dead))
    assert widths(removed(run(graph, SIMPLIFY), dead))["conv0"] == 5


@pytest.mark.parametrize("pad", [0, 1])
def test_a_fixed_channel_moves_into_the_bias_unless_padding_forbids(pad: int) -> None:
    net = ChannelNet(3)
    x = net.relu(net.norm(net.around(image(net), 5), (1.0, 2.0)))
    graph = net.graph(net.around(x, 2, pad=pad))
    graph = silenced(graph, {"conv0": np.array([0, 2])})
    beta = graph.constant(
        next(v for op in graph.ops if isinstance(op, BatchNorm) for v in op.inputs[2:3])
    )
    beta[[0, 2]] = 30.0, -30.0  # a fixed number of its own, and 0 behind the activation
    found = removed(graph, {"conv0": [0, 2]})
    assert widths(found)["conv0"] == (4 if pad else 3)
    same_function(graph, found)


def test_a_fixed_channel_that_padding_makes_uneven_stays() -> None:
    net = ChannelNet(4)
    x = net.relu(net.around(image(net), 4))
    x = net.around(x, 4, groups=4)
    graph = silenced(net.graph(net.around(net.relu(x), 2, 1)), {"conv0": np.array([1])}, bias=0.5)
    found = removed(graph, {"conv0": [1]})
    assert widths(found)["conv0"] == 4
    silent = silenced(graph, {"conv0": np.array([1])})
    assert widths(removed(silent, {"conv0": [1]}))["conv1"] == 3
    same_function(silent, removed(silent, {"conv0": [1]}))


def test_a_layer_without_a_bias_gets_one_for_what_was_fixed() -> None:
    net = ChannelNet(5)
    x = net.relu(net.full(net.entry(Real(), 1, 6), 5))
    graph = net.graph(net.full(x, 3))
    last = graph.ops[-1]
    graph = replace(graph, ops=(*graph.ops[:-1], replace(last, inputs=last.inputs[:2])))
    graph = silenced(graph, {"fc0": np.array([4])}, bias=2.0)
    found = removed(graph, {"fc0": [4]})
    assert len(layers(found)["fc1"].inputs) == 3
    same_function(graph, found)


def crossing(net: ChannelNet, x: Value) -> Value:
    """Return the mean over channels, which reads all of them alike."""
    return net.op(Reduce, x, kind=Reduction.MEAN, axes=(3,))


STAYING: dict[str, Callable[[ChannelNet, Value], Value]] = {
    "output": lambda _, x: x,
    "mean": crossing,
    "softmax": lambda net, x: net.around(net.op(Softmax, x, axis=3, end=4), 2),
    "normalized": lambda net, x: net.around(net.op(Normalize, x, axes=(3,), epsilon=1e-5), 2),
    "with the input": lambda net, x: net.around(net.sum(x, net.inputs[0]), 2),
}


@pytest.mark.parametrize("case", STAYING)
def test_what_is_read_otherwise_stays(case: str) -> None:
    net = ChannelNet(6)
    graph = net.graph(STAYING[case](net, net.around(image(net, 4), 4)))
    assert widths(removed(graph, {"conv0": [0, 1]})) == widths(graph)


def test_a_gate_of_one_channel_does_not_tie_those_it_scales() -> None:
    net = ChannelNet(6)
    x = net.around(image(net), 4)
    graph = net.graph(net.around(net.product(x, net.around(x, 1)), 2))
    assert widths(removed(graph, {"conv0": [0], "conv1": [0]})) == {
        "conv0": 3,
        "conv1": 1,
        "conv2": 2,
    }


def test_the_last_channel_of_a_tensor_stays() -> None:
    graph = built(chain)
    assert widths(removed(graph, {"conv0": list(range(6))}))["conv0"] == 1
    assert widths(removed(built(fire), {"conv1": list(range(5))}))["conv1"] == 1


def test_what_cannot_be_removed_is_said() -> None:
    graph = built(chain)
    with pytest.raises(CompileError, match="no layer with weights is called 'conv9'"):
        removed(graph, {"conv9": [0]})
    for index in (6, -1):
        with pytest.raises(CompileError, match=f"6 output channels; channel {index} "):
            removed(graph, {"conv0": [index]})


def test_nothing_dead_changes_nothing() -> None:
    graph = built(chain)
    assert removed(graph, {}).ops == graph.ops


def test_every_array_is_as_large_as_its_shape_says() -> None:
    for body, dead, _ in CASES.values():
        found = removed(built(body), dead)
        for op in found.ops:
            sizes: list[Any] = [
                found.constants[v.name].size for v in op.inputs if found.is_constant(v)
            ]
            assert sizes == [prod(v.shape) for v in op.inputs if found.is_constant(v)]
