"""Take index maps out of a body: into the columns of the weights that read them, or out of sight."""

from dataclasses import replace

import numpy as np

from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import IntLinear, Op, Permute, Reshape, Transpose, Value
from bitwright.ir.types import TensorType

_MAPS = (Reshape, Transpose, Permute)
Source = tuple[Value, Array]  # the stream that carries a value, and its element at each place


def fold_index_maps(graph: Graph) -> Graph:
    """Return `graph` without Transpose and Permute; UnsupportedError where one has to move data.

    A Reshape stays, and so does the name of every value that leaves the graph.
    """
    sources: dict[str, Source] = {}
    ops: list[Op] = []
    constants = dict(graph.constants)
    for op in graph.ops:
        if isinstance(op, _MAPS):
            sources[op.name] = _mapped(op, sources, constants)
            continue
        ops.append(_reading(op, sources, constants))
    for v in graph.outputs:
        if v.name in sources:
            _check_unmoved(v.name, sources[v.name])
            ops.append(_reshape(sources[v.name][0], v, v.name))
    return replace(graph, ops=tuple(ops), constants=constants)


def _mapped(op: Op, sources: dict[str, Source], constants: dict[str, Array]) -> Source:
    x = op.inputs[0]
    stream, order = sources.get(x.name, (x, np.arange(x.type.size)))
    if isinstance(op, Permute):
        return stream, order[constants[op.inputs[1].name].reshape(-1)]
    if isinstance(op, Transpose):
        return stream, order.reshape(x.shape).transpose(op.perm).reshape(-1)
    return stream, order


def _reading(op: Op, sources: dict[str, Source], constants: dict[str, Array]) -> Op:
    """Return `op` reading streams in their own order."""
    inputs = list(op.inputs)
    for i, v in enumerate(inputs):
        if v.name not in sources:
            continue
        stream, order = sources[v.name]
        if isinstance(op, IntLinear) and i == 0 and order.size == v.shape[-1]:
            inputs[1] = _permute_columns(op, order, constants)
        else:
            _check_unmoved(op.loc, sources[v.name])
        inputs[i] = Value(stream.name, TensorType(v.elem, v.shape))
    return replace(op, inputs=tuple(inputs))


def _permute_columns(op: IntLinear, order: Array, constants: dict[str, Array]) -> Value:
    """Return the weight for the operand before its permutation: column order[i] is column i."""
    weight = op.inputs[1]
    if np.array_equal(order, np.arange(order.size)):
        return weight
    moved = np.empty_like(constants[weight.name])
    moved[:, order] = constants[weight.name]
    value = Value(f"{weight.name}:moved:{op.name}", weight.type)
    constants[value.name] = moved
    return value


def _check_unmoved(loc: str, source: Source) -> None:
    if not np.array_equal(source[1], np.arange(source[1].size)):
        raise UnsupportedError(
            f"{loc}: the Verilog backend cannot reorder {source[0].name!r} here; it can only "
            "directly in front of a fully connected layer that reads the whole tensor"
        )


def _reshape(stream: Value, result: Value, loc: str) -> Reshape:
    return Reshape(inputs=(stream,), output=result, loc=loc, shape=result.shape)
