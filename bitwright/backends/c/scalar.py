"""The scalar functions of ONNX as C expressions over `x`, in float32."""

from bitwright.backends.c.tables import real_literal
from bitwright.ir.ops import Arith, Function, Rounding

_SIGMOID = "(1.0f / (1.0f + expf(-{x})))"
_SOFTPLUS = "(({x} > 0.0f ? {x} : 0.0f) + log1pf(expf(-fabsf({x}))))"
_HARD = "fminf(fmaxf({x} * {a} + {b}, 0.0f), 1.0f)"

_ACTIVATION = {
    Function.RELU: "{x} < 0.0f ? 0.0f : {x}",
    Function.LEAKY_RELU: "{x} < 0.0f ? {x} * {a} : {x}",
    Function.SIGMOID: _SIGMOID,
    Function.TANH: "tanhf({x})",
    Function.HARD_SIGMOID: _HARD,
    Function.HARD_SWISH: "{x} * fminf(fmaxf({x} * 0.166666672f + 0.5f, 0.0f), 1.0f)",
    Function.ELU: "{x} < 0.0f ? {a} * expm1f({x}) : {x}",
    Function.SELU: "{b} * ({x} < 0.0f ? {a} * expm1f({x}) : {x})",
    Function.CELU: "({x} > 0.0f ? {x} : 0.0f) + fminf(0.0f, {a} * expm1f({x} / {a}))",
    Function.SOFTPLUS: _SOFTPLUS,
    Function.SOFTSIGN: "{x} / (1.0f + fabsf({x}))",
    Function.THRESHOLDED_RELU: "{x} > {a} ? {x} : 0.0f",
    Function.GELU: "0.5f * {x} * (1.0f + erff({x} * 0.707106769f))",
    Function.GELU_TANH: (
        "0.5f * {x} * (1.0f + tanhf(0.797884583f * ({x} + 0.044715f * {x} * {x} * {x})))"
    ),
    Function.MISH: "{x} * tanhf(" + _SOFTPLUS + ")",
    Function.SWISH: "{x} / (1.0f + expf(-({x} * {a})))",
    Function.NEG: "-{x}",
    Function.ABS: "fabsf({x})",
    Function.EXP: "expf({x})",
    Function.LOG: "logf({x})",
    Function.SQRT: "sqrtf({x})",
    Function.RECIPROCAL: "1.0f / {x}",
    Function.ERF: "erff({x})",
    Function.FLOOR: "floorf({x})",
    Function.CEIL: "ceilf({x})",
    Function.ROUND: "rintf({x})",
}
_ARITH = {
    Arith.ADD: "{a} + {b}",
    Arith.SUB: "{a} - {b}",
    Arith.MUL: "{a} * {b}",
    Arith.DIV: "{a} / {b}",
    Arith.POW: "powf({a}, {b})",
    Arith.MIN: "{a} < {b} ? {a} : {b}",
    Arith.MAX: "{a} > {b} ? {a} : {b}",
}
_ROUND = {
    Rounding.HALF_EVEN: "rintf({x})",
    Rounding.FLOOR: "floorf({x})",
    Rounding.CEIL: "ceilf({x})",
    Rounding.UP: "copysignf(ceilf(fabsf({x})), {x})",
    Rounding.DOWN: "truncf({x})",
    Rounding.HALF_UP: "copysignf(floorf(fabsf({x}) + 0.5f), {x})",
    Rounding.HALF_DOWN: "copysignf(ceilf(fabsf({x}) - 0.5f), {x})",
}
_TO_ODD = "(floorf({x}) + 0.5f == {x} ? 2.0f * floorf(0.5f * {x}) + 1.0f : rintf({x}))"


def activation(kind: Function, x: str, alpha: float, beta: float) -> str:
    """Return the C expression of `kind(x)`."""
    return _ACTIVATION[kind].format(x=x, a=_factor(alpha), b=_factor(beta))


def arithmetic(kind: Arith, a: str, b: str) -> str:
    """Return the C expression of `kind(a, b)`."""
    return _ARITH[kind].format(a=a, b=b)


def rounded(rounding: Rounding, x: str, *, ties_to_odd: bool = False) -> str:
    """Return the C expression that rounds `x`; half-even may send ties to odd numbers instead."""
    return (_TO_ODD if ties_to_odd else _ROUND[rounding]).format(x=x)


def _factor(value: float) -> str:
    text = real_literal(value)
    return f"({text})" if text.startswith("-") else text
