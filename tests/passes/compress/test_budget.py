"""The knapsack against all ways to choose."""

from itertools import product

import numpy as np
import pytest

from bitwright.passes.compress.budget import Front, Item


def instance(seed: int, layers: int = 5) -> list[list[Item]]:
    rng = np.random.default_rng(seed)
    return [
        [Item(int(rng.integers(1, 40)), float(rng.exponential())) for _ in range(rng.integers(1, 6))]
        for _ in range(layers)
    ]  # fmt: skip


def trade_offs(seed: int, layers: int) -> list[list[Item]]:
    """Return layers none of whose five options beats another."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(layers):
        costs = np.cumsum(rng.integers(1, 100, size=5))
        damages = np.cumsum(rng.exponential(size=5))[::-1]
        out.append([Item(int(c), float(d)) for c, d in zip(costs, damages, strict=True)])
    return out


def best(layers: list[list[Item]], budget: int) -> float | None:
    ways = product(*layers)
    fitting = [sum(i.damage for i in w) for w in ways if sum(i.cost for i in w) <= budget]
    return min(fitting, default=None)


@pytest.mark.parametrize("seed", range(12))
def test_every_budget_is_spent_best(seed: int) -> None:
    layers = instance(seed)
    front = Front(layers)
    for budget in range(0, 200, 3):
        index, want = front.within(budget), best(layers, budget)
        assert (index is None) == (want is None)
        if index is None:
            continue
        point = front.point(index)
        chosen = [options[pick] for options, pick in zip(layers, point.picks, strict=True)]
        assert point.cost == sum(i.cost for i in chosen) <= budget
        assert point.damage == pytest.approx(sum(i.damage for i in chosen))
        assert point.damage == pytest.approx(want)


@pytest.mark.parametrize("most", [4, 64, 1 << 14])
def test_more_budget_never_loses_more(most: int) -> None:
    front = Front(trade_offs(3, layers=12), most)
    assert len(front) <= most
    assert (np.diff(front.costs) > 0).all()
    assert (np.diff(front.damages) < 0).all()


def test_a_thinned_front_keeps_its_ends_and_stays_close() -> None:
    layers = trade_offs(5, layers=14)
    whole, thin = Front(layers), Front(layers, 128)
    assert len(whole) > 128
    assert thin.costs[0] == whole.costs[0]
    assert thin.damages[-1] == pytest.approx(whole.damages[-1])
    for budget in range(int(whole.costs[0]), int(whole.costs[-1]), 7):
        exact, near = whole.within(budget), thin.within(budget)
        assert exact is not None
        assert near is not None
        assert whole.damages[exact] - 1e-12 <= thin.damages[near] <= whole.damages[exact] * 1.25


def test_the_hull_is_what_multipliers_find() -> None:
    front = Front(trade_offs(7, layers=6))
    found = {
        int(np.argmin(front.damages + price * front.costs)) for price in np.geomspace(1e-4, 10, 400)
    }
    hull = front.hull()
    assert found <= set(hull)
    assert hull[0] == 0
    assert hull[-1] == len(front) - 1
    slopes = np.diff(front.damages[hull]) / np.diff(front.costs[hull])
    assert (np.diff(slopes) > 0).all()


def test_costs_that_are_huge_stay_whole() -> None:
    front = Front([[Item(10**15 + 1, 1.0), Item(10**15, 2.0)], [Item(3, 0.0)]])
    assert front.point(0).cost == 10**15 + 3
    assert front.point(1).picks == (0, 0)
