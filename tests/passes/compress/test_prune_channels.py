"""Which channels are chosen, and how the layers behind them make up for their loss."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Dequantize, Linear
from bitwright.ir.types import Real
from bitwright.passes.compress.prune_channels import choose_channels, prune_channels
from bitwright.passes.compress.reconstruct import reconstruct
from bitwright.passes.compress.remove_channels import remove_channels
from tests.graphs import samples
from tests.passes.compress.channel_nets import ChannelNet, layers, outputs, widths
from tests.passes.compress.test_remove_channels import (
    built,
    chain,
    fire,
    flattened,
    image,
    normed,
    residual,
    separable,
    shuffled,
)


def chosen(graph: Graph, *args: Any, **more: Any) -> dict[str, list[int]]:
    return {n: which.tolist() for n, which in choose_channels(graph, *args, **more).items()}


def scaled(graph: Graph, layer: str, factors: list[float]) -> Graph:
    """Multiply each filter of a layer, and its bias, in place."""
    for v in layers(graph)[layer].inputs[1:]:
        array = graph.constant(v)
        array /= (
            np.abs(array).reshape(len(array), -1).sum(axis=1).reshape(-1, *(1,) * (array.ndim - 1))
        )
        array *= np.array(factors).reshape(-1, *(1,) * (array.ndim - 1))
    return graph


def test_the_least_channels_of_each_layer_go() -> None:
    graph = scaled(built(chain), "conv0", [3, 1, 5, 2, 6, 4])
    graph = scaled(graph, "conv1", [1, 1, 0.5, 1, 0.7])
    assert chosen(graph, 0.5) == {"conv0": [0, 1, 3], "conv1": [2, 4]}
    assert chosen(graph, {"conv0": 0.7}) == {"conv0": [1]}
    assert [len(which) for which in chosen(graph, 0.01).values()] == [5, 4]
    assert chosen(graph, 1.0) == {}


@pytest.mark.parametrize(("density", "kept"), [(0.5, 3), (0.51, 4), (1 / 3, 2), (0.34, 3)])
def test_the_share_is_rounded_up(density: float, kept: int) -> None:
    assert 6 - len(chosen(built(chain), {"conv0": density})["conv0"]) == kept


def test_l1_and_l2_differ_where_they_should() -> None:
    net = ChannelNet()
    x = net.full(net.entry(Real(), 1, 4), 2)
    graph = net.graph(net.full(net.relu(x), 3))
    w = graph.constant(layers(graph)["fc0"].inputs[1])
    w[:] = [[2, 0, 0, 0], [0.9, 0.9, 0.9, 0.9]]  # L1: 2 and 3.6; L2: 2 and 1.8
    assert chosen(graph, 0.5, "l1") == {"fc0": [0]}
    assert chosen(graph, 0.5, "l2") == {"fc0": [1]}


def test_tied_layers_are_ranked_by_the_sum_of_their_shares() -> None:
    graph = scaled(built(residual), "conv0", [100, 200, 300, 400, 500, 600])
    graph = scaled(graph, "conv2", [6, 6, 0.1, 6, 6, 6])
    found = chosen(graph, {"conv0": 0.5, "conv2": 0.5})
    assert found == {"conv0": [0, 1, 2], "conv2": [0, 1, 2]}
    graph = scaled(graph, "conv2", [6, 6, 6, 6, 6, 0.1])
    assert chosen(graph, {"conv0": 0.6, "conv2": 0.5})["conv0"] == [0, 5]
    assert chosen(graph, {"conv0": 0.5}) == {}  # conv2 keeps all of its channels


def test_depthwise_layers_follow_and_count() -> None:
    graph = scaled(built(separable), "conv0", [1.0] * 6)
    graph = scaled(graph, "conv1", [1, 1, 1, 1, 0.1, 0.1, 1, 1, 1, 1, 1, 1])
    assert chosen(graph, {"conv0": 0.7}) == {"conv0": [2], "conv1": [4, 5]}


@pytest.mark.parametrize(("multiple", "kept"), [(1, 5), (2, 6), (4, 8), (5, 5), (7, 9)])
def test_widths_are_multiples_where_they_can_be(multiple: int, kept: int) -> None:
    net = ChannelNet()
    graph = net.graph(net.around(net.around(image(net), 9), 2))
    found = prune_channels(graph, 0.5, multiple=multiple)
    assert widths(found) == {"conv0": kept if multiple != 7 else 7, "conv1": 2}


def test_grouped_layers_lose_whole_classes() -> None:
    found = prune_channels(built(shuffled), 0.5)
    assert widths(found) == {"conv0": 6, "conv1": 6, "conv2": 6, "conv3": 6, "conv4": 2}


def test_batch_norms_rank_by_their_factors() -> None:
    graph = built(normed)  # gammas 1, -2, 0.5 twice over, and 0.7
    assert chosen(graph, {"conv0": 0.6}, "batch-norm") == {"conv0": [2, 5]}
    with pytest.raises(CompileError, match="no batch norm left"):
        choose_channels(built(chain), 0.5, "batch-norm")


def test_activations_rank_by_what_the_next_layer_reads() -> None:
    net = ChannelNet()
    x = net.relu(net.full(net.entry(Real(), 1, 5), 4))
    graph = net.graph(net.full(x, 3))
    w, b = (graph.constant(v) for v in layers(graph)["fc0"].inputs[1:])
    w[:], b[:] = 0.01, [5, -9, 1, 2]  # the largest bias by magnitude is silent behind the ReLU
    x0 = samples(graph, 20)
    assert chosen(graph, 0.75, "activation", x0) == {"fc0": [1]}
    assert chosen(graph, 0.5, "activation", x0) == {"fc0": [1, 2]}
    with pytest.raises(CompileError, match="needs calibration samples"):
        choose_channels(graph, 0.5, "activation")


def test_a_flattened_channel_counts_all_its_columns() -> None:
    graph = built(flattened)
    x = samples(graph, 10)
    found = choose_channels(graph, {"conv0": 0.5}, "activation", x)["conv0"]
    y = outputs(replace(graph, outputs=(graph.producers()["activation"].output,)), 10)
    assert found.tolist() == sorted(np.argsort(y.mean(axis=(0, 1, 2, 3)))[:3])


def test_saliencies_may_be_given() -> None:
    graph = built(chain)
    given = {"conv0": np.array([5, 4, 3, 2, 1, 0.5])}
    assert chosen(graph, 0.5, given) == {"conv0": [3, 4, 5]}
    with pytest.raises(CompileError, match=r"shape \(3,\), expected one for each of 6 channels"):
        choose_channels(graph, 0.5, {"conv0": np.ones(3)})


@pytest.mark.parametrize(
    ("densities", "saliency", "message"),
    [
        ({"conv7": 0.5}, "l1", "no layer with weights is called 'conv7'"),
        ({"conv0": 0.0}, "l1", "conv0: a share of 0.0"),
        (1.5, "l1", "a share of 1.5"),
        (0.5, "l3", "saliency 'l3': choose l1, l2, batch-norm, activation"),
    ],
)
def test_wrong_choices_are_said(densities: Any, saliency: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        choose_channels(built(chain), densities, saliency)


def test_weights_that_are_codes_are_pruned_as_numbers() -> None:
    net = ChannelNet()
    scale, zero = net.b.constant("s", np.array([0.5])), net.b.constant("z", np.array([0.0]))
    codes = net.b.constant("codes", np.array([[3, 3], [1, -1], [2, 2]]))
    w = net.b.op(Dequantize, (codes, scale, zero), "w", "fc", axis=0)
    x = net.b.op(Linear, (net.entry(Real(), 1, 2), w), "fc", "fc")
    graph = net.graph(net.full(net.relu(x), 2))
    found = prune_channels(graph, 0.6)
    np.testing.assert_array_equal(
        found.constant(layers(found)["fc"].inputs[1]), [[1.5] * 2, [1] * 2]
    )


def error(graph: Graph, found: Graph) -> float:
    """Return the squared error over the square of the signal, on samples of another seed."""
    want, got = outputs(graph, 300), outputs(found, 300)
    return float(((got - want) ** 2).sum() / (want**2).sum())


def test_a_redundant_channel_is_made_up_for_completely() -> None:
    """Two channels that are always alike: the next layer can take the other one instead."""
    net = ChannelNet(3)
    x = net.relu(net.around(image(net), 4))
    graph = net.graph(net.around(x, 2))
    for v in layers(graph)["conv0"].inputs[1:]:
        graph.constant(v)[3] = graph.constant(v)[1]
    dead = {"conv0": np.array([3])}
    removed = remove_channels(graph, dead)
    assert error(graph, removed) > 0.1
    fitted = reconstruct(graph, removed, dead, samples(graph, 100, seed=5))
    fitted.verify()
    assert error(graph, fitted) < 1e-3


@pytest.mark.parametrize("body", [chain, residual, fire, separable, shuffled, normed, flattened])
def test_fitting_brings_the_outputs_closer(body: Any) -> None:
    graph = built(body)
    x = samples(graph, 200, seed=5)
    plain, fitted = prune_channels(graph, 0.7), prune_channels(graph, 0.7, "l1", x)
    fitted.verify()
    assert widths(plain) == widths(fitted) != widths(graph)
    assert error(graph, fitted) < error(graph, plain)


@pytest.mark.parametrize(("count", "limit"), [(4, 1.0), (40, 1.2)])
def test_fitting_few_samples_does_no_harm(count: int, limit: float) -> None:
    """Rows that were left out of the fit show when the weights are better left alone."""
    graph = built(flattened)
    x = samples(graph, count, seed=5)
    plain, fitted = prune_channels(graph, 0.8), prune_channels(graph, 0.8, "l1", x)
    assert widths(plain) != widths(graph)
    assert error(graph, fitted) <= limit * error(graph, plain)
