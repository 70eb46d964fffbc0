"""Every real operation alone: onnxruntime and our own importer read what was meant."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright.backends.onnx import export
from bitwright.errors import UnsupportedError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Compare,
    Conv,
    ConvTranspose,
    CountThresholds,
    Dequantize,
    Function,
    IntArithmetic,
    MaxPool,
    MinPool,
    Op,
    Order,
    Quantize,
    Reduce,
    Reduction,
    Rounding,
    Select,
    Sign,
    Softmax,
    Take,
    ToInt,
    Transpose,
    Value,
    Whole,
    Window,
)
from bitwright.ir.types import Int, Real, TensorType
from tests.backends.onnx.files import check_runs, close, kinds, read_back, write
from tests.graphs import samples
from tests.ir.samples import every_op

INTEGER_ONLY = {
    "IntLinear", "IntConv", "Steps", "Requantize", "Lookup", "AddInt", "MulInt", "SumPool",
}  # fmt: skip
NO_FORM = {"IntArithmetic"}  # of 4 bits
EVERY = {type(op).__name__: op for op in every_op().ops}


def alone(op: Op) -> Graph:
    """Return the graph of one op of `every_op`; what it reads and is no constant are inputs."""
    whole = every_op()
    constants = {v.name: whole.constants[v.name] for v in op.inputs if whole.is_constant(v)}
    for name, numbers in constants.items():
        if type(op) is BatchNorm:
            constants[name] = np.abs(numbers) + 0.1
        if type(op) is Quantize:
            constants[name] = np.array([0.3, 0.5, 1.0]) if name == "s" else np.array([1.0])
    inputs = tuple(dict.fromkeys(v for v in op.inputs if not whole.is_constant(v)))
    return Graph("one", inputs, (op.output,), (op,), constants)


def check(graph: Graph, folder: Path, tolerance: float = 2e-6, **x: Array) -> None:
    """Compare both forms with the graph, in onnxruntime and read back."""
    graph.verify()
    data = {**samples(graph, 6), **x}
    want = evaluate(graph, data)
    for standard in (False, True):
        path = write(graph, folder, standard=standard)
        check_runs(graph, data, path, tolerance)
        got = evaluate(read_back(path), data)
        for v in graph.outputs:
            close(got[v.name], want[v.name], v.name, tolerance)


@pytest.mark.parametrize("kind", sorted(EVERY))
def test_every_real_op_is_written(kind: str, tmp_path: Path) -> None:
    graph = alone(EVERY[kind])
    if kind in INTEGER_ONLY | NO_FORM:
        with pytest.raises(UnsupportedError, match=graph.ops[0].loc):
            export(graph)
        return
    check(graph, tmp_path)


def one(which: type[Op], shape: tuple[int, ...], *constants: Any, **attrs: Any) -> Graph:
    """Return the graph of one op on a real input of this shape."""
    b = Builder(["x"])
    x = Value("x", TensorType(attrs.pop("elem_in", Real()), shape))
    fixed = [b.constant("c", np.asarray(c)) for c in constants]
    y = b.op(which, (x, *fixed), "y", "node", **attrs)
    return b.graph("one", [x], [y])


@pytest.mark.parametrize("kind", list(Function))
def test_scalar_functions(kind: Function, tmp_path: Path) -> None:
    graph = one(Activation, (1, 5), kind=kind, alpha=0.7, beta=0.4)
    x = np.linspace(0.1, 3, 30) if kind in {Function.LOG, Function.SQRT} else np.linspace(-3, 3, 30)
    check(graph, tmp_path, 1e-5, x=x.reshape(6, 1, 5))


@pytest.mark.parametrize("kind", list(Arith))
def test_arithmetic_of_both_sides(kind: Arith, tmp_path: Path) -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 4, 5, 3)))
    c = b.constant("c", np.array([[0.5, 1.5, 2.0]]))
    turned = b.op(Transpose, (x,), "t", "t", perm=(0, 3, 1, 2))
    d = b.constant("d", np.linspace(0.5, 2, 12).reshape(3, 4, 1))
    y = b.op(Arithmetic, (b.op(Arithmetic, (x, c), "a", "a", kind=kind), x), "y", "y", kind=kind)
    z = b.op(Arithmetic, (d, turned), "z", "z", kind=kind)
    numbers = np.random.default_rng(0).uniform(0.5, 2, (6, 1, 4, 5, 3))
    check(b.graph("two", [x], [y, z]), tmp_path, 1e-5, x=numbers)


@pytest.mark.parametrize("kind", list(Reduction))
@pytest.mark.parametrize("keep", [False, True])
def test_reductions_of_a_transposed_tensor(kind: Reduction, keep: bool, tmp_path: Path) -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 3, 4, 2)))
    t = b.op(Transpose, (x,), "t", "t", perm=(0, 2, 3, 1))
    y = b.op(Reduce, (t,), "y", "y", kind=kind, axes=(1,), keep=keep)
    numbers = np.random.default_rng(0).uniform(0.5, 2, (4, 1, 3, 4, 2))
    check(b.graph("r", [x], [y]), tmp_path, 1e-5, x=numbers)


W = Window((3, 2), (2, 1), (1, 0), (0, 1), (1, 2))


@pytest.mark.parametrize(
    ("kind", "constants", "attrs"),
    [
        (Conv, (np.ones((4, 3, 2, 2)), np.arange(4.0)), {"window": W, "groups": 2}),
        (ConvTranspose, (np.arange(72.0).reshape(6, 3, 2, 2),),
         {"window": replace(W, dilations=(1, 1)), "groups": 2, "extra": (1, 0)}),
        (MaxPool, (), {"window": W}),
        (MinPool, (), {"window": W}),
        (MaxPool, (), {"window": Window((2, 2), (1, 1), (3, 0), (0, 2), (1, 1))}),
        (AveragePool, (), {"window": replace(W, dilations=(1, 1)), "counted_before": (0, 0),
                           "counted_after": (0, 0)}),
        (AveragePool, (), {"window": replace(W, dilations=(1, 1)), "counted_before": (1, 0),
                           "counted_after": (0, 0)}),
        (AveragePool, (), {"window": Window((5, 6), (1, 1), (0, 0), (0, 0), (1, 1)),
                           "counted_before": (0, 0), "counted_after": (0, 0)}),
        (Take, (np.array([3, 1]),), {"axis": 3}),
        (Take, (np.array([0, 2, 4]),), {"axis": 1}),
        (Softmax, (), {"axis": 1, "end": 3}),
        (Softmax, (), {"axis": 3, "end": 4}),
        (BatchNorm, tuple(np.linspace(0.2, 2, n) for n in (6,) * 4), {"epsilon": 1e-3, "axis": 2}),
        (CountThresholds, (np.linspace(-2, 2, 12).reshape(4, 3),), {"axis": 3}),
        (Sign, (), {}),
    ],
)  # fmt: skip
def test_spatial_ops(kind: type[Op], constants: Any, attrs: Any, tmp_path: Path) -> None:
    check(one(kind, (1, 5, 6, 4), *constants, **attrs), tmp_path, 5e-6)


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize(
    "elem", [Int(0, 1), Int(-1, 0), Int(-8, 7), Int(-7, 7), Int(-3, 5), Int(2, 9), Int(-128, 127)]
)
@pytest.mark.parametrize(
    "grid", [(0.5, 0, False), (0.3, 3, False), (0.25, 2, True), (0.25, 3, True)], ids=str
)
def test_uniform_quantizers(
    rounding: Rounding, elem: Int, grid: tuple[float, int, bool], tmp_path: Path
) -> None:
    scale, zero, after = grid
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 61)))
    s = b.constant("s", np.array([np.float32(scale)]).astype(np.float64))
    z = b.constant("z", np.array([float(zero)]))
    q = b.op(Quantize, (x, s, z), "q", "q", elem=elem, rounding=rounding, zero_after=after)
    y = b.op(Dequantize, (q, s, z), "y", "y")
    steps = np.linspace(-15, 15, 61) * scale  # every half step, so all ties
    check(b.graph("q", [x], [y, q]), tmp_path, 1e-6, x=np.tile(steps.astype(np.float32), (2, 1, 1)))


def test_what_integers_are_compared_with_and_selected(tmp_path: Path) -> None:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 6)))
    q = b.op(ToInt, (x,), "q", "q", elem=Int(-(1 << 31), (1 << 31) - 1))
    two = b.constant("two", np.array([2]))
    up = b.op(Compare, (q, two), "up", "up", kind=Order.LESS)
    low = b.op(Compare, (x, b.constant("half", np.array([0.5]))), "low", "low", kind=Order.LESS)
    both = b.op(IntArithmetic, (up, low), "both", "both", kind=Whole.AND, elem=Int(0, 1))
    total = b.op(IntArithmetic, (q, two), "sum", "sum", kind=Whole.MUL, elem=q.elem)
    y = b.op(Select, (both, x, b.op(Activation, (x,), "e", "e", kind=Function.EXP)), "y", "y")
    graph = b.graph("s", [x], [y, total])
    check(graph, tmp_path, x=np.random.default_rng(0).normal(0, 3, (5, 1, 6)))


def test_what_has_no_form_is_refused_by_name() -> None:
    dilated = Window((2, 2), (1, 1), (0, 0), (0, 0), (2, 2))
    graph = one(
        AveragePool, (1, 5, 5, 2), window=dilated, counted_before=(0, 0), counted_after=(0, 0)
    )
    with pytest.raises(UnsupportedError, match=r"node: AveragePool with dilations \(2, 2\)"):
        export(graph)


def test_a_sign_takes_zero_to_plus_one() -> None:
    graph = alone(EVERY["Binarize"])
    assert "Sign" not in kinds(export(graph, standard=True))
    assert kinds(export(graph))[0] == "BipolarQuant"
