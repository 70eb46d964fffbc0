"""Take index maps out of a body: into the columns of the weights that read them, or one Permute."""

from dataclasses import replace

import numpy as np

from bitwright.ir.graph import Array, Graph, interval_of
from bitwright.ir.ops import IntLinear, Op, Permute, Reshape, Transpose, Value
from bitwright.ir.types import TensorType

_MAPS = (Reshape, Transpose, Permute)
Source = tuple[Value, Array]  # the stream that carries a value, and its element at each place


def fold_index_maps(graph: Graph) -> Graph:
    """Return `graph` without Transpose, and with a Permute only where data has to move.

    Several in a row become one, called as the last. A Reshape stays only in front of an output.
    """
    return _Folder(graph).fold()


class _Folder:
    """Rewrites the ops in their order; `sources` holds the values that maps define."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.constants = dict(graph.constants)
        self.sources: dict[str, Source] = {}
        self.locs: dict[str, str] = {}
        self.ops: list[Op] = []

    def fold(self) -> Graph:
        for op in self.graph.ops:
            if isinstance(op, _MAPS):
                self.sources[op.name] = self._mapped(op)
                self.locs[op.name] = op.loc
            else:
                self.ops.append(self._reading(op))
        for v in self.graph.outputs:
            stream = self._stream(v)
            if stream.name != v.name:
                reshape = Reshape(inputs=(stream,), output=v, loc=v.name, shape=v.shape)
                self.ops.append(reshape)
        return replace(self.graph, ops=tuple(self.ops), constants=self.constants)

    def _mapped(self, op: Op) -> Source:
        x = op.inputs[0]
        stream, order = self.sources.get(x.name, (x, np.arange(x.type.size)))
        if isinstance(op, Permute):
            return stream, order[self.constants[op.inputs[1].name].reshape(-1)]
        if isinstance(op, Transpose):
            return stream, order.reshape(x.shape).transpose(op.perm).reshape(-1)
        return stream, order

    def _reading(self, op: Op) -> Op:
        """Return `op` reading streams in their own order."""
        inputs = list(op.inputs)
        for i, v in enumerate(inputs):
            if v.name not in self.sources:
                continue
            stream, order = self.sources[v.name]
            if isinstance(op, IntLinear) and i == 0 and order.size == v.shape[-1]:
                inputs[1] = self._permute_columns(op, order)
            else:
                stream = self._stream(v)
            inputs[i] = Value(stream.name, TensorType(v.elem, v.shape))
        return replace(op, inputs=tuple(inputs))

    def _stream(self, value: Value) -> Value:
        """Return a stream that carries `value` in its order; one is made where there is none."""
        if value.name not in self.sources:
            return value
        stream, order = self.sources[value.name]
        if np.array_equal(order, np.arange(order.size)):
            return stream
        key = f"{value.name}:order"
        self.constants[key] = order
        operand = Value(key, TensorType(interval_of(order), order.shape))
        loc = self.locs[value.name]
        self.ops.append(Permute(inputs=(stream, operand), output=value, loc=loc, shape=value.shape))
        del self.sources[value.name]
        return value

    def _permute_columns(self, op: IntLinear, order: Array) -> Value:
        """Return the weight for the operand before its permutation: column order[i] is column i."""
        weight = op.inputs[1]
        if np.array_equal(order, np.arange(order.size)):
            return weight
        moved = np.empty_like(self.constants[weight.name])
        moved[:, order] = self.constants[weight.name]
        value = Value(f"{weight.name}:moved:{op.name}", weight.type)
        self.constants[value.name] = moved
        return value
