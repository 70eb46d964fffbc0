"""Say in words and numbers what the host does before and after the device."""

import numpy as np

from bitwright.backends.edges import Edge
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Activation,
    Arithmetic,
    BatchNorm,
    Binarize,
    Dequantize,
    Op,
    Quantize,
    Sign,
)
from bitwright.ir.program import Program
from bitwright.ir.types import Real
from bitwright.passes.chain import Chain
from bitwright.passes.region import INDEX_MAPS, Region

_LINES = (Dequantize, Arithmetic, BatchNorm)
_STRAIGHT = 1e-9
_WORDS: dict[type[Op], str] = {
    Binarize: "+1 where at least 0, else -1",
    Sign: "its sign, 0 of 0",
    Quantize: "the code as above",
}


def edges_of(program: Program) -> dict[str, Edge]:
    """Return what the codes at the device's edges mean in reals, by name."""
    found: dict[str, Edge] = {}
    steps = program.head.ops
    alone = len(steps) == 1 and isinstance(steps[0], Quantize)  # the formula says it all
    before = "" if alone else steps_text("On the host before it", program.head, steps)
    for op in program.head.ops:
        if isinstance(op, Quantize):
            scale, zero = (program.head.constant(v) for v in op.inputs[1:])
            found[op.name] = Edge(scale, zero, before)
        elif not isinstance(op.output.elem, Real):
            found[op.name] = Edge(None, None, before)
    for op in program.body.ops:  # inputs that were declared, or that the model takes as integers
        if isinstance(op, Dequantize) and op.inputs[0].name not in found:
            scale, zero = (program.body.constant(v) for v in op.inputs[1:])
            found[op.inputs[0].name] = Edge(scale, zero, "")
    if len(program.body.outputs) == 1 and program.tail.ops:
        found[program.body.outputs[0].name] = _output_edge(program)
    return found


def _output_edge(program: Program) -> Edge:
    """Return the straight line from the device's output to reals, and in words what follows it."""
    tail, codes = program.tail, program.body.outputs[0]
    line: list[Op] = []
    reached = codes.name
    for op in tail.ops:
        others = [v for v in op.inputs if v.name != reached]
        if not isinstance(op, _LINES) or not all(tail.is_constant(v) for v in others):
            break
        line.append(op)
        reached = op.name
    text = steps_text("On the host after that", tail, tail.ops[len(line) :])
    whole = steps_text("On the host after it", tail, tail.ops)
    if not line:
        return Edge(None, None, whole)
    chain = Chain(Region(tuple(line), (codes,)), tail.constants, line[-1].output)
    values = chain.values(_probes(program)).reshape(3, -1)
    slope = values[1] - values[0]
    bent = np.abs(values[2] - values[0] - 2 * slope).max() > _STRAIGHT * np.abs(values).max()
    if bent or not slope.all():
        return Edge(None, None, whole)
    scale, zero = slope, -values[0] / slope
    same = np.ptp(scale) == 0 and np.ptp(zero) == 0
    return Edge(scale[:1] if same else scale, zero[:1] if same else zero, text)


def _probes(program: Program) -> Array:
    shape = program.body.outputs[0].shape
    return np.broadcast_to(np.arange(3).reshape(-1, *(1,) * len(shape)), (3, *shape))


def steps_text(what: str, graph: Graph, ops: tuple[Op, ...]) -> str:
    """Return one sentence that lists `ops`, empty when there are none."""
    steps = [f"{_step(graph, op)} ({op.loc})" for op in ops]
    return f"{what}: {', then '.join(steps)}" if steps else ""


def _step(graph: Graph, op: Op) -> str:
    if isinstance(op, Arithmetic):
        return _arithmetic(graph, op)
    if type(op) in _WORDS:
        return _WORDS[type(op)]
    if isinstance(op, Activation):
        return op.kind.value
    if isinstance(op, INDEX_MAPS):
        return f"{type(op).__name__.lower()} to {op.output.shape}"
    return type(op).__name__.lower()


def _arithmetic(graph: Graph, op: Arithmetic) -> str:
    for v in op.inputs:
        if graph.is_constant(v) and v.type.size == 1:
            return f"{op.kind.value} {float(graph.constant(v).flat[0]):.9g}"
    return f"{op.kind.value} constants" if any(map(graph.is_constant, op.inputs)) else op.kind.value
