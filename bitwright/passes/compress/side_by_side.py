"""Run a float graph and its compressed form side by side, one op at a time."""

from collections.abc import Collection, Mapping, Sequence
from math import prod

import numpy as np

from bitwright.ir.evaluate import evaluate_constant, evaluate_op
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Op
from bitwright.ir.types import Bipolar
from bitwright.passes.compress.plan import Range

_MOST_VALUES = 1 << 25  # of the greatest tensor, over all samples


def fitting_samples(graph: Graph, samples: Mapping[str, Array]) -> dict[str, Array]:
    """Return as many samples, evenly spread, as keep every tensor at a size that memory holds."""
    largest = max((prod(op.output.shape) for op in graph.ops), default=1)
    count = next(iter(samples.values())).shape[0]
    most = max(_MOST_VALUES // max(largest, 1), 1)
    stride = -(-count // most)
    return {n: np.asarray(a)[::stride].astype(np.float32) for n, a in samples.items()}


class SideBySide:
    """The values of a float graph (`want`) and of its compressed form so far (`have`).

    Values that nothing reads any more are dropped.
    """

    def __init__(self, graph: Graph, samples: Mapping[str, Array]) -> None:
        """Start with the samples on both sides."""
        self._last = {v.name: i for i, op in enumerate(graph.ops) for v in op.inputs}
        self._constants: dict[str, Array] = {n: _single(a) for n, a in graph.constants.items()}
        self._samples = next(iter(samples.values())).shape[0]
        self._at = 0
        self._ahead: tuple[str, Array] | None = None  # the next op's result, computed early
        self.want: dict[str, Array] = dict(samples)
        self.have: dict[str, Array] = dict(samples)

    def quantize(self, name: str, found: Range) -> None:
        """Replace a value of the compressed form by the reals that its codes stand for."""
        self.have[name] = fake_quantize(self.have[name], found)

    def step(self, op: Op, changed: Mapping[str, Array] | None = None) -> None:
        """Compute `op` on both sides; the compressed one reads `changed` instead of constants."""
        if op.inputs and all(v.name in self._constants for v in op.inputs):
            arrays = [self._constants[v.name] for v in op.inputs]
            self._constants[op.name] = _single(evaluate_constant(op, arrays, np.float64))
        else:
            self.want[op.name] = self.wanted(op)
            self.have[op.name] = self._run(op, self.have, changed or {})
        for v in op.inputs:
            if self._last[v.name] <= self._at:
                self.want.pop(v.name, None)
                self.have.pop(v.name, None)
        self._at += 1

    def wanted(self, op: Op) -> Array:
        """Return what the float graph computes, without going on."""
        if self._ahead is None or self._ahead[0] != op.name:
            self._ahead = op.name, self._run(op, self.want, {})
        return self._ahead[1]

    def got(self, op: Op, changed: Mapping[str, Array]) -> Array:
        """Return what the compressed form would compute, without going on."""
        return self._run(op, self.have, changed)

    def onward(
        self, ops: Sequence[Op], changed: Mapping[str, Array], names: Collection[str]
    ) -> dict[str, Array]:
        """Return the named values among those that `ops` make of the compressed form.

        `ops` are all that follow; the first of them reads `changed` instead of constants. Nothing
        goes on.
        """
        known, constants = dict(self.have), dict(changed)
        out: dict[str, Array] = {}
        for i, op in enumerate(ops):
            fixed = {**self._constants, **constants}
            if op.inputs and all(v.name in fixed for v in op.inputs):
                arrays = [fixed[v.name] for v in op.inputs]
                constants[op.name] = _single(evaluate_constant(op, arrays, np.float64))
                continue
            known[op.name] = self._run(op, known, constants)
            if i == 0:
                constants = {}
            if op.name in names:
                out[op.name] = known[op.name]
            for v in op.inputs:
                if self._last[v.name] <= self._at + i:
                    known.pop(v.name, None)
        return out

    def _run(self, op: Op, known: Mapping[str, Array], changed: Mapping[str, Array]) -> Array:
        args = [known.get(v.name, changed.get(v.name, self._constants.get(v.name)))
                for v in op.inputs]  # fmt: skip
        y = evaluate_op(op, args, known)
        if y.shape[:1] != (self._samples,) or y.ndim != len(op.output.shape) + 1:
            y = np.broadcast_to(y, (self._samples, *op.output.shape))
        return y


def fake_quantize(x: Array, found: Range) -> Array:
    """Return the reals that the codes of `x` stand for, in the type of `x`."""
    if isinstance(found.elem, Bipolar):
        return np.where(x >= 0, found.scale, -found.scale).astype(x.dtype)
    codes = np.clip(np.rint(x / found.scale), found.elem.lo, found.elem.hi)
    return np.asarray(codes * found.scale, x.dtype)


def _single(a: Array) -> Array:
    return a.astype(np.float32) if a.dtype.kind == "f" else a
