import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.errors import VerifyError
from bitwright.ir.evaluate import evaluate, evaluate_constant, evaluate_op
from bitwright.ir.evaluate.real import round_real
from bitwright.ir.evaluate.scalar import in_type_of, scalar_function
from bitwright.ir.graph import Array, Builder
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    CountThresholds,
    Dequantize,
    Function,
    Linear,
    Op,
    PRelu,
    Quantize,
    Rounding,
    Sign,
    Softmax,
    Value,
    build,
)
from bitwright.ir.types import Int, Real
from tests.ir.samples import value


def nearest(v: Fraction, tie: Callable[[int], int]) -> int:
    """Round to nearest; `tie` chooses between the floor and its successor."""
    down = math.floor(v)
    rest = v - down
    return down + (rest > Fraction(1, 2)) if rest != Fraction(1, 2) else tie(down)


ORACLES: dict[Rounding, Callable[[Fraction], int]] = {
    Rounding.HALF_EVEN: lambda v: nearest(v, lambda d: d + d % 2),
    Rounding.HALF_UP: lambda v: nearest(v, lambda d: d + (v > 0)),  # away from zero
    Rounding.HALF_DOWN: lambda v: nearest(v, lambda d: d + (v < 0)),  # towards zero
    Rounding.FLOOR: math.floor,
    Rounding.CEIL: math.ceil,
    Rounding.UP: lambda v: math.ceil(v) if v > 0 else math.floor(v),
    Rounding.DOWN: math.trunc,
}


@pytest.mark.parametrize("mode", Rounding)
def test_every_rounding_against_fractions(mode: Rounding) -> None:
    eighths = range(-40, 41)
    got = round_real(np.array([k / 8 for k in eighths]), mode)
    assert got.tolist() == [ORACLES[mode](Fraction(k, 8)) for k in eighths]


def one(kind: type[Op], x: Array, *constants: Array, **attrs: Any) -> Array:
    """Evaluate one op on samples `x` of shape (n, *shape)."""
    b = Builder(["x"])
    v = value("x", Real(), *x.shape[1:])
    names = [b.constant(f"c{i}", c) for i, c in enumerate(constants)]
    y = b.op(kind, (v, *names), "y", "node", **attrs)
    graph = b.graph("g", [v], [y])
    graph.verify()
    return evaluate(graph, {"x": x}, dtype=x.dtype.type)["y"]


@pytest.mark.parametrize("mode", Rounding)
@pytest.mark.parametrize("zero_after", [False, True])
@pytest.mark.parametrize("zero", [0, 3, -4])
def test_quantize_clamps_then_rounds(mode: Rounding, zero_after: bool, zero: int) -> None:
    quarters = np.arange(-60, 60)
    x = (quarters / 4).reshape(-1, 1)
    got = one(
        Quantize, x, np.array([0.5]), np.array([float(zero)]),
        elem=Int(-8, 7), rounding=mode, zero_after=zero_after,
    )  # fmt: skip
    want = []
    for k in quarters.tolist():
        v = Fraction(k, 2)
        code = ORACLES[mode](v) + zero if zero_after else ORACLES[mode](v + zero)
        want.append(min(max(code, -8), 7))
    assert got[:, 0].tolist() == want
    assert got.dtype == np.int64


def test_quantize_per_channel() -> None:
    x = np.array([[[1.0, 1.0, 1.0]]])
    scale, zero = np.array([0.5, 1.0, 2.0]), np.array([0.0, 1.0, -1.0])
    assert one(Quantize, x, scale, zero, elem=Int(-8, 7)).tolist() == [[[2, 2, 0]]]
    y = one(Quantize, x.reshape(1, 3, 1), scale, zero, elem=Int(-8, 7), axis=0)
    assert y.reshape(-1).tolist() == [2, 2, 0]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


A, B = 0.7, 0.4
FORMULAS: dict[Function, Callable[[float], float]] = {
    Function.RELU: lambda x: max(x, 0),
    Function.LEAKY_RELU: lambda x: x if x >= 0 else A * x,
    Function.SIGMOID: sigmoid,
    Function.TANH: math.tanh,
    Function.HARD_SIGMOID: lambda x: max(0, min(1, A * x + B)),
    Function.HARD_SWISH: lambda x: x * max(0, min(1, x / 6 + 0.5)),
    Function.ELU: lambda x: x if x >= 0 else A * (math.exp(x) - 1),
    Function.SELU: lambda x: B * (x if x > 0 else A * math.exp(x) - A),
    Function.CELU: lambda x: max(0, x) + min(0, A * (math.exp(x / A) - 1)),
    Function.SOFTPLUS: lambda x: math.log(1 + math.exp(x)),
    Function.SOFTSIGN: lambda x: x / (1 + abs(x)),
    Function.THRESHOLDED_RELU: lambda x: x if x > A else 0,
    Function.GELU: gelu,
    Function.GELU_TANH: lambda x: (
        0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
    Function.MISH: lambda x: x * math.tanh(math.log(1 + math.exp(x))),
    Function.SWISH: lambda x: x * sigmoid(A * x),
    Function.NEG: lambda x: -x,
    Function.ABS: abs,
    Function.EXP: math.exp,
    Function.LOG: math.log,
    Function.SQRT: math.sqrt,
    Function.RECIPROCAL: lambda x: 1 / x,
    Function.ERF: math.erf,
    Function.FLOOR: math.floor,
    Function.CEIL: math.ceil,
    Function.ROUND: round,
}


def test_every_scalar_function_has_a_formula() -> None:
    assert set(FORMULAS) == set(Function)


@pytest.mark.parametrize("kind", Function)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scalar_functions(kind: Function, dtype: type) -> None:
    x: Array = np.array(
        [-30.5, -3.5, -2.5, -0.7, -1e-3, 0.0, 1e-3, 0.5, 0.7, 1.5, 2.5, 7.0, 40.0], dtype
    )
    if kind in {Function.LOG, Function.SQRT, Function.RECIPROCAL}:
        x = x[x > 0]
    got = scalar_function(kind, x, A, B)
    assert got.dtype == dtype
    want = [FORMULAS[kind](float(v)) for v in x]
    if kind is Function.THRESHOLDED_RELU and dtype is np.float32:
        x, got, want = (
            x[x != 0.7],
            got[x != 0.7],
            [w for v, w in zip(x, want, strict=True) if v != 0.7],
        )
    tiny = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(got, want, rtol=64 * tiny, atol=64 * tiny)


@pytest.mark.parametrize("kind", Function)
def test_extremes_give_no_warning(kind: Function) -> None:
    for x in (np.array([-1e308, 1e308, np.inf, -np.inf]), np.zeros((0, 2))):
        assert scalar_function(kind, x, A, B).shape == x.shape


def test_fractions_stay_exact() -> None:
    x = np.array([Fraction(-1, 3), Fraction(1, 3)], object)
    leaky = scalar_function(Function.LEAKY_RELU, x, 0.1, 0.0)
    assert leaky.tolist() == [Fraction(-1, 3) * Fraction(0.1), Fraction(1, 3)]
    assert in_type_of(x, 0.35) == Fraction(0.35)
    assert in_type_of(x, math.inf) == math.inf
    clip = build(Clip, (value("x", Real(), 2),), "y", "n", lo=0.1, hi=math.inf)
    got = evaluate_fractions(clip, x)
    assert got == [Fraction(0.1), Fraction(1, 3)]
    assert all(isinstance(v, Fraction) for v in got)


def evaluate_fractions(op: Op, x: Array) -> list[Fraction]:
    return list(evaluate_op(op, [x[None]], {op.inputs[0].name: x})[0])


@pytest.mark.parametrize(("axis", "end"), [(0, 1), (1, 2), (2, 3), (1, 3), (0, 3)])
@pytest.mark.parametrize("log", [False, True])
def test_softmax_over_any_axes(axis: int, end: int, log: bool) -> None:
    x = np.random.default_rng(0).normal(0, 3, (4, 2, 3, 5))
    x[0] += 1e4
    got = one(Softmax, x, axis=axis, end=end, log=log)
    axes = tuple(i + 1 for i in range(axis, end))
    e = np.exp(x - x.max(axis=axes, keepdims=True))
    want = e / e.sum(axis=axes, keepdims=True)
    np.testing.assert_allclose(np.exp(got) if log else got, want, rtol=1e-12)


def test_batch_norm_of_hostile_numbers() -> None:
    """A denormal variance, a vanishing gamma, gamma = 0 and a negative one."""
    x = np.array([[[1.0, 1.0, 1.0, 1.0]]])
    gamma, var = np.array([1.0, 1e-41, 0.0, -2.0]), np.array([5.6e-45, 1.0, 1.0, 4.0])
    got = one(BatchNorm, x, gamma, np.zeros(4), np.zeros(4), var, epsilon=0.0, axis=1).reshape(-1)
    np.testing.assert_allclose(got, [1 / math.sqrt(5.6e-45), 1e-41, 0, -1], rtol=1e-12)


def test_signs_at_zero() -> None:
    x = np.array([[-2.0, -0.0, 0.0, 1e-300]])
    assert one(Sign, x).tolist() == [[-1, 0, 0, 1]]
    assert one(Binarize, x).tolist() == [[-1, 1, 1, 1]]


def test_thresholds_are_reached_at_equality() -> None:
    x = np.array([[[0.0, 1.0, 2.0]], [[-1.0, 5.0, 1.5]]])
    t = np.array([[0.0, 1.0], [1.0, 1.0], [-np.inf, np.inf]])
    assert one(CountThresholds, x, t, axis=1).tolist() == [[[1, 2, 1]], [[0, 2, 1]]]
    assert one(CountThresholds, x, t[:1], axis=0).tolist() == [[[1, 2, 2]], [[0, 2, 2]]]


def test_prelu_and_linear() -> None:
    x = np.array([[[-2.0, 3.0]]])
    assert one(PRelu, x, np.array([0.5, 7.0])).tolist() == [[[-1, 3]]]
    w, bias = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([10.0, 0.0])
    assert one(Linear, x, w, bias).tolist() == [[[14, -4]]]


@given(st.integers(0, 2), st.integers(0, 2), st.booleans(), st.integers(1, 3))
def test_arithmetic_broadcasts_without_the_samples(
    ra: int, rb: int, constant: bool, samples: int
) -> None:
    """Operands of any two ranks, one of them perhaps constant, for any number of samples."""
    rng = np.random.default_rng(0)
    sa, sb = (3, 2)[:ra][::-1], (3, 2)[:rb][::-1]
    a, c = rng.normal(size=(samples, *sa)), rng.normal(size=(samples, *sb))
    b = Builder(["a", "c"])
    va = value("a", Real(), *sa)
    vc = b.constant("k", c[0]) if constant else value("c", Real(), *sb)
    y = b.op(Arithmetic, (va, vc), "y", "n", kind=Arith.SUB)
    graph = b.graph("g", [va] if constant else [va, vc], [y])
    got = evaluate(graph, {"a": a} if constant else {"a": a, "c": c})["y"]
    want = [a[i] - (c[0] if constant else c[i]) for i in range(samples)]
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 5), (2, 3)])
def test_a_constant_may_be_read_twice(shape: tuple[int, ...]) -> None:
    c = np.arange(1.0, 1 + math.prod(shape)).reshape(shape)
    v = value("c", Real(), *shape)
    op = build(Arithmetic, (v, v), "y", "n", kind=Arith.MUL)
    np.testing.assert_array_equal(evaluate_constant(op, [c, c], np.float64), c * c)


def test_dequantize_a_constant_scalar() -> None:
    q = Value("q", value("q", Int(0, 9)).type)
    op = build(Dequantize, (q, value("s", Real(), 1), value("z", Real(), 1)), "y", "n")
    args = [np.array(7), np.array([0.5]), np.array([3.0])]
    assert evaluate_constant(op, args, np.float64) == 2.0


def test_a_missing_value_is_named() -> None:
    b = Builder(["x", "z"])
    x, z = value("x", Real(), 1), value("z", Real(), 1)
    y = b.op(Arithmetic, (x, z), "y", "node", kind=Arith.ADD)
    with pytest.raises(VerifyError, match="node: 'z' has no value yet"):
        evaluate(b.graph("g", [x], [y]), {"x": np.zeros((1, 1))})


def test_taps_see_every_op_with_its_samples() -> None:
    b = Builder(["x"])
    x, c = value("x", Real(), 2), b.constant("c", np.ones(2))
    two = b.op(Arithmetic, (c, c), "two", "n", kind=Arith.ADD)
    y = b.op(Activation, (b.op(Arithmetic, (x, two), "s", "n", kind=Arith.ADD),), "y", "n",
             kind=Function.RELU)  # fmt: skip
    seen: dict[str, tuple[int, ...]] = {}
    evaluate(
        b.graph("g", [x], [y, two]), {"x": np.zeros((4, 2))},
        tap=lambda op, a: seen.__setitem__(op.name, a.shape),
    )  # fmt: skip
    assert seen == {"two": (4, 2), "s": (4, 2), "y": (4, 2)}
