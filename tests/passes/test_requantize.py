from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.ir.evaluate.integer import shift_round
from bitwright.ir.ops import Arith, Round, Rounding
from bitwright.ir.types import Int
from bitwright.passes.requantize import Multipliers, find_multipliers
from bitwright.passes.step_function import Lattice, StepFunction, find_steps
from tests.passes.chains import (
    arith,
    chain_of,
    codes_of,
    graph_of,
    integers_of,
    lattice_of,
    quantize,
)

INT8 = Int(-128, 127)


def steps_of(
    ratios: list[float], biases: list[float], lattice: Lattice, elem: Int = INT8, zero: int = 0
) -> StepFunction:
    """Return the codes of round(a * ratio + bias) + zero for each channel."""
    links = [arith(Arith.MUL, ratios), arith(Arith.ADD, biases)]
    x = Int(int(lattice.lo.min()), int(lattice.hi.max()))
    end = quantize(1.0, elem, zero, zero_after=True)
    return find_steps(chain_of(graph_of(links, end, x, len(ratios))), lattice)


def assert_exact(steps: StepFunction, found: Multipliers, clamp: Int) -> None:
    """Check every accumulator that each channel can take."""
    for c in range(steps.channels):
        t = integers_of(steps.lattice, c) * found.mul[c] + found.add[c]
        y = np.clip(shift_round(t, found.shift, found.rounding) + found.zero, clamp.lo, clamp.hi)
        assert y.tolist() == codes_of(steps, c), f"channel {c}"


def solve(steps: StepFunction, zero: int = 0) -> Multipliers:
    clamp = Int(steps.low, steps.high)
    found = find_multipliers(steps, clamp, zero)
    assert found is not None
    assert_exact(steps, found, clamp)
    return found


@pytest.mark.parametrize("zero", [0, 3, -128])
@pytest.mark.parametrize(
    "ratio", [0.5, 0.25, 2.0**-7, 0.75, 0.375, float(np.float32(0.1)), 0.25 / 9, 1.0, 3.0]
)
def test_common_ratios_are_exact(ratio: float, zero: int) -> None:
    steps = steps_of([ratio], [0.0], lattice_of([-2000], [2000], [1]), zero=zero)
    solve(steps, zero)


@pytest.mark.parametrize(
    ("ratio", "shift"), [(0.5, 1), (0.25, 2), (0.75, 2), (0.375, 3), (2.0**-7, 7)]
)
def test_exact_ties_need_half_even(ratio: float, shift: int) -> None:
    found = solve(steps_of([ratio], [0.0], lattice_of([-999], [999], [1]), zero=3), 3)
    assert (found.rounding, found.shift) == (Round.HALF_EVEN, shift)


def test_pools_by_four_and_by_six() -> None:
    """A 2x2 average with equal scales has ties on even codes; an average over 6 as well."""
    for divisor, top in ((4, 4 * 255), (6, 6 * 255)):
        steps = steps_of([1 / divisor], [0.0], lattice_of([0], [top], [1]), Int(0, 255))
        clamp = Int(0, 255)
        found = find_multipliers(steps, clamp, 0)
        if divisor == 4:
            assert found is not None
            assert (found.rounding, found.shift) == (Round.HALF_EVEN, 2)
        if found is not None:
            assert_exact(steps, found, clamp)
        want = [round(Fraction(a) * Fraction(1 / divisor)) for a in range(top + 1)]
        assert codes_of(steps, 0) == want


def test_floor_is_preferred() -> None:
    found = solve(steps_of([0.1], [0.05], lattice_of([-700], [900], [1])))
    assert found.rounding is Round.FLOOR


@pytest.mark.parametrize("rounding", Rounding)
def test_every_rounding_of_the_model_is_exact(rounding: Rounding) -> None:
    end = quantize(2.0, INT8, rounding=rounding)
    lattice = lattice_of([-200], [200], [1])
    solve(find_steps(chain_of(graph_of([], end, Int(-200, 200), 1)), lattice))


def channels(rng: np.random.Generator, n: int) -> tuple[list[float], list[float], Lattice]:
    ratios = np.exp(rng.uniform(-9, 1, n)) * rng.choice([-1, 1], n)
    reach = np.minimum(rng.uniform(20, 400, n) / np.abs(ratios), 20000).astype(np.int64) + 1
    lattice = Lattice(-reach, reach + rng.integers(0, 50, n), np.ones(n, np.int64))
    biases = rng.normal(0, 60, n)
    ratios[:2], biases[0] = 0.0, 40.0  # constant channels
    return ratios.tolist(), biases.tolist(), lattice


@pytest.mark.parametrize("seed", range(4))
def test_random_channels_up_and_down(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ratios, biases, lattice = channels(rng, 40)
    steps = steps_of(ratios, biases, lattice, zero=int(rng.integers(-20, 20)))
    solve(steps, int(rng.integers(-3, 4)))


def test_channels_that_do_not_saturate() -> None:
    lattice = lattice_of([-10, -10, 0], [10, 40, 10], [1, 2, 1])
    solve(steps_of([0.3, 0.2, -0.7], [1.0, -2.0, 90.0], lattice))


def test_steep_channels_and_jumps() -> None:
    lattice = lattice_of([-9, -9, -900], [9, 9, 900], [1, 3, 300])
    solve(steps_of([1e5, -40.0, 7.0], [0.5, 3.0, 0.0], lattice))


def least_shift(steps: StepFunction, clamp: Int, rounding: Round) -> int | None:
    """Try every shift, factor and addend of a small problem."""
    for shift in range(1 if rounding is Round.HALF_EVEN else 0, 7):
        if all(_one_channel(steps, c, clamp, (shift, rounding)) for c in range(steps.channels)):
            return shift
    return None


def _one_channel(steps: StepFunction, c: int, clamp: Int, form: tuple[int, Round]) -> bool:
    shift, rounding = form
    a, want = integers_of(steps.lattice, c), np.array(codes_of(steps, c))
    top = 16 << shift
    m, b = np.arange(-(2 << shift), (2 << shift) + 1), np.arange(-top, top + 1)
    t = a[:, None, None] * m[:, None] + b
    y = np.clip(shift_round(t, shift, rounding), clamp.lo, clamp.hi)
    return bool((y == want[:, None, None]).all(axis=0).any())


@pytest.mark.parametrize("seed", range(12))
def test_the_shift_is_the_least(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ratios = rng.choice([0.5, 0.25, 0.3, 0.7, -0.6, 0.375, -0.75, 1.0], 2).tolist()
    biases = rng.choice([0.0, 0.5, 0.2, -1.3], 2).tolist()
    steps = steps_of(ratios, biases, lattice_of([-5, -6], [6, 4], [1, 1]), Int(-3, 4))
    clamp = Int(steps.low, steps.high)
    found = find_multipliers(steps, clamp, 0)
    by_hand = {r: least_shift(steps, clamp, r) for r in (Round.FLOOR, Round.HALF_EVEN)}
    assert found is not None
    assert_exact(steps, found, clamp)
    want = Round.FLOOR if by_hand[Round.FLOOR] is not None else Round.HALF_EVEN
    assert found.rounding is want
    assert found.shift == by_hand[want]


@given(
    ratio=st.fractions(Fraction(1, 40), Fraction(3), max_denominator=64),
    bias=st.fractions(-8, 8, max_denominator=16),
    lo=st.integers(-60, 0),
    hi=st.integers(1, 60),
    step=st.sampled_from([1, 2, 3]),
)
def test_what_is_found_is_exact(
    ratio: Fraction, bias: Fraction, lo: int, hi: int, step: int
) -> None:
    hi = lo + (hi - lo) // step * step
    steps = steps_of([float(ratio)], [float(bias)], lattice_of([lo], [hi], [step]), Int(-20, 20))
    clamp = Int(steps.low, steps.high)
    found = find_multipliers(steps, clamp, 0)
    if found is not None:
        assert_exact(steps, found, clamp)


def test_a_function_that_turns_has_no_factor() -> None:
    lattice = lattice_of([0], [3], [1])
    rows = (np.array([[r]]) for r in (0, 1))
    left, right = rows
    codes = np.array([[0, 1, 0]])
    turning = StepFunction(
        np.array([2]), np.concatenate([left, left + 1], 1), np.concatenate([right, right + 1], 1),
        codes, lattice,
    )  # fmt: skip
    assert find_multipliers(turning, Int(0, 1), 0) is None


def test_wide_accumulators_keep_t_below_64_bits() -> None:
    n = 3_000_000
    steps = steps_of([1 / 20000, -1 / 30000.5], [0.0, 3.0], lattice_of([-n, -n], [n, n], [1, 1]))
    found = find_multipliers(steps, Int(steps.low, steps.high), 0)
    assert found is not None
    assert (np.abs(found.mul) * n + np.abs(found.add)).max() < 1 << 49
    a = np.concatenate([steps.left[c, : steps.count[c]] for c in (0, 1)])
    for c in (0, 1):
        for at in (a, a + 1):
            n_c = int(steps.count[c])
            y = np.clip((at * found.mul[c] + found.add[c]) >> found.shift, steps.low, steps.high)
            if found.rounding is Round.HALF_EVEN:
                y = np.clip(
                    shift_round(at * found.mul[c] + found.add[c], found.shift, found.rounding),
                    steps.low, steps.high,
                )  # fmt: skip
            place = np.searchsorted(steps.right[c, :n_c], at, side="right")
            np.testing.assert_array_equal(y, steps.codes[c, place])


def test_the_oracle_of_this_file_can_fail() -> None:
    steps = steps_of([0.5], [0.0], lattice_of([-9], [9], [1]))
    wrong = Multipliers(np.array([1]), np.array([0]), 1, Round.FLOOR, 0)
    with pytest.raises(AssertionError, match="channel 0"):
        assert_exact(steps, wrong, Int(steps.low, steps.high))
    assert floor(-0.5) == -1
