"""Rung 3: the integer graph against the quantized model, each layer fed the model's own codes."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bitwright.ir.evaluate import evaluate, evaluate_op
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Op, Quantize, Value
from bitwright.ir.program import Program
from bitwright.ir.types import is_integral
from bitwright.passes.chain import QUANTIZERS
from bitwright.passes.region import cut
from bitwright.sim.outcome import Outcome, Status

_TIE = 2.0**-22  # of the sum of magnitudes: float32's own uncertainty, see the verification docs
_OUTPUT = 1e-9  # of the greatest output: both sides are float64


def compare_layers(graph: Graph, program: Program, codes: Mapping[str, Array]) -> Outcome:
    """Compare every code that the quantized model and the integer graph both name, and the outputs.

    `codes` are inputs of the device (samples, *shape); the model gets them where the device does.
    """
    body = program.body
    part = _behind_inputs(graph, body)
    seen: dict[str, Array] = {n: np.asarray(a) for n, a in codes.items()}
    results = evaluate(part, codes, tap=lambda op, y: seen.__setitem__(op.name, y))
    coded = {n for n, v in part.values().items() if is_integral(v.elem)}
    quantizers = {op.name: op for op in graph.ops if isinstance(op, QUANTIZERS)}
    known = {v.name: seen[v.name] for v in body.inputs}
    values = ties = layers = 0
    for op in body.ops:
        args = [known.get(v.name, body.constants.get(v.name)) for v in op.inputs]
        y = evaluate_op(op, args, known)
        if op.name in coded:
            want = seen[op.name]
            differ = y.reshape(want.shape) != want
            tied = differ & _near(graph, quantizers.get(op.name), seen)
            if (differ & ~tied).any():
                return Outcome(Status.FAIL, values, _describe(op, y.reshape(want.shape), want))
            values, ties, layers = values + want.size, ties + int(tied.sum()), layers + 1
            y = want.reshape(y.shape)
        known[op.name] = y
    wrong = _wrong_output(program, known, results)
    if wrong:
        return Outcome(Status.FAIL, values, wrong)
    detail = f"{layers} layer{'' if layers == 1 else 's'}" + (
        f", {ties} ties" if ties else ", every code equal"
    )
    return Outcome(Status.PASS, values, detail)


def _behind_inputs(graph: Graph, body: Graph) -> Graph:
    """Return the part of the quantized model that begins at the device's inputs."""
    entries = {v.name for v in body.inputs}
    producers = {n: op for n, op in graph.producers().items() if n not in entries}
    part = cut(graph.outputs, producers, graph.constants).graph(graph.outputs, graph.constants)
    return replace(part, inputs=tuple(body.inputs))


def _wrong_output(
    program: Program, known: Mapping[str, Array], results: Mapping[str, Array]
) -> str | None:
    """Return a sentence where the last integers, made real by the tail, are not the model's outputs.

    An index chosen on the device stands under another name and is not compared here.
    """
    outputs = evaluate(program.tail, {v.name: known[v.name] for v in program.body.outputs})
    for name, want in results.items():
        got = outputs.get(name)
        if got is None:
            continue
        error = np.abs(got.reshape(want.shape) - want)
        if error.max(initial=0) > _OUTPUT * max(float(np.abs(want).max(initial=0)), 1e-30):
            at = [int(i) for i in np.unravel_index(int(error.argmax()), error.shape)]
            return f"output {name!r}: sample {at[0]}, index {at[1:]}: off by {error.max():.3g}"
    return None


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
