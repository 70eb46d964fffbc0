import numpy as np
import pytest

from bitwright.passes.compress.bits import (
    best_gap_bits,
    binary_entropy,
    bitmap_cost,
    break_even_density,
    entropy,
    fillers,
    gap_cost,
    measured_gap_bits,
    sharing_rate,
    ternary_entropy,
)


def test_entropies_have_the_known_values() -> None:
    assert binary_entropy(0.5) == 1
    assert binary_entropy(0) == binary_entropy(1) == 0
    assert ternary_entropy(2 / 3) == pytest.approx(np.log2(3))
    assert ternary_entropy(1 - 0.459) == pytest.approx(1.536, abs=5e-4)  # Gaussian optimum of TWN
    assert ternary_entropy(0.1) == pytest.approx(0.569, abs=5e-4)
    assert entropy([1, 1, 2, 0]) == 1.5
    assert entropy([]) == 0


def test_a_density_outside_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"density 1\.5"):
        binary_entropy(1.5)


def test_sparse_binary_breaks_even_at_the_known_density() -> None:
    assert break_even_density() == pytest.approx(0.227, abs=5e-4)
    assert ternary_entropy(break_even_density()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("density", "bits", "cost"),
    [
        (0.08, 3, 6.16), (0.08, 4, 5.43), (0.08, 5, 5.37), (0.1, 4, 4.91), (0.2, 3, 3.60),
        (0.2, 4, 4.12), (0.3, 3, 3.18),
    ],
)  # fmt: skip
def test_the_index_of_random_positions_costs_what_is_known(
    density: float, bits: int, cost: float
) -> None:
    assert gap_cost(density, bits) == pytest.approx(cost, abs=0.006)


def test_masks_cost_what_is_known() -> None:
    assert bitmap_cost(0.1) == 10
    assert bitmap_cost(0.2) == 5
    assert bitmap_cost(0.5) == 2
    bound = [binary_entropy(d) / d for d in (0.08, 0.1, 0.2, 0.3)]
    assert bound == pytest.approx([5.03, 4.69, 3.61, 2.94], abs=0.006)


def gaps_of(density: float, count: int) -> np.ndarray:
    return np.random.default_rng(3).geometric(density, count) - 1


def test_random_positions_need_the_expected_fillers() -> None:
    gaps = gaps_of(0.1, 200_000)
    for bits in (2, 3, 4, 5):
        assert (gaps >> bits).sum() / gaps.size == pytest.approx(fillers(0.1, bits), rel=0.03)


@pytest.mark.parametrize(("density", "code_bits"), [(0.05, 5), (0.1, 5), (0.1, 1), (0.3, 4)])
def test_the_best_width_is_the_least_and_is_found_from_gaps_too(
    density: float, code_bits: int
) -> None:
    best = best_gap_bits(density, code_bits)
    costs = [gap_cost(density, b, code_bits) for b in range(1, 17)]
    assert costs[best - 1] == min(costs)
    gaps = gaps_of(density, 100_000)
    width, total = measured_gap_bits(gaps, code_bits)
    assert width == best
    assert total / gaps.size == pytest.approx(min(costs), rel=0.02)


def test_a_gap_of_exactly_two_to_the_b_takes_one_filler() -> None:
    width, total = measured_gap_bits(np.array([2**4]), 100)
    assert (width, total) == (5, 105)
    assert measured_gap_bits(np.array([2**4 - 1]), 100) == (4, 104)


def test_sharing_rate_is_the_one_of_the_paper() -> None:
    assert sharing_rate(16, 32, 4) == pytest.approx(3.2)  # the example of section 3: 4x4 weights
