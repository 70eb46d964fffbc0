"""Negate the weights of channels whose steps only fall, so that every step rises."""

from dataclasses import replace

import numpy as np

from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import IntLinear, Op, Steps, Value
from bitwright.ir.types import Int, TensorType
from bitwright.passes.fold import FEW_STEPS
from bitwright.passes.lower_linear import reachable


def orient_channels(graph: Graph) -> Graph:
    """Rewrite each IntLinear whose Steps alone read it; other graphs come back unchanged."""
    readers = graph.readers()
    outputs = {v.name for v in graph.outputs}
    constants = dict(graph.constants)
    replaced: dict[str, Op] = {}
    for op in graph.ops:
        after = readers.get(op.name, [])
        if isinstance(op, IntLinear) and len(after) == 1 and op.name not in outputs:
            steps = after[0]
            if isinstance(steps, Steps) and _all_rise_or_fall(constants, steps):
                linear = _flip(op, steps, constants)
                replaced[op.name] = linear
                replaced[steps.name] = _rising(steps, linear, constants)
    ops = tuple(replaced.get(op.name, op) for op in graph.ops)
    return replace(graph, ops=ops, constants=constants)


def _falling(codes: Array) -> Array:
    change = np.diff(codes, axis=1)
    return np.asarray((change <= 0).all(axis=1) & (change < 0).any(axis=1))


def _all_rise_or_fall(constants: dict[str, Array], steps: Steps) -> bool:
    thresholds, codes = (constants[v.name] for v in steps.inputs[1:])
    same = codes.shape[0] == thresholds.shape[0] == steps.inputs[0].shape[-1]
    falls = _falling(codes)
    rises = (np.diff(codes, axis=1) >= 0).all(axis=1)
    return bool(same and falls.any() and (falls | rises).all())


def _flip(op: IntLinear, steps: Steps, constants: dict[str, Array]) -> IntLinear:
    """Return `op` with the rows of falling channels negated."""
    sign = np.where(_falling(constants[steps.inputs[2].name]), -1, 1)
    w = constants[op.inputs[1].name] * sign[:, None]
    bias = [constants[v.name] * sign for v in op.inputs[2:]]
    lattice = reachable(w, bias[0] if bias else np.zeros_like(sign), op.inputs[0].type.integer)
    elem = Int(int(lattice.lo.min()), int(lattice.hi.max()))
    names = [f"{v.name}:oriented" for v in op.inputs[1:]]
    constants.update(zip(names, [w, *bias], strict=True))
    operands = [
        Value(n, TensorType(Int(int(a.min()), int(a.max())), a.shape))
        for n, a in zip(names, [w, *bias], strict=True)
    ]
    output = Value(op.name, TensorType(elem, op.output.shape))
    return replace(op, inputs=(op.inputs[0], *operands), elem=elem, output=output)


def _rising(steps: Steps, linear: IntLinear, constants: dict[str, Array]) -> Steps:
    """Return `steps` for the negated channels: x >= t becomes x' < 1 - t.

    Codes that all channels can share (low + number of thresholds) are shared.
    """
    thresholds, codes = (constants[v.name] for v in steps.inputs[1:])
    falls = _falling(codes)[:, None]
    t = np.where(falls, np.sort(1 - thresholds, axis=1), thresholds)
    c = np.where(falls, codes[:, ::-1], codes)
    t, c = shared_codes(t, c, linear.elem)
    names = [f"{v.name}:oriented" for v in steps.inputs[1:]]
    constants.update(zip(names, [t, c], strict=True))
    operands = [
        Value(n, TensorType(Int(int(a.min()), int(a.max())), a.shape))
        for n, a in zip(names, [t, c], strict=True)
    ]
    return replace(steps, inputs=(linear.output, *operands))


def shared_codes(thresholds: Array, codes: Array, elem: Int) -> tuple[Array, Array]:
    """Give rising channels one shared row of codes where they are few, by repeating thresholds.

    "Never" is hi + 1 and "always" is lo. Thresholds outside [lo, hi + 1] are moved to its ends.
    """
    thresholds = np.clip(thresholds, elem.lo, elem.hi + 1)
    levels = np.unique(codes)
    if levels[-1] - levels[0] > max(thresholds.shape[1], FEW_STEPS):
        return thresholds, codes  # sharing would take more thresholds than it saves codes
    if not np.array_equal(levels, [-1, 1]):
        levels = np.arange(levels[0], levels[-1] + 1)
    rows = []
    for t, c in zip(thresholds, codes, strict=True):
        reached = [int(np.argmax(c >= v)) if (c >= v).any() else None for v in levels[1:]]
        rows.append(
            [elem.hi + 1 if r is None else elem.lo if r == 0 else int(t[r - 1]) for r in reached]
        )
    table = np.array(rows, np.int64).reshape(len(rows), levels.size - 1)
    return table, levels[None, :].astype(np.int64)
