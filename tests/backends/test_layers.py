import numpy as np

from bitwright.backends.layers import layers_of
from bitwright.backends.names import Names
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import Encoding, IntLinear, Requantize, Reshape, Round, Steps, Value
from bitwright.ir.types import Bipolar, Int, TensorType

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
