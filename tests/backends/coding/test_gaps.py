from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.backends.coding.gaps import Entries, relative, restore
from bitwright.ir.graph import Array


def rows(*lists: list[int]) -> tuple[Array, Array]:
    flat = list(chain.from_iterable(lists))
    return np.array(flat, np.int64), np.array([len(x) for x in lists], np.int64)


@st.composite
def segments(draw: st.DrawFn) -> tuple[Array, Array]:
    """Draw rows of different lengths, many zeros among few weights."""
    weight = st.one_of(st.just(0), st.just(0), st.just(0), st.integers(-9, 9))
    row = st.one_of(st.lists(weight, max_size=40), st.integers(0, 70).map(lambda n: [0] * n + [3]))
    return rows(*draw(st.lists(row, max_size=6)))


@given(segments(), st.integers(1, 6))
def test_rows_come_back(drawn: tuple[Array, Array], bits: int) -> None:
    flat, sizes = drawn
    entries = relative(flat, sizes, bits)

    assert entries.gaps.max(initial=0) < 1 << bits
    assert entries.segments.sum() == entries.gaps.size == entries.values.size
    assert np.array_equal(restore(entries, sizes), flat)


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_a_step_of_exactly_2_to_the_b_fits_and_one_more_takes_a_filler(bits: int) -> None:
    most = (1 << bits) - 1  # zeros that a field tells
    fits = relative(*rows([0] * most + [7]), bits)
    over = relative(*rows([0] * (most + 1) + [7]), bits)

    assert (fits.gaps.tolist(), fits.values.tolist()) == ([most], [7])
    assert (over.gaps.tolist(), over.values.tolist()) == ([most, 0], [0, 7])


def test_zeros_behind_the_last_weight_and_empty_rows_take_nothing() -> None:
    flat, sizes = rows([5, 0, 0, 0, 0, 0], [0] * 9, [], [0, -1])
    entries = relative(flat, sizes, 1)

    assert entries.segments.tolist() == [1, 0, 0, 1]
    assert entries.gaps.tolist() == [0, 1]
    assert restore(entries, sizes).tolist() == flat.tolist()


def test_gaps_begin_anew_in_each_row() -> None:
    entries = relative(*rows([1, 0, 0], [0, 2, 0]), 4)

    assert entries.gaps.tolist() == [0, 1]


@pytest.mark.parametrize(("density", "bits"), [(0.08, 4), (0.08, 5), (0.2, 3)])
def test_fillers_are_as_many_as_the_density_lets_expect(density: float, bits: int) -> None:
    flat = (np.random.default_rng(1).random(400_000) < density).astype(np.int64)
    entries = relative(flat, np.array([flat.size]), bits)
    q = (1 - density) ** (1 << bits)

    assert entries.gaps.size / flat.sum() == pytest.approx(1 + q / (1 - q), rel=0.01)


def test_another_gap_gives_other_rows() -> None:
    flat, sizes = rows([0, 3, 0, 0])
    entries = relative(flat, sizes, 3)
    moved = Entries(entries.gaps + 1, entries.values, entries.segments)

    assert restore(moved, sizes).tolist() == [0, 0, 3, 0]
