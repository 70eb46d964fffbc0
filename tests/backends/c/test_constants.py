"""Weights that the model computes are constants of the C."""

import numpy as np

from bitwright.backends.c import emit
from bitwright.backends.c.constants import without_constant_ops
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Conv, Dequantize, plain_window
from tests.backends.c.reals import Reals


def dequantized() -> Graph:
    m = Reals()
    b, codes = m.builder, np.arange(-12, 12).reshape(4, 2, 1, 3)
    scale, zero = b.constant("s", np.float32(0.5)), b.constant("z", np.array(1))
    w = b.op(Dequantize, (b.constant("q", codes), scale, zero), "w", "weights")
    m.out(b.op(Conv, (m.real(1, 5, 4, 3), w), "y", "conv", window=plain_window((2, 1))))
    return m.graph()


def test_an_op_on_constants_becomes_a_constant() -> None:
    g = without_constant_ops(dequantized())
    g.verify()

    assert [type(op) for op in g.ops] == [Conv]
    np.testing.assert_array_equal(g.constants["w"].reshape(-1), (np.arange(-12, 12) - 1) / 2)


def test_the_report_counts_the_products_of_a_convolution() -> None:
    report = emit(dequantized(), "net").report

    assert report["macs"] == {"real": 4 * 4 * 4 * 2 * 3}
    assert report["flash_table_bytes"] == 4 * 24
