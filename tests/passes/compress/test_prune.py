import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.passes.compress.prune import (
    Method,
    Pruning,
    choose_mask,
    fisher,
    input_energy,
    keep_above_std,
    keep_greatest,
    keep_greatest_overall,
    keep_greatest_rows,
    keep_pattern,
    magnitude,
    obd,
    parse_pruning,
    wanda,
)

RNG = np.random.default_rng(9)


@pytest.mark.parametrize(
    "text",
    [
        "magnitude:0.1", "magnitude:std:1.5", "wanda:0.1", "obd:1", "fisher:0.25", "l-obs:0.1",
        "net-trim:0.02", "2:4", "1:16",
    ],
)  # fmt: skip
def test_spellings_are_read_and_written_alike(text: str) -> None:
    assert str(parse_pruning(text)) == text


def test_the_number_belongs_to_the_method() -> None:
    assert parse_pruning("magnitude:std:1.0") == Pruning(Method.THRESHOLD, 1.0)
    assert parse_pruning("magnitude:0.1") == Pruning(Method.MAGNITUDE, 0.1)
    assert parse_pruning("2:4") == Pruning(Method.PATTERN, kept=2, block=4)


@pytest.mark.parametrize("text", ["", "magnitude", "best:0.1", "obd:x", "N:M", "magnitude:var:1"])
def test_an_unknown_pruning_lists_the_choices(text: str) -> None:
    with pytest.raises(CompileError, match=r"choose magnitude:D, .*net-trim:E .*2:4"):
        parse_pruning(text)


@pytest.mark.parametrize(
    "text", ["magnitude:0", "wanda:1.1", "obd:-0.5", "l-obs:nan", "fisher:inf"]
)
def test_a_density_outside_zero_to_one_is_refused(text: str) -> None:
    with pytest.raises(CompileError, match="the density must be above 0 and at most 1"):
        parse_pruning(text)


@pytest.mark.parametrize("text", ["0:4", "4:4", "5:4", "net-trim:nan", "net-trim:-1"])
def test_numbers_without_a_meaning_are_refused(text: str) -> None:
    with pytest.raises(CompileError, match=f"pruning {text.split(':', maxsplit=1)[0]}"):
        parse_pruning(text)


@pytest.mark.parametrize("density", [0.001, 0.1, 0.333, 0.5, 1.0])
def test_exactly_the_asked_number_stays_and_it_is_the_greatest(density: float) -> None:
    s = RNG.random((7, 3, 5))
    mask = keep_greatest(s, density)
    assert mask.shape == s.shape
    assert mask.dtype == bool
    assert mask.sum() == max(round(105 * density), 1)
    if not mask.all():
        assert s[mask].min() > s[~mask].max()


def test_ties_go_by_index() -> None:
    assert keep_greatest(np.array([[1.0, 2], [1, 1]]), 0.5).tolist() == [[True, True], [False] * 2]
    assert keep_greatest(np.zeros(10), 0.3).tolist() == [True] * 3 + [False] * 7


def test_rows_keep_as_many_each() -> None:
    s = RNG.random((6, 2, 10)) * 10.0 ** np.arange(6)[:, None, None]
    mask = keep_greatest_rows(s, 0.25)
    assert mask.reshape(6, -1).sum(axis=1).tolist() == [5] * 6
    assert keep_greatest(s, 0.25)[-1].sum() > 10


def test_layers_are_ranked_together() -> None:
    found = keep_greatest_overall({"a": np.array([[3.0, 1]]), "b": np.array([2.0, 0.5])}, 0.5)
    assert found["a"].tolist() == [[True, False]]
    assert found["b"].tolist() == [True, False]


def test_a_threshold_in_deviations_keeps_what_a_gaussian_has_outside() -> None:
    w = np.random.default_rng(0).normal(0, 0.3, (100, 1000))
    assert keep_above_std(w, 1.0).mean() == pytest.approx(0.3173, abs=0.005)
    assert keep_above_std(w, 0.0).all()


def test_a_pattern_keeps_n_of_every_m() -> None:
    s = RNG.random((5, 2, 2, 5))
    flat = keep_pattern(s, 2, 4).reshape(5, 20)
    assert (flat.reshape(5, 5, 4).sum(axis=2) == 2).all()
    values = s.reshape(5, 5, 4)
    kept = flat.reshape(5, 5, 4)
    least = np.where(kept, values, np.inf).min(axis=2)
    assert (least > np.where(kept, -np.inf, values).max(axis=2)).all()


def test_a_short_block_keeps_no_more_than_it_has() -> None:
    assert keep_pattern(np.array([[1.0, 2, 3, 4, 9]]), 2, 4).tolist() == [
        [False, False, True, True, True]
    ]


def test_saliencies_by_hand() -> None:
    w = np.array([[1.0, -2], [0.5, 3]])
    rows = np.array([[[3.0, 0], [4, 1]]])
    assert magnitude(w).tolist() == [[1, 2], [0.5, 3]]
    assert wanda(w, rows) == pytest.approx(np.array([[5, 2], [2.5, 3]]))
    assert input_energy(w, rows) == pytest.approx(np.array([[12.5, 0.5], [12.5, 0.5]]))
    assert obd(w, np.full((2, 2), 3.0)).tolist() == [[1.5, 6], [0.375, 13.5]]
    assert fisher(w, np.full((2, 2), 3.0)) == pytest.approx(2 * obd(w, np.full((2, 2), 3.0)))


def test_each_group_of_a_convolution_has_its_own_inputs() -> None:
    w = np.ones((4, 2, 1, 3))
    rows = np.stack([np.full((5, 6), 2.0), np.full((5, 6), 3.0)])
    energy = input_energy(w, rows)
    assert (energy[:2] == 4).all()
    assert (energy[2:] == 9).all()


def test_obd_of_the_layer_alone_is_the_exact_loss_where_inputs_do_not_correlate() -> None:
    x = np.diag([1.0, 2, 3, 4])
    w = RNG.normal(0, 1, (3, 4))
    saliency = obd(w, input_energy(w, x[None]))
    mask = keep_greatest(saliency, 0.5)
    lost = ((x @ (w - w * mask).T) ** 2).sum() / 2 / 4
    assert lost == pytest.approx(saliency[~mask].sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("magnitude:0.25", 12),
        ("wanda:0.25", 12),
        ("obd:0.25", 12),
        ("fisher:0.25", 12),
        ("2:4", 24),
    ],
)
def test_a_text_becomes_a_mask(text: str, count: int) -> None:
    w, rows = RNG.normal(0, 1, (4, 12)), RNG.normal(0, 1, (1, 30, 12))
    mask = choose_mask(parse_pruning(text), w, rows)
    assert mask.shape == w.shape
    assert mask.sum() == count


def test_a_given_derivative_replaces_the_layers_own() -> None:
    w, rows = np.ones((1, 4)), np.array([[[4.0, 3, 2, 1]]])
    given = np.array([[1.0, 2, 3, 4]])
    for text in ("obd:0.5", "fisher:0.5"):
        pruning = parse_pruning(text)
        assert choose_mask(pruning, w, rows).tolist() == [[True, True, False, False]]
        found = choose_mask(pruning, w, rows, derivative=given)
        assert found.tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("text", ["l-obs:0.1", "net-trim:0.1"])
def test_methods_that_move_weights_have_no_mask(text: str) -> None:
    with pytest.raises(ValueError, match="more than delete"):
        choose_mask(parse_pruning(text), np.ones((1, 2)), np.ones((1, 1, 2)))
