import numpy as np
import pytest

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Graph
from bitwright.ir.ops import AddInt, Requantize, Steps
from bitwright.ir.program import Program
from bitwright.ir.types import Int, Ternary
from bitwright.passes.integerize import NothingQuantizedError, integerize
from bitwright.passes.orient import orient_channels
from bitwright.passes.pipeline import run
from tests.graphs import LayerSpec, add_two, mlp, samples


def program_of(graph: Graph) -> Program:
    graph.verify()
    program = integerize(graph)
    program.verify()
    body = run(program.body, [orient_channels])
    return Program(program.name, program.head, body, program.tail)


def assert_same(graph: Graph, program: Program, count: int = 200) -> None:
    x = samples(graph, count)
    want = evaluate(graph, x)
    got = program.run(x)
    for (name, w), g in zip(want.items(), got.values(), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-12, atol=1e-12, err_msg=name)


MIXES = [
    [LayerSpec(9), LayerSpec(5), LayerSpec(3, batch_norm=False, quantizer="none")],
    [LayerSpec(9, "ternary", quantizer="sign"), LayerSpec(4, "ternary", quantizer="u2", relu=True)],
    [LayerSpec(33, "ternary", quantizer="s4"), LayerSpec(5, "pow2", quantizer="s4")],
    [LayerSpec(8, "int8", quantizer="s8", bias="real"), LayerSpec(6, "int8", quantizer="none")],
    [LayerSpec(1, quantizer="u2"), LayerSpec(1)],
]


@pytest.mark.parametrize("layers", MIXES, ids=range(len(MIXES)))
@pytest.mark.parametrize("x", [None, Ternary(), Int(0, 1), Int(-128, 127)], ids=str)
def test_integers_equal_the_real_chain(layers: list[LayerSpec], x: Int | None) -> None:
    for seed in range(3):
        graph = mlp(layers, x=x, seed=seed)
        assert_same(graph, program_of(graph))


def test_signs_become_one_threshold_per_channel() -> None:
    program = program_of(mlp([LayerSpec(40), LayerSpec(3)], inputs=21))
    steps = [op for op in program.body.ops if isinstance(op, Steps)]
    assert [program.body.constant(s.inputs[1]).shape for s in steps] == [(40, 1), (3, 1)]
    assert all(program.body.constant(s.inputs[2]).tolist() == [[-1, 1]] for s in steps)


def test_int8_becomes_requantize() -> None:
    graph = mlp(
        [LayerSpec(30, "int8", quantizer="s8", batch_norm=False)], inputs=50, x=Int(-128, 127)
    )
    program = program_of(graph)
    assert any(isinstance(op, Requantize) for op in program.body.ops)
    assert_same(graph, program)


@pytest.mark.parametrize(
    "scales", [(0.1, 0.23, 0.31), (0.5, 0.5, 0.5), (0.5, 0.25, 1.0), (0.3, 0.1, 0.2)]
)
def test_sum_has_one_rounding(scales: tuple[float, float, float]) -> None:
    graph = add_two(scales=scales)
    program = program_of(graph)
    assert [type(op) for op in program.body.ops] == [AddInt]
    pairs = np.stack(np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)), -1).reshape(-1, 2)
    x = {"a": np.repeat(pairs[:, None, :1], 5, 2), "c": np.repeat(pairs[:, None, 1:], 5, 2)}
    got, want = program.run(x), evaluate(graph, x)
    np.testing.assert_array_equal(next(iter(got.values())), want["q"])


def test_float_weights_are_named() -> None:
    graph = mlp([LayerSpec(4)])
    constants = dict(graph.constants)
    constants["fc0.ws"] = constants["fc0.ws"]
    program_of(graph)
    with pytest.raises(NothingQuantizedError, match="nothing of this model is quantized"):
        integerize(Graph("e", graph.inputs, graph.inputs, (), {}))
