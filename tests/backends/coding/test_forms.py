from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.backends.coding import Form, coded_bytes, encode
from bitwright.backends.coding.codebook import codebook_of, item_bytes
from bitwright.backends.coding.gaps import relative
from bitwright.backends.coding.rows import HuffmanRows, Sparse
from bitwright.backends.coding.stream import Fields, bits_of, number, pack
from bitwright.errors import CompileError
from bitwright.ir.graph import Array

CODED = [f for f in Form if f is not Form.PLAIN]


@st.composite
def layers(draw: st.DrawFn) -> Array:
    """Draw weights (O, I): sparse, shared, of one value, all zero, dense; also without rows."""
    shape = draw(st.tuples(st.integers(0, 5), st.integers(0, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    most = draw(st.sampled_from([0, 1, 7, 127, 30_000]))
    w = rng.integers(-most, most + 1, shape)
    kind = draw(st.sampled_from(["dense", "sparse", "zero rows", "one", "positive"]))
    if kind == "sparse":
        w = np.where(rng.random(shape) < 0.1, w, 0)
    elif kind == "zero rows":
        w[::2] = 0
    elif kind == "one":
        w = np.full(shape, most)
    return np.asarray(np.abs(w) if kind == "positive" else w)


@given(layers(), st.sampled_from(list(Form)))
def test_the_bytes_hold_the_weights(w: Array, form: Form) -> None:
    coded = encode(w.reshape(-1), np.full(w.shape[0], w.shape[1]), form)

    assert coded is not None
    assert np.array_equal(coded.decode(), w.reshape(-1))


@given(layers(), st.sampled_from(CODED))
def test_the_parts_add_up_to_the_bytes(w: Array, form: Form) -> None:
    coded = encode(w.reshape(-1), np.full(w.shape[0], w.shape[1]), form)

    assert coded is not None
    parts = coded.parts
    assert parts.total == coded.stream.size + parts.tables
    assert min(parts.rows, parts.gaps, parts.values, parts.tables, parts.unused) >= 0
    assert parts.weights == w.size


def test_dense_bytes_of_all_values() -> None:
    w = np.arange(-128, 128).repeat(3).reshape(4, -1)

    assert coded_bytes(w, "dense").total == w.size
    assert coded_bytes(w, Form.CODEBOOK).total == w.size + 256
    nonzero = np.where(w == 0, 1, w)  # 254 values of one count and one of twice that: 8 bits less
    huffman = coded_bytes(nonzero, Form.HUFFMAN)
    assert (huffman.gaps, huffman.values) == (0, (8 * w.size - 2 * 3) // 8)


def test_a_pruned_and_shared_layer_by_hand() -> None:
    """Ten rows of 64, each with one weight of -3, +5 behind 20 zeros: 5 bits of gap, 1 of value."""
    w = np.zeros((10, 64), np.int64)
    w[:, 20] = np.tile([-3, 5], 5)

    sparse = coded_bytes(w, Form.SPARSE_CODEBOOK)
    assert (sparse.rows, sparse.tables, sparse.total) == (10, 2, 10 + 10 + 2)
    huffman = coded_bytes(w, Form.HUFFMAN)  # one gap: no bits; a bit a value; two symbols
    assert (huffman.rows, huffman.gaps, huffman.tables) == (10, 0, 2)
    assert huffman.total == 10 + 10 + 2 + 3
    assert coded_bytes(w, Form.CODEBOOK).total == 10 * 64 * 2 // 8 + 3
    assert sparse.bits_per_weight == pytest.approx(22 * 8 / 640)


def test_the_gap_width_is_the_best_of_all() -> None:
    rng = np.random.default_rng(4)
    w = np.where(rng.random((50, 400)) < 0.05, rng.integers(-15, 16, (50, 400)), 0)
    flat, sizes = w.reshape(-1), np.full(50, 400)
    best = encode(flat, sizes, Form.SPARSE)

    assert isinstance(best, Sparse)
    totals = []
    for bits in range(1, 9):
        entries = relative(flat, sizes, bits)
        forced = Sparse(entries, sizes, bits, best.value_bits, 1, best.low)
        totals.append(forced.parts.total)
    assert min(totals) == best.parts.total < max(totals)


def test_huffman_gains_what_deep_compression_says() -> None:
    """A fifth to a third of fixed fields, on pruned normal weights."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 784))
    x[np.abs(x) < np.quantile(np.abs(x), 0.92)] = 0
    w = np.rint(x * 15 / np.abs(x).max()).astype(np.int64)
    sparse, huffman = (coded_bytes(w, f).total for f in (Form.SPARSE, Form.HUFFMAN))

    assert 0.15 < 1 - huffman / sparse < 0.35


def test_what_a_form_cannot_hold_is_none() -> None:
    wide = np.arange(1 << 17)
    sizes = np.array([wide.size])

    assert encode(wide, sizes, Form.CODEBOOK) is None
    assert encode(wide, sizes, Form.HUFFMAN) is None
    assert encode(wide * (1 << 10), sizes, Form.SPARSE) is None
    assert encode(np.array([1 << 40]), np.array([1]), Form.PLAIN) is None
    with pytest.raises(CompileError, match="cannot be stored as huffman"):
        coded_bytes(wide[None], "huffman")


def test_other_tables_give_other_weights() -> None:
    coded = encode(np.array([3, -3] * 20), np.array([40]), Form.HUFFMAN)
    assert isinstance(coded, HuffmanRows)
    swapped = replace(coded.codes, symbols=coded.codes.symbols[::-1])

    assert coded.decode().tolist() == [3, -3] * 20
    assert swapped.decode(bits_of(coded.stream[1:], high_first=True))[0] == -3


@given(st.lists(st.integers(-300, 300), min_size=1))
def test_a_codebook_names_every_value(values: list[int]) -> None:
    w = np.array(values)
    book = codebook_of(w)
    index = book.index(w)

    assert np.array_equal(book.values[index], w)
    assert index.max() < 1 << book.bits


@pytest.mark.parametrize(
    ("values", "size"),
    [([], 1), ([0, 255], 1), ([-1, 128], 2), ([-128, 127], 1), ([0, 65535], 2), ([-1, 65535], 4),
     ([1 << 31], 8)],
)  # fmt: skip
def test_bytes_of_an_item(values: list[int], size: int) -> None:
    assert item_bytes(np.array(values, np.int64)) == size


@pytest.mark.parametrize("high_first", [False, True])
def test_fields_lie_where_pack_says(high_first: bool) -> None:
    fields = Fields(np.array([1, 6, 2]), np.array([1, 3, 5]), np.array([2, 0, 1]))
    data = pack(fields, 1, high_first=high_first)

    assert data[[0, 2, 3]].tolist() == [2, 0, 1]
    assert data.size == 5
    bits = bits_of(data[1:2], high_first=high_first)
    assert number(bits[:1], high_first=high_first) == 1
    assert number(bits[1:4], high_first=high_first) == 6
    assert number(bits_of(data[4:], high_first=high_first)[:5], high_first=high_first) == 2
