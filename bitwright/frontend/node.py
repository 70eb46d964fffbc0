"""A typed view of one ONNX node."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

import onnx

from bitwright.errors import CompileError
from bitwright.frontend.messages import plain, show

_KINDS = onnx.AttributeProto


@dataclass(frozen=True, slots=True)
class Node:
    """One node: what it does, where it is, what it reads and sets."""

    op_type: str
    domain: str
    loc: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def out(self) -> str:
        """The name of the first output."""
        return self.outputs[0]

    def has_input(self, index: int) -> bool:
        """Tell whether the input is given: not left out, not the empty name."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        found = self._get(name, _KINDS.INT)
        return default if found is None else int(found.i)

    def real(self, name: str, default: float) -> float:
        """Return a float attribute; CompileError when it is not a number."""
        found = self._get(name, _KINDS.FLOAT)
        value = default if found is None else float(found.f)
        if isnan(value):
            raise CompileError(f"{self.loc}: attribute {name} is not a number")
        return value

    def text(self, name: str, default: str) -> str:
        """Return a string attribute."""
        found = self._get(name, _KINDS.STRING)
        return default if found is None else found.s.decode("utf-8", "replace")

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Return a list of integers, or None when the attribute is absent."""
        found = self._get(name, _KINDS.INTS)
        return None if found is None else tuple(int(i) for i in found.ints)

    def reals(self, name: str) -> tuple[float, ...] | None:
        """Return a list of floats, or None when the attribute is absent."""
        found = self._get(name, _KINDS.FLOATS)
        return None if found is None else tuple(float(f) for f in found.floats)

    def _get(self, name: str, kind: int) -> Any:
        found = self.attributes.get(name)
        if found is not None and found.type not in {kind, _KINDS.UNDEFINED}:
            raise CompileError(f"{self.loc}: attribute {show(name)} has another type than expected")
        return found


def read_node(proto: Any) -> Node:
    """Return the view of an ONNX NodeProto; `loc` is its name or `<op_type> -> <first output>`."""
    outputs = tuple(proto.output)
    label = proto.name or f"{proto.op_type} -> {outputs[0] if outputs else 'nothing'}"
    return Node(
        op_type=proto.op_type,
        domain="" if proto.domain == "ai.onnx" else proto.domain,
        loc=plain(label, 200),
        inputs=tuple(proto.input),
        outputs=outputs,
        attributes={a.name: a for a in proto.attribute},
    )
