import numpy as np

from bitwright.backends.layers import layers_of
from bitwright.backends.names import Names
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    BatchNorm,
    Clip,
    Conv,
    Encoding,
    Function,
    IntLinear,
    PRelu,
    Requantize,
    Reshape,
    Round,
    Steps,
    Value,
    plain_window,
)
from bitwright.ir.types import Bipolar, Int, Real, TensorType

ACC = Int(-3, 3)


def two_layers(*, keep: bool = False, twice: bool = False) -> Graph:
    """Return two layers with a Reshape between; the first accumulator may have other readers."""
    b = Builder(["x"])
    x = Value("x", TensorType(Bipolar(), (1, 3)))
    w = b.constant("w", np.ones((3, 3), np.int64))
    attrs = {"encoding": Encoding.BIPOLAR, "elem": ACC}
    a = b.op(IntLinear, (x, w), "a", "fc", **attrs)
    t, c = b.constant("t", np.array([[0]])), b.constant("c", np.array([[-1, 1]]))
    s = b.op(Steps, (a, t, c), "s", "sign", elem=Bipolar())
    r = b.op(Reshape, (s,), "r*/", "flat", shape=(1, 3))
    d = b.op(IntLinear, (r, w), "d", "fc", **attrs)
    one = b.constant("one", np.array([1]))
    q = b.op(Requantize, (d, one, one), "q", "quant", elem=Int(0, 3), shift=1, zero=0,
             rounding=Round.FLOOR)  # fmt: skip
    more = [b.op(Steps, (a, t, c), "s2", "sign", elem=Bipolar())] if twice else []
    return b.graph("g", [x], [q, *([a] if keep else []), *more])


def ops_of(graph: Graph) -> list[list[str]]:
    graph.verify()
    return [[op.name for op in layer.ops] for layer in layers_of(graph, Names())]


def test_an_accumulator_joins_its_only_reader() -> None:
    assert ops_of(two_layers()) == [["a", "s"], ["r*/"], ["d", "q"]]


def test_an_accumulator_that_leaves_or_is_read_twice_is_stored() -> None:
    assert ops_of(two_layers(keep=True)) == [["a"], ["s"], ["r*/"], ["d", "q"]]
    assert ops_of(two_layers(twice=True)) == [["a"], ["s"], ["r*/"], ["d", "q"], ["s2"]]


def test_layers_have_legal_names_of_their_own() -> None:
    layers = layers_of(two_layers(), Names())
    assert [layer.name for layer in layers] == ["fc", "r", "fc_2"]
    assert [layer.note for layer in layers] == ["fc", "flat", "fc"]
    assert (layers[0].first.name, layers[0].last.name, layers[0].output.name) == ("a", "s", "s")


def real_chain(*, keep: bool = False, slope: Array | None = None) -> Graph:
    """Return a convolution, a batch norm, a PRelu and a Relu; the convolution may leave as well."""
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 4, 4, 2)))
    w = b.constant("w", np.ones((3, 1, 1, 2), np.float32))
    c = b.op(Conv, (x, w), "c", "conv", window=plain_window((1, 1)))
    four = tuple(b.constant("p", np.ones(3, np.float32)) for _ in range(4))
    n = b.op(BatchNorm, (c, *four), "n", "bn", epsilon=1e-5, axis=3)
    s = b.constant("s", np.ones(3, np.float32) if slope is None else slope)
    p = b.op(PRelu, (n, s), "q", "prelu")
    r = b.op(Activation, (p,), "r", "relu", kind=Function.RELU)
    e = b.op(Activation, (r,), "e", "exp", kind=Function.EXP)
    a = b.op(Arithmetic, (e, r), "a", "add", kind=Arith.ADD)
    y = b.op(Clip, (a,), "y", "clip", lo=0.0)
    return b.graph("g", [x], [y, *([c] if keep else [])])


def test_a_real_sum_takes_in_the_ops_that_follow() -> None:
    assert ops_of(real_chain()) == [["c", "n", "q", "r"], ["e"], ["a", "y"]]


def test_what_leaves_or_needs_more_than_the_channel_is_stored() -> None:
    assert ops_of(real_chain(keep=True))[0] == ["c"]
    wide = np.ones((4, 3), np.float32)
    assert ops_of(real_chain(slope=wide))[0] == ["c", "n"]
