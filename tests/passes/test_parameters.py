"""Constants laid out as the result of the op that reads them."""

import numpy as np
import pytest

from bitwright.ir.graph import Builder
from bitwright.ir.ops import Arith, Arithmetic, CountThresholds, Op, PRelu, Quantize, Value
from bitwright.ir.types import Int, Real, TensorType
from bitwright.passes.parameters import spread

SHAPE = (1, 4, 3, 2)


def reader(op: type[Op], /, *constants: tuple[int, ...], **attrs: object) -> Op:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), SHAPE))
    values = [
        b.constant("c", np.arange(np.prod(s), dtype=np.float64).reshape(s)) for s in constants
    ]
    b.op(op, (x, *values), "y", "y", **attrs)
    return b.ops[-1]


CASES: list[tuple[Op, tuple[int, ...]]] = [
    (reader(Quantize, (2,), (1,), elem=Int(0, 3), axis=3), (1, 1, 1, 2)),
    (reader(Quantize, (4,), (1,), elem=Int(0, 3), axis=1), (1, 4, 1, 1)),
    (reader(Quantize, (1,), (1,), elem=Int(0, 3), axis=1), (1, 1, 1, 1)),
    (reader(CountThresholds, (3, 5), axis=2), (1, 1, 3, 1, 5)),
    (reader(CountThresholds, (1, 5), axis=2), (1, 1, 1, 1, 5)),
    (reader(Arithmetic, (3, 1), kind=Arith.ADD), (1, 1, 3, 1)),
    (reader(Arithmetic, (), kind=Arith.ADD), (1, 1, 1, 1)),
    (reader(PRelu, (2,)), (1, 1, 1, 2)),
]


@pytest.mark.parametrize(("op", "want"), CASES, ids=lambda v: type(v).__name__)
def test_as_many_axes_as_the_result(op: Op, want: tuple[int, ...]) -> None:
    value = op.inputs[1]
    a = np.arange(value.type.size, dtype=np.float64).reshape(value.shape)
    wide = spread(op, a)
    assert wide.shape == want
    assert np.array_equal(wide.reshape(-1), a.reshape(-1))
