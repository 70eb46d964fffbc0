"""The whole of compression: what the steps gain, what stays zero, what the plan says."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bitwright.compiler import load
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Binarize, Conv, Dequantize, Quantize
from bitwright.ir.types import Bipolar, Int, Real
from bitwright.options import CompileOptions
from bitwright.passes.compress.choose import Compressed, compress_fully
from bitwright.passes.compress.plan import Plan, Range, assemble, layers_of, with_biases
from bitwright.passes.compress.recipe_file import read_recipe
from bitwright.passes.weights import Weights
from tests.passes.conv_nets import ConvNet

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits-conv"


@cache
def digits() -> tuple[Graph, dict[str, Array], dict[str, Array]]:
    graph = load(EXAMPLE / "digits-conv-float.onnx", CompileOptions())
    name, shape = graph.inputs[0].name, graph.inputs[0].shape
    files = [np.load(EXAMPLE / f"{f}.npz") for f in ("calibration", "heldout")]
    first, second = (
        {name: next(f[n] for n in f.files if n != "y").reshape(-1, *shape).astype(np.float32)}
        for f in files
    )
    return graph, first, {name: second[name][:100]}


def compressed(text: str) -> Compressed:
    graph, calibration, _ = digits()
    return compress_fully(graph, read_recipe(text, "test"), calibration)


def noise(found: Compressed) -> float:
    graph, _, held = digits()
    want = next(iter(evaluate(graph, held).values()))
    got = next(iter(evaluate(found.graph, held).values()))
    return float(((got - want) ** 2).sum() / (want**2).sum())


@pytest.mark.parametrize("kind", ["int:3", "ternary", "pow2:3", "binary"])
def test_second_order_rounding_and_refitting_gain(kind: str) -> None:
    plain = f'weights = "{kind}"\nedges = "same"\nscales = "any"\n'
    nearest = compressed(plain)
    better = compressed(plain + 'solver = "second-order"')
    best = compressed(plain + 'solver = "second-order"\nrefit = "scale"')
    assert noise(best) < min(noise(nearest), noise(better))
    assert noise(better) < noise(nearest)
    assert sum(r.noise for r in best.layers) < sum(r.noise for r in nearest.layers)


def test_eight_bits_lose_next_to_nothing() -> None:
    assert noise(compressed('weights = "int:8"')) < 1e-3


@pytest.mark.parametrize(
    ("prune", "density"),
    [("magnitude:0.25", 0.25), ("l-obs:0.25", 0.25), ("obd:0.25", 0.25), ("2:4", 0.51)],
)
@pytest.mark.parametrize("solver", ["nearest", "second-order"])
def test_pruned_weights_stay_zero(prune: str, density: float, solver: str) -> None:
    text = f'weights = "int:6"\nprune = "{prune}"\nsolver = "{solver}"\nedges = "same"'
    found = compressed(text)
    for weights in found.plan.weights.values():
        assert np.mean(weights.codes != 0) <= density + 0.05
    assert {r.density <= density + 0.05 for r in found.layers} == {True}


def test_pruning_and_binary_weights_are_ternary() -> None:
    found = compressed(
        'weights = "binary"\nprune = "magnitude:0.4"\nedges = "same"\nscales = "any"'
    )
    for weights in found.plan.weights.values():
        assert set(np.unique(weights.codes)) == {-1, 0, 1}
        assert np.mean(weights.codes != 0) == pytest.approx(0.4, abs=0.02)
    graph = found.float_graph
    first = layers_of(graph)[0]
    codes, w = found.plan.weights[first.name].codes, graph.constant(first.inputs[1])
    kept = np.where(codes != 0, np.abs(w), 0).reshape(len(w), -1)
    count = (codes != 0).reshape(len(w), -1).sum(axis=1)
    want = np.where(count, kept.sum(axis=1) / np.maximum(count, 1), 1)
    assert np.allclose(found.plan.weights[first.name].scale, want)


def test_compensated_pruning_beats_deletion() -> None:
    plain = 'weights = "float"\nactivations = "float"\n'
    assert noise(compressed(plain + 'prune = "l-obs:0.2"')) < noise(
        compressed(plain + 'prune = "magnitude:0.2"')
    )


def test_net_trim_keeps_layers_within_their_error() -> None:
    found = compressed('weights = "float"\nactivations = "float"\nprune = "net-trim:0.1"')
    assert found.plan.weights == {}
    assert max(r.density for r in found.layers[1:]) < 0.8
    assert noise(found) < 0.2


def test_shared_weights_take_few_values() -> None:
    found = compressed('share = "kmeans:8"\nprune = "magnitude:0.5"')
    for weights in found.plan.weights.values():
        assert len(np.unique(weights.codes)) <= 8
        assert (weights.codes == 0).any()
        assert len(np.unique(weights.scale)) == 1


def test_channels_are_removed() -> None:
    graph, _, _ = digits()
    found = compressed("channels = 0.5")
    conv, before = (
        next(op for op in layers_of(g) if isinstance(op, Conv)) for g in (found.float_graph, graph)
    )
    assert conv.inputs[1].shape[0] == before.inputs[1].shape[0] // 2
    assert found.graph.outputs[0].shape == graph.outputs[0].shape


def test_equalization_keeps_the_function() -> None:
    graph, _, held = digits()
    found = compressed('weights = "float"\nactivations = "float"\nequalize = true')
    want = next(iter(evaluate(graph, held).values()))
    got = next(iter(evaluate(found.graph, held).values()))
    assert np.allclose(got, want, rtol=1e-5, atol=1e-6 * np.abs(want).max())


def test_rules_reach_activations() -> None:
    graph, _, _ = digits()
    last = layers_of(graph)[-1].loc
    found = compressed(f'weights = "int:8"\n[[layer]]\nmatch = "{last}"\nactivations = 3')
    tops = [r.elem.hi for r in found.plan.ranges.values() if isinstance(r.elem, Int)]
    assert sorted(tops)[0] in (3, 7)
    assert sorted(tops)[-1] in (127, 255)


def test_few_samples_are_warned_of_with_their_number() -> None:
    graph, calibration, _ = digits()
    recipe = read_recipe('weights = "int:8"', "test")
    few = {n: a[:5] for n, a in calibration.items()}
    assert "only 5 calibration samples" in compress_fully(graph, recipe, few).notes[0]
    assert compress_fully(graph, recipe, calibration).notes == ()


def test_the_plan_is_what_the_graph_holds() -> None:
    net = ConvNet(1)
    x = net.entry(Real(), 1, 4, 4, 3)
    y = net.conv(x, 2)
    graph = net.graph(y)
    name = y.name
    codes = np.ones((2, 3, 3, 3), np.int64)
    plan = Plan(
        {name: Weights(codes, np.array([0.5, 0.25]))},
        biases={name: np.array([1.0, 2.0])},
        ranges={x.name: Range(Bipolar(), 2.0), name: Range(Int(0, 15), 0.5)},
    )
    found = assemble(with_biases(graph, {name}), plan)
    assert [type(op) for op in found.ops] == [Binarize, Dequantize, Dequantize, Conv]
    a = np.random.default_rng(0).normal(size=(3, 1, 4, 4, 3))
    got = next(iter(evaluate(found, {x.name: a}).values()))
    signs = np.where(a >= 0, 2.0, -2.0)
    taps = sum(signs[:, 0, i : i + 2, j : j + 2].sum(axis=-1) for i in range(3) for j in range(3))
    want = taps[:, None, :, :, None] * np.array([0.5, 0.25]) + np.array([1.0, 2.0])
    assert np.allclose(got, want)
    assert not any(isinstance(op, Quantize) for op in found.ops)  # nothing reads that quantizer
