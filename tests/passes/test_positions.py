"""A chain is evaluated at one position of each class, and that tells all positions."""

import numpy as np
import pytest

from bitwright.ir.graph import Array
from bitwright.ir.ops import Activation, Arith, Arithmetic, Dequantize, Function, Quantize, Reshape
from bitwright.ir.types import Int
from bitwright.passes.chain import Chain
from bitwright.passes.positions import Sampled, sample
from bitwright.passes.region import cut
from tests.passes.conv_nets import ConvNet

CODES = Int(-8, 7)


def chain_with(*factors: Array, shape: tuple[int, ...] = (1, 4, 5, 3)) -> Chain:
    """Return a chain that multiplies codes of `shape` by each of `factors`."""
    net = ConvNet()
    y = net.codes(CODES, *shape)
    for f in factors:
        y = net.op(Arithmetic, y, net.b.constant("f", f), kind=Arith.MUL)
    y = net.op(Activation, net.norm(y, (1, -1)), kind=Function.RELU)
    net.quant(y)
    quantizer = next(op for op in net.b.ops if isinstance(op, Quantize))
    region = cut((quantizer.output,), {op.name: op for op in net.b.ops}, net.b.constants)
    return Chain(region, net.b.constants, quantizer.output)


def spread(sampled: Sampled, chain: Chain, codes: Array) -> Array:
    """Return what the sampled chain says of every position, for one code at all of them."""
    few = sampled.chain.codes(np.full((1, *sampled.chain.leaf.shape), codes))[0]
    for axis, classes in enumerate(sampled.classes or [(0,) * n for n in chain.leaf.shape[1:-1]]):
        few = np.take(few, classes if sampled.classes else (0,) * len(classes), axis=axis + 1)
    return np.asarray(few)


def rows(*values: float) -> Array:
    return np.array(values).reshape(1, -1, 1, 1)


def columns(*values: float) -> Array:
    return np.array(values).reshape(1, 1, -1, 1)


CASES = {
    "alike": ((np.array([1.0, 2.0, 3.0]),), ()),
    "rows": ((rows(1, 2, 2, 3),), ((0, 1, 1, 2), (0,) * 5)),
    "columns": ((columns(1, 2, 1, 2, 1),), ((0,) * 4, (0, 1, 0, 1, 0))),
    "both": ((rows(1, 2, 2, 1), columns(3, 1, 1, 1, 4)), ((0, 1, 1, 0), (0, 1, 1, 1, 2))),
    "a table": ((np.arange(20.0).reshape(1, 4, 5, 1) // 10,), ((0, 0, 1, 1), (0,) * 5)),
    "one row in a table of one": ((np.ones((1, 4, 5, 3)),), ()),
    "fewer axes": ((np.array([[1.0], [2], [2], [2], [1]]),), ((0,) * 4, (0, 1, 1, 1, 0))),
}


@pytest.mark.parametrize("name", CASES)
def test_classes(name: str) -> None:
    factors, classes = CASES[name]
    chain = chain_with(*factors)
    sampled = sample(chain)
    assert sampled.classes == classes
    assert sampled.chain.leaf.type.size == 3 * np.prod([max(c) + 1 for c in classes], dtype=int)
    for code in (-8, -1, 0, 3, 7):
        whole = chain.codes(np.full((1, *chain.leaf.shape), code))[0]
        assert np.array_equal(spread(sampled, chain, np.array(code)), whole)


def test_a_chain_over_a_matrix_is_left_as_it_is() -> None:
    chain = chain_with(np.array([1.0, 2.0]), shape=(1, 2))
    assert sample(chain) == Sampled(chain, ())


def test_samples_of_a_batch_that_differ_are_left_as_they_are() -> None:
    factor = np.array([1.0, 2.0]).reshape(2, 1, 1, 1)
    chain = chain_with(factor, shape=(2, 3, 3, 2))
    assert sample(chain).chain is chain


def test_a_chain_with_an_index_map_is_left_as_it_is() -> None:
    net = ConvNet()
    y = net.quant(net.op(Reshape, net.codes(CODES, 1, 2, 3, 2), shape=(1, 3, 2, 2)))
    quantizer = next(op for op in net.b.ops if isinstance(op, Quantize))
    region = cut((quantizer.output,), {op.name: op for op in net.b.ops}, net.b.constants)
    chain = Chain(region, net.b.constants, quantizer.output)
    assert sample(chain).chain is chain
    assert isinstance(net.b.ops[-1], Dequantize)
    assert y.shape == (1, 3, 2, 2)
