"""The window that leaves whole: every shape under stalls, and its cycles."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from bitwright.backends.verilog.window_timing import Axis, FullWindow
from tests.hdl.cases_full import BEYOND, FULL_SHAPES, full_parameters, full_window
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

    print(name, measured.gaps, gaps(shape, shape.smooth_depth), shape.beats_in, shape.overhang)
    assert measured.gaps[1:] == [shape.beats_in] * (FRAMES - 2)


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
    ("shape", "change", "complaint"),
    [
        (FULL_SHAPES["same"], {"DEPTH": 10}, "ring_too_small"),
        (FULL_SHAPES["same"], {"KH": 8}, "kernel_beyond_padded_image"),
        (FULL_SHAPES["same"], {"BIPOLAR": 1}, "bipolar_element_is_one_bit"),
        (BEYOND, {}, "pads_beyond_kernel"),
    ],
)
def test_wrong_parameters_stop_elaboration(
    shape: FullWindow, change: dict[str, int], complaint: str
) -> None:
    values = full_parameters(shape, 40) | {"C": 1} | change

    assert complaint in verilator_lint(Case("bw_window_full", values, {}, {}))


def test_what_the_cell_cannot_do_is_known() -> None:
    assert all(shape.fits for shape in FULL_SHAPES.values())
    assert not BEYOND.fits
    assert not replace(BEYOND, across=Axis(5, 3, 1, 1, (3, 0))).fits
