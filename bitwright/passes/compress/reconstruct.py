"""Fit layers that lost input channels to what they gave before (channel pruning by reconstruction)."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bitwright.ir.evaluate import evaluate_constant, evaluate_op
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Conv, Linear, Op, Value
from bitwright.ir.types import Real
from bitwright.passes.compress.channel_classes import depthwise
from bitwright.passes.compress.layer_inputs import grouped_rows, input_rows
from bitwright.passes.compress.plan import Layer
from bitwright.passes.compress.remove_channels import Cut, Dead, find_cut
from bitwright.passes.dead_code import remove_dead_code

_RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # in units of the mean square of an input
_ROWS_PER_WEIGHT, _MIN_ROWS = 8, 4096  # rows looked at for each weight of an output, at least
_MAX_ELEMENTS = 1 << 25  # of the greatest tensor, over all samples
_LEAST_ROWS = 32  # fewer tell nothing: the layer keeps what it has
_HELD_OUT = 4  # every fourth part of the rows tells which ridge is best


def reconstruct(graph: Graph, pruned: Graph, dead: Dead, samples: Mapping[str, Array]) -> Graph:
    """Return `pruned` with new weights and biases where layers read fewer channels than in `graph`.

    `pruned` is `remove_channels(graph, dead)`; samples are inputs (samples, *shape). In execution
    order each such layer gets the weights that bring its output closest to that in the original
    graph, given what its pruned input is by then, by ridge regression around the weights it has;
    the ridge is the one with the least error on rows left out of the fit. After He, Zhang and Sun,
    Channel pruning for accelerating very deep neural networks (2017), section 3.1.
    """
    cut = find_cut(graph, dead)
    before, after = _Run(graph, samples), _Run(pruned, samples)
    old = graph.producers()
    for op in pruned.ops:
        source = old[op.name]
        before.step(source)
        lost = cut.kept(source.inputs[0]) is not None and not depthwise(source)
        if lost and isinstance(op, Linear | Conv):
            after.step(after.fitted(op, _target(before, source, cut)))
        else:
            after.step(op)
    return remove_dead_code(after.b.graph(pruned.name, pruned.inputs, pruned.outputs))


def _target(before: "_Run", source: Op, cut: Cut) -> Array:
    y, kept = before.value(source.output), cut.kept(source.output)
    return y if kept is None else y[..., kept]


class _Run:
    """An evaluation that goes op by op; values that no later op reads are forgotten."""

    def __init__(self, graph: Graph, samples: Mapping[str, Array]) -> None:
        self.b = Builder([*graph.values(), *graph.constants])
        self.b.constants = dict(graph.constants)
        largest = max(v.type.size for v in graph.values().values())
        count = max(_MAX_ELEMENTS // max(largest, 1), 1)
        given = {v: np.asarray(samples[v.name][:count]) for v in graph.inputs}
        self._sampled = {
            v.name: a.astype(np.float64 if isinstance(v.elem, Real) else np.int64)
            for v, a in given.items()
        }
        self._fixed = {n: np.asarray(a) for n, a in graph.constants.items()}
        self._last = {v.name: op.name for op in graph.ops for v in op.inputs}

    def value(self, v: Value) -> Array:
        """Return the computed value `v`, (samples, *shape)."""
        return self._sampled[v.name]

    def step(self, op: Op) -> None:
        """Append `op` and compute what it gives."""
        self.b.add(op)
        arrays = [self._sampled.get(v.name, self._fixed.get(v.name)) for v in op.inputs]
        if all(v.name in self._fixed for v in op.inputs):
            known = [a for a in arrays if a is not None]
            self._fixed[op.name] = evaluate_constant(op, known, np.float64)
            return
        count = max(len(a) for a in self._sampled.values())
        y = evaluate_op(op, arrays, self._sampled)
        self._sampled[op.name] = np.broadcast_to(y, (count, *op.output.shape))
        for v in op.inputs:
            if self._last.get(v.name) == op.name:
                self._sampled.pop(v.name, None)

    def fitted(self, op: Layer, target: Array) -> Op:
        """Return `op` with the weights and the bias that bring it closest to `target`."""
        w = np.asarray(self._fixed[op.inputs[1].name], np.float64)
        groups = np.array(grouped_rows(op, w))
        limit = max(_MIN_ROWS, _ROWS_PER_WEIGHT * w[0].size)
        x = input_rows(op, self.value(op.inputs[0]), limit)
        outputs = target.reshape(-1, len(groups), groups.shape[1])
        outputs = outputs[:: -(-len(outputs) // limit) or 1].transpose(1, 0, 2)
        bias = np.zeros(groups.shape[:2])
        if op.inputs[2:]:
            bias += np.asarray(self._fixed[op.inputs[2].name], np.float64).reshape(bias.shape)
        for g, rows in enumerate(x):
            step, shift = _ridge(rows, outputs[g] - rows @ groups[g].T - bias[g])
            groups[g] += step
            bias[g] += shift
        made = {"weight": groups.reshape(w.shape), "bias": bias.reshape(-1)}
        operands = tuple(self.b.constant(f"{op.name}:fitted_{k}", a) for k, a in made.items())
        self._fixed |= {v.name: a for v, a in zip(operands, made.values(), strict=True)}
        return replace(op, inputs=(op.inputs[0], *operands))


def _ridge(x: Array, y: Array) -> tuple[Array, Array]:
    """Return weights (O, n) and offsets (O,) for rows x (rows, n) and y (rows, O)."""
    rows = len(x)
    if rows < _LEAST_ROWS:
        return np.zeros((y.shape[1], x.shape[1])), np.zeros(y.shape[1])
    cut = rows - rows // _HELD_OUT
    best = min((*_RIDGES, np.inf), key=_Fit(x[:cut], y[:cut], x[cut:], y[cut:]).error)
    return _Fit(x, y, x, y).solve(best)


class _Fit:
    """Ridge regressions on one set of rows, to be compared on another."""

    def __init__(self, x: Array, y: Array, x_new: Array, y_new: Array) -> None:
        self.means = x.mean(axis=0), y.mean(axis=0)
        centred = x - self.means[0]
        self.gram = centred.T @ centred
        self.cross = centred.T @ (y - self.means[1])
        self.new = x_new, y_new

    def solve(self, ridge: float) -> tuple[Array, Array]:
        """Return weights and offsets; an infinite ridge leaves the weights at 0."""
        unit = float(np.trace(self.gram)) / max(len(self.gram), 1)
        if np.isinf(ridge) or unit == 0:
            return np.zeros(self.cross.T.shape), self.means[1]
        damped = self.gram + ridge * unit * np.eye(len(self.gram))
        step = np.linalg.solve(damped, self.cross).T
        return step, self.means[1] - step @ self.means[0]

    def error(self, ridge: float) -> float:
        """Return the squared error on the other rows."""
        x, y = self.new
        step, shift = self.solve(ridge)
        return float(((x @ step.T + shift - y) ** 2).sum())
