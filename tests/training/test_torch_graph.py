"""The graph in torch computes what ir.evaluate computes, and its gradients are right."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bitwright.errors import UnsupportedError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    Function,
    Linear,
    MaxPool,
    MinPool,
    Op,
    Reduce,
    Reduction,
    Reshape,
    Value,
    Window,
)
from bitwright.ir.types import Int, Real, TensorType
from bitwright.training.torch_graph import TorchGraph
from tests.graphs import LayerSpec, mlp, samples
from tests.ir.samples import every_op

INTEGER = {"IntLinear", "IntConv", "SumPool", "Steps", "Requantize", "Lookup", "AddInt", "MulInt",
           "IntArithmetic", "ToInt", "CountThresholds"}  # fmt: skip


def same(graph: Graph, x: Mapping[str, Array], tolerance: float = 1e-4) -> None:
    """Compare every output of the module with the evaluator's."""
    graph.verify()
    module = TorchGraph(graph).eval()
    with torch.no_grad():
        got = module({n: torch.tensor(a, dtype=torch.float32) for n, a in x.items()})
    for name, want in evaluate(graph, x).items():
        found = got[name].numpy()
        assert found.shape == want.shape
        np.testing.assert_allclose(found, want, tolerance, tolerance, err_msg=name)


def one_op(of: type[Op], shapes: list[tuple[int, ...]], x: tuple[int, ...], **attrs: Any) -> Graph:
    """Return a graph of one op over an input of shape `x` and constants of `shapes`."""
    rng, b = np.random.default_rng(0), Builder(["x"])
    entry = Value("x", TensorType(Real(), x))
    constants = [b.constant(f"k{i}", rng.uniform(0.2, 1.5, s)) for i, s in enumerate(shapes)]
    y = b.op(of, (entry, *constants), "y", "node", **attrs)
    return b.graph("one", [entry], [y])


def window(rank: int, **spec: tuple[int, ...]) -> Window:
    usual = {"kernel": (3, 2, 2), "strides": (2, 1, 1), "before": (1, 0, 1), "after": (0, 1, 1),
             "dilations": (1, 2, 1)}  # fmt: skip
    return Window(**{n: v[:rank] for n, v in (usual | spec).items()})


def test_one_of_every_op() -> None:
    graph = every_op()
    reals: set[str] = {graph.inputs[0].name}
    ops: list[Op] = []
    for op in graph.ops:
        data = {v.name for v in op.inputs if v.name not in graph.constants}
        if data <= reals and type(op).__name__ not in INTEGER:
            ops.append(op)
            reals.add(op.name)
    left = replace(
        graph, inputs=graph.inputs[:1], ops=tuple(ops), outputs=tuple(o.output for o in ops)
    )
    assert len({type(op) for op in ops}) > 25
    left = replace(left, constants={**left.constants, "z": np.array([-1.0])})
    rng = np.random.default_rng(3)
    same(left, {left.inputs[0].name: rng.normal(0, 1.3, (7, 1, 3))})


@pytest.mark.parametrize("name", sorted(INTEGER - {"CountThresholds", "ToInt"}))
def test_what_cannot_be_trained_is_named(name: str) -> None:
    graph = every_op()
    found = next(op for op in graph.ops if type(op).__name__ == name)
    entry = Value(graph.inputs[1].name, TensorType(Real(), graph.inputs[1].shape))
    part = Graph("g", (entry,), (found.output,), (replace(found, loc="node 7"),), graph.constants)
    with pytest.raises(UnsupportedError, match=f"node 7: fine-tuning does not handle {name}"):
        TorchGraph(part)


@pytest.mark.parametrize("kind", Function)
def test_scalar_functions(kind: Function) -> None:
    b = Builder(["x"])
    entry = Value("x", TensorType(Real(), (1, 50)))
    y = b.op(Activation, (entry,), "y", "n", kind=kind, alpha=0.3, beta=0.6)
    x = np.linspace(-4, 4, 200).reshape(4, 1, 50) + 0.013
    if kind in (Function.LOG, Function.SQRT):
        x = np.abs(x)
    same(b.graph("f", [entry], [y]), {"x": x})


@pytest.mark.parametrize("kind", Reduction)
@pytest.mark.parametrize(("axes", "keep"), [((1, 3), True), ((0, 2), False), ((), True)])
def test_reductions(kind: Reduction, axes: tuple[int, ...], keep: bool) -> None:
    graph = one_op(Reduce, [], (1, 3, 2, 4), kind=kind, axes=axes, keep=keep)
    same(graph, {"x": np.random.default_rng(1).uniform(0.1, 1.5, (3, 1, 3, 2, 4))})


@pytest.mark.parametrize("kind", Arith)
def test_arithmetic_broadcasts(kind: Arith) -> None:
    b = Builder(["x", "z"])
    x, z = (Value(n, TensorType(Real(), s)) for n, s in (("x", (1, 3, 4)), ("z", (4,))))
    y = b.op(Arithmetic, (x, z), "y", "n", kind=kind)
    y2 = b.op(Arithmetic, (y, b.constant("k", np.full((2, 1, 4), 1.5))), "y2", "n", kind=kind)
    rng = np.random.default_rng(2)
    data = {"x": rng.uniform(0.5, 2, (5, 1, 3, 4)), "z": rng.uniform(0.5, 2, (5, 4))}
    same(b.graph("a", [x, z], [y2]), data)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolutions(rank: int, groups: int) -> None:
    w = window(rank)
    x = (1, *(7, 6, 5)[:rank], 4)
    graph = one_op(Conv, [(8, *w.kernel, 4 // groups), (8,)], x, window=w, groups=groups)
    same(graph, samples(graph, 3))


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize(("groups", "extra"), [(1, 0), (2, 1)])
def test_transposed_convolutions(rank: int, groups: int, extra: int) -> None:
    w = window(rank)
    graph = one_op(
        ConvTranspose, [(6, *w.kernel, 4 // groups), (6,)], (1, *(4, 3)[:rank], 4),
        window=w, groups=groups, extra=(extra, 0)[:rank],
    )  # fmt: skip
    same(graph, samples(graph, 3))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", [MaxPool, MinPool, AveragePool])
@pytest.mark.parametrize("dilations", [(1, 1, 1), (1, 2, 1)])
def test_pools(rank: int, kind: type[Op], dilations: tuple[int, ...]) -> None:
    counted = (1, 0, 0)[:rank]
    more = {"counted_before": counted, "counted_after": (0, 1, 0)[:rank]}
    graph = one_op(
        kind, [], (1, *(7, 6, 5)[:rank], 3), window=window(rank, dilations=dilations),
        **(more if kind is AveragePool else {}),
    )  # fmt: skip
    same(graph, samples(graph, 3))


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_batch_norm_along_any_axis(axis: int) -> None:
    n = (1, 3, 2, 4)[axis]
    graph = one_op(BatchNorm, [(n,)] * 4, (1, 3, 2, 4), epsilon=1e-3, axis=axis)
    same(graph, samples(graph, 5))


def test_batch_norm_in_training_takes_the_statistics_of_the_batch() -> None:
    graph = one_op(BatchNorm, [(4,)] * 4, (1, 3, 2, 4), epsilon=1e-5, axis=3)
    x = samples(graph, 20)["x"]
    module = TorchGraph(graph).train()
    module.momentum = 1.0
    y = module({"x": torch.tensor(x, dtype=torch.float32)})["y"].detach().numpy()
    mean, var = x.reshape(-1, 4).mean(axis=0), x.reshape(-1, 4).var(axis=0, ddof=1)
    gamma, beta = graph.constants["k0"], graph.constants["k1"]
    want = (x - mean) / np.sqrt(x.reshape(-1, 4).var(axis=0) + 1e-5) * gamma + beta
    np.testing.assert_allclose(y, want, atol=1e-4)
    trained = module.to_graph()
    np.testing.assert_allclose(trained.constants["k2"], mean, atol=1e-5)
    np.testing.assert_allclose(trained.constants["k3"], var, rtol=1e-5)
    np.testing.assert_allclose(
        evaluate(trained, {"x": x})["y"], module.eval()({"x": torch.tensor(x).float()})["y"].detach(),
        atol=1e-4,
    )  # fmt: skip


def test_a_quantized_graph_runs() -> None:
    specs = [LayerSpec(9, "ternary", quantizer="s4"), LayerSpec(5, "int8", quantizer="bipolar"),
             LayerSpec(4, "int8", quantizer="none", bias="real")]  # fmt: skip
    graph = mlp(specs, x=Int(-8, 7))
    codes = graph.inputs[0]
    entry = replace(codes, type=TensorType(Real(), codes.shape))
    ops = tuple(
        replace(op, inputs=tuple(entry if v == codes else v for v in op.inputs)) for op in graph.ops
    )
    graph = replace(graph, inputs=(entry,), ops=ops)
    x = samples(mlp(specs, x=Int(-8, 7)), 40)[codes.name].astype(np.float64)
    same(graph, {codes.name: x})


def test_concat_with_a_constant() -> None:
    b = Builder(["x"])
    entry = Value("x", TensorType(Real(), (1, 2)))
    y = b.op(Concat, (b.constant("k", np.array([[3.0]])), entry), "y", "n", axis=1)
    same(b.graph("c", [entry], [y]), {"x": np.arange(6.0).reshape(3, 1, 2)})


def small_net() -> Graph:
    """Return a convolution, batch norm, pool and two linear layers, smooth everywhere."""
    rng, b = np.random.default_rng(5), Builder(["x"])
    entry = Value("x", TensorType(Real(), (1, 5, 4, 2)))

    def k(name: str, *shape: int) -> Value:
        return b.constant(name, rng.normal(0, 0.5, shape))

    w = window(2, dilations=(1, 1))
    y = b.op(Conv, (entry, k("w0", 4, 3, 2, 1), k("b0", 4)), "conv", "conv", window=w, groups=2)
    var = b.constant("v", rng.uniform(0.5, 1, 4))
    y = b.op(
        BatchNorm, (y, k("g", 4), k("be", 4), k("m", 4), var), "bn", "bn", epsilon=1e-5, axis=3
    )
    y = b.op(Activation, (y,), "tanh", "tanh", kind=Function.TANH)
    two = Window((2, 2), (1, 1), (0, 0), (1, 0), (1, 1))
    y = b.op(
        AveragePool, (y,), "pool", "pool", window=two, counted_before=(0, 0), counted_after=(0, 0)
    )
    y = b.op(Reshape, (y,), "flat", "flat", shape=(1, y.type.size))
    y = b.op(Linear, (y, k("w1", 3, y.shape[-1]), k("b1", 3)), "fc", "fc")
    y = b.op(Arithmetic, (y, y), "square", "square", kind=Arith.MUL)
    return b.graph("net", [entry], [b.op(Linear, (y, k("w2", 2, 3)), "last", "last")])


def test_gradients_by_finite_differences() -> None:
    graph = small_net()
    x = samples(graph, 3)
    weight = np.random.default_rng(9).normal(size=(3, 1, 2))
    module = TorchGraph(graph).eval().double()
    (module({"x": torch.tensor(x["x"])})["last"] * torch.tensor(weight)).sum().backward()

    for name in ("w0", "b0", "g", "be", "w1", "b1", "w2"):
        grad = module.held(name).grad.numpy()
        for place in ((0,) * grad.ndim, tuple(d - 1 for d in grad.shape)):
            ends = []
            for step in (1e-5, -1e-5):
                moved = graph.constants[name].copy()
                moved[place] += step
                changed = replace(graph, constants={**graph.constants, name: moved})
                ends.append(float((evaluate(changed, x)["last"] * weight).sum()))
            assert grad[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-7), (
                name
            )


def test_trained_numbers_come_back() -> None:
    graph = small_net()
    module = TorchGraph(graph)
    with torch.no_grad():
        module.held("w0")[:] = 0.5
    got = module.to_graph()
    got.verify()
    assert (got.constants["w0"] == 0.5).all()
    np.testing.assert_allclose(got.constants["w1"], graph.constants["w1"], rtol=1e-6)
    assert set(got.constants) == set(graph.constants)
