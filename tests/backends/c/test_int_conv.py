"""Convolutions, pools and border classes: the C compared with numpy at many shapes."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from bitwright.backends.c import COptions, Cpu
from bitwright.ir.ops import AddInt, Concat, Encoding, MaxPool, MinPool, Reshape, Round, Value
from bitwright.ir.types import Bipolar, Int, Integral, Ternary
from tests.backends.c.conftest import Writer, differences
from tests.backends.c.networks import S4, S8, S16, U2, U4, U8, B, Many, N, P, T
from tests.backends.c.spatial import (
    BITS,
    SIGN,
    Shape,
    bordered_requantize,
    bordered_steps,
    conv,
    drawn_classes,
    pool,
    sum_pool,
)
from tests.backends.c.test_integer_kernels import post

ELEMENTS: tuple[Integral, ...] = (Bipolar(), Ternary(), U2, U4, S4, S8, U8)
CHANNELS = (1, 3, 31, 32, 33, 64)
SHAPES = (
    Shape(3, 1, (1, 1)),
    Shape(3, 2, ((0, 1), (1, 2))),
    Shape(2, 3),
    Shape((3, 2), 1, (2, 1), (2, 1)),
    Shape((1, 3), 1, (0, 2), (1, 2)),
    Shape(1),
    Shape(1, 2),
    Shape((5, 4)),
)


def convolutions() -> Many:
    """Every element type by every encoding; channels and windows take turns."""
    m, n = Many(31, samples=5, central=True), 0
    for elem in ELEMENTS:
        for encoding in Encoding:
            for channels in CHANNELS if encoding in {B, N} else (1, 3, 33):
                x = m.input(elem, 1, 5, 4, channels)
                filters = (1, 4, 6, 33)[n % 4]
                shape = SHAPES[(n + n // 8) % len(SHAPES)]
                y = conv(m, x, encoding, filters, shape, bias=n % 3 == 0)
                m.out(post(m, y, n))
                n += 1
    return m


def odd_ones() -> Many:
    """Paddings with another code, groups, batches, other numbers of axes, wide sums."""
    m, n = Many(32, samples=5, central=True), 0
    around = Shape(3, 1, (1, 1))
    for elem, pad in (
        (Bipolar(), 1),
        (Bipolar(), -1),
        (Ternary(), -1),
        (U4, 5),
        (S4, -8),
        (S8, -7),
        (U8, 255),
    ):
        for encoding in Encoding:
            for channels in (5, 40):
                m.out(
                    post(
                        m,
                        conv(
                            m,
                            m.input(elem, 1, 4, 3, channels),
                            encoding,
                            5,
                            replace(around, pad=pad),
                        ),
                        n,
                    )
                )
                n += 1
    for elem in (Bipolar(), U2, S8):
        for encoding in (B, T, N, P):
            for channels, groups, filters in (
                (12, 3, 6),
                (64, 2, 64),
                (10, 5, 5),
                (6, 6, 6),
                (5, 5, 15),
                (33, 33, 33),
                (1, 1, 7),
            ):
                x = m.input(elem, 1, 4, 5, channels)
                m.out(
                    post(
                        m,
                        conv(
                            m, x, encoding, filters, replace(around, groups=groups), bias=n % 2 == 0
                        ),
                        n,
                    )
                )
                n += 1
    for encoding in Encoding:
        for elem in (Bipolar(), U2, S8):
            m.out(post(m, conv(m, m.input(elem, 1, 9, 34), encoding, 5, Shape(3, 2, (2, 1))), n))
            m.out(post(m, conv(m, m.input(elem, 2, 4, 3, 6), encoding, 5, around), n + 1))
            m.out(post(m, conv(m, m.input(elem, 2, 3, 3, 8), encoding, 5, Shape(1)), n + 1))
            m.out(
                post(
                    m,
                    conv(m, m.input(elem, 1, 2, 3, 3, 4), encoding, 6, Shape(2, 1, (1, 0))),
                    n + 2,
                )
            )
            m.out(post(m, conv(m, m.input(elem, 2, 1, 1, 7), encoding, 3, around), n))
            n += 1
    m.out(conv(m, m.input(S16, 1, 3, 3, 40), N, 5, around))
    m.out(conv(m, m.input(S16, 1, 3, 3, 4), N, 4, replace(around, groups=4, pad=-32768)))
    return m


def pools() -> Many:
    """Pools of every element type, before and after convolutions."""
    m, n = Many(33, samples=5, central=True), 0
    shapes = (
        Shape(2, 2),
        Shape(3, 2, (1, 1)),
        Shape((5, 4)),
        Shape(2, 1, (0, 1), 2),
        Shape(3, 1, (1, 0)),
    )
    for elem in (*ELEMENTS, S16):
        for channels in (1, 5, 32, 33):
            x = m.input(elem, 1, 5, 4, channels)
            shape = shapes[n % len(shapes)]
            m.out(post(m, sum_pool(m, x, shape), n))
            if elem == Bipolar():
                x = m.input(elem, 1, 5, 4, channels)
            for kind in (MaxPool, MinPool):
                p = pool(m, x, kind, shape)
                m.out(conv(m, p, B if n % 2 else T, 5, Shape(1)))
                m.out(pool(m, x, kind, shapes[(n + 2) % len(shapes)]))
            n += 1
    m.out(pool(m, m.input(S8, 2, 5, 3), MaxPool, Shape(2, 2)))
    m.out(pool(m, m.input(SIGN, 2, 4, 4, 33), MaxPool, Shape(2, 2, (1, 1))))
    m.out(sum_pool(m, m.input(S8, 2, 2, 3, 2, 3), Shape(2, 1, (0, 1))))
    return m


def borders() -> Many:
    """Steps and Requantize by border class, fused and alone."""
    m = Many(34, samples=6, central=True)
    around = Shape(3, 1, (1, 1))
    for elem in (Bipolar(), U2, S8, U8):
        for channels in (3, 33):
            x = m.input(elem, 1, 5, 4, channels)
            for k in range(3):
                m.out(bordered(m, conv(m, x, B, 6, around), k))
                m.out(bordered(m, conv(m, x, N, 5, Shape(1)), k))
                m.out(bordered(m, conv(m, x, N, 33, around), k))
                m.out(bordered(m, sum_pool(m, x, around), k))
                m.out(
                    bordered(m, conv(m, x, N, channels, replace(around, groups=channels, pad=1)), k)
                )
            alone = m.input(S8, 1, 5, 4, channels)
            for k in range(3):
                m.out(bordered(m, alone, k))
            m.out(conv(m, bordered(m, alone, 1), B, 4, around))
    m.out(bordered(m, conv(m, m.input(Bipolar(), 2, 7, 5), T, 6, around), 1))
    return m


def bordered(m: Many, a: Value, k: int) -> Value:
    classes = drawn_classes(m, a.shape[1:-1])
    if k == 0:
        return bordered_steps(m, a, 3, U2, np.arange(4)[None], classes)
    if k == 1:
        return bordered_steps(m, a, 1, SIGN, BITS, classes)
    return bordered_requantize(m, a, 16, classes)


def chains() -> Many:
    """Networks: what one kernel writes the next reads, a flattened tensor too."""
    m = Many(35, samples=6, central=True)
    around = Shape(3, 1, (1, 1))
    for channels in (5, 32, 33, 40):
        for encoding, hidden in ((B, 0), (T, 7), (N, 4), (B, 1)):
            x = m.input(S8, 1, 6, 6, 3)
            h = post(m, conv(m, x, N, channels, around), hidden)
            h = post(m, conv(m, h, encoding, channels, around), hidden)
            if encoding is N:
                h = post(m, conv(m, h, N, channels, replace(around, groups=channels)), hidden)
            p = pool(m, h, MaxPool, Shape(2, 2))
            flat = m.builder.op(Reshape, (p,), "flat", "flat", shape=(1, p.type.size))
            m.out(m.linear(flat, encoding, 7))
            total = sum_pool(m, p, Shape(3))
            m.out(m.linear(m.builder.op(Reshape, (total,), "f", "f", shape=(1, channels)), N, 3))
            if encoding is N:
                m.out(
                    m.builder.op(
                        AddInt,
                        (h, h),
                        "add",
                        "add",
                        elem=Int(-100, 100),
                        mul_a=3,
                        mul_b=5,
                        add=1,
                        shift=3,
                        zero=0,
                        rounding=Round.FLOOR,
                    )
                )
    joined(m)
    h = m.sign(conv(m, m.input(SIGN, 1, 4, 4, 40), B, 40, around))
    m.out(h)
    flat = m.builder.op(Reshape, (h,), "flat", "flat", shape=(1, 640))
    m.out(m.linear(flat, B, 7))
    m.out(m.linear(flat, N, 7))
    m.out(m.linear(h, B, 7))
    turned = m.builder.op(
        Reshape, (m.sign(m.linear(m.input(S8, 1, 9), N, 160)),), "r", "r", shape=(1, 2, 2, 40)
    )
    m.out(conv(m, turned, B, 5, around))
    return m


def joined(m: Many) -> None:
    """Append results that are written side by side into the result of a Concat."""
    x = m.input(S8, 1, 4, 5, 6)
    parts = (
        m.requantize(conv(m, x, N, 5, Shape(3, 1, (1, 1))), Round.FLOOR, 16),
        m.requantize(m.linear(x, N, 3), Round.FLOOR, 16),
        pool(m, x, MaxPool, Shape(3, 1, (1, 1))),
        m.requantize(sum_pool(m, x, Shape(3, 1, (1, 1))), Round.FLOOR, 16),
        m.requantize(conv(m, x, N, 6, Shape(3, 1, (1, 1), groups=6)), Round.FLOOR, 16),
    )
    both = m.builder.op(Concat, parts, "both", "concat", axis=3)
    m.out(conv(m, both, N, 4, Shape(1)))


GRAPHS = {f.__name__: f for f in (convolutions, odd_ones, pools, borders, chains)}


# Every graph with sanitizers; the other forms (pairs of bytes, words of 64 bits) where they differ.
CASES = [(name, Cpu.GENERIC) for name in GRAPHS]
CASES += [(name, Cpu.CORTEX_M4) for name in ("odd_ones", "chains")]
CASES += [(name, Cpu.X86_64) for name in ("convolutions", "pools", "borders")]


@pytest.mark.parametrize(("name", "cpu"), CASES)
def test_windows_equal_numpy(tree: Writer, name: str, cpu: Cpu) -> None:
    m = GRAPHS[name]()
    g = m.graph()
    how = {"sanitize": True} if cpu is Cpu.GENERIC else {}
    assert differences(tree(g, "net", COptions(cpu=cpu)), g, m.data, **how) == []


@pytest.mark.skipif(shutil.which("clang") is None, reason="apt-get install clang")
@pytest.mark.parametrize("compiler", ["clang", "g++"])
def test_other_compilers_take_the_same_files(tree: Writer, compiler: str) -> None:
    m = chains()
    g = m.graph()
    assert differences(tree(g), g, m.data, compiler=compiler) == []
