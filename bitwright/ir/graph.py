"""A model: ops in execution order. Immutable; passes return a new one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from bitwright.errors import VerifyError
from bitwright.ir.ops.base import Op, Value, build
from bitwright.ir.types import Element, Int, Real, TensorType

Array = NDArray[Any]
Constants = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Graph:
    """Ops in execution order, the values that enter and leave, and the constants they read."""

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    ops: tuple[Op, ...]
    constants: Constants = field(default_factory=dict)

    def verify(self) -> None:
        """Raise VerifyError unless every rule of the IR holds."""
        defined = {v.name: v for v in self.inputs}
        if len(defined) != len(self.inputs):
            raise VerifyError("two inputs have one name")
        if both := sorted(defined.keys() & self.constants.keys()):
            raise VerifyError(f"{both[0]!r} is an input and a constant")
        for op in self.ops:
            for v in op.inputs:
                self._check_read(op, v, defined)
            if op.name in defined or op.name in self.constants:
                raise VerifyError(f"{op.loc}: {op.name!r} is set twice")
            op.verify()
            defined[op.name] = op.output
        for v in self.outputs:
            if v.name not in defined and v.name not in self.constants:
                raise VerifyError(f"output {v.name!r} is never set")
            if v.name in defined and defined[v.name].type != v.type:
                raise VerifyError(f"output {v.name!r} is {v.type}, set as {defined[v.name].type}")

    def _check_read(self, op: Op, v: Value, defined: Mapping[str, Value]) -> None:
        if v.name in defined:
            if defined[v.name].type != v.type:
                raise VerifyError(
                    f"{op.loc}: {v.name!r} is read as {v.type}, set as {defined[v.name].type}"
                )
        elif v.name not in self.constants:
            raise VerifyError(f"{op.loc}: {v.name!r} is read before it is set")
        elif self.constants[v.name].shape != v.shape:
            raise VerifyError(f"{op.loc}: constant {v.name!r} is not of shape {v.shape}")

    def is_constant(self, value: Value) -> bool:
        """Tell whether `value` is a constant of this graph."""
        return value.name in self.constants

    def constant(self, value: Value) -> Array:
        """Return the array of a constant."""
        return self.constants[value.name]

    def producers(self) -> dict[str, Op]:
        """Map each defined name to the op that defines it."""
        return {op.name: op for op in self.ops}

    def readers(self) -> dict[str, list[Op]]:
        """Map each name to the ops that read it, in execution order."""
        out: dict[str, list[Op]] = {}
        for op in self.ops:
            for name in dict.fromkeys(v.name for v in op.inputs):
                out.setdefault(name, []).append(op)
        return out

    def values(self) -> dict[str, Value]:
        """Map each name that enters or is defined to its value."""
        return {v.name: v for v in (*self.inputs, *(op.output for op in self.ops))}

    def to_networkx(self) -> nx.DiGraph:
        """Return the directed graph of value names; an edge carries the op that joins them."""
        g = nx.DiGraph()
        g.add_nodes_from(v.name for v in self.inputs)
        for op in self.ops:
            g.add_node(op.name, op=op)
            g.add_edges_from((v.name, op.name) for v in op.inputs if not self.is_constant(v))
        return g


class Builder:
    """Collects ops and constants under unique names; `graph` makes the immutable result."""

    def __init__(self, taken: Sequence[str] = ()) -> None:
        """Start empty; names in `taken` are never given to a new value."""
        self.ops: list[Op] = []
        self.constants: dict[str, Array] = {}
        self._taken = set(taken)

    def unique(self, name: str) -> str:
        """Return `name`, with a number appended where it is taken already."""
        candidate, n = name, 1
        while candidate in self._taken:
            candidate, n = f"{name}.{n}", n + 1
        self._taken.add(candidate)
        return candidate

    def constant(self, name: str, array: Any, elem: Element | None = None) -> Value:
        """Add a constant; integers get the interval of their values unless `elem` is given."""
        a = np.asarray(array)
        if elem is None:
            elem = interval_of(a) if a.dtype.kind in "iub" else Real()
        key = self.unique(name)
        self.constants[key] = a.astype(np.int64) if not isinstance(elem, Real) else a
        return Value(key, TensorType(elem, a.shape))

    def op(
        self, kind: type[Op], inputs: tuple[Value, ...], name: str, loc: str, /, **attrs: Any
    ) -> Value:
        """Append an op and return its result."""
        op = build(kind, inputs, self.unique(name), loc, **attrs)
        self.ops.append(op)
        return op.output

    def add(self, op: Op) -> Value:
        """Append a finished op, whose name must be free."""
        self._taken.add(op.name)
        self.ops.append(op)
        return op.output

    def keep(self, graph: Graph, value: Value) -> Value:
        """Copy a constant of `graph` under its own name."""
        self.constants[value.name] = graph.constants[value.name]
        self._taken.add(value.name)
        return value

    def graph(self, name: str, inputs: Sequence[Value], outputs: Sequence[Value]) -> Graph:
        """Return the graph of what was added."""
        return Graph(name, tuple(inputs), tuple(outputs), tuple(self.ops), dict(self.constants))


def interval_of(a: Array) -> Int:
    """Return the interval of the values in an integer array; [0, 0] when it is empty."""
    return Int(int(a.min()), int(a.max())) if a.size else Int(0, 0)
