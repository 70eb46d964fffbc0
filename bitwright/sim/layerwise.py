"""Rung 3: the integer graph against the quantized model, each layer fed the model's own codes."""

import numpy as np

from bitwright.ir.evaluate import evaluate, evaluate_op
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Binarize, CountThresholds, Op, Quantize, Sign, Value
from bitwright.ir.types import is_integral
from bitwright.sim.outcome import Outcome, Status

_TIE = 2.0**-22  # of the sum of magnitudes: float32's own uncertainty, see the verification docs
_QUANTIZERS = (Quantize, Binarize, Sign, CountThresholds)


def compare_layers(graph: Graph, body: Graph, x: dict[str, Array]) -> Outcome:
    """Compare every code that both graphs name, on samples `x` of the model's inputs."""
    seen: dict[str, Array] = {}
    evaluate(graph, x, tap=lambda op, y: seen.__setitem__(op.name, y))
    reference = {n: a for n, a in seen.items() if n in _coded(graph)}
    known = {v.name: reference.get(v.name, x.get(v.name)) for v in body.inputs}
    quantizers = {op.name: op for op in graph.ops if isinstance(op, _QUANTIZERS)}
    values = ties = layers = 0
    for op in body.ops:
        args = [known.get(v.name, body.constants.get(v.name)) for v in op.inputs]
        y = evaluate_op(op, args, {k: v for k, v in known.items() if v is not None})
        if op.name in reference:
            want = reference[op.name]
            differ = y.reshape(want.shape) != want
            tied = differ & _near(graph, quantizers.get(op.name), seen)
            if (differ & ~tied).any():
                return Outcome(Status.FAIL, values, _describe(op, y.reshape(want.shape), want))
            values, ties, layers = values + want.size, ties + int(tied.sum()), layers + 1
            y = want.reshape(y.shape)
        known[op.name] = y
    detail = f"{layers} layer{'' if layers == 1 else 's'}" + (
        f", {ties} ties" if ties else ", every code equal"
    )
    return Outcome(Status.PASS, values, detail)


def _coded(graph: Graph) -> set[str]:
    return {n for n, v in graph.values().items() if is_integral(v.elem)}


def _near(graph: Graph, op: Op | None, seen: dict[str, Array]) -> Array | bool:
    """Tell where the reference's value before rounding is within float32's reach of an edge."""
    if op is None:
        return False
    source: Value = op.inputs[0]
    v = seen[source.name]
    reach = _TIE * np.abs(v).max(initial=0)
    if not isinstance(op, Quantize):
        return np.asarray(np.abs(v) <= reach)
    scale = float(np.abs(graph.constant(op.inputs[1])).min())
    steps = v / scale
    return np.asarray(np.abs(steps - np.floor(steps) - 0.5) <= reach / scale)


def _describe(op: Op, got: Array, want: Array) -> str:
    at = tuple(int(i) for i in np.argwhere(got != want)[0])
    return (
        f"layer {op.loc!r}: sample {at[0]}, index {list(at[1:])}: integer graph {got[at]}, "
        f"quantized model {want[at]}"
    )
