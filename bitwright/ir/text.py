"""The text form of a graph, and the way back. Constants travel beside it as an npz file.

One line a value:  "y": int[-5,9](1,64) = IntLinear("x", "w") {"encoding": "BIPOLAR"} @ "node"
Names and attributes are JSON, so that no name from a model file can break the form.
"""

import json
import re
from dataclasses import fields
from enum import Enum
from typing import Any, get_type_hints

from bitwright.errors import VerifyError
from bitwright.ir.graph import Constants, Graph
from bitwright.ir.ops import ALL_OPS, Exactness, Op, Value, Window
from bitwright.ir.types import Bipolar, Element, Int, Real, TensorType, Ternary

_OPS = {kind.__name__: kind for kind in ALL_OPS}
_BASE = {f.name for f in fields(Op)}
_STRING = r'"(?:[^"\\]|\\.)*"'
_TYPE = r"(?P<elem>real|bipolar|ternary|int\[-?\d+,-?\d+\])\((?P<shape>[\d,]*)\)"
_VALUE = re.compile(rf"(?P<kind>input|const) (?P<name>{_STRING}): {_TYPE}$")
_OUTPUT = re.compile(rf"output (?P<name>{_STRING})$")
_OP = re.compile(
    rf"(?P<name>{_STRING}): {_TYPE} = (?P<op>\w+)\((?P<args>(?:{_STRING}(?:, )?)*)\)"
    rf" (?P<attrs>{{.*}}) @ (?P<loc>{_STRING})$"
)


def write_text(graph: Graph) -> str:
    """Return the text form of `graph`, constants by name and type only."""
    lines = [f"graph {json.dumps(graph.name)}"]
    lines += [f"input {json.dumps(v.name)}: {v.type}" for v in graph.inputs]
    read = {v.name: v for op in graph.ops for v in op.inputs if graph.is_constant(v)}
    read |= {v.name: v for v in graph.outputs if graph.is_constant(v)}
    lines += [f"const {json.dumps(v.name)}: {v.type}" for v in read.values()]
    lines += [_op_line(op) for op in graph.ops]
    lines += [f"output {json.dumps(v.name)}" for v in graph.outputs]
    return "\n".join(lines) + "\n"


def read_text(text: str, constants: Constants) -> Graph:
    """Return the graph whose text form is `text`; VerifyError names the line that is not."""
    values: dict[str, Value] = {}
    inputs: list[Value] = []
    outputs: list[Value] = []
    ops: list[Op] = []
    head, *lines = text.splitlines() or [""]
    if not head.startswith("graph "):
        raise VerifyError("line 1: a graph begins with its name")
    for number, line in enumerate(lines, 2):
        if m := _VALUE.match(line):
            value = Value(json.loads(m["name"]), _type_of(m))
            values[value.name] = value
            if m["kind"] == "input":
                inputs.append(value)
        elif m := _OUTPUT.match(line):
            outputs.append(_known(m["name"], values))
        elif m := _OP.match(line):
            op = _read_op(m, values)
            values[op.name] = op.output
            ops.append(op)
        else:
            raise VerifyError(f"line {number} of the graph is not understood: {line[:80]}")
    return Graph(json.loads(head[6:]), tuple(inputs), tuple(outputs), tuple(ops), dict(constants))


def parse_element(text: str) -> Element:
    """Return the element type whose text form is `text`."""
    if m := re.fullmatch(r"int\[(-?\d+),(-?\d+)\]", text):
        return Int(int(m[1]), int(m[2]))
    named: dict[str, Element] = {"real": Real(), "bipolar": Bipolar(), "ternary": Ternary()}
    if text not in named:
        raise VerifyError(f"{text!r} is no element type")
    return named[text]


def _op_line(op: Op) -> str:
    args = ", ".join(json.dumps(v.name) for v in op.inputs)
    attrs = {f.name: _encode(getattr(op, f.name)) for f in fields(op) if f.name not in _BASE}
    return (
        f"{json.dumps(op.name)}: {op.output.type} = {type(op).__name__}({args})"
        f" {json.dumps(attrs)} @ {json.dumps(op.loc)}"
    )


def _encode(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Real | Int | Bipolar | Ternary):
        return str(value)
    if isinstance(value, Exactness):
        return [value.codes, value.wrong, value.checked]
    if isinstance(value, Window):
        return [getattr(value, f.name) for f in fields(value)]
    return value


_HINTS = {kind: get_type_hints(kind) for kind in ALL_OPS}


def _decode(hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint[value]
    if hint is Exactness:
        return Exactness(*value)
    if hint is Window:
        return Window(*_tuples(value))
    if isinstance(value, list):
        return _tuples(value)
    if isinstance(value, str) and hint is not str:
        return parse_element(value)
    return value


def _tuples(value: list[Any]) -> tuple[Any, ...]:
    return tuple(_tuples(v) if isinstance(v, list) else v for v in value)


def _known(text: str, values: dict[str, Value]) -> Value:
    name = json.loads(text)
    if name not in values:
        raise VerifyError(f"the graph reads {name!r} before it is set")
    return values[name]


def _read_op(m: re.Match[str], values: dict[str, Value]) -> Op:
    if m["op"] not in _OPS:
        raise VerifyError(f"{m['op']} is no operation of this version")
    kind = _OPS[m["op"]]
    args = tuple(_known(a, values) for a in re.findall(_STRING, m["args"]))
    attrs = {k: _decode(_HINTS[kind][k], v) for k, v in json.loads(m["attrs"]).items()}
    output = Value(json.loads(m["name"]), _type_of(m))
    return kind(inputs=args, output=output, loc=json.loads(m["loc"]), **attrs)


def _type_of(m: re.Match[str]) -> TensorType:
    shape = tuple(int(d) for d in m["shape"].split(",") if d)
    return TensorType(parse_element(m["elem"]), shape)
