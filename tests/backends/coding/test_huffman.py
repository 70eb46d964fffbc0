from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.backends.coding.huffman import LONGEST, Code, code_lengths, code_of
from bitwright.ir.graph import Array

messages = st.lists(st.integers(-40, 40), max_size=300).map(lambda x: np.array(x, np.int64))


def kraft(lengths: Array) -> Fraction:
    return sum((Fraction(1, 1 << int(n)) for n in lengths), Fraction(0))


def bits_of(code: Code, message: Array) -> Array:
    words, widths = code.encode(message)
    text = "".join(f"{w:0{n}b}" if n else "" for w, n in zip(words, widths, strict=True))
    return np.array([int(c) for c in text], np.int64)


def decoded(code: Code, bits: Array, count: int) -> list[int]:
    out, at = [], 0
    for _ in range(count):
        symbol, at = code.decode(bits, at)
        out.append(symbol)
    assert at == bits.size
    return out


@given(messages, st.integers(7, LONGEST))
def test_a_message_comes_back(message: Array, longest: int) -> None:
    code = code_of(message, longest)

    assert code.longest <= longest
    assert decoded(code, bits_of(code, message), message.size) == message.tolist()


@given(st.lists(st.integers(1, 1 << 30), min_size=1, max_size=200), st.integers(8, LONGEST))
def test_lengths_fill_the_code_space_and_keep_the_bound(counts: list[int], longest: int) -> None:
    lengths = code_lengths(np.array(counts), longest)

    assert kraft(lengths) == 1
    assert lengths.max() <= longest


@given(st.lists(st.integers(1, 100), min_size=2, max_size=6), st.integers(3, 4))
def test_no_lengths_under_the_bound_are_better(counts: list[int], longest: int) -> None:
    best = min(
        sum(n * c for n, c in zip(lengths, counts, strict=True))
        for lengths in product(range(1, longest + 1), repeat=len(counts))
        if kraft(np.array(lengths)) <= 1
    )

    assert int(code_lengths(np.array(counts), longest) @ np.array(counts)) == best


@given(st.lists(st.integers(1, 1 << 20), min_size=2, max_size=300))
def test_bits_lie_between_the_entropy_and_one_more(counts: list[int]) -> None:
    n = np.array(counts, np.float64)
    entropy = float(-(n / n.sum()) @ np.log2(n / n.sum()))
    mean = float(code_lengths(np.array(counts), 30) @ n / n.sum())

    assert entropy - 1e-9 <= mean < entropy + 1


def test_normal_weights_of_32_levels() -> None:
    counts = np.rint(1e6 * np.exp(-0.5 * ((np.arange(32) - 15.5) / 4) ** 2)).astype(np.int64) + 1
    share = counts / counts.sum()
    entropy, lengths = -(share @ np.log2(share)), code_lengths(counts)

    assert kraft(lengths) == 1
    assert entropy < lengths @ share < entropy + 0.05  # 4.05 bits
    assert lengths.max() <= LONGEST


def test_codes_of_one_length_follow_one_another_and_longer_ones_lie_behind() -> None:
    code = code_of(np.repeat([7, -2, 5, 0], [8, 4, 2, 2]))

    assert code.symbols.tolist() == [7, -2, 0, 5]
    assert code.lengths.tolist() == [1, 2, 3, 3]
    assert code.codes.tolist() == [0b0, 0b10, 0b110, 0b111]
    assert code.count.tolist() == [0, 1, 1, 2]
    assert code.limits.tolist() == [0b100, 0b110, 0b1000]
    assert code.leads.tolist() == [0, 1, 4]


@given(messages)
def test_limits_and_leads_decode_as_the_tables_do(message: Array) -> None:
    code = code_of(message)
    for symbol, length, word in zip(code.symbols, code.lengths, code.codes, strict=True):
        peek = int(word) << (code.longest - int(length))
        n = next(n for n, limit in enumerate(code.limits) if peek < limit)
        assert code.shortest + n == length
        place = (peek >> (code.longest - code.shortest - n)) - int(code.leads[n])
        assert code.symbols[place] == symbol


def test_one_symbol_takes_no_bits_and_none_has_no_code() -> None:
    one, none = code_of(np.full(5, 9)), code_of(np.zeros(0, np.int64))

    assert (one.longest, one.count.tolist(), decoded(one, bits_of(one, np.full(5, 9)), 5)) == (
        0,
        [1],
        [9] * 5,
    )
    assert (none.longest, none.count.tolist(), none.symbols.size) == (0, [0], 0)
    with pytest.raises(ValueError, match="no code"):
        none.encode(np.array([1]))
    with pytest.raises(ValueError, match="no code"):
        one.encode(np.array([8]))


def test_too_many_symbols_are_refused() -> None:
    assert code_lengths(np.ones(16, np.int64), 4).tolist() == [4] * 16
    with pytest.raises(ValueError, match="17 symbols"):
        code_lengths(np.ones(17, np.int64), 4)
