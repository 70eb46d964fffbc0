"""The window that leaves whole: every shape under stalls, and its cycles."""

from itertools import pairwise
from pathlib import Path

import pytest

from bitwright.backends.verilog.window_timing import FullWindow
from tests.hdl.cases_full import FULL_SHAPES, UNFIT, full_parameters, full_window
from tests.hdl.cases_window import FRAMES, unstalled
from tests.hdl.run_case import run_case
from tests.hdl.streams import Case
from tests.hdl.test_lint import iverilog_lint, needs_iverilog, verilator_lint


def gaps(shape: FullWindow, depth: int) -> list[int]:
    """Return the cycles between the ends of frames, unstalled, as the model has them."""
    _, issued = unstalled(shape, depth, FRAMES)
    return [b - a for a, b in pairwise(issued[shape.beats_out - 1 :: shape.beats_out])]


@pytest.mark.parametrize("name", FULL_SHAPES)
def test_the_smooth_ring_takes_a_pixel_a_cycle(name: str, tmp_path: Path) -> None:
    shape = FULL_SHAPES[name]

    measured = run_case(full_window(shape), tmp_path, "icarus")

    model = gaps(shape, shape.smooth_depth)
    late = max(shape.overhang - 1, 0)  # that much once, in the first frames
    assert 0 <= sum(measured.gaps) - sum(model) <= late
    assert measured.gaps[-1] == model[-1] == shape.beats_in


@pytest.mark.parametrize("name", FULL_SHAPES)
def test_the_least_ring_lives(name: str, tmp_path: Path) -> None:
    shape = FULL_SHAPES[name]

    run_case(full_window(shape, 1, depth=shape.least_depth), tmp_path, "icarus")


@pytest.mark.parametrize("name", ["same", "same_5", "odd"])
def test_bipolar_padding_is_zero(name: str, tmp_path: Path) -> None:
    run_case(full_window(FULL_SHAPES[name], 3, 1, bipolar=True), tmp_path, "icarus")


@pytest.mark.parametrize("name", ["same", "stem"])
def test_verilator(name: str, tmp_path: Path) -> None:
    run_case(full_window(FULL_SHAPES[name], 1, 1), tmp_path, "verilator")


@needs_iverilog
@pytest.mark.parametrize("name", FULL_SHAPES)
def test_lint(name: str) -> None:
    for case in (full_window(FULL_SHAPES[name]), full_window(FULL_SHAPES[name], 1, 1)):
        assert verilator_lint(case) == ""
        assert iverilog_lint(case) == ""


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"DEPTH": 10}, "ring_too_small"),
        ({"KH": 8}, "kernel_beyond_padded_image"),
        ({"BIPOLAR": 1}, "bipolar_element_is_one_bit"),
    ],
)
def test_wrong_parameters_stop_elaboration(change: dict[str, int], complaint: str) -> None:
    values = full_parameters(FULL_SHAPES["same"], 40) | change

    assert complaint in verilator_lint(Case("bw_window_full", values, {}, {}))


@pytest.mark.parametrize("name", UNFIT)
def test_what_does_not_fit_is_known(name: str) -> None:
    shape, complaint = UNFIT[name]

    assert not shape.fits
    assert complaint in verilator_lint(Case("bw_window_full", full_parameters(shape, 40), {}, {}))


def test_every_other_shape_fits() -> None:
    assert all(shape.fits for shape in FULL_SHAPES.values())
