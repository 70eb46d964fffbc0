"""One valid op of every class, for tests that must see them all."""

from typing import Any

import numpy as np

from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import (
    Activation,
    AddInt,
    ArgMax,
    Arith,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Binarize,
    Clip,
    Compare,
    Concat,
    Conv,
    ConvTranspose,
    CountThresholds,
    Dequantize,
    Encoding,
    Exactness,
    Function,
    IntArithmetic,
    IntConv,
    IntLinear,
    Linear,
    LocalResponseNorm,
    Lookup,
    MatMul,
    MaxPool,
    MinPool,
    MulInt,
    Normalize,
    Op,
    Order,
    Pad,
    Permute,
    PRelu,
    Quantize,
    Reduce,
    Reduction,
    Requantize,
    Resample,
    Reshape,
    Round,
    Rounding,
    Select,
    Sign,
    Softmax,
    Steps,
    SumPool,
    Take,
    ToInt,
    TopK,
    Transpose,
    Value,
    Whole,
    Window,
)
from bitwright.ir.types import Bipolar, Element, Int, Real, TensorType

C = 3


def value(name: str, elem: Element, *shape: int) -> Value:
    return Value(name, TensorType(elem, shape))


def _real_ops(b: Builder, x: Value, loc: str) -> None:
    def real(name: str, *shape: int) -> Value:
        return b.constant(name, np.linspace(-1.5, 2, max(int(np.prod(shape)), 1)).reshape(shape))

    ops: list[tuple[type[Op], tuple[Value, ...], dict[str, Any]]] = [
        (Linear, (x, real("w", 2, C), real("b", 2)), {}),
        (Arithmetic, (x, real("c", C)), {"kind": Arith.MAX}),
        (Activation, (x,), {"kind": Function.HARD_SIGMOID, "alpha": 0.2, "beta": 0.5}),
        (PRelu, (x, real("slope", 1, C)), {}),
        (Clip, (x,), {"hi": 6.0}),
        (BatchNorm, (x, *(real(f"bn{i}", C) for i in range(4))), {"epsilon": 1e-5}),
        (Softmax, (x,), {"axis": 1, "end": 2, "log": True}),
        (Quantize, (x, real("s", C), real("z", 1)),
         {"elem": Int(-8, 7), "rounding": Rounding.CEIL, "axis": 1, "zero_after": True}),
        (Binarize, (x,), {}),
        (Sign, (x,), {}),
        (CountThresholds, (x, real("t", 1, 4)), {"axis": 1}),
        (ArgMax, (x,), {"axis": 1}),
        (Compare, (x, real("level", 1)), {"kind": Order.LESS_EQUAL}),
        (ToInt, (x,), {"elem": Int(0, 255)}),
        (MatMul, (x, real("right", C, 2)), {}),
        (TopK, (x,), {"axis": 1, "k": 2, "largest": False, "places": True}),
        (Reshape, (x,), {"shape": (C, 1)}),
        (Transpose, (x,), {"perm": (1, 0)}),
        (Permute, (x, b.constant("order", np.array([2, 0, 1]))), {"shape": (1, C)}),
    ]  # fmt: skip
    for kind, inputs, attrs in ops:
        b.op(kind, inputs, f"{loc}{kind.__name__}", loc, **attrs)


def _spatial_ops(b: Builder, x: Value, q: Value, loc: str) -> None:
    def real(name: str, *shape: int) -> Value:
        return b.constant(name, np.linspace(-1, 2, int(np.prod(shape))).reshape(shape))

    w = Window((2, 3), (2, 1), (1, 0), (0, 2), (1, 1))
    rows = b.constant("rows", np.array([[0, 1], [1, 1]]))
    image = b.op(Reshape, (x,), f"{loc}image", loc, shape=(1, 1, C, 1))
    codes = b.op(Reshape, (q,), f"{loc}codes", loc, shape=(1, 1, C, 1))
    ops: list[tuple[type[Op], tuple[Value, ...], dict[str, Any]]] = [
        (Conv, (image, real("k", 2, 2, 3, 1), real("kb", 2)), {"window": w}),
        (ConvTranspose, (image, real("kt", 2, 2, 3, 1)),
         {"window": Window((2, 3), (2, 1), (1, 0), (0, 1), (1, 1)), "extra": (1, 0)}),
        (AveragePool, (image,), {"window": w, "counted_before": (1, 0), "counted_after": (0, 1)}),
        (MaxPool, (image,), {"window": w}),
        (MinPool, (codes,), {"window": w}),
        (Reduce, (image,), {"kind": Reduction.L2, "axes": (1, 2), "keep": False}),
        (Normalize, (image,), {"axes": (1, 2), "epsilon": 1e-5}),
        (LocalResponseNorm, (image,), {"size": 3, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}),
        (Resample, (image, rows, real("share", 2, 2)), {"axis": 2}),
        (Take, (image, b.constant("picked", np.array([2, 0]))), {"axis": 2}),
        (Pad, (codes,), {"before": (0, 1, 0, 0), "after": (0, 0, 2, 0), "value": 9.0}),
        (Concat, (image, image), {"axis": 3}),
        (IntConv, (codes, b.constant("ik", np.ones((2, 2, 3, 1), np.int64))),
         {"window": w, "groups": 1, "encoding": Encoding.BIPOLAR, "elem": Int(-48, 42),
          "pad": -1}),
        (SumPool, (codes,), {"window": w, "elem": Int(-48, 42)}),
    ]  # fmt: skip
    for kind, inputs, attrs in ops:
        b.op(kind, inputs, f"{loc}{kind.__name__}", loc, **attrs)


def _integer_ops(b: Builder, q: Value, loc: str) -> None:
    def ints(name: str, *rows: Any) -> Value:
        return b.constant(name, np.array(rows, np.int64))

    ops: list[tuple[type[Op], tuple[Value, ...], dict[str, Any]]] = [
        (Dequantize, (q, b.constant("ds", np.ones(C)), b.constant("dz", np.zeros(1))), {"axis": 1}),
        (IntLinear, (q, ints("iw", [1, -1, 1]), ints("ib", 5)),
         {"encoding": Encoding.BIPOLAR, "elem": Int(-19, 28)}),
        (Steps, (q, ints("it", [0, 9]), ints("ic", [-1, 0, 1])), {"elem": Bipolar()}),
        (Requantize, (q, ints("mul", 3, 4, -5), ints("add", 1)),
         {"elem": Int(-2, 3), "shift": 2, "zero": -1, "rounding": Round.HALF_EVEN,
          "exactness": Exactness(1, 2, 3)}),
        (Lookup, (q, ints("table", *range(16))), {"elem": Int(0, 15)}),
        (AddInt, (q, q),
         {"elem": Int(-8, 7), "mul_a": 3, "mul_b": -2, "add": 7, "shift": 3, "zero": 1,
          "rounding": Round.FLOOR}),
        (MulInt, (q, q), {"elem": Int(-99, 121), "zero_a": 1, "zero_b": -2}),
        (IntArithmetic, (q, q), {"kind": Whole.MUL, "elem": Int(-8, 7)}),
        (Select, (q, q, ints("other", 9)), {}),
    ]  # fmt: skip
    for kind, inputs, attrs in ops:
        b.op(kind, inputs, f"{loc}{kind.__name__}", loc, **attrs)


def every_op(name: str = "n") -> Graph:
    """Return a graph that holds one op of every class, with `name` in every name and node."""
    b = Builder([f"{name}x", f"{name}q"])
    x, q = value(f"{name}x", Real(), 1, C), value(f"{name}q", Int(-8, 7), 1, C)
    _real_ops(b, x, name)
    _integer_ops(b, q, name)
    _spatial_ops(b, x, q, name)
    return b.graph(name, [x, q], [op.output for op in b.ops])
