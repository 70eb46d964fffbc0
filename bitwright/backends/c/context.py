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
    flash: "Flash | None" = None


@dataclass(frozen=True, slots=True)
class Flash:
    """How the weights of a layer lie in flash, and what decoding them takes."""

    form: str
    weights: int
    bytes: int  # tables of the decoder included
    table_bytes: int = 0
    buffer_bytes: int = 0  # in the arena
    operations: float = 0.0  # instructions a weight and position, an estimate for Cortex-M4


@dataclass(frozen=True, slots=True)
class Scratch:
    """Memory of the arena that one layer alone uses: `name` points to it in the run function."""

    name: str
    ctype: str
    bytes: int


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
    store: str | Mapping[str, str] = "plain"  # the form of weights in flash, for all or by layer
    scratch: dict[str, Scratch] = field(default_factory=dict)  # by layer

    def store_of(self, layer: str) -> str:
        """Return the form in which the weights of `layer` are wanted."""
        return self.store if isinstance(self.store, str) else self.store.get(layer, "plain")

    def scratch_for(self, layer: str, ctype: str, size: int) -> str:
        """Reserve `size` bytes of the arena while `layer` runs; return the pointer to them."""
        name = self.kernels.names.fresh(f"{layer}_rows")
        self.scratch[layer] = Scratch(name, ctype, size)
        return name

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
