"""Collect what tensors hold on samples."""

from collections.abc import Mapping, Sequence

import numpy as np

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Op

_MAX_VALUES = 1 << 18
_BATCH = 64  # samples evaluated at once


def observe(graph: Graph, names: Sequence[str], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the values that each named tensor takes on the samples, flat, thinned when many."""
    wanted = set(names)
    seen: dict[str, list[Array]] = {n: [] for n in wanted}
    count = next(iter(inputs.values())).shape[0] if inputs else 0
    parts = max(-(-count // _BATCH), 1)

    def tap(op: Op, y: Array) -> None:
        if op.name in wanted:
            seen[op.name].append(_thinned(y.reshape(-1), parts))

    for start in range(0, max(count, 1), _BATCH):
        batch = {n: np.asarray(a[start : start + _BATCH]) for n, a in inputs.items()}
        evaluate(graph, batch, tap=tap)
        for n in wanted & batch.keys():
            seen[n].append(_thinned(batch[n].astype(np.float64).reshape(-1), parts))
    return {n: np.concatenate(a) for n, a in seen.items()}


def _thinned(a: Array, parts: int) -> Array:
    stride = -(-a.size * parts // _MAX_VALUES)
    ends = np.array([a.min(), a.max()]) if a.size else a
    return np.concatenate([a[::stride], ends])
