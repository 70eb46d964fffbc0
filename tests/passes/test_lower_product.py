"""The product of two quantized tensors becomes one integer product and a function of it."""

import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    Dequantize,
    Function,
    MulInt,
    Quantize,
    Value,
)
from bitwright.ir.types import Element, Int
from bitwright.passes.integerize import integerize
from tests.ir.samples import value


def real(b: Builder, codes: Value, scale: float, zero: float) -> Value:
    s, z = b.constant("s", np.array([scale])), b.constant("z", np.array([zero]))
    return b.op(Dequantize, (codes, s, z), f"{codes.name}:real", "dq")


def product(a: Value, c: Value, zeros: tuple[float, float], elem: Element) -> Graph:
    b = Builder([a.name, c.name])
    sides = real(b, a, 0.037, zeros[0]), real(b, c, 0.11, zeros[1])
    y = b.op(Arithmetic, sides, "y", "times", kind=Arith.MUL)
    s, z = b.constant("s", np.array([0.05])), b.constant("z", np.array([3.0]))
    q = b.op(Quantize, (y, s, z), "q", "quant", elem=elem, zero_after=True)
    return b.graph("g", [a, c], [q])


SHAPES = [((1, 2, 3, 4), (1, 2, 3, 4)), ((1, 2, 3, 4), (1, 1, 1, 4)), ((1, 1), (1, 1))]
TYPES = [
    (Int(-128, 127), Int(-128, 127), (-128.0, 5.0)),
    (Int(0, 255), Int(0, 15), (7.0, 0.0)),
    (Int(0, 0), Int(-3, 3), (0.0, 0.0)),
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("types", TYPES, ids=str)
def test_every_product_is_exact(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], types: tuple[Int, Int, tuple[float, float]]
) -> None:
    left, right, zeros = types
    a, c = value("a", left, *shapes[0]), value("c", right, *shapes[1])
    graph = product(a, c, zeros, Int(-128, 127))
    program = integerize(graph)
    program.verify()
    assert sum(isinstance(op, MulInt) for op in program.body.ops) == 1
    rng = np.random.default_rng(0)
    inputs = {v.name: rng.integers(v.type.integer.lo, v.type.integer.hi + 1, (300, *v.shape))
              for v in (a, c)}  # fmt: skip
    np.testing.assert_array_equal(program.run(inputs)["q"], evaluate(graph, inputs)["q"])


def test_a_gate_of_the_same_tensor_is_a_product_of_two_codes() -> None:
    """x * sigmoid(x) with a quantizer on the gate, as onnxruntime quantizes SiLU."""
    b = Builder(["x"])
    x = value("x", Int(-128, 127), 1, 4)
    r = real(b, x, 0.04, 0.0)
    gate = b.op(Activation, (r,), "gate", "gate", kind=Function.SIGMOID)
    s, z = b.constant("s", np.array([1 / 256])), b.constant("z", np.array([-128.0]))
    g = b.op(Quantize, (gate, s, z), "g", "g", elem=Int(-128, 127), zero_after=True)
    back = b.op(Dequantize, (g, s, z), "back", "back")
    y = b.op(Arithmetic, (r, back), "y", "times", kind=Arith.MUL)
    q = b.op(Quantize, (y, s, z), "q", "quant", elem=Int(-128, 127), zero_after=True)
    graph = b.graph("g", [x], [q])
    program = integerize(graph)
    inputs = {"x": np.repeat(np.arange(-128, 128), 4).reshape(256, 1, 4)}
    np.testing.assert_array_equal(program.run(inputs)["q"], evaluate(graph, inputs)["q"])


def test_a_zero_point_between_the_integers_is_refused() -> None:
    graph = product(value("a", Int(0, 3), 1, 2), value("c", Int(0, 3), 1, 2), (0.5, 0.0), Int(0, 9))
    with pytest.raises(CompileError, match="zero point of 'a' is no integer"):
        integerize(graph)
