"""The benches can fail: a cell with one thing wrong does not pass."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.hdl import cases as c
from tests.hdl.cases_conv import depthwise
from tests.hdl.cases_full import FULL_SHAPES, full_window
from tests.hdl.cases_mvu import INTEGER, mvu
from tests.hdl.cases_window import SHAPES, window
from tests.hdl.run_case import LIB, run_case
from tests.hdl.streams import Case

PATIENCE = 20_000  # cycles after which a cell is held to be stuck


def _window(name: str) -> Case:
    shape = replace(SHAPES[name], beats=1)
    return window(shape, depth=shape.least_depth)


def _full(name: str) -> Case:
    return full_window(FULL_SHAPES[name], depth=FULL_SHAPES[name].least_depth)


CASES: dict[str, Callable[[Path], Case]] = {
    "same": lambda _: _window("same"),
    "valid": lambda _: _window("valid"),
    "even_pad": lambda _: _window("even_pad"),
    "full": lambda _: _full("same"),
    "full_5": lambda _: _full("same_5"),
    "full_stem": lambda _: _full("stem"),
    "gate": lambda _: c.mul(2, REPEAT=5, BEATS=3),
    "few_bits": lambda _: c.mul(2, B_W=2, B_SIGNED=1),
    "fifo": lambda _: c.fifo(7, 5),
    "shared": lambda w: mvu(w, INTEGER, (2, 5, 2, 3), W_W=8, ACC_W=20, VALUES=5),
    "depthwise_shared": lambda w: depthwise(w, INTEGER, (2, 9, 3), W_W=7, VALUES=8),
}


@dataclass(frozen=True)
class Mutant:
    """A cell's text with `old` made `new`, and the one of CASES that shows it."""

    cell: str
    old: str
    new: str
    case: str


MUTANTS = {
    "frees_too_much": Mutant("bw_window", "SH*ROW - WIDE - 1;", "SH*ROW - 1;", "same"),
    "no_padding": Mutant("bw_window", "real_reg ? data_reg : {SIMD{pad}}", "data_reg", "same"),
    "first_padding_too_soon": Mutant("bw_window", "!(is_real || first)", "!is_real", "same"),
    "holds_too_long": Mutant(
        "bw_window", "down_reg > HOLD_INT", "down_reg >= HOLD_INT", "even_pad"
    ),
    "room_leaks": Mutant("bw_window", "0}}, !write}", "0}}, 1'b0}", "valid"),
    "room_grows": Mutant("bw_window", "0}}, !write}", "0}}, 1'b1}", "valid"),
    "wrong_wrap": Mutant("bw_window", "over[A_W] ? sum", "sum[A_W] ? sum", "valid"),
    "lost_between_frames": Mutant("bw_window", "-(TO_FRAME + FRONT)", "-(TO_FRAME)", "same"),
    "edge_in_the_image": Mutant(
        "bw_window_axis", "at_reg < SIZE_INT", "at_reg <= SIZE_INT", "same"
    ),
    "row_before_seen": Mutant("bw_window_full", "x_last ? {SIDE{1'b0}} : seen", "seen", "full"),
    "rows_of_the_next": Mutant("bw_window_full", "over ? rows_reg : rows", "rows", "full"),
    "no_columns_to_spare": Mutant(
        "bw_window_full", "spare = ahead_reg - {", "spare = ahead_reg & ~{", "full_5"
    ),
    "below_in_the_image": Mutant("bw_window_full", "top_reg >= HI_INT", "top_reg > HI_INT", "full"),
    "waits_for_rows_below": Mutant(
        "bw_window_full", "top_reg < PART_AT", "top_reg <= PART_AT", "full_stem"
    ),
    "none_over_the_edge": Mutant("bw_window_full", "over ? over_issue : due", "due", "full"),
    "mask_moves_on": Mutant(
        "bw_window_full", "if (step) columns_late_reg", "columns_late_reg", "full"
    ),
    "bank_wrong_wrap": Mutant("bw_window_bank", "over[A_W] ? sum", "sum[A_W] ? sum", "full"),
    "gate_overwritten": Mutant("bw_mul", "if (ce && fresh) mem", "if (ce) mem", "gate"),
    "gate_never_renewed": Mutant("bw_mul", "<= frame_last", "<= 1'b0", "gate"),
    "few_bits_unsigned": Mutant("bw_mul", "- ((wide", "+ ((wide", "few_bits"),
    "head_not_read": Mutant("bw_fifo", "if (!collide)", "if (!push)", "fifo"),
    "no_bypass": Mutant("bw_fifo", "<= collide", "<= 1'b0", "fifo"),
    "one_index_for_all": Mutant("bw_weights", "items[p*ITEM_W", "items[0*ITEM_W", "shared"),
    "one_index_in_depthwise": Mutant(
        "bw_weights", "items[p*ITEM_W", "items[0*ITEM_W", "depthwise_shared"
    ),
    "index_of_one_bit": Mutant("bw_weights", "(VALUES > 1) ?", "(VALUES > 9) ?", "shared"),
}


def patient(name: str, work: Path) -> Case:
    return replace(CASES[name](work), timeout=PATIENCE)


@pytest.mark.parametrize("name", CASES)
def test_the_right_cell_passes(name: str, tmp_path: Path) -> None:
    run_case(patient(name, tmp_path), tmp_path, "icarus")


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    texts = {path.name: path.read_text() for path in LIB.glob("*.v")}
    right = texts[f"{mutant.cell}.v"]
    texts[f"{mutant.cell}.v"] = right.replace(mutant.old, mutant.new)
    sources = [tmp_path / name for name in sorted(texts)]
    for source in sources:
        source.write_text(texts[source.name])

    assert texts[f"{mutant.cell}.v"] != right
    with pytest.raises((AssertionError, SystemExit)):
        run_case(patient(mutant.case, tmp_path), tmp_path, "icarus", sources, library=False)
