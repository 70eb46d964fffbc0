"""Let the window behind a Pad of zeros do the padding."""

from dataclasses import replace

from bitwright.ir.graph import Graph
from bitwright.ir.ops import AveragePool, Conv, MaxPool, Op, Pad, Window


def merge_pad(graph: Graph) -> Graph:
    """Merge each Pad into the Conv or the pools that read it, where these pad with the same value."""
    producers = graph.producers()
    ops: list[Op] = []
    for op in graph.ops:
        pad = producers.get(op.inputs[0].name) if op.inputs else None
        ops.append(_merged(op, pad) if isinstance(pad, Pad) else op)
    return replace(graph, ops=tuple(ops))


def _merged(op: Op, pad: Pad) -> Op:
    outer = (*pad.before[:1], *pad.before[-1:], *pad.after[:1], *pad.after[-1:])
    if not isinstance(op, Conv | AveragePool | MaxPool) or any(outer):
        return op
    before, after = pad.before[1:-1], pad.after[1:-1]
    inputs = (pad.inputs[0], *op.inputs[1:])
    if isinstance(op, Conv) and pad.value == 0:
        return replace(op, inputs=inputs, window=_wider(op.window, before, after))
    whole = (
        isinstance(op, AveragePool)
        and pad.value == 0
        and op.counted_before == op.window.before
        and op.counted_after == op.window.after
    )
    if isinstance(op, AveragePool) and whole:
        window = _wider(op.window, before, after)
        return replace(
            op, inputs=inputs, window=window, counted_before=window.before,
            counted_after=window.after,
        )  # fmt: skip
    if isinstance(op, MaxPool) and pad.value == float("-inf") and not op.window.padded:
        return replace(op, inputs=inputs, window=_wider(op.window, before, after))
    return op


def _wider(window: Window, before: tuple[int, ...], after: tuple[int, ...]) -> Window:
    return replace(
        window,
        before=tuple(a + b for a, b in zip(window.before, before, strict=True)),
        after=tuple(a + b for a, b in zip(window.after, after, strict=True)),
    )
