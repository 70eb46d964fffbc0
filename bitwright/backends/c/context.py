"""What every kernel chooser sees: the graph, the layout, and where functions and tables go."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bitwright.backends.c.kernels import KernelSet
from bitwright.backends.c.layout import Layout
from bitwright.backends.c.options import Cpu
from bitwright.backends.c.storage import REAL_T, Storage, elements_for
from bitwright.backends.c.tables import TableSet
from bitwright.backends.layers import Layer
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Value
from bitwright.ir.types import Real


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the run function: a kernel, its arguments, and what sort of work it is."""

    layer: Layer
    function: str
    arguments: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Context:
    """One emission: read the graph, add kernels and tables."""

    graph: Graph
    layout: Layout
    cpu: Cpu
    kernels: KernelSet
    tables: TableSet
    variables: Mapping[str, str]  # root of a value -> the pointer in the run function
    joined: frozenset[str] = frozenset()  # values written into the result of the Concat that reads
    pitches: Mapping[str, int] = field(default_factory=dict)  # where rows do not follow at once

    def storage(self, value: Value) -> Storage:
        """Return how `value` is stored; constants are arrays of elements."""
        if self.graph.is_constant(value):
            return elements_for(value.elem, value.type.size)
        return self.layout.storage[value.name]

    def read(self, value: Value) -> str:
        """Return the C text that points to `value`; a constant becomes a table."""
        if not self.graph.is_constant(value):
            return self.variables[self.layout.root[value.name]]
        ctype = REAL_T if isinstance(value.elem, Real) else self.storage(value).ctype
        return self.tables.constant(value.name, self.graph.constant(value), ctype).name

    def write(self, value: Value) -> str:
        """Return the C text that points to where `value` is written."""
        return self.variables[self.layout.root[value.name]]

    def pitch(self, value: Value) -> int:
        """Return how many elements of memory lie from one row of the last axis to the next."""
        return self.pitches.get(value.name, value.shape[-1] if value.shape else 1)
