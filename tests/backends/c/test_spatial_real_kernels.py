"""Convolutions, pools, reductions and index maps in C against numpy in float32."""

import shutil
from collections.abc import Callable

import numpy as np
import pytest

from bitwright.ir.evaluate import evaluate
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Function,
    Linear,
    LocalResponseNorm,
    MaxPool,
    MinPool,
    Normalize,
    Pad,
    Permute,
    PRelu,
    Reduce,
    Reduction,
    Resample,
    Reshape,
    Take,
    Transpose,
    Value,
    Window,
)
from bitwright.ir.types import Bipolar, Int
from bitwright.sim.host_c import run_c
from tests.backends.c.conftest import Writer
from tests.backends.c.reals import Reals, wrong

Sizes = tuple[int, ...]


def window(
    kernel: Sizes,
    strides: Sizes = (),
    before: Sizes = (),
    after: Sizes = (),
    dilations: Sizes = (),
) -> Window:
    ones, zeros = (1,) * len(kernel), (0,) * len(kernel)
    return Window(kernel, strides or ones, before or zeros, after or zeros, dilations or ones)


SAME = window((3, 3), before=(1, 1), after=(1, 1))
WINDOWS: tuple[tuple[Sizes, Window], ...] = (
    ((1, 7, 9), SAME),
    ((2, 6, 5), SAME),  # a batch of two
    ((1, 9, 14), window((3, 3))),
    ((1, 1, 1), window((1, 1))),  # one pixel
    ((1, 1, 1), SAME),
    ((1, 4, 6), window((1, 1))),
    ((2, 5, 7), window((1, 1), strides=(2, 3))),
    ((1, 11, 13), window((5, 2), (2, 1), (2, 0), (1, 1))),  # uneven padding
    ((1, 12, 10), window((3, 3), (1, 2), (2, 1), (2, 3), (2, 3))),  # dilation
    ((1, 9, 9), window((2, 2), strides=(4, 3))),  # stride beyond the kernel
    ((1, 8, 3), window((4, 3))),  # whole rows
    ((1, 5, 5), window((5, 5))),  # the whole tensor
    ((1, 3, 4), window((5, 5), before=(2, 2), after=(2, 2))),  # never all taps inside
    ((1, 19), window((4,), (3,), (1,), (2,))),  # one axis
    ((1, 30, 1), window((7, 1), before=(3, 0), after=(3, 0))),
    ((1, 3, 4, 5), window((2, 3, 2), before=(0, 1, 1), after=(1, 1, 0))),  # three axes
)
OUTSIDE = window((2, 2), (1, 2), (3, 4), (4, 3))  # some windows have no tap inside


def conv(
    m: Reals, x: Value, w: Window, filters: int, groups: int = 1, *, bias: bool = True
) -> Value:
    operands = [x, m.floats(filters, *w.kernel, x.shape[-1] // groups)]
    operands += [m.floats(filters)] if bias else []
    return m.builder.op(Conv, tuple(operands), "conv", "conv", window=w, groups=groups)


def convolutions(m: Reals) -> None:
    for i, (shape, w) in enumerate(WINDOWS):
        channels, filters = ((3, 5), (1, 4), (4, 1), (2, 10))[i % 4]
        m.out(conv(m, m.real(*shape, channels), w, filters, bias=i % 2 == 0))
    for i, (shape, w) in enumerate(WINDOWS):
        channels = (6, 4, 3)[i % 3]
        m.out(conv(m, m.real(*shape, channels), w, channels, channels, bias=i % 2 == 1))
    for groups, channels, filters in ((2, 6, 4), (3, 3, 6), (2, 2, 12), (4, 8, 4), (2, 8, 10)):
        m.out(conv(m, m.real(1, 5, 7, channels), SAME, filters, groups))
        m.out(conv(m, m.real(1, 5, 7, channels), window((1, 1)), filters, groups))
    for channels in (1, 4):
        m.out(conv(m, m.real(1, 4, 5, channels), OUTSIDE, channels, channels))
        m.out(conv(m, m.real(1, 4, 5, channels), OUTSIDE, 3))


def long_sums(m: Reals) -> None:
    """Sums that are made of parts; all terms are positive, so that roundings do not cancel."""
    b = m.builder

    def positive(*shape: int) -> Value:
        return b.op(Activation, (m.real(*shape),), "abs", "abs", kind=Function.ABS)

    for channels, w in ((400, window((1, 1))), (48, SAME), (257, SAME), (1, window((13, 13)))):
        x = positive(1, 14, 15, channels)
        filters = m.builder.constant("w", np.full((5, *w.kernel, channels), 0.1, np.float32))
        m.out(b.op(Conv, (x, filters), "conv", "conv", window=w))
    x = positive(1, 14, 15, 6)
    m.out(conv(m, x, window((13, 13)), 6, 6))
    zeros = {"counted_before": (0, 0), "counted_after": (0, 0)}
    for w in (window((14, 15)), window((13, 12), before=(4, 0), after=(3, 2))):
        m.out(b.op(AveragePool, (x,), "mean", "mean", window=w, **zeros))
    m.out(b.op(Linear, (positive(2, 1000), m.floats(5, 1000)), "fc", "fc"))
    m.out(b.op(Reduce, (x,), "mean", "mean", kind=Reduction.MEAN, axes=(1, 2)))
    m.out(b.op(Reduce, (x,), "mean", "mean", kind=Reduction.L2, axes=(1, 2, 3)))
    m.out(b.op(Normalize, (x,), "normal", "normal", axes=(1, 2), epsilon=1e-4))


def transposed(m: Reals) -> None:
    cases = (
        ((1, 4, 5, 3), window((3, 3), (2, 2), (1, 1), (1, 1)), 1, 4, (1, 1)),
        ((2, 3, 2, 4), window((2, 2), (2, 2)), 2, 6, ()),
        ((1, 3, 4, 3), window((3, 2), (1, 3), (0, 1), (1, 0), (2, 1)), 3, 3, ()),
        ((1, 6, 2), window((4,), (2,), (1,), (1,)), 1, 5, ()),
        ((1, 1, 1, 1), window((2, 3)), 1, 1, ()),
    )
    for i, (shape, w, groups, filters, extra) in enumerate(cases):
        operands = [m.real(*shape), m.floats(filters, *w.kernel, shape[-1] // groups)]
        operands += [m.floats(filters)] if i % 2 else []
        attrs = {"window": w, "groups": groups, "extra": extra}
        m.out(m.builder.op(ConvTranspose, tuple(operands), "back", "back", **attrs))


def pools(m: Reals) -> None:
    b = m.builder
    for i, (shape, w) in enumerate(WINDOWS):
        x = m.real(*shape, (3, 1, 4)[i % 3])
        half = tuple(n // 2 for n in w.after)
        for kind in (MaxPool, MinPool):
            m.out(b.op(kind, (x,), "pool", "pool", window=w))
        for before, after in (((0,) * w.rank,) * 2, (w.before, w.after), (w.before, half)):
            attrs = {"window": w, "counted_before": before, "counted_after": after}
            m.out(b.op(AveragePool, (x,), "mean", "mean", **attrs))
    m.out(b.op(MaxPool, (m.real(1, 4, 5, 2),), "pool", "pool", window=OUTSIDE))


def fused(m: Reals) -> None:
    """Sums followed by one, two and three ops that their kernels compute as well."""
    b = m.builder
    relu = {"kind": Function.RELU}
    for filters, x in ((5, m.real(1, 6, 7, 3)), (3, m.real(1, 5, 5, 3))):
        for groups in (1, 3) if filters == 3 else (1,):
            y = conv(m, x, SAME, filters, groups)
            m.out(b.op(Activation, (y,), "a", "a", **relu))
            y = conv(m, x, SAME, filters, groups, bias=False)
            y = b.op(Clip, (y,), "clip", "clip", lo=0.0, hi=6.0)
            m.out(b.op(Activation, (y,), "a", "a", kind=Function.LEAKY_RELU, alpha=0.1))
            y = conv(m, x, SAME, filters, groups)
            parameters = (*(m.floats(filters) for _ in range(3)), m.floats(filters, low=0.1))
            y = b.op(BatchNorm, (y, *parameters), "bn", "bn", epsilon=1e-5, axis=3)
            y = b.op(PRelu, (y, m.floats(1, 1, filters)), "p", "p")
            m.out(b.op(PRelu, (y, m.floats(1)), "p", "p"))
    for rows, outputs in ((1, 9), (3, 4), (2, 1)):
        y = b.op(Linear, (m.real(rows, 6), m.floats(outputs, 6), m.floats(outputs)), "fc", "fc")
        y = b.op(PRelu, (y, m.floats(outputs)), "p", "p")
        m.out(b.op(Activation, (y,), "a", "a", kind=Function.TANH))
    y = b.op(Arithmetic, (m.real(1, 4, 4, 2), m.real(2)), "sum", "sum", kind=Arith.ADD)
    y = b.op(Activation, (y,), "a", "a", **relu)
    m.out(b.op(Clip, (y,), "clip", "clip", lo=0.0, hi=0.5))
    transpose = b.op(ConvTranspose, (m.real(1, 3, 3, 2), m.floats(4, 2, 2, 2)), "t", "t",
                     window=window((2, 2), (2, 2)))  # fmt: skip
    m.out(b.op(PRelu, (transpose, m.floats(4)), "p", "p"))


def joined(m: Reals) -> None:
    """Concats whose operands are written in place, along channels and along rows, and others."""
    b = m.builder
    x = m.real(1, 5, 6, 3)
    squeezed = b.op(Activation, (conv(m, x, window((1, 1)), 2),), "s", "s", kind=Function.RELU)
    one = b.op(Activation, (conv(m, squeezed, window((1, 1)), 5),), "a", "a", kind=Function.RELU)
    three = conv(m, squeezed, SAME, 6)
    pool = b.op(MaxPool, (squeezed,), "pool", "pool", window=SAME)
    y = b.op(Concat, (one, squeezed, three, x, pool), "joined", "joined", axis=3)
    rows = [b.op(Activation, (v,), "a", "a", kind=Function.ABS) for v in (y, y)]
    stacked = b.op(Concat, (*rows, y), "stacked", "stacked", axis=1)
    m.out(conv(m, stacked, SAME, 3))
    m.out(b.op(Concat, (conv(m, x, SAME, 4), conv(m, x, SAME, 3)), "out", "out", axis=3))


def maps(m: Reals) -> None:
    b = m.builder
    x = m.real(2, 5, 6, 3)
    k = m.input(Int(-3, 100), 2, 5, 6, 3)
    wide = m.input(Int(-300, 100), 2, 5, 6, 1)
    takes = (
        (0, [1]), (1, [0, 1, 2]), (1, [4, 2, 0]), (2, [1, 3, 5]), (2, [0, 0, 1, 1, 5, 5]),
        (3, [1, 2]), (3, [2, 1, 0]), (3, [0, 2, 0]), (3, [2]),
    )  # fmt: skip
    order = m.rng.permutation(180)
    for v in (x, k):
        for axis, places in takes:
            m.out(b.op(Take, (v, b.constant("i", np.array(places))), "take", "take", axis=axis))
        for perm in ((0, 3, 1, 2), (0, 2, 1, 3), (3, 2, 1, 0), (1, 0, 2, 3)):
            m.out(b.op(Transpose, (v,), "turned", "turned", perm=perm))
        m.out(b.op(Permute, (v, b.constant("o", order)), "p", "p", shape=(180,)))
        for before, after in (((0, 1, 2, 0), (0, 0, 1, 0)), ((1, 0, 0, 1), (0, 0, 0, 2))):
            m.out(b.op(Pad, (v,), "pad", "pad", before=before, after=after, value=-2.0))
        shuffled = b.op(Reshape, (v,), "r", "r", shape=(2, 5, 2, 9))
        m.out(b.op(Transpose, (shuffled,), "shuffled", "shuffled", perm=(0, 1, 3, 2)))
    m.out(b.op(Concat, (k, wide, k), "joined", "joined", axis=3))
    m.out(b.op(Concat, (k, b.constant("k", np.arange(36).reshape(2, 1, 6, 3))), "j", "j", axis=1))
    bits = m.input(Bipolar(), 1, 3, 3, 2)
    m.out(b.op(Concat, (bits, bits), "joined", "joined", axis=2))
    m.out(b.op(Pad, (bits,), "pad", "pad", before=(0, 1, 0, 0), after=(0, 0, 1, 0), value=-1.0))


def reductions(m: Reals) -> None:
    b = m.builder
    x = m.real(2, 4, 3, 5)
    positive = b.op(Activation, (x,), "positive", "abs", kind=Function.ABS)
    for kind in Reduction:
        v = positive if kind is Reduction.LOG_SUM else x
        for axes, keep in (((1, 2), True), ((3,), False), ((0, 1, 2, 3), False), ((0, 2), True)):
            m.out(b.op(Reduce, (v,), "reduced", "reduced", kind=kind, axes=axes, keep=keep))
    for axes in ((1, 2), (3,), (0, 3)):
        m.out(b.op(Normalize, (x,), "normal", "normal", axes=axes, epsilon=1e-4))
    for size in (1, 3, 4, 9):
        attrs = {"size": size, "alpha": 0.3, "beta": 0.75, "bias": 1.5}
        m.out(b.op(LocalResponseNorm, (x,), "lrn", "lrn", **attrs))
    for axis in range(4):
        n = x.shape[axis]
        places = b.constant("p", m.rng.integers(0, n, (7, 2)))
        m.out(b.op(Resample, (x, places, m.floats(7, 2)), "more", "more", axis=axis))


ALL: tuple[Callable[[Reals], None], ...] = (
    convolutions, long_sums, transposed, pools, fused, joined, maps, reductions,
)  # fmt: skip
CLANG = pytest.param(
    {"compiler": "clang"},
    marks=pytest.mark.skipif(shutil.which("clang") is None, reason="apt-get install clang"),
)


@pytest.mark.parametrize("how", [{"sanitize": True}, CLANG, {"compiler": "g++"}])
def test_spatial_ops_are_within_the_bound(tree: Writer, how: dict[str, object]) -> None:
    m = Reals(7, samples=3)
    for part in ALL:
        part(m)
    g = m.graph()
    folder = tree(g)
    want = evaluate(g, m.data, dtype=np.float32)
    got = run_c(folder, m.data, work=folder / "work", **how)  # type: ignore[arg-type]
    assert wrong(g, want, got) == []
