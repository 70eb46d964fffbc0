from typing import Any

import numpy as np
import pytest

from bitwright.errors import VerifyError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Arith,
    Arithmetic,
    Binarize,
    Clip,
    Dequantize,
    Linear,
    Quantize,
    Sign,
    Value,
)
from bitwright.ir.types import Int, Real, TensorType
from bitwright.passes import SIMPLIFY, run
from bitwright.passes.dead_code import remove_dead_code
from bitwright.passes.fold_constants import constant_real, fold_constants
from bitwright.passes.merge_bias import merge_bias
from bitwright.passes.region import cut

C = 4


def product(b: Builder, name: str = "mm", bias: bool = False) -> tuple[Value, Value]:
    x = Value("x", TensorType(Real(), (1, 3)))
    w = b.constant("w", np.arange(3.0 * C).reshape(C, 3))
    operands = (x, w, b.constant("first", np.ones(C))) if bias else (x, w)
    return x, b.op(Linear, operands, name, "fc")


def added(bias: Array, *, swap: bool = False, **attrs: Any) -> Graph:
    b = Builder(["x"])
    x, y = product(b, bias=attrs.get("biased", False))
    other = b.constant("bias", bias)
    if attrs.get("coded"):
        s, z = b.constant("s", np.array([0.5])), b.constant("z", np.zeros(1))
        other = b.op(Dequantize, (other, s, z), "bias.real", "bias")
    kind = attrs.get("kind", Arith.ADD)
    total = b.op(Arithmetic, (other, y) if swap else (y, other), "sum", "add", kind=kind)
    return b.graph("g", [x], [total, y] if attrs.get("keep") else [total])


def check(graph: Graph, merged: Graph, merges: bool) -> None:
    merged.verify()
    assert any(isinstance(op, Arithmetic) for op in merged.ops) != merges
    x = {"x": np.random.default_rng(0).normal(size=(5, 1, 3))}
    np.testing.assert_allclose(evaluate(merged, x)["sum"], evaluate(graph, x)["sum"], rtol=1e-15)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("shape", [(C,), (1, C)])
def test_a_bias_moves_into_the_linear(shape: tuple[int, ...], swap: bool) -> None:
    graph = added(np.arange(float(C)).reshape(shape), swap=swap)
    check(graph, merge_bias(graph), merges=True)


def test_a_quantized_bias_keeps_its_codes() -> None:
    graph = added(np.arange(C), coded=True)
    merged = merge_bias(graph)
    check(graph, merged, merges=True)
    assert [type(op) for op in merged.ops] == [Dequantize, Linear]


@pytest.mark.parametrize(
    "graph",
    [
        added(np.array([1.0])),
        added(np.array(1.0)),
        added(np.ones((2, 1, C))),
        added(np.ones((1, 1, C))),
        added(np.arange(C).reshape(1, C), coded=True),
        added(np.ones(C), kind=Arith.SUB),
        added(np.ones(C), keep=True),
        added(np.ones(C), biased=True),
    ],
    ids=["one", "scalar", "rows", "rank", "coded rank", "sub", "read twice", "second bias"],
)
def test_other_sums_stay(graph: Graph) -> None:
    check(graph, merge_bias(graph), merges=False)


def test_a_product_added_to_itself_or_to_another_stays() -> None:
    b = Builder(["x"])
    x, y = product(b)
    twice = b.op(Arithmetic, (y, y), "sum", "add", kind=Arith.ADD)
    graph = b.graph("g", [x], [twice])
    check(graph, merge_bias(graph), merges=False)


def test_constants_fold_but_weights_keep_their_codes() -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 3)))
    s, z = b.constant("s", np.array([0.5])), b.constant("z", np.zeros(1))
    w = b.op(Dequantize, (b.constant("codes", np.array([[1, 2, 3]])), s, z), "w", "w")
    double = b.op(Arithmetic, (w, w), "double", "w", kind=Arith.ADD)
    q = b.op(Quantize, (double, s, z), "q", "w", elem=Int(0, 7))
    again = b.op(Dequantize, (q, s, z), "again", "w")
    y = b.op(Linear, (x, again), "y", "fc")
    graph = fold_constants(b.graph("g", [x], [y]))
    graph.verify()
    assert [op.name for op in graph.ops] == ["w", "again", "y"]
    assert graph.constants["q"].tolist() == [[2, 4, 6]]
    assert graph.constants["q"].dtype == np.int64
    real = constant_real(graph, graph.ops[-1].inputs[1])
    assert real is not None
    assert real.tolist() == [[1, 2, 3]]
    assert constant_real(graph, x) is None
    assert [op.name for op in remove_dead_code(graph).ops] == ["again", "y"]


def test_a_scale_that_is_coded_itself_folds() -> None:
    b = Builder()
    one, z = b.constant("one", np.ones(1)), b.constant("z", np.zeros(1))
    scale = b.op(Dequantize, (b.constant("sc", np.array([3])), one, z), "scale", "s")
    w = b.op(Dequantize, (b.constant("codes", np.array([1, 2])), scale, z), "w", "w")
    y = b.op(Clip, (w,), "y", "clip", hi=4.0)
    graph = fold_constants(b.graph("g", [], [y]))
    graph.verify()
    assert graph.constants["y"].tolist() == [3, 4]


def test_dead_ops_and_constants_go() -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 3)))
    y = b.op(Clip, (x,), "y", "n")
    b.op(Arithmetic, (y, b.constant("c", np.ones(3))), "dead", "n", kind=Arith.ADD)
    live = remove_dead_code(b.graph("g", [x], [y]))
    assert ([op.name for op in live.ops], live.constants) == (["y"], {})


def test_a_region_ends_at_what_is_not_produced() -> None:
    b = Builder(["x", "z"])
    x, z = (Value(n, TensorType(Real(), (1, 3))) for n in "xz")
    p = b.op(Arithmetic, (x, b.constant("c", np.ones(3))), "p", "n", kind=Arith.ADD)
    q = b.op(Binarize, (p,), "q", "n")
    r = b.op(Dequantize, (q, b.constant("s", np.ones(1)), b.constant("o", np.zeros(1))), "r", "n")
    t = b.op(Arithmetic, (r, z), "t", "n", kind=Arith.MUL)
    u = b.op(Arithmetic, (t, r), "u", "n", kind=Arith.MUL)
    graph = b.graph("g", [x, z], [u, b.op(Sign, (p,), "v", "n")])
    producers = {n: op for n, op in graph.producers().items() if n not in {"q"}}
    region = cut([u], producers, graph.constants)
    assert [op.name for op in region.ops] == ["r", "t", "u"]
    assert [v.name for v in region.leaves] == ["q", "z"]
    part = region.graph([u], graph.constants)
    part.verify()
    assert sorted(part.constants) == ["o", "s"]
    assert cut([x], producers, graph.constants).leaves == (x,)


def test_a_pass_that_breaks_a_rule_is_named() -> None:
    def forget(graph: Graph) -> Graph:
        return Graph(graph.name, (), graph.outputs, graph.ops, graph.constants)

    graph = added(np.ones(C))
    assert run(graph, SIMPLIFY).outputs == graph.outputs
    with pytest.raises(VerifyError, match="after forget: fc: 'x' is read before it is set"):
        run(graph, [forget])
