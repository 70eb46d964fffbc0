import numpy as np
import pytest

from bitwright.ir.graph import Array
from bitwright.passes.compress import second_order
from bitwright.passes.compress.exact_obs import exact_prune, greedy
from bitwright.passes.compress.grid import Grid
from bitwright.passes.compress.kinds import choose_grid, parse_weights
from bitwright.passes.compress.polish import sweep
from bitwright.passes.compress.refit import descend, refit_rows, refit_scale
from bitwright.passes.compress.second_moment import dampened, factor, hessian, layer_error
from bitwright.passes.compress.second_order import (
    Settle,
    compensate,
    prune_pattern,
    prune_rows,
    quantize_rows,
)
from bitwright.passes.weights import Weights

KINDS = ["binary", "ternary", "pow2:4", "apot:4", "int:3", "int:4"]


def correlated(n: int, *, rows: int = 600, seed: int = 3) -> Array:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(0, 1, (rows, n)) @ rng.normal(0, 1, (n, n)) + 0.5)


def weights(outputs: int, n: int, seed: int = 4) -> Array:
    return np.random.default_rng(seed).normal(0, 1, (outputs, n))


def values(found: Weights) -> Array:
    return np.asarray(found.codes * found.scale[:, None])


def onto(grid: Grid) -> second_order.Step:
    def step(_columns: Array, _now: Array, _curvature: Array) -> Settle:
        return lambda _, t: grid.values(t[:, None])[:, 0]

    return step


def test_the_hessian_is_the_second_moment() -> None:
    x = correlated(7, rows=5000)  # more than one chunk
    np.testing.assert_allclose(hessian(x), x.T @ x / 5000)
    w, v = weights(3, 7), weights(3, 7, seed=9)
    lost = ((x @ w.T - x @ v.T) ** 2).mean(axis=0).sum()
    assert layer_error(w, v, hessian(x)) == pytest.approx(lost)


def test_the_factor_holds_the_inverse_of_what_is_left() -> None:
    h = hessian(correlated(9))
    f = factor(h)
    np.testing.assert_allclose(f.T @ f, h)
    assert not np.triu(f, 1).any()
    for q in range(9):
        assert 1 / f[q, q] ** 2 == pytest.approx(np.linalg.inv(h[q:, q:])[0, 0])


def test_dead_inputs_stand_alone_in_a_definite_matrix() -> None:
    x = correlated(6)
    x[:, 2] = 0
    sound = dampened(hessian(x))
    assert np.linalg.eigvalsh(sound).min() > 0
    assert np.count_nonzero(sound[2]) == 1
    assert (np.linalg.eigvalsh(dampened(np.zeros((3, 3)))) > 0).all()


def test_one_prune_costs_what_obs_says() -> None:
    x, w = correlated(12), weights(4, 12)
    h = hessian(x)
    trace = greedy(w, np.linalg.inv(h), np.zeros_like, np.zeros(w.shape, bool), 1)
    inverse = np.linalg.inv(h)
    for o, q in enumerate(trace.inputs[:, 0]):
        assert trace.w[o, q] == 0
        dw = trace.w[o] - w[o]
        assert 0.5 * ((x @ dw) ** 2).mean() == pytest.approx(w[o, q] ** 2 / (2 * inverse[q, q]))
        assert trace.cost[o, 0] == pytest.approx(0.5 * dw @ h @ dw)
        each = w[o] ** 2 / np.diag(inverse)
        assert each[q] == each.min()


def test_pruning_one_by_one_is_constrained_least_squares() -> None:
    x, w = correlated(12), weights(5, 12)
    h = hessian(x)
    trace = greedy(w, np.linalg.inv(h), np.zeros_like, np.zeros(w.shape, bool), 5)
    for o in range(5):
        kept = np.flatnonzero(trace.w[o])
        assert kept.size == 7
        best = np.linalg.lstsq(x[:, kept], x @ w[o], rcond=None)[0]
        np.testing.assert_allclose(trace.w[o, kept], best, atol=1e-9)
    np.testing.assert_allclose(refit_rows(w, h, trace.w != 0), trace.w, atol=1e-9)
    total = 0.5 * np.einsum("oi,ij,oj->o", w - trace.w, h, w - trace.w)
    np.testing.assert_allclose(trace.cost.sum(axis=1), total)


def test_conjugate_gradients_reach_the_solution() -> None:
    h, w = dampened(hessian(correlated(30))), weights(6, 30)
    mask = np.random.default_rng(0).random(w.shape) < 0.4
    best = refit_rows(w, h, mask)
    errors = [
        layer_error(w, descend(w, np.where(mask, w, 0), h, mask, s), h) for s in (0, 1, 3, 9, 60)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(layer_error(w, best, h))
    assert not descend(w, np.where(mask, w, 0), h, mask, 3)[~mask].any()


@pytest.mark.parametrize("kind", ["int:3", "ternary"])
def test_blocks_do_not_change_the_result(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    h, w = dampened(hessian(correlated(50))), weights(6, 50)
    grid = choose_grid(w, parse_weights(kind))
    whole = compensate(w, h, onto(grid))
    np.testing.assert_allclose(compensate(w, h, onto(grid), group=1), whole)
    monkeypatch.setattr(second_order, "BLOCK", 8)
    for group in (4, 8, 16):
        np.testing.assert_allclose(compensate(w, h, onto(grid), group=group), whole)


def test_the_engine_is_obs_in_a_fixed_order() -> None:
    h, w = hessian(correlated(10)), weights(3, 10)
    grid = choose_grid(w, parse_weights("int:3"))
    v = w.copy()
    for q in range(10):  # each weight in turn with the inverse of what is left
        inverse = np.linalg.inv(h[q:, q:])
        e = v[:, q] - grid.values(v)[:, q]
        v[:, q:] -= np.outer(e / inverse[0, 0], inverse[0])
    np.testing.assert_allclose(compensate(w, h, onto(grid)), v, atol=1e-9)


def test_what_a_step_sees_is_the_best_answer_so_far() -> None:
    h, w = hessian(correlated(8)), weights(3, 8)
    seen = []

    def step(columns: Array, now: Array, curvature: Array) -> Settle:
        seen.append((columns, now, curvature))
        return lambda i, t: np.zeros_like(t) if columns[i] < 4 else t

    order = np.array([2, 0, 3, 1, 4, 5, 6, 7])
    out = compensate(w, h, step, order=order, group=4)
    columns, now, curvature = seen[1]
    mask = np.tile(np.arange(8) >= 4, (3, 1))
    best = refit_rows(w, h, mask)
    assert columns.tolist() == [4, 5, 6, 7]
    np.testing.assert_allclose(now, best[:, 4:])
    np.testing.assert_allclose(out, best, atol=1e-12)
    assert curvature[0] == pytest.approx(1 / np.linalg.inv(h[4:, 4:])[0, 0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exact", [False, True])
def test_correlated_inputs_lose_less_than_by_rounding(kind: str, exact: bool) -> None:
    h, w = hessian(correlated(40)), weights(8, 40)
    grid = choose_grid(w, parse_weights(kind))
    found = quantize_rows(w, h, grid, exact=exact)
    free = quantize_rows(w, h, grid, exact=exact, free_scale=True)
    nearest = layer_error(w, grid.values(w), h)
    assert layer_error(w, values(found), h) < 0.75 * nearest
    assert layer_error(w, values(free), h) < 0.75 * nearest
    assert np.array_equal(found.scale, grid.scale)
    assert np.array_equal(found.codes, grid.codes(values(found)))
    assert found.codes.dtype == np.int64


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exact", [False, True])
def test_without_correlation_it_is_rounding(kind: str, exact: bool) -> None:
    w = weights(5, 33)
    grid = choose_grid(w, parse_weights(kind))
    found = quantize_rows(w, 2.5 * np.eye(33), grid, exact=exact)
    assert np.array_equal(found.codes, grid.codes(w))


def test_sweeps_and_scales_only_lower_the_error() -> None:
    h, w = dampened(hessian(correlated(140))), weights(4, 140)  # more than one block
    grid = choose_grid(w, parse_weights("ternary"))
    codes, kept = grid.codes(w), np.ones(w.shape, bool)
    kept[:, 7] = False
    errors = [layer_error(w, codes * grid.scale[:, None], h)]
    for _ in range(3):
        codes = sweep(w, codes, h, grid, kept)
        errors.append(layer_error(w, codes * grid.scale[:, None], h))
    errors.append(layer_error(w, values(refit_scale(w, h, Weights(codes, grid.scale))), h))
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < 0.9 * errors[0]
    assert errors[-1] < errors[-2]
    assert np.array_equal(codes[:, 7], grid.codes(w)[:, 7])


def test_after_sweeps_no_single_change_helps() -> None:
    h, w = dampened(hessian(correlated(12))), weights(3, 12)
    grid = choose_grid(w, parse_weights("ternary"))
    codes, kept = grid.codes(w), np.ones(w.shape, bool)
    for _ in range(30):
        codes = sweep(w, codes, h, grid, kept)
    least = layer_error(w, codes * grid.scale[:, None], h)
    for place in np.ndindex(w.shape):
        for level in (-1, 0, 1):
            other = codes.copy()
            other[place] = level
            assert layer_error(w, other * grid.scale[:, None], h) >= least - 1e-12


def test_refitted_scale_is_the_best_one() -> None:
    h, w = hessian(correlated(20)), weights(3, 20)
    found = refit_scale(w, h, choose_grid(w, parse_weights("binary")).nearest(w))
    least = layer_error(w, values(found), h)
    for factor_ in (0.99, 1.01):
        assert layer_error(w, values(Weights(found.codes, found.scale * factor_)), h) > least


def test_dead_inputs_get_zero_where_there_is_one() -> None:
    x, w = correlated(20), weights(4, 20)
    x[:, [3, 11]] = 0
    h = hessian(x)
    for exact in (False, True):
        int4 = choose_grid(w, parse_weights("int:4"))
        assert not quantize_rows(w, h, int4, exact=exact).codes[:, [3, 11]].any()
        signs = choose_grid(w, parse_weights("binary"))
        found = quantize_rows(w, h, signs, exact=exact)
        assert np.array_equal(found.codes[:, [3, 11]], signs.codes(w)[:, [3, 11]])


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("density", [0.1, 0.2, 0.5])
def test_pruning_keeps_the_number_and_beats_magnitude(density: float, exact: bool) -> None:
    h, w = hessian(correlated(40)), weights(8, 40)
    v = prune_rows(w, h, density, exact=exact)
    kept = round(density * w.size)
    assert np.count_nonzero(v) == kept
    least = np.sort(np.abs(w), axis=None)[-kept]
    by_magnitude = refit_rows(w, dampened(h), np.abs(w) >= least)
    assert layer_error(w, v, h) < layer_error(w, by_magnitude, h)


def test_nothing_or_all_can_be_pruned() -> None:
    h, w = hessian(correlated(10)), weights(3, 10)
    for exact in (False, True):
        assert not prune_rows(w, h, 0.0, exact=exact).any()
        np.testing.assert_allclose(prune_rows(w, h, 1.0, exact=exact), w)


def test_exact_pruning_takes_the_cheapest_of_the_layer() -> None:
    w = np.array([[10.0, 9.0, 8.0], [1.0, 2.0, 3.0]])
    v = exact_prune(w, np.eye(3), 4)
    assert v.tolist() == [[10.0, 9.0, 8.0], [0.0, 0.0, 3.0]]


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8), (3, 16)])
def test_patterns_have_n_of_m(n: int, m: int) -> None:
    h, w = hessian(correlated(37)), weights(6, 37)
    v = prune_pattern(w, h, n, m)
    for start in range(0, 37, m):
        width = min(m, 37 - start)
        assert (np.count_nonzero(v[:, start : start + m], axis=1) == min(n, width)).all()
    mask = np.zeros(w.shape, bool)
    for start in range(0, 37, m):
        part = np.abs(w[:, start : start + m])
        rank = np.argsort(np.argsort(-part, axis=1), axis=1)
        mask[:, start : start + m] = rank < n
    assert layer_error(w, v, h) < layer_error(w, np.where(mask, w, 0), h)


@pytest.mark.parametrize("exact", [False, True])
def test_pruned_weights_stay_zero_on_the_grid(exact: bool) -> None:
    h, w = hessian(correlated(40)), weights(8, 40)
    v = prune_rows(w, h, 0.3)
    grid = choose_grid(v, parse_weights("int:4"))
    found = quantize_rows(v, h, grid, mask=v != 0, exact=exact)
    assert not found.codes[v == 0].any()
    assert layer_error(w, values(found), h) < layer_error(w, grid.values(v), h)
    again = quantize_rows(w, h, grid, mask=v != 0, exact=exact)  # the floats before pruning will do
    assert layer_error(w, values(again), h) == pytest.approx(layer_error(w, values(found), h))


@pytest.mark.parametrize("exact", [False, True])
def test_pruned_signs_are_zero_and_the_others_signs(exact: bool) -> None:
    x, w = correlated(20), weights(3, 20)
    x[:, 5] = 0
    mask = np.random.default_rng(1).random(w.shape) < 0.5
    grid = choose_grid(w, parse_weights("binary"))
    found = quantize_rows(w, hessian(x), grid, mask=mask, exact=exact)
    assert np.array_equal(found.codes != 0, mask)
    assert np.abs(found.codes).max() == 1


def test_many_inputs_take_the_approximate_way() -> None:
    x, w = correlated(520, rows=900), weights(2, 520)
    h = hessian(x)
    v = prune_rows(w, h, 0.5, exact=True)
    assert np.count_nonzero(v) == 520
    grid = choose_grid(v, parse_weights("int:4"))
    found = quantize_rows(v, h, grid, mask=v != 0, exact=True)
    assert not found.codes[v == 0].any()
