"""Packing and unpacking give back what went in; tails are 0."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.backends.c.storage import (
    Elements,
    Planes,
    Role,
    Storage,
    ctype_for,
    elements_for,
    planes_for,
    storage_from,
)
from bitwright.ir.types import Bipolar, Element, Int, Real, Ternary

PACKED: list[Element] = [Bipolar(), Ternary(), Int(0, 1), Int(0, 9), Int(-1, 0), Int(-8, 7)]


def storages(size: int) -> list[tuple[Element, Storage]]:
    out: list[tuple[Element, Storage]] = [
        (e, planes_for(e, size, w)) for e in PACKED for w in (32, 64)
    ]
    return out + [(e, elements_for(e, size)) for e in (*PACKED, Int(-300, 5), Int(0, 70000))]


@given(st.integers(1, 130), st.integers(0, 1000))
def test_unpack_is_the_inverse_of_pack(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for elem, s in storages(size):
        assert not isinstance(elem, Real)
        values = rng.integers(elem.lo, elem.hi + 1, (3, size))
        if isinstance(elem, Bipolar):
            values = rng.choice([-1, 1], (3, size))
        stored = s.pack(values)
        assert stored.shape == (3, s.count)
        assert stored.nbytes == 3 * s.bytes
        np.testing.assert_array_equal(s.unpack(stored), values)


def test_tail_bits_are_zero() -> None:
    s = Planes(Role.BIPOLAR, 1, 33, 32)
    assert s.pack(np.ones((1, 33)))[0].tolist() == [0xFFFFFFFF, 1]


def test_description_leads_back() -> None:
    for _, s in storages(70):
        assert storage_from(s.describe()) == s


@pytest.mark.parametrize(
    ("lo", "hi", "ctype"),
    [
        (0, 255, "uint8_t"), (-1, 127, "int8_t"), (-1, 128, "int16_t"), (0, 65535, "uint16_t"),
        (0, 65536, "int32_t"), (0, 1 << 31, "int64_t"), (-(1 << 63), 0, "int64_t"),
    ],
)  # fmt: skip
def test_narrowest_type(lo: int, hi: int, ctype: str) -> None:
    assert ctype_for(lo, hi) == ctype


def test_reals_are_floats() -> None:
    assert elements_for(Real(), 3) == Elements("float", 3)
