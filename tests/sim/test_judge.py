"""Accuracy and loss of a compressed model against the float one."""

import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Linear, Value
from bitwright.ir.types import Real, TensorType
from bitwright.sim.judge import Judge


def linear(w: Array) -> Graph:
    x = Value("x", TensorType(Real(), (w.shape[1],)))
    b = Builder([x.name])
    y = b.op(Linear, (x, b.constant("w", w)), "y", "y")
    return b.graph("linear", (x,), (y,))


def test_losses_are_points_of_labels_or_of_agreement() -> None:
    x = {"x": np.eye(4, dtype=np.float32)}
    before, after = linear(np.eye(4)), linear(np.eye(4)[[1, 0, 2, 3]])
    labels = np.array([1, 1, 2, 3])
    labelled, bare = Judge(before, x, labels), Judge(before, x, None)
    assert (labelled.best, labelled.percent(after), labelled.loss(after)) == (75, 75, 0)
    assert (bare.best, bare.percent(after), bare.loss(after)) == (100, 50, 50)
    found = labelled.accuracy(after)
    assert (found.samples, found.before, found.after, found.same_class) == (4, 0.75, 0.75, 0.5)
    assert bare.accuracy(before).before is None


def test_one_number_is_no_class() -> None:
    with pytest.raises(CompileError, match="single number"):
        Judge(linear(np.ones((1, 4))), {"x": np.eye(4, dtype=np.float32)}, None)
