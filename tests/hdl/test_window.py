"""The sliding window: every shape under stalls, beat by beat as the cycle model says."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from bitwright.backends.verilog.window_timing import Window
from tests.hdl.cases_window import FRAMES, SHAPES, parameters, unstalled, window
from tests.hdl.run_case import run_case
from tests.hdl.streams import Case
from tests.hdl.test_lint import iverilog_lint, needs_iverilog, verilator_lint


def gaps(shape: Window, depth: int) -> list[int]:
    """Return the cycles between the ends of frames, unstalled."""
    _, issued = unstalled(shape, depth, FRAMES)
    return [b - a for a, b in pairwise(issued[shape.beats_out - 1 :: shape.beats_out])]


def busier(shape: Window) -> int:
    return max(shape.beats_in, shape.beats_out)


@pytest.mark.parametrize("name", SHAPES)
def test_the_smooth_ring_never_waits(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]

    measured = run_case(window(shape), tmp_path, "icarus")

    assert measured.gaps == gaps(shape, shape.smooth_depth)
    assert measured.gaps[1:] == [busier(shape)] * (FRAMES - 2)


@pytest.mark.parametrize("name", SHAPES)
def test_the_least_ring_lives(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]

    measured = run_case(window(shape, depth=shape.least_depth), tmp_path, "icarus")

    assert measured.gaps == gaps(shape, shape.least_depth)


def test_a_ring_of_any_size(tmp_path: Path) -> None:
    shape = SHAPES["valid"]
    depth = shape.least_depth + 5

    measured = run_case(window(shape, depth=depth), tmp_path, "icarus")

    assert measured.gaps == gaps(shape, depth)


@pytest.mark.parametrize("name", ["grouped", "odd"])
def test_verilator(name: str, tmp_path: Path) -> None:
    run_case(window(SHAPES[name], simd=1, w_elem=1), tmp_path, "verilator")


@pytest.mark.parametrize("name", SHAPES)
def test_nothing_smaller_is_smooth(name: str) -> None:
    shape = SHAPES[name]
    smaller = shape.smooth_depth - shape.beats

    assert shape.smooth_depth >= shape.least_depth
    if smaller >= shape.least_depth:
        assert gaps(shape, smaller)[-1] > busier(shape)


@needs_iverilog
@pytest.mark.parametrize("name", SHAPES)
def test_lint(name: str) -> None:
    case = window(SHAPES[name])

    assert verilator_lint(case) == ""
    assert iverilog_lint(case) == ""


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"DEPTH": SHAPES["same"].least_depth - 1}, "ring_too_small"),
        ({"BLOCKS": 3}, "blocks_do_not_divide"),
        ({"KH": 8}, "kernel_beyond_padded_image"),
    ],
)
def test_wrong_parameters_stop_elaboration(change: dict[str, int], complaint: str) -> None:
    values = parameters(SHAPES["same"], SHAPES["same"].least_depth) | change

    assert complaint in verilator_lint(Case("bw_window", values, {}, {}))


def test_a_wrong_order_is_seen(tmp_path: Path) -> None:
    right = SHAPES["grouped"]
    wrong = replace(right, blocks=2)
    case = replace(window(right), outputs=window(wrong).outputs)

    with pytest.raises((AssertionError, SystemExit)):
        run_case(case, tmp_path, "icarus")
