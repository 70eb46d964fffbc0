import numpy as np
import pytest

from bitwright.passes.compress.net_trim import Affine, net_trim, refit

RNG = np.random.default_rng(2)
X = RNG.normal(0, 1, (300, 12))
LAYER = Affine(RNG.normal(0, 1, (5, 12)), RNG.normal(0, 1, 5))


def outputs(layer: Affine, x: np.ndarray, *, rectified: bool) -> np.ndarray:
    y = layer(x)
    return np.maximum(y, 0) if rectified else y


def trimmed(epsilon: float, *, rectified: bool, steps: int = 1500) -> Affine:
    y = outputs(LAYER, X, rectified=rectified)
    return net_trim(X, y, epsilon, LAYER, rectified=rectified, max_iterations=steps)


@pytest.mark.parametrize("rectified", [False, True])
def test_no_error_returns_the_weights(rectified: bool) -> None:
    found = trimmed(0, rectified=rectified)
    assert found.weights == pytest.approx(LAYER.weights, abs=1e-3)
    assert found.bias == pytest.approx(LAYER.bias, abs=1e-3)


@pytest.mark.parametrize("rectified", [False, True])
def test_any_error_returns_zero(rectified: bool) -> None:
    found = trimmed(1e9, rectified=rectified)
    assert not found.weights.any()
    assert np.isfinite(found.bias).all()


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.3, 0.6])
def test_the_outputs_of_a_rectified_layer_stay_feasible(epsilon: float) -> None:
    y = outputs(LAYER, X, rectified=True)
    on = y > 0
    z = trimmed(epsilon, rectified=True)(X)
    norm = np.linalg.norm(y[on])
    assert np.linalg.norm((z - y)[on]) == pytest.approx(epsilon * norm, rel=1e-3)  # it is used up
    assert z[~on].max() < 1e-3 * np.abs(z).max()


def test_the_outputs_of_the_last_layer_stay_in_the_ball() -> None:
    y = LAYER(X)
    z = trimmed(0.3, rectified=False)(X)
    assert np.linalg.norm(z - y) == pytest.approx(0.3 * np.linalg.norm(y), rel=1e-3)


@pytest.mark.parametrize("rectified", [False, True])
def test_more_error_leaves_less_magnitude_and_fewer_weights(rectified: bool) -> None:
    found = [trimmed(e, rectified=rectified).weights for e in (0, 0.1, 0.3, 0.6, 0.9)]
    sums = [np.abs(w).sum() for w in found]
    counts = [np.count_nonzero(w) for w in found]
    assert sums == sorted(sums, reverse=True)
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0]


def test_orthonormal_inputs_give_the_soft_threshold() -> None:
    n = 8
    x = np.concatenate([np.eye(n), -np.eye(n)])  # E[x] = 0: the bias decouples
    w = RNG.normal(0, 1, (1, n))
    found = net_trim(x, x @ w.T, 0.4, Affine(w, np.zeros(1)), rectified=False, max_iterations=3000)
    low, high = 0.0, 5.0
    for _ in range(60):  # the threshold that uses up the ball
        t = (low + high) / 2
        soft = np.sign(w) * np.maximum(np.abs(w) - t, 0)
        inside = np.linalg.norm(soft - w) < 0.4 * np.linalg.norm(w)
        low, high = (t, high) if inside else (low, t)
    assert found.weights == pytest.approx(soft, abs=1e-3)
    assert ((found.weights == 0) == (soft == 0)).all()


def test_a_sparse_layer_behind_redundant_inputs_is_found() -> None:
    sparse = np.zeros((4, 40))
    sparse[:, :3] = RNG.normal(0, 1, (4, 3)) + 2
    x = RNG.normal(0, 1, (30, 40))  # fewer samples than weights: many layers do the same
    null = np.linalg.svd(x)[2][30:]
    dense = Affine(sparse + 0.3 * RNG.normal(0, 1, (4, null.shape[0])) @ null, np.zeros(4))
    found = net_trim(x, dense(x), 1e-3, dense, rectified=False, max_iterations=5000)
    assert np.count_nonzero(dense.weights) == 160
    assert (np.abs(found.weights) > 0.05).sum() == 12
    assert found.weights == pytest.approx(sparse, abs=0.05)


def test_inputs_that_are_always_zero_get_no_weight() -> None:
    x = X.copy()
    x[:, 3] = 0
    found = net_trim(x, LAYER(x), 0, LAYER, rectified=False)
    assert not found.weights[:, 3].any()
    assert found.weights[:, :3] == pytest.approx(LAYER.weights[:, :3], abs=1e-2)


def test_inputs_of_a_pruned_network_stay_feasible() -> None:
    y = outputs(LAYER, X, rectified=True)
    seen = X * (RNG.random(X.shape) < 0.8)
    now = LAYER(seen)
    found = net_trim(seen, y, 0.05, LAYER, rectified=True, max_iterations=3000)
    z, on = found(seen), y > 0
    radius = 0.05 * np.linalg.norm(y[on]) + np.linalg.norm((now - y)[on])
    assert np.linalg.norm((z - y)[on]) <= radius * 1.001
    assert (z - np.maximum(now, 0))[~on].max() < 1e-2


def test_refit_never_misses_more_and_keeps_the_zeros() -> None:
    for rectified in (False, True):
        y = outputs(LAYER, X, rectified=rectified)
        found = trimmed(0.5, rectified=rectified)
        better = refit(X, y, found, rectified=rectified)
        before = np.linalg.norm(outputs(found, X, rectified=rectified) - y)
        after = np.linalg.norm(outputs(better, X, rectified=rectified) - y)
        assert after < before
        assert ((better.weights == 0) == (found.weights == 0)).all()


def test_refit_with_the_true_support_returns_the_weights() -> None:
    start = Affine(LAYER.weights + RNG.normal(0, 0.3, LAYER.weights.shape), LAYER.bias * 0)
    found = refit(X, LAYER(X), start, rectified=False)
    assert found.weights == pytest.approx(LAYER.weights, abs=0.02)
    assert found.bias == pytest.approx(LAYER.bias, abs=0.02)
