"""Remove operations and constants that no output needs."""

from dataclasses import replace

from bitwright.ir.graph import Graph
from bitwright.ir.ops import Op


def remove_dead_code(graph: Graph) -> Graph:
    """Keep the ops some output needs, and only their constants."""
    live = {v.name for v in graph.outputs}
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if op.name in live:
            live |= {v.name for v in op.inputs}
            kept.append(op)
    constants = {k: v for k, v in graph.constants.items() if k in live}
    return replace(graph, ops=tuple(reversed(kept)), constants=constants)
