"""Run passes in order, verifying the graph after each."""

from collections.abc import Callable, Sequence

from bitwright.errors import VerifyError
from bitwright.ir.graph import Graph

Pass = Callable[[Graph], Graph]


def run(graph: Graph, passes: Sequence[Pass]) -> Graph:
    """Apply `passes` in order; VerifyError names the pass that breaks a rule."""
    graph.verify()
    for step in passes:
        graph = step(graph)
        try:
            graph.verify()
        except VerifyError as e:
            name = getattr(step, "__name__", str(step))
            raise VerifyError(f"after {name}: {e}") from e
    return graph
