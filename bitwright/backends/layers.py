"""Group the body's ops into layers: a dot product with the integer function that follows it."""

from dataclasses import dataclass

from bitwright.backends.names import Names, comment
from bitwright.ir.graph import Graph
from bitwright.ir.ops import IntLinear, Op, Requantize, Reshape, Steps, Value


@dataclass(frozen=True, slots=True)
class Layer:
    """Ops that one kernel or one hardware unit computes; only the last result is stored."""

    name: str  # legal in C and Verilog, unique
    ops: tuple[Op, ...]
    note: str  # the user's node, fit for a comment

    @property
    def first(self) -> Op:
        """The op that reads the layer's inputs."""
        return self.ops[0]

    @property
    def last(self) -> Op:
        """The op whose result leaves the layer."""
        return self.ops[-1]

    @property
    def output(self) -> Value:
        """The value that leaves the layer."""
        return self.last.output


def layers_of(graph: Graph, names: Names) -> tuple[Layer, ...]:
    """Return the layers of `graph` in execution order.

    An IntLinear whose accumulator only one Steps or Requantize reads is fused with it.
    """
    readers = graph.readers()
    outputs = {v.name for v in graph.outputs}
    fused: dict[str, Op] = {}
    for op in graph.ops:
        after = readers.get(op.name, [])
        if isinstance(op, IntLinear) and len(after) == 1 and op.name not in outputs:
            reader = after[0]
            if isinstance(reader, Steps | Requantize) and reader.inputs[0].name == op.name:
                fused[op.name] = reader
    skipped = {op.name for op in fused.values()}
    layers = []
    for op in graph.ops:
        if op.name in skipped:
            continue
        ops = (op, fused[op.name]) if op.name in fused else (op,)
        label = op.loc if not isinstance(op, Reshape) else op.name
        layers.append(Layer(names.fresh(label, "layer"), ops, comment(op.loc)))
    return tuple(layers)
