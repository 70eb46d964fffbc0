"""Every real op in C against numpy in float32."""

import shutil

import numpy as np
import pytest

from bitwright.ir.evaluate import evaluate
from bitwright.ir.ops import (
    Activation,
    ArgMax,
    Arith,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    CountThresholds,
    Dequantize,
    Function,
    Linear,
    PRelu,
    Quantize,
    Reshape,
    Rounding,
    Sign,
    Softmax,
    Transpose,
)
from bitwright.ir.types import Int
from bitwright.sim.host_c import run_c
from tests.backends.c.conftest import Writer
from tests.backends.c.networks import B
from tests.backends.c.reals import Reals, wrong


def activations(m: Reals) -> None:
    b = m.builder
    positive = b.op(Activation, (m.real(2, 7),), "positive", "abs", kind=Function.ABS)
    for f in Function:
        x = positive if f in {Function.LOG, Function.SQRT} else m.real(2, 7, scale=3)
        m.out(b.op(Activation, (x,), f.name, f.name, kind=f, alpha=0.7, beta=0.4))
    for k in Arith:
        x = positive if k is Arith.POW else m.real(2, 7)
        m.out(b.op(Arithmetic, (x, m.floats(7)), "y", "arith", kind=k))
        m.out(b.op(Arithmetic, (x, m.real(3, 1, 7)), "y", "arith", kind=k))
        m.out(b.op(Arithmetic, (b.constant("c", np.float32(2.5)), x), "y", "arith", kind=k))


def layers(m: Reals) -> None:
    b = m.builder
    for inputs, outputs, bias in ((1, 1, False), (33, 7, True), (64, 4, False), (100, 9, True)):
        operands = [m.real(2, inputs), m.floats(outputs, inputs)]
        if bias:
            operands.append(m.floats(outputs))
        m.out(b.op(Linear, tuple(operands), "linear", "linear"))
    x = m.real(3, 4, 2)
    m.out(b.op(PRelu, (x, m.floats(4, 1)), "prelu", "prelu"))
    m.out(b.op(Clip, (x,), "clip", "clip", lo=-0.5))
    m.out(b.op(Clip, (x,), "clip", "clip", lo=-0.5, hi=0.3))
    parameters = (m.floats(4), m.floats(4), m.floats(4), m.floats(4, low=0.1))
    m.out(b.op(BatchNorm, (x, *parameters), "bn", "bn", epsilon=1e-5, axis=1))
    for axis, end, log in ((0, 1, False), (1, 3, True), (2, 3, False)):
        m.out(b.op(Softmax, (x,), "softmax", "softmax", axis=axis, end=end, log=log))
    m.out(b.op(Transpose, (x,), "turned", "turned", perm=(2, 0, 1)))


def quantizers(m: Reals) -> None:
    b, x = m.builder, m.real(3, 4, 2)
    scale, zero = b.constant("s", np.array([0.1], np.float32)), b.constant("z", np.array([3]))
    for r in Rounding:
        m.out(b.op(Quantize, (x, scale, zero), "q", "q", elem=Int(-8, 7), rounding=r))
    scales = b.constant("s", np.array([0.1, 0.2, 0.05, 0.3], np.float32))
    zeros = b.constant("z", np.array([0, 1, 2, 3]))
    q = b.op(Quantize, (x, scales, zeros), "q", "q", elem=Int(-128, 127), axis=1)
    halves = b.constant("s", np.array([0.5], np.float32))
    for name, numbers in (("odd", [3]), ("even", [4]), ("mixed", [0, 1, 2, 3])):
        z = b.constant(name, np.array(numbers))
        ties = b.op(Activation, (x,), "whole", "floor", kind=Function.FLOOR)
        ties = b.op(Arithmetic, (ties, b.constant("quarter", np.float32(0.25))), "ties", "add",
                    kind=Arith.ADD)  # fmt: skip
        m.out(b.op(Quantize, (ties, halves, z), name, name, elem=Int(-8, 7), axis=1,
                   zero_after=True))  # fmt: skip
    bits = b.op(Binarize, (x,), "bits", "bits")
    m.out(q)
    m.out(b.op(Dequantize, (q, scales, zeros), "d", "d", axis=1))
    m.out(b.op(Dequantize, (q, scale, zero), "d", "d"))
    m.out(bits)
    m.out(b.op(Sign, (x,), "sign", "sign"))
    for rows, count in ((4, 5), (1, 9)):
        t = b.constant("t", np.sort(m.rng.normal(size=(rows, count)), axis=1).astype(np.float32))
        m.out(b.op(CountThresholds, (x, t), "count", "count", axis=1))
    m.out(b.op(ArgMax, (x,), "greatest", "greatest", axis=1))
    flat = b.op(Reshape, (bits,), "flat", "flat", shape=(1, 24))
    m.out(m.linear(flat, B, 10))
    m.out(b.constant("fixed", np.array([1.5, np.inf, -np.inf, 1e-42], np.float32)))


CLANG = pytest.param(
    {"compiler": "clang"},
    marks=pytest.mark.skipif(shutil.which("clang") is None, reason="apt-get install clang"),
)


@pytest.mark.parametrize("how", [{"sanitize": True}, CLANG, {"compiler": "g++"}])
def test_every_real_op_is_within_the_bound(tree: Writer, how: dict[str, object]) -> None:
    m = Reals(5)
    activations(m)
    layers(m)
    quantizers(m)
    g = m.graph()
    folder = tree(g)
    want = evaluate(g, m.data, dtype=np.float32)
    got = run_c(folder, m.data, work=folder / "work", **how)  # type: ignore[arg-type]
    assert wrong(g, want, got) == []
