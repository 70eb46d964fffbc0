"""Tell which integers the device takes: a real input becomes codes with a scale and a zero point."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Dequantize, Op, Value, build
from bitwright.ir.types import Bipolar, Int, Integral, Real, TensorType, Ternary, is_integral

_SPEC = re.compile(
    r"(?:(?P<name>[^=]+)=)?(?P<kind>bipolar|ternary|u?int(?P<bits>\d+))"
    r"(?::(?P<scale>[^:]+))?(?::(?P<zero>[^:]+))?$"
)
_MAX_BITS = 16


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Codes of one input: `real = scale * (code - zero)`. `name` None means the only input."""

    name: str | None
    elem: Integral
    scale: float = 1.0
    zero: float = 0.0


def parse_input(text: str) -> InputSpec:
    """Return the spec in `[name=]bipolar|ternary|[u]intN[:scale[:zero]]`; scale may be 1/255."""
    m = _SPEC.match(text)
    if not m:
        raise CompileError(
            f"--input {text!r} is not of the form [name=]bipolar|ternary|[u]intN[:scale[:zero]], "
            "such as uint8, image=int8:0.5:-3 or uint8:1/255"
        )
    scale = _number(m["scale"], 1)
    if scale <= 0:
        raise CompileError(f"--input {text!r}: the scale must be greater than 0")
    return InputSpec(m["name"], _element(m), scale, _number(m["zero"], 0))


def _number(text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise CompileError(f"{text!r} in --input is no number") from None


def _element(m: re.Match[str]) -> Integral:
    if m["kind"] in ("bipolar", "ternary"):
        return Bipolar() if m["kind"] == "bipolar" else Ternary()
    bits = int(m["bits"])
    if not 1 <= bits <= _MAX_BITS:
        raise CompileError(f"--input {m['kind']}: the width must be 1 to {_MAX_BITS} bits")
    if m["kind"].startswith("u"):
        return Int(0, 2**bits - 1)
    return Int(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def declare_inputs(graph: Graph, specs: Sequence[InputSpec]) -> Graph:
    """Replace each named real input by codes followed by a Dequantize; return the new graph."""
    wanted = _by_name(graph, specs)
    ops: list[Op] = []
    constants = dict(graph.constants)
    inputs: list[Value] = []
    renamed: dict[str, Value] = {}
    for v in graph.inputs:
        if v.name not in wanted:
            inputs.append(v)
            continue
        spec = wanted[v.name]
        codes = Value(v.name, TensorType(spec.elem, v.shape))
        scale, zero = f"{v.name}:scale", f"{v.name}:zero"
        constants[scale], constants[zero] = np.array([spec.scale]), np.array([spec.zero])
        operands = (codes, _scalar(scale), _scalar(zero))
        ops.append(build(Dequantize, operands, f"{v.name}:real", f"input {v.name}"))
        inputs.append(codes)
        renamed[v.name] = ops[-1].output
    ops += [
        replace(op, inputs=tuple(renamed.get(v.name, v) for v in op.inputs)) for op in graph.ops
    ]
    outputs = tuple(renamed.get(v.name, v) for v in graph.outputs)
    return replace(
        graph, inputs=tuple(inputs), outputs=outputs, ops=tuple(ops), constants=constants
    )


def _scalar(name: str) -> Value:
    return Value(name, TensorType(Real(), (1,)))


def _by_name(graph: Graph, specs: Sequence[InputSpec]) -> Mapping[str, InputSpec]:
    names = [v.name for v in graph.inputs]
    known = {v.name: v for v in graph.inputs}
    out: dict[str, InputSpec] = {}
    for spec in specs:
        if spec.name is None and len(names) != 1:
            raise CompileError(f"--input needs a name, this model has inputs {', '.join(names)}")
        name = names[0] if spec.name is None else spec.name
        if name not in known:
            raise CompileError(f"--input: no input {name!r}; this model has {', '.join(names)}")
        if is_integral(known[name].elem):
            raise CompileError(f"--input {name!r}: the model already takes {known[name].elem}")
        if name in out:
            raise CompileError(f"--input {name!r} is given twice")
        out[name] = spec
    return out
