import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.passes.compress.kinds import (
    Kind,
    WeightKind,
    apot_levels,
    bits_of,
    choose_grid,
    inq_exponents,
    parse_weights,
    power_levels,
    quantize_weights,
    table_levels,
    ternarize,
)

RNG = np.random.default_rng(11)
KINDS = ["binary", "ternary", "pow2:2", "pow2:4", "apot:3", "apot:4", "apot:5", "int:3", "int:8"]


def mean_squared_error(w: np.ndarray, text: str, *, pow2_scale: bool = False) -> float:
    found = quantize_weights(w, parse_weights(text), pow2_scale=pow2_scale)
    return float(((w - found.codes * found.scale[:, None]) ** 2).mean())


@pytest.mark.parametrize(
    ("text", "known", "tolerance"),
    [
        ("binary", 0.3634, 0.003),
        ("ternary", 0.1902, 0.003),
        ("int:2", 0.1902, 0.003),  # the same three levels
        ("pow2:2", 0.1902, 0.003),
        ("pow2:3", 0.083, 0.001),
        ("pow2:4", 0.0398, 0.0005),
        ("pow2:5", 0.0377, 0.0005),
        ("int:3", 0.047, 0.0005),
        ("int:4", 0.0131, 0.0002),
        ("int:5", 0.0038, 0.0001),
        ("apot:3", 0.047, 0.001),
        ("apot:5", 0.0060, 0.0001),
    ],
)
def test_gaussian_weights_lose_what_is_known(text: str, known: float, tolerance: float) -> None:
    w = np.random.default_rng(0).normal(0, 1, (1, 200_000))
    assert mean_squared_error(w, text) == pytest.approx(known, abs=tolerance)


def test_two_terms_beat_one_and_four_bits_beat_uniform() -> None:
    w = np.random.default_rng(0).normal(0, 1, (1, 200_000))
    assert mean_squared_error(w, "apot:4") < mean_squared_error(w, "int:4")
    assert mean_squared_error(w, "apot:5") < mean_squared_error(w, "pow2:5") / 6


def test_a_power_of_two_scale_is_searched_far_enough() -> None:
    w = np.random.default_rng(0).normal(0, 1, (1, 20_000))
    for text in ("ternary", "pow2:2", "int:2"):  # a scale off by at most sqrt(2)
        assert mean_squared_error(w, text, pow2_scale=True) < 0.25


@pytest.mark.parametrize("text", KINDS)
@pytest.mark.parametrize("pow2_scale", [False, True])
def test_the_scale_has_the_least_error_around(text: str, pow2_scale: bool) -> None:
    w = RNG.normal(0, 1, (5, 300))
    grid = choose_grid(w, parse_weights(text), pow2_scale=pow2_scale)
    least = ((w - grid.values(w)) ** 2).sum(axis=1)
    others = [0.9, 0.97, 1.03, 1.1]
    if pow2_scale:
        assert np.array_equal(np.log2(grid.scale), np.rint(np.log2(grid.scale)))
        others = [0.5, 2.0] if text != "binary" else []  # the nearest in the logarithm
    if text == "int:8":  # keeps the whole range
        others = [f for f in others if f > 1]
    for factor in others:
        scaled = levels_at(grid.scale * factor, w, grid.levels)
        assert (((w - scaled) ** 2).sum(axis=1) >= least * 0.97).all()


def levels_at(scale: np.ndarray, w: np.ndarray, levels: object) -> np.ndarray:
    assert callable(levels)
    return np.asarray(levels(w / scale[:, None]) * scale[:, None])


@pytest.mark.parametrize("text", KINDS)
def test_every_level_is_its_own_nearest(text: str) -> None:
    w = RNG.normal(0, 1, (4, 400))
    grid = choose_grid(w, parse_weights(text))
    codes = grid.codes(w)
    assert codes.dtype == np.int64
    assert np.array_equal(grid.codes(codes * grid.scale[:, None]), codes)
    found = quantize_weights(w.reshape(4, 20, 20), parse_weights(text))
    assert np.array_equal(found.codes.reshape(4, -1), codes)


def test_the_ternary_grid_is_the_sorted_optimum() -> None:
    w = RNG.normal(0, 1, (50, 31))
    best = ternarize(w)
    found = choose_grid(w, WeightKind(Kind.TERNARY)).nearest(w)
    assert np.array_equal(found.codes, best.codes)
    assert np.array_equal(found.scale, best.scale)


def test_ternary_by_rule_keeps_its_threshold() -> None:
    w = RNG.normal(0, 1, (1, 5000))
    found = quantize_weights(w, parse_weights("ternary:rule"))
    assert np.array_equal(found.codes != 0, np.abs(w) > 0.7 * np.abs(w).mean())


def test_apot_levels_are_sums_of_two_powers() -> None:
    assert apot_levels(3).tolist() == [0, 1, 2, 4]
    assert apot_levels(4).tolist() == [0, 1, 2, 3, 4, 6, 8, 10]
    five = apot_levels(5)
    assert five.tolist() == [0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 33, 36, 48]
    assert max(int(v).bit_count() for v in five) == 2


def test_a_table_rounds_to_the_nearest_with_ties_up() -> None:
    table = np.array([0, 1, 4])
    w = np.array([0.0, 0.49, 0.5, 2.49, 2.5, 9.0])
    assert table_levels(w, table).tolist() == [0, 0, 1, 1, 4, 4]
    assert table_levels(-w, table).tolist() == [0, 0, -1, -1, -4, -4]
    x = RNG.uniform(-12, 12, 500)
    assert np.array_equal(table_levels(x, np.array([0, 1, 2, 4, 8])), power_levels(x, 3))


def test_inq_has_seventeen_levels_at_five_bits() -> None:
    n1, n2 = inq_exponents(1.0, 5)
    assert 2 * (n1 - n2 + 1) + 1 == 17
    for s in (0.3, 0.74, 0.75, 1.0, 5.9):
        n1, _ = inq_exponents(s, 4)
        assert 0.75 * 2.0**n1 <= s < 1.5 * 2.0**n1


def test_a_dead_filter_of_signs_is_faint() -> None:
    w = RNG.normal(0, 1, (3, 8))
    w[1] = 0
    found = quantize_weights(w, parse_weights("binary"))
    assert 0 < found.scale[1] < found.scale.max() / 100


@pytest.mark.parametrize(
    ("text", "bits"),
    [("binary", 1), ("ternary", 1.6), ("ternary:rule", 1.6), ("pow2:4", 4), ("apot:5", 5)],
)
def test_bits_of_a_weight(text: str, bits: float) -> None:
    assert bits_of(parse_weights(text)) == bits
    assert str(parse_weights(text)) == text


@pytest.mark.parametrize("text", ["apot:2", "apot:6", "apot", "apot:x", "binary:1"])
def test_unknown_kinds_are_refused(text: str) -> None:
    with pytest.raises(CompileError, match="--weights"):
        parse_weights(text)
