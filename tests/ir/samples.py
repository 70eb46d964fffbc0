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
    BatchNorm,
    Binarize,
    Clip,
    CountThresholds,
    Dequantize,
    Encoding,
    Exactness,
    Function,
    IntLinear,
    Linear,
    Lookup,
    Op,
    Permute,
    PRelu,
    Quantize,
    Requantize,
    Reshape,
    Round,
    Rounding,
    Sign,
    Softmax,
    Steps,
    Transpose,
    Value,
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
        (Reshape, (x,), {"shape": (C, 1)}),
        (Transpose, (x,), {"perm": (1, 0)}),
        (Permute, (x, b.constant("order", np.array([2, 0, 1]))), {"shape": (1, C)}),
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
    ]  # fmt: skip
    for kind, inputs, attrs in ops:
        b.op(kind, inputs, f"{loc}{kind.__name__}", loc, **attrs)


def every_op(name: str = "n") -> Graph:
    """Return a graph that holds one op of every class, with `name` in every name and node."""
    b = Builder([f"{name}x", f"{name}q"])
    x, q = value(f"{name}x", Real(), 1, C), value(f"{name}q", Int(-8, 7), 1, C)
    _real_ops(b, x, name)
    _integer_ops(b, q, name)
    return b.graph(name, [x, q], [op.output for op in b.ops])
