"""The model's inputs and outputs as the C sees them: parameter, type, macro prefix."""

from dataclasses import dataclass

from bitwright.backends.c.layout import Layout
from bitwright.backends.c.storage import Storage, elements_for
from bitwright.backends.names import Names, comment
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Value
from bitwright.ir.types import TensorType

# Names that the run function, the tests or the compiler's own macros use.
_TAKEN = """arena base run trace trace_value kernels weights test linux unix memcpy memset stdin
stdout stderr printf puts null main s wrong near error memcmp fabsf"""


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output tensor."""

    name: str  # the user's
    note: str  # the user's, fit for a comment
    parameter: str
    ctype: str  # its typedef
    macro: str
    type: TensorType
    storage: Storage
    pack: str  # the helper that packs or unpacks


def ports_of(graph: Graph, layout: Layout, model: str) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return the ports of the inputs and of the outputs; a single one is `input` or `output`."""
    names = Names(frozenset(_TAKEN.split()))

    def port(v: Value, alone: str, verb: str) -> Port:
        storage = layout.storage.get(v.name) or elements_for(v.elem, v.type.size)
        name = alone or names.fresh(v.name, "t")
        return Port(
            v.name, comment(v.name), name, f"{model}_{name}_t", f"{model}_{name}".upper(), v.type,
            storage, f"{model}_{verb}_{name}",
        )  # fmt: skip

    inputs = tuple(port(v, "input" * (len(graph.inputs) == 1), "pack") for v in graph.inputs)
    outputs = tuple(port(v, "output" * (len(graph.outputs) == 1), "unpack") for v in graph.outputs)
    return inputs, outputs
