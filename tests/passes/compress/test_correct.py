from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Activation, BatchNorm, Dequantize, Function, Linear, Op, Value
from bitwright.ir.types import Int, Real, TensorType
from bitwright.passes.compress.correct import (
    bias_shift,
    least_squares_scale,
    moments,
    reestimate_batch_norms,
)
from bitwright.passes.compress.fold_batch_norm import fold_batch_norm
from bitwright.passes.compress.kinds import binarize
from bitwright.passes.compress.plan import float_bias, float_weights, layers_of

OUTPUTS, INPUTS, ROWS = 6, 30, 500


def outputs(seed: int = 0) -> tuple[Array, Array, Array]:
    """Return what a layer gives, what its binary form gives, and the bias."""
    rng = np.random.default_rng(seed)
    x = np.maximum(rng.normal(size=(ROWS, INPUTS)), 0)
    w, b = rng.normal(0.2, 1, (OUTPUTS, INPUTS)), rng.normal(size=OUTPUTS)
    found = binarize(w)
    return x @ w.T + b, x @ (found.codes * found.scale[:, None]).T + b, b


def test_the_shift_restores_the_mean() -> None:
    y, z, _ = outputs()
    assert np.abs((y - z).mean(axis=0)).max() > 0.1
    np.testing.assert_allclose((z + bias_shift(y, z)).mean(axis=0), y.mean(axis=0), rtol=1e-12)


def test_the_scale_has_the_least_squared_error() -> None:
    y, z, b = outputs()
    alpha = least_squares_scale(y, z, b)
    errors = [((y - (b + f * alpha * (z - b))) ** 2).sum(axis=0) for f in (1, 0.99, 1.01)]
    assert (errors[0] < errors[1]).all()
    assert (errors[0] < errors[2]).all()
    assert (np.abs(alpha - 1) > 1e-3).any()


def test_the_scale_undoes_a_wrong_one() -> None:
    y, _, b = outputs()
    wrong = np.linspace(0.1, 4, OUTPUTS)
    np.testing.assert_allclose(least_squares_scale(y, b + wrong * (y - b), b), 1 / wrong)


def test_a_scale_that_cannot_be_stays_one() -> None:
    y, _, b = outputs()
    z = y.copy()
    z[:, 0] = b[0]  # all its weights are 0
    z[:, 1] = 2 * b[1] - y[:, 1]  # its sign is wrong
    assert least_squares_scale(y, z, b)[:2].tolist() == [1.0, 1.0]
    assert least_squares_scale(y[:0], z[:0], b).tolist() == [1.0] * OUTPUTS


def test_moments_are_those_of_the_float_layer() -> None:
    y, z, _ = outputs()
    scale, shift = moments(y, z)
    new = scale * z + shift
    np.testing.assert_allclose(new.mean(axis=0), y.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(new.std(axis=0), y.std(axis=0), rtol=1e-12)
    assert (scale > 0).all()
    assert (np.abs(scale - 1) > 1e-3).any()


@pytest.mark.parametrize("which", [0, 1])
def test_a_constant_output_keeps_its_scale(which: int) -> None:
    pair = list(outputs()[:2])
    pair[which][:, 2] = 0.1
    scale, shift = moments(*pair)
    assert scale[2] == 1
    assert shift[2] == pytest.approx((pair[0] - pair[1])[:, 2].mean())


def test_no_rows_change_nothing() -> None:
    none = np.zeros((0, 3))
    assert bias_shift(none, none).tolist() == [0, 0, 0]
    assert [a.tolist() for a in moments(none, none)] == [[1, 1, 1], [0, 0, 0]]


def test_single_precision_is_enough() -> None:
    y, z, _ = outputs()
    shifted = [(a + 1000).astype(np.float32) for a in (y, z)]
    np.testing.assert_allclose(moments(*shifted)[0], moments(y, z)[0], rtol=1e-3)


def normed(*, gammas: tuple[float, ...] = (1.0, -0.7)) -> Graph:
    """Linear, norm, activation, twice; statistics are far from those of normal inputs."""
    b, rng = Builder(["x"]), np.random.default_rng(4)
    x = Value("x", TensorType(Real(), (1, INPUTS)))
    y = x
    for i, gamma in enumerate(gammas):
        w = b.constant(f"w{i}", rng.normal(0, 0.4, (OUTPUTS, y.shape[-1])))
        y = b.op(Linear, (y, w), f"fc{i}", f"fc{i}")
        scale = b.constant(f"g{i}", np.linspace(0.5, 1.5, OUTPUTS) * gamma)
        rest = [b.constant(f"{p}{i}", rng.uniform(0.5, 1.5, OUTPUTS)) for p in "bmv"]
        y = b.op(BatchNorm, (y, scale, *rest), f"bn{i}", f"bn{i}", epsilon=0.0, axis=1)
        y = b.op(Activation, (y,), f"act{i}", f"act{i}", kind=Function.RELU)
    return b.graph("net", [x], [y])


def binary(graph: Graph) -> Graph:
    """Return the graph with binary weights as codes behind a Dequantize."""
    b = Builder([*graph.values(), *graph.constants])
    b.constants = dict(graph.constants)
    for op in graph.ops:
        new: Op = op
        if isinstance(op, Linear):
            found = binarize(float_weights(graph, op))
            parts = [
                b.constant("codes", found.codes),
                b.constant("alpha", found.scale),
                b.constant("zero", np.array([0.0])),
            ]
            w = b.op(Dequantize, tuple(parts), f"{op.name}:w", op.loc, axis=0)
            new = replace(op, inputs=(op.inputs[0], w, *op.inputs[2:]))
        b.add(new)
    return b.graph(graph.name, graph.inputs, graph.outputs)


def tapped(graph: Graph, x: Mapping[str, Array]) -> dict[str, Array]:
    """Return every value on the samples, (rows, channels)."""
    seen: dict[str, Array] = {}
    evaluate(graph, x, tap=lambda op, y: seen.update({op.name: y.reshape(-1, y.shape[-1])}))
    return seen


def inputs(count: int = 150) -> dict[str, Array]:
    return {"x": np.random.default_rng(9).normal(0.5, 1, (count, 1, INPUTS))}


def test_norms_see_the_statistics_of_the_new_weights() -> None:
    samples = inputs()
    graph = reestimate_batch_norms(binary(normed()), samples)
    graph.verify()
    seen = tapped(graph, samples)
    norms = [op for op in graph.ops if isinstance(op, BatchNorm)]
    assert len(norms) == 2
    for op in norms:
        gamma, beta, mean, var = (graph.constant(v) for v in op.inputs[1:])
        x = seen[op.inputs[0].name]
        np.testing.assert_allclose(x.mean(axis=0), mean, rtol=1e-9)
        np.testing.assert_allclose(x.var(axis=0), var, rtol=1e-9)
        np.testing.assert_allclose(seen[op.name].mean(axis=0), beta, rtol=1e-9)
        np.testing.assert_allclose(seen[op.name].std(axis=0), np.abs(gamma), rtol=1e-9)


def test_statistics_that_are_right_stay() -> None:
    samples = inputs()
    once = reestimate_batch_norms(normed(), samples)
    twice = reestimate_batch_norms(once, samples)
    want, got = evaluate(once, samples)["act1"], evaluate(twice, samples)["act1"]
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_a_channel_that_never_changes_keeps_its_variance() -> None:
    graph = normed()
    w = np.array(graph.constants["w0"])
    w[3] = 0
    still = replace(graph, constants={**graph.constants, "w0": w})
    found = reestimate_batch_norms(still, inputs())
    (op,) = (o for o in found.ops if o.name == "bn0")
    assert found.constant(op.inputs[4])[3] == graph.constants["v0"][3]
    assert found.constant(op.inputs[3])[3] == 0


def test_norms_lie_along_any_axis() -> None:
    b, rng = Builder(["x"]), np.random.default_rng(1)
    x = Value("x", TensorType(Real(), (1, 3, 4, 5)))
    names = [b.constant(p, rng.uniform(1, 2, 3)) for p in "gbmv"]
    y = b.op(BatchNorm, (x, *names), "bn", "bn", epsilon=0.0, axis=1)
    samples = {"x": rng.normal(2, 3, (70, 1, 3, 4, 5))}
    graph = reestimate_batch_norms(b.graph("net", [x], [y]), samples)
    op = graph.ops[0]
    np.testing.assert_allclose(
        graph.constant(op.inputs[3]), samples["x"].mean(axis=(0, 1, 3, 4)), rtol=1e-9
    )
    np.testing.assert_allclose(
        graph.constant(op.inputs[4]), samples["x"].var(axis=(0, 1, 3, 4)), rtol=1e-9
    )


def test_statistics_that_are_computed_are_left_alone() -> None:
    b = Builder(["x", "m"])
    x, m = (Value(n, TensorType(Real(), s)) for n, s in (("x", (1, 3)), ("m", (3,))))
    one = b.constant("one", np.ones(3))
    y = b.op(BatchNorm, (x, one, one, m, one), "bn", "bn", epsilon=0.0, axis=1)
    graph = b.graph("net", [x, m], [y])
    assert reestimate_batch_norms(graph, inputs()).ops == graph.ops


def test_moments_are_re_estimation_of_a_folded_norm() -> None:
    samples = inputs()
    graph = reestimate_batch_norms(normed(gammas=(-0.7,)), samples)  # its statistics are its own
    kept = reestimate_batch_norms(binary(graph), samples)
    folded = fold_batch_norm(graph)
    (op,) = layers_of(folded)
    w, bias = float_weights(folded, op), float_bias(folded, op)
    # The same codes, with gamma / sigma folded into their scales; the sign of gamma is in them too.
    codes = binarize(w)
    x = samples["x"].reshape(-1, INPUTS)
    y, z = x @ w.T + bias, x @ (codes.codes * codes.scale[:, None]).T + bias
    scale, shift = moments(y, z)
    np.testing.assert_allclose(scale * z + shift, tapped(kept, samples)["bn0"], rtol=1e-9)


def test_a_quantized_input_is_read_through_its_meaning() -> None:
    b = Builder(["q"])
    q = Value("q", TensorType(Int(0, 15), (1, 3)))
    step, zero = b.constant("s", np.array([0.5])), b.constant("z", np.array([0.0]))
    one = b.constant("one", np.ones(3))
    x = b.op(Dequantize, (q, step, zero), "dq", "dq")
    y = b.op(BatchNorm, (x, one, one, one, one), "bn", "bn", epsilon=0.0, axis=1)
    codes = np.random.default_rng(0).integers(0, 16, (90, 1, 3))
    graph = reestimate_batch_norms(b.graph("net", [q], [y]), {"q": codes})
    np.testing.assert_allclose(graph.constant(graph.ops[-1].inputs[3]), codes.mean(axis=(0, 1)) / 2)
