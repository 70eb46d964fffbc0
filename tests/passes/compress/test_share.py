from itertools import combinations

import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.passes.compress.share import (
    Codebook,
    Init,
    Sharing,
    cluster,
    codebook_grid,
    parse_sharing,
)

RNG = np.random.default_rng(11)


def cost(values: np.ndarray, centroids: np.ndarray) -> float:
    return float((np.abs(values[:, None] - centroids).min(axis=1) ** 2).sum())


def best_cost(values: np.ndarray, k: int) -> float:
    """Try every cut of the ordered values into k stretches."""
    v = np.sort(values)
    cuts = combinations(range(1, v.size), k - 1)
    return min(sum(float(((p - p.mean()) ** 2).sum()) for p in np.split(v, c)) for c in cuts)


@pytest.mark.parametrize("init", list(Init))
def test_centroids_are_a_fixed_point(init: Init) -> None:
    values = RNG.normal(0, 1, 5000)
    c = cluster(values, 16, init, seed=1)
    assert c.size == 16
    assert (np.diff(c) > 0).all()
    nearest = np.abs(values[:, None] - c).argmin(axis=1)
    for i in range(16):
        assert values[nearest == i].mean() == pytest.approx(c[i], abs=1e-12)


@pytest.mark.parametrize("init", list(Init))
def test_the_mean_of_several_starts_comes_near_the_optimum(init: Init) -> None:
    values = np.concatenate([RNG.normal(m, 0.1, 5) for m in (-4, 0, 1, 7)])
    found = min(cost(values, cluster(values, 4, init, seed=s)) for s in range(8))
    assert found == pytest.approx(best_cost(values, 4), rel=1e-9)


def test_more_centroids_never_cost_more() -> None:
    values = RNG.standard_t(2, 20_000)  # long tails leave linear centroids empty
    costs = [cost(values, cluster(values, k)) for k in (1, 2, 4, 8, 16, 32)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == pytest.approx(((values - values.mean()) ** 2).sum())


def test_empty_clusters_start_again() -> None:
    values = np.concatenate([RNG.normal(0, 0.01, 500), [100.0]])
    c = cluster(values, 8)
    assert c.size == 8
    assert c[-1] == 100.0
    assert cost(values, c) < 0.01


def test_few_distinct_values_are_their_own_centroids() -> None:
    assert cluster(np.array([3.0, -1, 3, 0.5, -1]), 8).tolist() == [-1, 0.5, 3]
    assert cluster(np.array([2.0]), 4).tolist() == [2]


def test_equal_seeds_give_equal_centroids() -> None:
    values = RNG.normal(0, 1, 300)
    runs = [cluster(values, 10, Init.RANDOM, seed=s).tolist() for s in (5, 5, 6, 7, 8)]
    assert runs[0] == runs[1]
    assert len({tuple(r) for r in runs}) > 1


@pytest.mark.parametrize("bits", [4, 8])
def test_a_codebook_keeps_zero_and_has_no_more_values_than_asked(bits: int) -> None:
    w = RNG.normal(0, 1, (6, 50)) * (RNG.random((6, 50)) < 0.3)
    grid = codebook_grid(w, 8, bits=bits)
    assert isinstance(grid.levels, Codebook)
    codes = grid.codes(w)
    assert (codes[w == 0] == 0).all()
    assert np.unique(codes).size <= 8
    assert np.abs(codes).max() == 2 ** (bits - 1) - 1
    assert np.unique(grid.scale).size == 1
    assert grid.scale.shape == (6,)
    levels = grid.levels.entries * grid.scale[0]
    nearest = levels[np.abs(w[..., None] - levels).argmin(axis=-1)]
    assert grid.values(w) == pytest.approx(nearest)


def test_a_codebook_without_zero_spends_every_value() -> None:
    w = np.array([[-2.0, -1, 1, 2]])
    grid = codebook_grid(w, 4, keep_zero=False)
    assert 0 not in grid.codes(w)
    assert grid.values(w) == pytest.approx(w, abs=2 / 127 / 2)
    assert codebook_grid(w, 4).levels(np.zeros(1)).tolist() == [0]


def test_a_layer_of_zeros_has_a_codebook() -> None:
    grid = codebook_grid(np.zeros((2, 3)), 16)
    assert grid.codes(np.zeros((2, 3))).tolist() == [[0] * 3] * 2
    assert (grid.scale > 0).all()


def test_spelling() -> None:
    assert parse_sharing("kmeans:32") == Sharing(32, Init.LINEAR)
    assert str(parse_sharing("kmeans:16:density")) == "kmeans:16:density"


@pytest.mark.parametrize("text", ["kmeans", "kmeans:x", "kmeans:8:best", "means:8", ""])
def test_an_unknown_sharing_lists_the_choices(text: str) -> None:
    with pytest.raises(CompileError, match=r"choose kmeans:K .*linear, density, random"):
        parse_sharing(text)


@pytest.mark.parametrize("k", [0, 1, 257])
def test_too_few_or_many_values_are_refused(k: int) -> None:
    with pytest.raises(CompileError, match=f"kmeans:{k}: choose 2 to 256"):
        parse_sharing(f"kmeans:{k}")
