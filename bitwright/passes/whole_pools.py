"""Write a mean or a maximum over all positions as a pool, which has an integer form."""

from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import AveragePool, MaxPool, Op, Reduce, Reduction, Reshape, plain_window

_KINDS = {Reduction.MEAN, Reduction.MAX}
_LEAST_RANK = 3


def whole_pools(graph: Graph) -> Graph:
    """Turn each Reduce over all spatial axes of a channels-last tensor into a pool."""
    b = Builder([*graph.values(), *graph.constants])
    b.constants = dict(graph.constants)
    for op in graph.ops:
        if isinstance(op, Reduce) and _whole(op):
            _pool(b, op)
        else:
            b.ops.append(op)
    return b.graph(graph.name, graph.inputs, graph.outputs)


def _whole(op: Reduce) -> bool:
    rank = len(op.inputs[0].shape)
    return op.kind in _KINDS and rank >= _LEAST_RANK and op.axes == tuple(range(1, rank - 1))


def _pool(b: Builder, op: Reduce) -> None:
    (x,) = op.inputs
    window = plain_window(x.shape[1:-1])
    kind: type[Op] = AveragePool if op.kind is Reduction.MEAN else MaxPool
    zeros = (0,) * window.rank
    attrs = {"window": window}
    if kind is AveragePool:
        attrs |= {"counted_before": zeros, "counted_after": zeros}  # type: ignore[dict-item]
    pooled = (x.shape[0], *(1,) * window.rank, x.shape[-1])
    if op.output.shape == pooled:
        b.ops.append(kind(inputs=(x,), output=op.output, loc=op.loc, **attrs))
        return
    y = b.op(kind, (x,), f"{op.name}:pool", op.loc, **attrs)
    b.ops.append(Reshape(inputs=(y,), output=op.output, loc=op.loc, shape=op.output.shape))
