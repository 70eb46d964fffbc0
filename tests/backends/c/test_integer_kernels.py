"""Every integer kernel, compiled and compared with numpy, at sizes beside and across a word."""

import shutil

import numpy as np
import pytest

from bitwright.backends.c import COptions, Cpu
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    AddInt,
    ArgMax,
    Encoding,
    Lookup,
    Permute,
    Requantize,
    Reshape,
    Round,
    Steps,
    Transpose,
    Value,
)
from bitwright.ir.types import Bipolar, Int, Ternary
from tests.backends.c.conftest import Writer, differences
from tests.backends.c.networks import NARROW, S8, S16, U2, U4, U8, WIDE, B, Many, N, P, T

SIZES = (1, 31, 32, 33, 63, 64, 65, 96, 100, 255, 256, 257, 520, 1100)
POSTS = 11


def post(m: Many, a: Value, k: int) -> Value:
    """Append the k-th form of what may follow an accumulator."""
    c = a.shape[-1]
    mixed = np.where(m.rng.integers(0, 2, (c, 1)) == 1, [[-1, 1]], m.rng.choice([-1, 1], (c, 1)))
    forms = (
        lambda: m.sign(a),
        lambda: m.steps(a, 3, U2, codes=np.arange(4)[None]),
        lambda: m.steps(a, 12, Int(-6, 6), codes=(6 - np.arange(13))[None]),
        lambda: m.steps(a, 4, Int(-9, 9), codes=m.rng.integers(-9, 10, (c, 5)), shared=True),
        lambda: m.requantize(a, Round.FLOOR, 16),
        lambda: m.requantize(a, Round.HALF_EVEN, 4, shared=True),
        lambda: m.requantize(a, Round.HALF_EVEN, 32),
        lambda: m.steps(a, 2, Ternary(), codes=np.array([[-1, 0, 1]]), shared=True),
        lambda: m.steps(a, 1, Bipolar(), codes=mixed),
        lambda: m.steps(a, 1, Int(-5, 9), codes=m.rng.integers(-5, 10, (c, 2))),
        lambda: a,
    )
    return forms[k % POSTS]()


def plane_layers() -> Many:
    """Bit planes by bipolar and ternary weights at every size."""
    m = Many(1)
    for k, size in enumerate(SIZES):
        for j, elem in enumerate(NARROW):
            if (k + j) % 3 == 0 or size in {1, 33, 257}:
                for encoding in (B, T):
                    m.out(m.linear(m.input(elem, 1, size), encoding, 5, bias=bool(k % 2)))
    return m


def all_layers() -> Many:
    """Every element type by every encoding, each followed by another function; whole chains."""
    m, n = Many(2), 0
    for elem in (*NARROW, *WIDE):
        for encoding in Encoding:
            for size, outputs in ((1, 1), (33, 35), (70, 66)):
                n += 1
                m.out(
                    post(m, m.linear(m.input(elem, 1, size), encoding, outputs, bias=n % 3 == 0), n)
                )
    for elem, k in ((U8, 0), (U8, 1), (U8, 7), (S8, 4), (U4, 2)):
        for encoding in Encoding:
            hidden = post(m, m.linear(m.input(elem, 1, 40), N, 64), k)
            m.out(post(m, m.linear(hidden, encoding, 37), n))
            n += 1
    for width in (32, 20):
        rows(m, width)
    others(m)
    return m


def rows(m: Many, width: int) -> None:
    """Append layers over three rows, and index maps between them."""
    h = m.sign(m.linear(m.input(Bipolar(), 3, width), B, width))
    flat = m.builder.op(Reshape, (h,), "flat", "flat", shape=(1, 3 * width))
    turned = m.builder.op(Transpose, (h,), "turned", "turned", perm=(1, 0))
    order = m.builder.constant("order", m.rng.permutation(3 * width))
    mixed = m.builder.op(Permute, (h, order), "mixed", "mixed", shape=(1, 3 * width))
    m.out(m.linear(h, T, width))
    m.out(m.linear(flat, B, 9))
    m.out(flat)
    m.out(m.linear(turned, N, 5))
    m.out(m.linear(mixed, B, 9))
    m.out(m.linear(m.input(U2, 2, width), T, 4))


def others(m: Many) -> None:
    """Append what is not a dot product, and sums beyond 32 bits."""
    a, b = m.input(S8, 2, 30), m.input(U4, 2, 30)
    total = m.builder.op(
        AddInt, (a, b), "sum", "add", elem=Int(-100, 100), mul_a=3, mul_b=-70000, add=5,
        shift=13, zero=-2, rounding=Round.HALF_EVEN,
    )  # fmt: skip
    table = m.builder.constant("table", m.rng.integers(-50, 50, 201))
    found = m.builder.op(Lookup, (total, table), "found", "lookup", elem=Int(-50, 50))
    for axis in (0, 1):
        m.out(m.builder.op(ArgMax, (found,), f"greatest{axis}", "argmax", axis=axis))
    for k in range(POSTS):
        m.out(post(m, found, k))
    m.out(total)
    m.out(m.linear(m.input(S16, 1, 50), N, 6, w=m.rng.integers(-30000, 30000, (6, 50))))


def test_planes_count_right_at_every_size(tree: Writer) -> None:
    m = plane_layers()
    g = m.graph()
    assert differences(tree(g), g, m.data) == []


def test_planes_in_64_bit_words(tree: Writer) -> None:
    m = plane_layers()
    g = m.graph()
    assert differences(tree(g, "net", COptions(cpu=Cpu.X86_64)), g, m.data) == []


CLANG = pytest.param(
    {"compiler": "clang"},
    marks=pytest.mark.skipif(shutil.which("clang") is None, reason="apt-get install clang"),
)


@pytest.mark.parametrize("how", [{"sanitize": True}, CLANG, {"compiler": "g++"}])
def test_every_kernel_equals_numpy(tree: Writer, how: dict[str, object]) -> None:
    m = all_layers()
    g = m.graph()
    assert differences(tree(g), g, m.data, **how) == []


def test_samples_reach_more_than_the_ends() -> None:
    from bitwright.ir.evaluate import evaluate  # noqa: PLC0415

    m = all_layers()
    g = m.graph()
    results = [v for v in evaluate(g, m.data).values() if v.size > 100]
    constant = [v for v in results if np.ptp(v) == 0]
    assert len(constant) <= len(results) // 50


def test_half_even_at_every_tie(tree: Writer) -> None:
    m = Many(3, samples=1)
    x = m.input(Int(-40, 40), 1, 81)
    m.data[x.name] = np.arange(-40, 41)[None, None]
    one = [m.builder.constant("m", np.array([k])) for k in (1, -1, 3)]
    add = m.builder.constant("a", np.array([2]))
    for mul in one:
        for rounding in Round:
            for zero in (0, 3):
                m.out(
                    m.builder.op(
                        Requantize,
                        (x, mul, add),
                        "q",
                        "q",
                        elem=Int(-9, 11),
                        shift=2,
                        zero=zero,
                        rounding=rounding,
                    )
                )
    g = m.graph()
    assert differences(tree(g), g, m.data, sanitize=True) == []


def test_thresholds_at_the_ends_and_equal_ones(tree: Writer) -> None:
    m = Many(4)
    x = m.input(Bipolar(), 1, 40)
    a = m.linear(x, B, 6)
    t = np.array(
        [[-40, -40, 41], [41, 41, 41], [-40, -40, -40], [0, 0, 0], [-1, 0, 1], [40, 41, 41]]
    )
    codes = np.array([[5, -5, 9, 0]])
    operands = (a, m.builder.constant("t", t), m.builder.constant("c", codes))
    m.out(m.builder.op(Steps, operands, "s", "s", elem=Int(-5, 9)))
    single = t[:, 1:2]
    operands = (a, m.builder.constant("t", single), m.builder.constant("c", codes[:, :2]))
    m.out(m.builder.op(Steps, operands, "s", "s", elem=Int(-5, 9)))
    g = m.graph()
    assert differences(tree(g), g, m.data, sanitize=True) == []


def weights_of(kind: str, rng: np.random.Generator) -> Array:
    """Return power-of-two weights that are sparse, dense, or spread over many exponents."""
    if kind == "sparse":
        return np.where(rng.random((7, 300)) < 0.05, 4, 0)
    if kind == "one group":
        return np.full((3, 300), -8)
    if kind == "dense":
        return rng.choice([-2, -1, 1, 2], (7, 41))
    return rng.choice([-1, 1], (5, 60)) << rng.integers(0, 15, (5, 60))


@pytest.mark.parametrize("kind", ["sparse", "one group", "dense", "spread"])
def test_powers_of_two_in_lists_and_codes(tree: Writer, kind: str) -> None:
    m = Many(5)
    w = weights_of(kind, m.rng)
    m.out(m.linear(m.input(S8, 1, w.shape[1]), P, w.shape[0], w=w))
    g = m.graph()
    folder = tree(g)
    assert differences(folder, g, m.data, sanitize=True) == []
    table = (folder / "src" / "net_weights.c").read_text()
    assert ("codes of" in table) == (kind != "sparse")
