"""Choose the scale of each activation quantizer from samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Op
from bitwright.ir.types import Int

_EXACT_BITS = 8  # from here on the whole range is kept; below, the scale with the least error
_MAX_VALUES = 1 << 18
_BATCH = 64  # samples evaluated at once


@dataclass(frozen=True, slots=True)
class Range:
    """The codes and the scale of one quantizer; the zero point is 0."""

    elem: Int
    scale: float


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


def choose_range(values: Array, bits: int, *, pow2: bool, loc: str) -> Range:
    """Return the range for a tensor: unsigned where nothing is negative, symmetric otherwise.

    At 8 bits and more the greatest value sets the scale; below, the scale with the least squared
    error does. With `pow2` only powers of two are tried.
    """
    if not np.isfinite(values).all():
        raise CompileError(f"{loc}: its input becomes NaN or infinite on the calibration samples")
    signed = bool(values.size and values.min() < 0)
    elem = Int(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else Int(0, 2**bits - 1)
    top = elem.hi if not signed or bits == 1 else 2 ** (bits - 1) - 1
    largest = float(np.abs(values).max(initial=0)) or 1.0
    whole = largest / max(top, 1)
    if pow2:
        exponent = int(np.ceil(np.log2(whole) - 1e-12))
        candidates = [2.0 ** (exponent - i) for i in range(5)]
    elif bits >= _EXACT_BITS:
        candidates = [whole]
    else:
        candidates = [whole * f for f in np.linspace(0.2, 1.0, 81)]
    return Range(elem, min(candidates, key=lambda s: _error(values, s, elem)))


def _error(values: Array, scale: float, elem: Int) -> float:
    codes = np.clip(np.rint(values / scale), elem.lo, elem.hi)
    return float(((codes * scale - values) ** 2).sum())
