import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.errors import CompileError
from bitwright.ir.ops import Arith, Arithmetic, Function, Permute, Rounding
from bitwright.ir.types import Int
from bitwright.passes import step_function
from bitwright.passes.direction import is_monotone
from bitwright.passes.step_function import find_steps, per_channel
from tests.passes.chains import (
    BINARIZE,
    SIGN,
    End,
    Link,
    activation,
    arith,
    batch_norm,
    chain_of,
    clip,
    codes_of,
    graph_of,
    integers_of,
    lattice_of,
    oracle,
    prelu,
    quantize,
    thresholds,
)

C = 3
f32 = st.floats(-4, 4, width=32)
some = st.one_of(st.sampled_from([0.0, 0.5, -1.5, 0.75]), f32)
numbers = st.lists(some, min_size=C, max_size=C)
nonzero = st.lists(
    st.one_of(st.sampled_from([0.5, -0.75]), st.floats(0.0625, 4, width=32)), min_size=C, max_size=C
)
variances = st.lists(st.sampled_from([5.6e-45, 1e-20, 0.25, 1.0, 3.0]), min_size=C, max_size=C)
gammas = st.lists(st.sampled_from([0.0, 1e-41, -1.25, 0.5, 2.0]), min_size=C, max_size=C)
rising_or_falling: st.SearchStrategy[Link] = st.one_of(
    st.builds(arith, st.sampled_from([Arith.ADD, Arith.MUL, Arith.MAX, Arith.MIN]), numbers),
    st.builds(arith, st.just(Arith.SUB), numbers, constant_first=st.booleans()),
    st.builds(arith, st.just(Arith.DIV), nonzero),
    st.builds(activation, st.sampled_from([Function.RELU, Function.NEG])),
    st.builds(activation, st.just(Function.LEAKY_RELU), st.sampled_from([0.0, 0.125, 0.3])),
    st.builds(clip, st.sampled_from([-3.5, 0.0]), st.sampled_from([1.0, 6.0])),
    st.builds(batch_norm, gammas, numbers, numbers, variances, st.sampled_from([0.0, 1e-5])),
)
any_link = st.one_of(
    rising_or_falling,
    st.builds(prelu, numbers),
    st.builds(activation, st.just(Function.HARD_SWISH)),
)
ends: st.SearchStrategy[End] = st.one_of(
    st.sampled_from([BINARIZE, SIGN]),
    st.builds(
        quantize,
        st.sampled_from([0.5, 0.75, float(np.float32(0.1)), 1.0]),
        st.sampled_from([Int(-8, 7), Int(0, 15), Int(-128, 127)]),
        st.sampled_from([0, 3, -5]),
        st.sampled_from(Rounding),
        zero_after=st.booleans(),
    ),
    st.builds(thresholds, st.lists(st.lists(some, min_size=2, max_size=2), min_size=C, max_size=C)),
)
LATTICE = lattice_of([-20, -7, 0], [20, 8, 1], [1, 5, 1])


@given(links=st.lists(any_link, max_size=4), end=ends, scale=st.sampled_from([1.0, 0.5, 0.375]))
def test_steps_equal_the_chain_itself(links: list[Link], end: End, scale: float) -> None:
    chain = chain_of(graph_of(links, end, Int(-20, 20), C, scale))
    steps = find_steps(chain, LATTICE)
    for c in range(C):
        want = oracle(links, end, integers_of(LATTICE, c).tolist(), c, scale)
        assert codes_of(steps, c) == want


@given(links=st.lists(rising_or_falling, max_size=4), end=ends)
def test_bisection_finds_what_the_whole_interval_shows(links: list[Link], end: End) -> None:
    chain = chain_of(graph_of(links, end, Int(-20, 20), C, 0.375))
    assert is_monotone(chain)
    whole = find_steps(chain, LATTICE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_function, "WHOLE", 40)
        try:
            bisected = find_steps(chain, LATTICE)
        except CompileError as e:
            assert "codes are more than bitwright folds" in str(e)  # noqa: PT017
            return
    for c in range(C):
        n = whole.count[c]
        assert bisected.count[c] == n
        for field in ("left", "right"):
            np.testing.assert_array_equal(
                getattr(bisected, field)[c, :n], getattr(whole, field)[c, :n]
            )
        np.testing.assert_array_equal(bisected.codes[c, : n + 1], whole.codes[c, : n + 1])


def test_blocks_of_a_long_interval_join(monkeypatch: pytest.MonkeyPatch) -> None:
    end = quantize(4.0, Int(-8, 7), rounding=Rounding.FLOOR)
    chain = chain_of(graph_of([], end, Int(-20, 20), C))
    want = find_steps(chain, LATTICE)
    monkeypatch.setattr(step_function, "_BLOCK", 4 * C)
    got = find_steps(chain, LATTICE)
    for field in ("count", "left", "right", "codes"):
        np.testing.assert_array_equal(getattr(got, field), getattr(want, field))


@pytest.mark.parametrize("zero", [0, 3, -128])
@pytest.mark.parametrize("zero_after", [False, True])
@pytest.mark.parametrize("ratio", [(0.5, 1.0), (0.75, 1.0), (0.1, 0.2), (0.1, 0.4), (0.25, 4.0)])
def test_ties_are_decided_exactly(zero: int, zero_after: bool, ratio: tuple[float, float]) -> None:
    scale, unit = (float(np.float32(v)) for v in ratio)
    end = quantize(unit, Int(-128, 127), zero, zero_after=zero_after)
    lattice = lattice_of([-300], [300], [1])
    steps = find_steps(chain_of(graph_of([], end, Int(-300, 300), 1, scale)), lattice)
    assert codes_of(steps, 0) == oracle([], end, range(-300, 301), 0, scale)


def test_a_clip_at_a_tie_is_exact() -> None:
    """0.35 / 0.1 is 3.5 in floats; in fractions it is a little less."""
    end, links = quantize(0.1, Int(0, 7)), [clip(0.0, 0.35)]
    steps = find_steps(chain_of(graph_of(links, end, Int(0, 9), 1)), lattice_of([0], [9], [1]))
    want = oracle(links, end, range(10), 0)
    assert want[-1] == 3
    assert codes_of(steps, 0) == want


def test_a_leaky_slope_is_exact() -> None:
    links, end = [activation(Function.LEAKY_RELU, 0.1)], quantize(0.2, Int(-128, 127))
    steps = find_steps(chain_of(graph_of(links, end, Int(-99, 9), 1)), lattice_of([-99], [9], [1]))
    assert codes_of(steps, 0) == oracle(links, end, range(-99, 10), 0)


def test_runs_of_ties_are_decided_by_their_ends() -> None:
    """Behind a ReLU half of all values sit on the edge of a floor or of a sign."""
    for end in (quantize(1.0, Int(-8, 7), rounding=Rounding.FLOOR), SIGN, BINARIZE):
        links = [arith(Arith.ADD, [-0.5, 0.0, 7.0]), activation(Function.RELU)]
        chain = chain_of(graph_of(links, end, Int(-20, 20), C))
        steps = find_steps(chain, LATTICE)
        for c in range(C):
            assert codes_of(steps, c) == oracle(links, end, integers_of(LATTICE, c).tolist(), c)


def test_infinite_thresholds_beside_a_tie() -> None:
    end = thresholds([[float("-inf"), 0.0, float("inf")]])
    steps = find_steps(chain_of(graph_of([], end, Int(-2, 2), 1)), lattice_of([-2], [2], [1]))
    assert codes_of(steps, 0) == [1, 1, 2, 2, 2]


def test_steps_move_by_the_parity_of_the_lattice() -> None:
    """A bipolar sum moves in steps of 2: sign(0) is seen for an even length, never for an odd."""
    for lo, want in ((-4, [-1, -1, 0, 1, 1]), (-3, [-1, -1, 1, 1])):
        chain = chain_of(graph_of([], SIGN, Int(-4, 4), 1))
        steps = find_steps(chain, lattice_of([lo], [-lo], [2]))
        assert codes_of(steps, 0) == want
        assert (steps.right - steps.left)[0, : steps.count[0]].tolist() == [2] * int(steps.count[0])


@pytest.mark.parametrize("slope", [1e5, -1e5])
def test_a_steep_channel_jumps_over_codes(slope: float) -> None:
    links, end = [arith(Arith.MUL, [slope])], quantize(1.0, Int(-128, 127))
    n = 1 << 17
    chain = chain_of(graph_of(links, end, Int(-n, n), 1))
    steps = find_steps(chain, lattice_of([-n], [n], [1]))
    codes = [-128, 0, 127] if slope > 0 else [127, 0, -128]
    assert steps.codes.tolist()[0][:3] == codes
    assert steps.right[0, :2].tolist() == [0, 1]
    assert (steps.low, steps.high, steps.used_codes()) == (-128, 127, {-128, 0, 127})


def test_a_long_interval_must_be_monotone() -> None:
    n = 1 << 17
    for link in (activation(Function.HARD_SWISH), prelu([-0.5])):
        chain = chain_of(graph_of([link], quantize(0.5, Int(0, 7)), Int(-n, n), 1))
        with pytest.raises(CompileError, match=r"quant: its input takes 262145 values .* not mono"):
            find_steps(chain, lattice_of([-n], [n], [1]))


def test_nan_and_empty_are_named() -> None:
    links = [arith(Arith.DIV, [0.0])]
    chain = chain_of(graph_of(links, BINARIZE, Int(-2, 2), 1))
    with pytest.raises(CompileError, match="sign: the chain in front of it computes NaN"):
        find_steps(chain, lattice_of([-2], [2], [1]))
    empty = chain_of(graph_of([], BINARIZE, Int(-2, 2), 0))
    with pytest.raises(CompileError, match="sign: its input holds no elements"):
        find_steps(empty, lattice_of([], [], []))


def test_an_infinite_value_saturates() -> None:
    links = [arith(Arith.ADD, [100.0]), arith(Arith.DIV, [0.0])]
    chain = chain_of(graph_of(links, quantize(1.0, Int(-8, 7)), Int(-2, 2), 1))
    assert codes_of(find_steps(chain, lattice_of([-2], [2], [1])), 0) == [7] * 5


def test_an_index_map_inside_keeps_channels_apart() -> None:
    order = [2, 0, 1]
    permute = Link(
        lambda b, x: b.op(
            Permute, (x, b.constant("order", np.array(order))), "p", "permute", shape=(1, C)
        ),
        lambda v, _c: v,
    )
    offset = [10.0, 20.0, 30.0]
    chain = chain_of(
        graph_of([permute, arith(Arith.ADD, offset)], quantize(1.0, Int(0, 63)), Int(0, 9), C)
    )
    assert chain.order.tolist() == order
    steps = find_steps(chain, lattice_of([0] * C, [9] * C, [1] * C))
    assert [codes_of(steps, c)[0] for c in range(C)] == [20, 30, 10]  # in the leaf's order


def _twice(permuted: bool) -> Link:
    """Return `x * x`, or `x` times itself in another order."""

    def append(b: object, x: object) -> object:
        other = x
        if permuted:
            order = b.constant("order", np.array([2, 0, 1]))  # type: ignore[attr-defined]
            other = b.op(Permute, (x, order), "p", "permute", shape=(1, C))  # type: ignore[attr-defined]
        return b.op(Arithmetic, (x, other), "square", "square", kind=Arith.MUL)  # type: ignore[attr-defined]

    return Link(append, lambda v, _c: v * v)  # type: ignore[arg-type]


def test_a_value_may_meet_itself_but_not_its_neighbour() -> None:
    end = quantize(2.0, Int(0, 15))
    chain = chain_of(graph_of([_twice(False)], end, Int(-5, 5), C))
    steps = find_steps(chain, lattice_of([-5] * C, [5] * C, [1] * C))
    assert codes_of(steps, 0) == oracle([_twice(False)], end, range(-5, 6), 0)
    assert not is_monotone(chain)
    crossed = chain_of(graph_of([_twice(True)], end, Int(-5, 5), C))
    with pytest.raises(CompileError, match="square: Arithmetic joins different elements of 'x'"):
        find_steps(crossed, lattice_of([-5] * C, [5] * C, [1] * C))


def test_rows_shrink_to_channels_or_to_one() -> None:
    end = quantize(1.0, Int(-8, 7))
    chain = chain_of(graph_of([arith(Arith.MUL, [1.0, 2.0, 1.0, 2.0])], end, Int(-9, 9), 4))
    steps = find_steps(chain, lattice_of([-9] * 4, [9] * 4, [1] * 4))
    assert per_channel(steps, 2).channels == 2
    assert per_channel(steps, 1).channels == 4
    same = find_steps(
        chain_of(graph_of([], end, Int(-9, 9), 4)), lattice_of([-9] * 4, [9] * 4, [1] * 4)
    )
    assert per_channel(same, 4).channels == 1
