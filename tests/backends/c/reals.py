"""Graphs of many small real layers, and how far C may be from numpy."""

import numpy as np

from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Value
from bitwright.ir.types import Real, TensorType
from tests.backends.c.networks import Many

BOUND = 1e-5


class Reals(Many):
    """Many, with real inputs and constants."""

    def real(self, *shape: int, scale: float = 1.0) -> Value:
        value = Value(f"x{len(self.inputs)}", TensorType(Real(), shape))
        self.inputs.append(value)
        data = self.rng.normal(0, scale, (self.samples, *shape))
        data.flat[::3] = np.round(data.flat[::3] * 20) / 20  # ties
        self.data[value.name] = data.astype(np.float32)
        return value

    def floats(self, *shape: int, low: float | None = None) -> Value:
        a = self.rng.normal(size=shape) if low is None else self.rng.uniform(low, 2, shape)
        return self.builder.constant("c", a.astype(np.float32))


def wrong(graph: Graph, want: dict[str, Array], got: dict[str, Array]) -> list[str]:
    """Name the outputs beyond the bound, or, where integers, not equal."""
    out = []
    for v in graph.outputs:
        a, b = want[v.name], got[v.name]
        if not isinstance(v.elem, Real):
            same = np.array_equal(a, b)
        else:
            finite = np.isfinite(a)
            same = np.array_equal(np.isfinite(b), np.broadcast_to(finite, b.shape))
            worst = np.abs(np.where(finite, b - np.where(finite, a, 0), 0)).max()
            same &= bool(worst <= BOUND * np.abs(a[finite]).max())
        if not same:
            out.append(f"{v.name}: {graph.producers().get(v.name)}")
    return out
