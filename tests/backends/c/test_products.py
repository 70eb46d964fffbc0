"""Products of two tensors, alone and with the function that follows, compared with numpy."""

import pytest

from bitwright.backends.c import COptions, Cpu
from bitwright.ir.ops import MulInt, Value
from bitwright.ir.types import Bipolar, Int, Integral
from tests.backends.c.conftest import Writer, differences
from tests.backends.c.networks import S8, U2, U8, Many
from tests.backends.c.test_integer_kernels import POSTS, post

SHAPES = [((1, 3, 2, 5), (1, 3, 2, 5)), ((1, 3, 2, 33), (1, 1, 1, 33)), ((1, 1), (1, 1)),
          ((1, 1, 4), (1, 7, 4))]  # fmt: skip
PAIRS: list[tuple[Integral, Integral, tuple[int, int]]] = [
    (S8, S8, (-128, 5)),
    (U8, U2, (0, 3)),
    (Bipolar(), S8, (0, -7)),
    (Bipolar(), Bipolar(), (0, 0)),
]


def product(m: Many, a: Value, b: Value, zeros: tuple[int, int]) -> Value:
    """Append the product of two tensors with the interval that it can reach."""
    ends = [
        (v.type.integer.lo - z, v.type.integer.hi - z) for v, z in zip((a, b), zeros, strict=True)
    ]
    all_ends = [p * q for p in ends[0] for q in ends[1]]
    name = f"product{len(m.builder.ops)}"
    return m.builder.op(MulInt, (a, b), name, name, elem=Int(min(all_ends), max(all_ends)),
                  zero_a=zeros[0], zero_b=zeros[1])  # fmt: skip


def products() -> Many:
    """Every pair of types at every pair of shapes, each with another function behind it."""
    m, k = Many(7), 0
    for left, right in SHAPES:
        for x, y, zeros in PAIRS:
            m.out(post(m, product(m, m.input(x, *left), m.input(y, *right), zeros), k % POSTS))
            k += 3
    return m


@pytest.mark.parametrize("cpu", [Cpu.GENERIC, Cpu.X86_64], ids=lambda c: c.value)
def test_products_and_what_follows_them(tree: Writer, cpu: Cpu) -> None:
    m = products()
    g = m.graph()
    folder = tree(g, options=COptions(cpu=cpu))
    assert differences(folder, g, m.data, sanitize=True) == []
