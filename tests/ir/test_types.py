import numpy as np
import pytest

from bitwright.errors import VerifyError
from bitwright.ir.graph import interval_of
from bitwright.ir.ops.integer import Exactness, tightest
from bitwright.ir.types import Bipolar, Int, Real, TensorType, Ternary, is_integral


@pytest.mark.parametrize(
    ("lo", "hi", "bits"),
    [(0, 0, 1), (0, 1, 1), (0, 255, 8), (-1, 0, 1), (-1, 1, 2), (-128, 127, 8), (-129, 0, 9),
     (-128, 128, 9), (3, 4, 3), (-(2**63), 2**63 - 1, 64), (0, 2**64 - 1, 64)],
)  # fmt: skip
def test_bits_hold_the_interval_and_no_less(lo: int, hi: int, bits: int) -> None:
    assert Int(lo, hi).bits == bits
    least, most = (-(1 << bits >> 1), (1 << bits >> 1) - 1) if lo < 0 else (0, (1 << bits) - 1)
    assert least <= lo <= hi <= most


def test_intervals_that_cannot_be_are_refused() -> None:
    with pytest.raises(VerifyError, match=r"empty interval \[1, 0\]"):
        Int(1, 0)
    with pytest.raises(VerifyError, match="needs 65 bits, more than 64"):
        Int(-1, 2**63)


def test_a_real_tensor_is_no_integer_one() -> None:
    assert not is_integral(Real())
    assert all(is_integral(e) for e in (Int(0, 1), Bipolar(), Ternary()))
    assert TensorType(Bipolar(), (2, 3)).integer == Bipolar()
    assert TensorType(Int(-1, 2), (2, 3)).size == 6
    assert str(TensorType(Int(-1, 2), (2, 3))) == "int[-1,2](2,3)"
    with pytest.raises(VerifyError, match="this one is real"):
        _ = TensorType(Real(), ()).integer


def test_the_tightest_type() -> None:
    assert tightest(-1, 1, frozenset({0})) == Bipolar()
    assert tightest(-1, 1) == Ternary()
    assert tightest(0, 1) == Int(0, 1)
    with pytest.raises(VerifyError, match="empty interval"):
        tightest(1, 0)


def test_the_interval_of_an_array() -> None:
    assert interval_of(np.array([[3, -7]])) == Int(-7, 3)
    assert interval_of(np.zeros((0, 2), np.int64)) == Int(0, 0)


def test_exactness_reads_as_a_sentence() -> None:
    assert str(Exactness(0, 0, 10)) == "exact"
    assert str(Exactness(1, 5, 1000)) == "within 1 codes on 0.5 % of accumulators"
