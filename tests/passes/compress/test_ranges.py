import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.ir.graph import Array
from bitwright.ir.types import Int
from bitwright.passes.compress.plan import Range
from bitwright.passes.compress.ranges import (
    RangeKind,
    RangeMethod,
    choose_range,
    default_method,
    divergence,
    parse_range,
)

TEXTS = ("minmax", "percentile:99.9", "mse", "kl")
METHODS = tuple(parse_range(t) for t in TEXTS)


def chosen(
    x: Array, bits: int, method: str | RangeMethod | None = None, *, pow2: bool = False
) -> Range:
    how = parse_range(method) if isinstance(method, str) else method
    return choose_range(x, bits, how, pow2=pow2, loc="node")


def squared_error(x: Array, found: Range) -> float:
    codes = np.clip(np.rint(x / found.scale), found.elem.lo, found.elem.hi)
    return float(((codes * found.scale - x) ** 2).sum())


def outlier(seed: int = 0) -> Array:
    """Half a normal distribution, and one value far away."""
    return np.append(np.abs(np.random.default_rng(seed).normal(size=20_000)), 40.0)


@pytest.mark.parametrize("text", TEXTS)
def test_methods_are_spelled_as_they_are_read(text: str) -> None:
    assert str(parse_range(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "min", "mse:3", "percentile", "percentile:", "percentile:x", "percentile:0",
     "percentile:101", "percentile:nan", "minmax:99", "MSE"],
)  # fmt: skip
def test_unknown_methods_are_refused(text: str) -> None:
    with pytest.raises(CompileError, match="percentile"):
        parse_range(text)


def test_the_default_keeps_the_range_from_8_bits_on() -> None:
    assert [default_method(b).kind for b in (7, 8, 12)] == [
        RangeKind.MSE, RangeKind.MINMAX, RangeKind.MINMAX,
    ]  # fmt: skip
    assert default_method(8, pow2=True).kind is RangeKind.MSE
    x = outlier()
    assert chosen(x, 8) == chosen(x, 8, "minmax")
    assert chosen(x, 4) == chosen(x, 4, "mse")


@pytest.mark.parametrize(("bits", "lo", "hi"), [(8, -128, 127), (4, -8, 7), (2, -2, 1)])
def test_signed_ranges_are_symmetric(bits: int, lo: int, hi: int) -> None:
    found = chosen(np.array([-3.0, 1.0]), bits, "minmax")
    assert found.elem == Int(lo, hi)
    assert found.scale == pytest.approx(3 / hi)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_minmax_covers_exactly(bits: int) -> None:
    found = chosen(np.array([0.0, 0.3, 2.5]), bits, "minmax")
    assert found.elem == Int(0, 2**bits - 1)
    assert found.scale * found.elem.hi == pytest.approx(2.5)


def test_a_percentile_clips_what_lies_above() -> None:
    x = outlier()
    found = chosen(x, 4, "percentile:99.9")
    assert found.scale * 15 == pytest.approx(np.percentile(x, 99.9))
    assert chosen(-x, 4, "percentile:99.9").scale * 7 == pytest.approx(np.percentile(x, 99.9))
    assert chosen(x, 4, "percentile:100") == chosen(x, 4, "minmax")


def test_a_percentile_of_zero_keeps_the_range() -> None:
    x = np.append(np.zeros(100_000), 3.0)
    assert chosen(x, 4, "percentile:50").scale == pytest.approx(0.2)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("sign", [1, -1])
def test_mse_is_the_least_of_a_fine_grid(bits: int, sign: int) -> None:
    x = outlier(bits)[: 20_000 if bits > 4 else None] * sign
    found = chosen(x, bits, "mse")
    whole = chosen(x, bits, "minmax")
    grid = [Range(found.elem, whole.scale * f) for f in np.linspace(0.005, 1, 500)]
    least = min(squared_error(x, r) for r in grid)
    assert squared_error(x, found) <= 1.002 * least
    assert found.scale < whole.scale


def test_mse_knows_the_normal_distribution() -> None:
    x = np.random.default_rng(1).normal(size=200_000)
    for bits, error in ((4, 0.0131), (5, 0.0038)):  # of codes that are symmetric too
        found = chosen(x, bits, "mse")
        even = Range(Int(-found.elem.hi, found.elem.hi), found.scale)
        assert squared_error(x, found) < squared_error(x, even)
        assert squared_error(x, even) / x.size == pytest.approx(error, rel=0.03)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bits", [3, 4, 8])
def test_kl_leaves_an_outlier_out(bits: int, sign: int) -> None:
    x = outlier() * sign
    found, whole = chosen(x, bits, "kl"), chosen(x, bits, "minmax")
    assert found.scale < whole.scale / 3
    assert squared_error(x[:-1], found) < squared_error(x[:-1], whole) / 2


def test_kl_keeps_what_is_spread_evenly() -> None:
    x = np.random.default_rng(2).uniform(0, 1, 100_000)
    assert chosen(x, 8, "kl").scale == pytest.approx(1 / 255, rel=0.03)


def test_zeros_do_not_count_for_kl() -> None:
    x = outlier()
    assert chosen(np.append(x, np.zeros(10 * x.size)), 4, "kl") == chosen(x, 4, "kl")


def test_divergence_by_hand() -> None:
    bins = np.array([2.0, 4.0, 6.0, 0.0])
    # All kept, codes 0 to 1: bins 0, 1 round to 0 and 2, 3 to 1; of those only bin 2 is used.
    p, q = np.array([2, 4, 6]) / 12, np.array([3, 3, 6]) / 12
    assert divergence(bins, 1.0, 1) == pytest.approx((p * np.log(p / q)).sum())
    # Half kept: what was clipped is a bin of its own, which the codes cannot tell.
    p, q = np.array([2, 4, 6]) / 12, np.array([2, 4, 1e-4]) / (6 + 1e-4)
    assert divergence(bins, 0.5, 1) == pytest.approx((p * np.log(p / q)).sum())
    assert divergence(np.zeros(4), 1.0, 1) == 0


def test_kl_does_not_clip_at_a_value_that_is_frequent() -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([np.full(40_000, 0.1), rng.exponential(1, 20_000)])
    for bits in (2, 4, 8):
        found = chosen(x, bits, "kl")
        assert 1 < found.scale * found.elem.hi <= x.max()


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("value", [0.37, 1e-30, 1e30])
def test_a_constant_tensor_is_exact(method: RangeMethod, bits: int, value: float) -> None:
    found = chosen(np.full(50, value), bits, method)
    assert found.scale * found.elem.hi == pytest.approx(value)


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("pow2", [False, True])
@pytest.mark.parametrize("x", [np.zeros((3, 4)), np.zeros(0)], ids=["zeros", "nothing"])
def test_a_tensor_without_values_gets_a_scale(method: RangeMethod, pow2: bool, x: Array) -> None:
    found = chosen(x, 4, method, pow2=pow2)
    assert found.elem == Int(0, 15)
    assert 0 < found.scale <= 1


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("pow2", [False, True])
@pytest.mark.parametrize("value", [5e-324, 1e-40, -1e-40, 1.7e308])
def test_extreme_values_give_a_scale_that_can_be_stored(
    method: RangeMethod, pow2: bool, value: float
) -> None:
    found = chosen(np.array([0.0, value / 3, value]), 8, method, pow2=pow2)
    assert float(np.finfo(np.float32).tiny) <= found.scale < np.inf


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", [None, *METHODS], ids=str)
def test_values_that_are_not_finite_are_refused(wrong: float, method: RangeMethod | None) -> None:
    with pytest.raises(CompileError, match=r"^node: .* NaN or infinite .* \(1 of 3 values\)"):
        chosen(np.array([0.0, wrong, 1.0]), 4, method)


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12])
@pytest.mark.parametrize("sign", [1, -1])
def test_powers_of_two(method: RangeMethod, bits: int, sign: int) -> None:
    x = outlier() * sign
    found = chosen(x, bits, method, pow2=True)
    assert np.log2(found.scale).is_integer()
    assert found.scale < 2 * chosen(x, bits, "minmax").scale


def test_minmax_takes_the_least_power_that_covers() -> None:
    assert chosen(np.array([15.0]), 4, "minmax", pow2=True).scale == 1
    assert chosen(np.array([15.1]), 4, "minmax", pow2=True).scale == 2
    assert chosen(np.array([-7.0]), 4, "minmax", pow2=True).scale == 1
    x = np.append(np.linspace(0, 3, 10_000), 100.0)
    assert chosen(x, 4, "percentile:99.9", pow2=True).scale == 0.25


def test_mse_takes_the_power_with_the_least_error() -> None:
    x = outlier()
    found = chosen(x, 4, "mse", pow2=True)
    errors = {e: squared_error(x, Range(found.elem, 2.0**e)) for e in range(-8, 3)}
    assert found.scale == 2.0 ** min(errors, key=lambda e: errors[e])


def test_kl_takes_a_power_below_the_covering_one() -> None:
    x = outlier()
    assert chosen(x, 4, "kl", pow2=True).scale < chosen(x, 4, "minmax", pow2=True).scale
