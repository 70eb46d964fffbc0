from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.backends.verilog import Fold, VerilogOptions
from bitwright.backends.verilog.cell import Lanes
from bitwright.backends.verilog.design import design_of
from bitwright.backends.verilog.folding import Work, cheapest, divisors
from bitwright.backends.verilog.network import Kind
from bitwright.errors import CompileError
from bitwright.ir.graph import Builder
from bitwright.ir.types import Int
from tests.backends.verilog.bodies import argmax, bipolar_mlp, mixed, value


@given(st.integers(1, 3000))
def test_divisors_are_all_of_them(n: int) -> None:
    assert divisors(n) == [d for d in range(1, n + 1) if n % d == 0]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 4), st.data())
def test_no_cheaper_folding_meets_the_target(
    rows: int, columns: int, positions: int, data: st.DataObject
) -> None:
    work = Work(positions, rows, columns)
    target = data.draw(st.integers(positions, positions * rows * columns))

    chosen = cheapest(work, target)

    assert work.cycles(chosen) <= target
    for pe in divisors(rows):
        for simd in divisors(columns):
            if pe * simd < chosen.pe * chosen.simd:
                assert work.cycles(Lanes(pe, simd)) > target


def test_the_larger_simd_is_preferred() -> None:
    assert cheapest(Work(1, 8, 8), 8) == Lanes(1, 8)


def lanes(cycles: int | None = None, fold: Fold | None = None) -> list[tuple[int, int]]:
    design = design_of(bipolar_mlp(), "m", VerilogOptions(cycles, fold))
    cells = [unit.cells[0] for unit in design.network.of_kind(Kind.LAYER)]
    return [(cell.leaves, cell.enters) for cell in cells]


def test_folding_to_the_ends() -> None:
    assert lanes(fold=Fold.MIN) == [(1, 1)] * 4
    assert lanes(fold=Fold.MAX) == [(9, 15), (7, 9), (5, 7), (1, 5)]
    assert lanes(cycles=9) == [(1, 15), (7, 1), (5, 1), (1, 1)]


def test_a_target_out_of_reach_names_the_layer_and_the_least() -> None:
    with pytest.raises(CompileError, match=r"lut: 5 cycles .* at least 6; ask for --cycles 6"):
        design_of(mixed(), "m", VerilogOptions(cycles=5))
    assert design_of(mixed(), "m", VerilogOptions(cycles=6)).sizing.timing.interval == 6


@pytest.mark.parametrize("cycles", [0, -3])
def test_a_frame_takes_a_cycle(cycles: int) -> None:
    with pytest.raises(CompileError, match="at least 1 cycle"):
        VerilogOptions(cycles=cycles)


def test_cycles_and_fold_exclude_each_other() -> None:
    with pytest.raises(CompileError, match="one of"):
        VerilogOptions(cycles=5, fold=Fold.MAX)


def test_argmax_over_another_axis_is_refused() -> None:
    b = Builder(["x"])
    x = value("x", Int(0, 3), 4, 5)
    y = argmax(b, value("x", Int(0, 3), 4, 5))
    assert design_of(b.graph("g", [x], [y]), "m", VerilogOptions())
    op = replace(b.ops[0], axis=0)  # type: ignore[call-arg]
    op = replace(op, output=value("top", op.infer().elem, *op.infer().shape))
    graph = replace(b.graph("g", [x], [op.output]), ops=(op,))

    with pytest.raises(CompileError, match="over axis 0"):
        design_of(graph, "m", VerilogOptions())
