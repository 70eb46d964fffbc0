"""What class each form of a model chooses, and how often it is the right one."""

from collections.abc import Callable, Mapping

import numpy as np

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import ArgMax
from bitwright.ir.program import Program

_BATCH = 256
Device = Callable[[dict[str, Array]], Mapping[str, Array]]


def predictions(graph: Graph, inputs: Mapping[str, Array]) -> Array:
    """Return the class that the graph's first output chooses for each sample."""
    parts = [chosen(graph, evaluate(graph, batch)) for batch in _batches(inputs)]
    return np.concatenate(parts)


def program_predictions(
    program: Program, inputs: Mapping[str, Array], device: Device | None = None
) -> Array:
    """Return the class that the program chooses, its body run by `device` (numpy unless given)."""
    codes = _joined([evaluate(program.head, batch) for batch in _batches(inputs)])
    if device is None:
        results = _joined([evaluate(program.body, batch) for batch in _batches(codes)])
    else:
        results = dict(device(codes))
    last = program.tail if program.tail.ops else program.body
    parts = [chosen(last, evaluate(program.tail, batch)) for batch in _batches(results)]
    return np.concatenate(parts)


def _batches(inputs: Mapping[str, Array]) -> list[dict[str, Array]]:
    count = next(iter(inputs.values())).shape[0]
    starts = range(0, count, _BATCH)
    return [{n: a[s : s + _BATCH] for n, a in inputs.items()} for s in starts]


def _joined(parts: list[dict[str, Array]]) -> dict[str, Array]:
    return {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}


def chosen(graph: Graph, outputs: Mapping[str, Array]) -> Array:
    """Return the class per sample: the index itself where the graph ends in ArgMax."""
    name, scores = next(iter(outputs.items()))
    flat = scores.reshape(scores.shape[0], -1)
    if isinstance(graph.producers().get(name), ArgMax) or flat.shape[1] == 1:
        return np.asarray(flat[:, 0])
    return np.asarray(flat.argmax(axis=1))


def share(hits: Array) -> str:
    """Return `93.33 % (336 of 360)`."""
    return f"{100 * float(np.mean(hits)):.2f} % ({int(np.sum(hits))} of {hits.size})"
