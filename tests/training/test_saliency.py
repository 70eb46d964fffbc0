"""Second derivatives by weight against closed forms and finite differences."""

from dataclasses import replace

import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array
from bitwright.training.saliency import empirical_fisher, fisher, gauss_newton
from tests.training.nets import cnn, mlp, task


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def test_a_softmax_regression_has_p_times_1_minus_p_times_x_squared() -> None:
    graph = mlp((5, 3))
    x = task(graph, 37).inputs
    p = softmax(evaluate(graph, x)["fc0"][:, 0])
    want = np.einsum("so,si->oi", p * (1 - p), x["x"][:, 0] ** 2) / 37
    np.testing.assert_allclose(fisher(graph, x)["fc0"], want, rtol=1e-4, atol=1e-7)


def test_the_softmax_at_the_end_changes_nothing() -> None:
    x = task(mlp((5, 3)), 9).inputs
    a, b = fisher(mlp((5, 3)), x), fisher(mlp((5, 3), softmax=True), x)
    np.testing.assert_allclose(a["fc0"], b["fc0"])


def test_the_data_s_labels_give_the_square_of_their_own_gradient() -> None:
    graph, data = mlp((5, 3)), task(mlp((5, 3)), 21)
    assert data.labels is not None
    p = softmax(evaluate(graph, data.inputs)["fc0"][:, 0])
    off = p - np.eye(3)[data.labels]
    want = np.einsum("so,si->oi", off**2, data.inputs["x"][:, 0] ** 2) / 21
    np.testing.assert_allclose(
        empirical_fisher(graph, data.inputs, data.labels)["fc0"], want, rtol=1e-4
    )


def test_many_classes_are_drawn() -> None:
    graph = mlp((4, 80))
    x = {"x": np.repeat(task(mlp((4, 3)), 1).inputs["x"], 600, axis=0)}
    p = softmax(evaluate(graph, x)["fc0"][:1, 0])[0]
    want = (p * (1 - p))[:, None] * x["x"][0, 0] ** 2
    np.testing.assert_allclose(fisher(graph, x)["fc0"], want, rtol=0.2, atol=6e-3)


def test_the_predicted_rise_of_a_quadratic_loss_is_exact() -> None:
    """One linear layer and squared errors: deleting one weight costs h w^2 / 2 exactly."""
    graph = mlp((4, 2))
    x = task(mlp((4, 2)), 50).inputs
    h, w = gauss_newton(graph, x)["fc0"], graph.constants["fc0.w"]
    target = evaluate(graph, x)["fc0"]
    for place in ((0, 0), (1, 3)):
        cut = w.copy()
        cut[place] = 0
        changed = replace(graph, constants={**graph.constants, "fc0.w": cut})
        rise = ((evaluate(changed, x)["fc0"] - target) ** 2).sum() / 2 / 50
        assert h[place] * w[place] ** 2 / 2 == pytest.approx(rise, rel=1e-4)


def test_convolutions_by_finite_differences() -> None:
    graph = cnn()
    x = task(graph, 3).inputs
    got = gauss_newton(graph, x)
    assert {n: a.shape for n, a in got.items()} == {
        n: graph.constants[f"{n}.w"].shape for n in ("conv0", "conv1", "fc")
    }
    for name, place in (("conv0", (2, 1, 1, 0)), ("conv1", (7, 0, 2, 1)), ("fc", (1, 9))):
        ends = []
        for step in (1e-4, -1e-4):
            moved = graph.constants[f"{name}.w"].copy()
            moved[place] += step
            changed = replace(graph, constants={**graph.constants, f"{name}.w": moved})
            ends.append(evaluate(changed, x)["fc"])
        want = (((ends[0] - ends[1]) / 2e-4) ** 2).sum() / 3
        assert got[name][place] == pytest.approx(want, rel=1e-3, abs=1e-6)


def test_labels_must_fit() -> None:
    graph, data = mlp((5, 3)), task(mlp((5, 3)), 4)
    with pytest.raises(CompileError, match="3 labels for 4 samples"):
        empirical_fisher(graph, data.inputs, np.zeros(3, np.int64))
    with pytest.raises(CompileError, match="labels reach from 0 to 3, classes from 0 to 2"):
        empirical_fisher(graph, data.inputs, np.array([0, 1, 2, 3]))
