import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.backends.verilog.formats import (
    Format,
    bits_of,
    format_of,
    from_beats,
    hex_words,
    signed_bits,
    to_beats,
)
from bitwright.backends.verilog.requantize_form import simplest_form
from bitwright.backends.verilog.weights import weight_code
from bitwright.errors import VerifyError
from bitwright.ir.evaluate.integer import shift_round
from bitwright.ir.graph import Builder
from bitwright.ir.ops import Encoding, IntLinear, Requantize, Round
from bitwright.ir.types import Bipolar, Int, Ternary
from tests.backends.verilog.bodies import value

FORMATS = [format_of(e) for e in (Bipolar(), Ternary(), Int(0, 5), Int(-3, 100), Int(-(2**62), 1))]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("lanes", [1, 3, 12])
def test_beats_carry_what_they_were_given(fmt: Format, lanes: int) -> None:
    rng = np.random.default_rng(0)
    lo, hi = (-(1 << (fmt.bits - 1)), (1 << (fmt.bits - 1)) - 1) if fmt.signed else (0, 1)
    values = rng.integers(lo, hi, (5, 4, 3), endpoint=True)
    values = 2 * (values > 0) - 1 if fmt.bipolar else values

    beats = to_beats(fmt, lanes, values)

    assert beats.shape == (60 // lanes, -(-lanes * fmt.bits // 8))
    np.testing.assert_array_equal(from_beats(fmt, lanes, beats, (4, 3)), values)


def test_element_0_is_in_the_low_bits() -> None:
    beats = to_beats(Format(4, signed=True), 3, np.array([[1, -2, 7]]))

    assert beats.tolist() == [[0x1 | 0xE << 4, 0x7]]


@given(st.integers(1, 70), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5))
def test_words_are_hexadecimal_numbers(lanes: int, words: list[int]) -> None:
    raw = np.array([[w] * lanes for w in words], np.uint64)

    lines = hex_words(bits_of(raw, 5).reshape(len(words), -1)).decode().splitlines()

    expected = [sum((w & 31) << 5 * i for i in range(lanes)) for w in words]
    assert [int(line, 16) for line in lines] == expected
    assert {len(line) for line in lines} == {-(-5 * lanes // 4)}


@given(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))
def test_signed_bits_are_enough_and_no_more(a: int, b: int) -> None:
    n = signed_bits(min(a, b), max(a, b))

    assert all(-(1 << (n - 1)) <= v < 1 << (n - 1) for v in (a, b))
    assert n == 1 or any(not -(1 << (n - 2)) <= v < 1 << (n - 2) for v in (a, b))


def linear(encoding: Encoding, w: list[int]) -> tuple[IntLinear, "np.ndarray[tuple[int, int]]"]:
    b, rows = Builder(["x"]), np.array([w])
    operands = (value("x", Bipolar(), 1, len(w)), b.constant("w", rows))
    b.op(IntLinear, operands, "y", "fc", encoding=encoding, elem=Int(-500, 500))
    op = b.ops[0]
    assert isinstance(op, IntLinear)
    return op, rows


@pytest.mark.parametrize(
    ("encoding", "w", "kind", "bits", "raw"),
    [
        (Encoding.BIPOLAR, [-1, 1], "xnor", 1, [0, 1]),
        (Encoding.TERNARY, [-1, 0, 1], "ternary", 2, [3, 0, 1]),
        (Encoding.POWER_OF_TWO, [1, -1, 0], "shift", 2, [1, 3, 0]),
        (Encoding.POWER_OF_TWO, [1, -8, 0, 4], "shift", 4, [4, 15, 0, 6]),
        (Encoding.INTEGER, [-4, 3], "integer", 3, [4, 3]),
    ],
)
def test_weights_are_stored_as_their_kind_has_it(
    encoding: Encoding, w: list[int], kind: str, bits: int, raw: list[int]
) -> None:
    code = weight_code(*linear(encoding, w), Format(1, signed=False, bipolar=True))

    assert (code.name, code.bits, code.raw.tolist()) == (kind, bits, [raw])


@pytest.mark.parametrize("encoding", [Encoding.BIPOLAR, Encoding.TERNARY, Encoding.POWER_OF_TWO])
def test_weights_that_do_not_fit_their_encoding_are_our_bug(encoding: Encoding) -> None:
    with pytest.raises(VerifyError, match=encoding.value):
        weight_code(*linear(encoding, [1, 3]), Format(8, signed=True))


@given(
    st.lists(st.integers(-40, 40), min_size=2, max_size=2),
    st.lists(st.integers(-200, 200), min_size=2, max_size=2),
    st.integers(0, 4),
    st.integers(1, 6),
    st.sampled_from(Round),
)
def test_the_simplest_form_of_a_requantize_is_equal(
    mul: list[int], add: list[int], power: int, shift: int, rounding: Round
) -> None:
    b = Builder(["x"])
    m, a = np.array(mul) << power, np.array(add) << (power % 3)
    how = {"shift": shift, "zero": 0, "rounding": rounding, "elem": Int(-(2**30), 2**30)}
    operands = (value("x", Int(-99, 99), 1, 2), b.constant("m", m), b.constant("a", a))
    b.op(Requantize, operands, "y", "rq", **how)
    op = b.ops[0]
    assert isinstance(op, Requantize)

    form = simplest_form(op, m, a)

    x = np.arange(-99, 100)[:, None]
    want = shift_round(x * m + a, shift, rounding)
    np.testing.assert_array_equal(
        shift_round(x * form.mul + form.add, form.shift, form.rounding), want
    )
