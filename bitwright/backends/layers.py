"""Group the body's ops into layers: a sum of many terms with the integer function that follows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bitwright.backends.names import Names, comment
from bitwright.errors import CompileError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import (
    Activation,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Clip,
    Conv,
    ConvTranspose,
    IntConv,
    IntLinear,
    Linear,
    MulInt,
    Op,
    PRelu,
    Requantize,
    Reshape,
    Steps,
    SumPool,
    Value,
)

_INTEGER_SUMS = (IntLinear, IntConv, SumPool, MulInt)
_REAL_HOSTS = (Conv, ConvTranspose, Linear, AveragePool, Arithmetic, BatchNorm)
_BY_CHANNEL = (Conv, ConvTranspose, Linear)  # whose kernels know the channel of a result


def forms_by_layer(
    store: str | Mapping[str, str], layers: Iterable["Layer"]
) -> str | dict[str, str]:
    """Return the forms of weights by layer name, for a mapping by layer or by the user's node.

    A form for all layers stays as it is. CompileError for a name that is neither.
    """
    if isinstance(store, str):
        return store
    found: dict[str, str] = {}
    known = tuple(layers)
    for key, form in store.items():
        fitting = [x.name for x in known if key == x.name or any(op.loc == key for op in x.ops)]
        if not fitting:
            names = ", ".join(x.name for x in known)
            raise CompileError(f"--store names the layer {key!r}; there are {names}")
        found |= dict.fromkeys(fitting, form)
    return found


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

    An integer sum whose only reader is a Steps or Requantize is fused with it; a real sum with the
    element-by-element ops that follow, as long as each is the only reader of the one before.
    """
    readers = graph.readers()
    outputs = {v.name for v in graph.outputs}
    layers = []
    skipped: set[str] = set()
    for op in graph.ops:
        if op.name in skipped:
            continue
        ops = [op]
        while ops[-1].name not in outputs:
            after = readers.get(ops[-1].name, [])
            if len(after) != 1 or not _fuses(graph, ops, after[0]):
                break
            ops.append(after[0])
        skipped.update(o.name for o in ops[1:])
        label = op.loc if not isinstance(op, Reshape) else op.name
        layers.append(Layer(names.fresh(label, "layer"), tuple(ops), comment(op.loc)))
    return tuple(layers)


def _fuses(graph: Graph, ops: list[Op], reader: Op) -> bool:
    """Tell whether `reader`, which alone reads the last of `ops`, can be computed with them."""
    first = ops[0]
    if reader.inputs[0].name != ops[-1].name:
        return False
    if isinstance(first, _INTEGER_SUMS):
        return len(ops) == 1 and isinstance(reader, Steps | Requantize)
    if isinstance(first, _BY_CHANNEL) and isinstance(reader, BatchNorm | PRelu):
        return _by_channel(graph, reader)
    return isinstance(first, _REAL_HOSTS) and isinstance(reader, Activation | Clip)


def _by_channel(graph: Graph, op: BatchNorm | PRelu) -> bool:
    """Tell whether the parameters of `op` are constant and lie along the last axis."""
    if not all(graph.is_constant(v) for v in op.inputs[1:]):
        return False
    if isinstance(op, BatchNorm):
        return op.axis == len(op.output.shape) - 1
    return all(d == 1 for d in op.inputs[1].shape[:-1])
